"""The mixtures that are tried: the configured one, and others that together tell most of what each source does."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LEAST = 0.01
"""Share that every source has in every mixture that is tried."""
DECIMALS = 3
"""Of a share; one below 0.01 has as many digits."""
DRAWN = 256
"""Sets of mixtures of which the most telling is taken."""


def fewest_runs(sources: int) -> int:
    """Runs without which the law cannot be fitted, and none be left out to see how well it predicts."""
    return sources + 2


def default_runs(sources: int) -> int:
    """As many as the law needs, half as many again, and three: linear in the sources (Chen et al. 2026, Olmix)."""
    return fewest_runs(sources) + sources // 2 + 3


def swarm(configured: Mapping[str, float], runs: int, seed: int) -> list[dict[str, float]]:
    """Mixtures to try, the configured one first; the same for the same seed.

    The others are Dirichlet draws about the point halfway between the configured mixture and equal shares, as wide as a
    uniform draw. Of 256 such sets the one with the largest determinant of WᵀW is taken, whose least squares know the
    slopes best (D-optimality; Fedorov, Theory of Optimal Experiments, 1972).

    Args:
        configured: weights of the sources, all above 0; they need not add up to 1, and are not rounded.
        runs: mixtures in all.

    Returns:
        Shares that add up to 1.
    """
    names = list(configured)
    own = np.array(list(configured.values()), np.float64)
    own /= own.sum()
    random = np.random.default_rng(seed)
    centre = (own + 1 / len(own)) / 2
    sets = random.dirichlet(centre * len(own), size=(DRAWN, runs - 1))
    sets = LEAST + (1 - LEAST * len(own)) * sets
    whole = np.concatenate([np.broadcast_to(own, (DRAWN, 1, len(own))), sets], axis=1)
    told = np.linalg.slogdet(whole.transpose(0, 2, 1) @ whole)[1]
    drawn = [rounded(shares) for shares in sets[int(np.argmax(told))]]
    return [dict(zip(names, shares.tolist(), strict=True)) for shares in (own, *drawn)]


def rounded(shares: Floats) -> Floats:
    """Shares with three decimals, below 0.01 three digits, that add up to 1: the largest takes what is left."""
    result = np.array([float(f"{share:.{DECIMALS}g}") if share < 0.01 else round(share, DECIMALS) for share in shares])
    largest = int(np.argmax(result))
    result[largest] = round(1 - np.delete(result, largest).sum(), 12)  # without what sums in binary leave over
    return result
