"""The orthogonal factor of a matrix, by products of matrices alone: Newton–Schulz iterations.

Singular values are moved towards 1 by odd polynomials of fifth degree, composed. Their coefficients are those of Polar
Express (Amsel et al. 2025, arXiv 2505.16932): each polynomial is the one that has the least error on the interval that
those before it have left. A matrix that is at least twice as long as wide is only
multiplied once, at the end: till then its small Gram matrix stands for it, which fp32 is exact enough for.
"""

import torch
from torch import Tensor

SMALLEST = 5e-3
"""Singular values from this share of the largest on are mapped to 1 within ERROR, smaller ones to less."""
ERROR = 0.083
COEFFICIENTS = (
    (8.298703491, -24.43049815, 18.09030419),
    (3.91522096, -2.921130232, 0.5592232598),
    (3.174603657, -2.380432834, 0.4978263935),
    (2.18946284, -1.567220683, 0.407887158),
)
"""a, b, c of a s + b s³ + c s⁵. On the momenta of the demo four such steps are nearer to U Vᵀ than the usual five, of
fixed coefficients: docs/log.md."""


def orthogonalise(matrix: Tensor) -> Tensor:
    """About U Vᵀ of the singular value decomposition U S Vᵀ, in the matrix's shape and dtype; zeros of zeros."""
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.mT
    x = wide / wide.abs().max().clamp(min=torch.finfo(wide.dtype).tiny)  # the squares of small numbers would be 0
    x = x / torch.linalg.vector_norm(x).clamp(min=1.0)
    gram = x @ x.mT
    square = gram @ gram
    # The largest singular value is at most the eighth root of the sum of all eighth powers, a closer bound than the
    # norm: by it the first polynomial begins where it was made for.
    bound = torch.linalg.vector_norm(square).sqrt().sqrt().clamp(min=1e-3)
    x, gram, square = x / bound, gram / bound**2, square / bound**4
    factor = _polynomial(gram, square, *COEFFICIENTS[0])
    if 2 * wide.shape[0] > wide.shape[1]:
        x = factor @ x
        for coefficients in COEFFICIENTS[1:]:
            gram = x @ x.mT
            x = _polynomial(gram, gram @ gram, *coefficients) @ x
    else:
        product = factor
        for coefficients in COEFFICIENTS[1:]:
            gram = factor @ (factor @ gram)  # all of these commute
            factor = _polynomial(gram, gram @ gram, *coefficients)
            product = factor @ product
        x = product @ x
    orthogonal: Tensor = x if wide is matrix else x.mT
    return orthogonal


def _polynomial(gram: Tensor, square: Tensor, a: float, b: float, c: float) -> Tensor:
    """a I + b G + c G²."""
    polynomial = (b * gram).add_(square, alpha=c)
    polynomial.diagonal().add_(a)
    return polynomial
