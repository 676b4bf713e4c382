"""The orthogonal factor of a matrix, by products of matrices alone (Newton–Schulz iterations)."""

import torch
from torch import Tensor

COEFFICIENTS = (
    (8.28721201814563, -23.595886519098837, 17.300387312530933),
    (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
    (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
    (3.3184196573706015, -2.488488024314874, 0.51004894012372),
    (2.300652019954817, -1.6689039845747493, 0.4188073119525673),
)


def orthogonalise(matrix: Tensor) -> Tensor:
    """About U Vᵀ of the singular value decomposition U S Vᵀ, of the same shape; zeros of zeros."""
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.mT
    x = wide / torch.linalg.vector_norm(wide).clamp(min=torch.finfo(wide.dtype).tiny)
    gram = x @ x.mT
    square = gram @ gram
    # Singular values are at most the eighth root of the sum of their eighth powers: closer than by the norm.
    bound = torch.linalg.vector_norm(square).sqrt().sqrt().clamp(min=torch.finfo(wide.dtype).tiny)
    gram, square = gram / bound**2, square / bound**4
    x = x / bound
    long = 2 * wide.shape[0] <= wide.shape[1]
    product: Tensor | None = None
    for number, (a, b, c) in enumerate(COEFFICIENTS):
        factor = (b * gram).add_(square, alpha=c)
        factor.diagonal().add_(a)
        last = number == len(COEFFICIENTS) - 1
        if long:
            product = factor if product is None else factor @ product
            if not last:
                gram = factor @ (factor @ gram)
        else:
            x = factor @ x
            if not last:
                gram = x @ x.mT
        if not last:
            square = gram @ gram
    if product is not None:
        x = product @ x
    return x if wide is matrix else x.mT
