"""The orthogonal factor is that of the singular values, in fp32 too; its polynomials are the best ones."""

import pytest
import torch
from torch import Tensor

from train.engine.orthogonal import COEFFICIENTS, ERROR, SMALLEST, orthogonalise


def by_polynomials(matrix: Tensor) -> Tensor:
    """What `orthogonalise` stands for, from the singular values themselves, in float64."""
    u, s, v = torch.linalg.svd(matrix.double(), full_matrices=False)
    x = s / (s**8).sum() ** 0.125
    for a, b, c in COEFFICIENTS:
        x = a * x + b * x**3 + c * x**5
    product: Tensor = (u * x) @ v
    return product


def test_the_polynomials_are_the_best_of_their_degree() -> None:
    """Least error on an interval: it is reached at four places with alternating signs (Chebyshev)."""
    low, high = SMALLEST, 1.0
    for a, b, c in COEFFICIENTS:
        s = torch.linspace(low, high, 200_001, dtype=torch.float64)
        error = 1 - (a * s + b * s**3 + c * s**5)
        largest = error.abs().max().item()
        at_most = (error.abs() > largest * (1 - 1e-5)).nonzero().flatten()
        signs = torch.sign(error[at_most])
        assert 1 + (signs[1:] != signs[:-1]).sum() == 4
        low, high = 1 - largest, 1 + largest
    assert largest == pytest.approx(ERROR, abs=5e-4)


@pytest.mark.parametrize("sizes", [(24, 24), (24, 40), (24, 48), (96, 24), (40, 24), (1, 5), (3, 1)])
def test_the_factor_in_fp32_is_that_of_the_singular_values(sizes: tuple[int, int]) -> None:
    matrix = torch.randn(sizes, generator=torch.Generator().manual_seed(1))
    wanted = by_polynomials(matrix)
    close = 2e-5 if min(sizes) > 1 else 5e-4  # one value alone is where the polynomials are steepest
    for scale in (1.0, 1e-30, 1e30):
        found = orthogonalise(matrix * scale)
        assert (found.double() - wanted).norm() < close * wanted.norm()
    assert (orthogonalise(matrix.double()) - wanted).norm() < 1e-12 * wanted.norm()
    values = torch.linalg.svdvals(wanted)
    assert values.max() <= 1 + ERROR + 1e-6
    assert torch.equal(orthogonalise(torch.zeros(sizes)), torch.zeros(sizes))
