"""The mixtures that are tried: the configured one, and others that together tell most of what each source does."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LEAST = 0.01
"""Share that every source has in every mixture that is tried."""
DECIMALS = 3
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
        configured: weights of the sources, all above 0; they need not add up to 1.
        runs: mixtures in all.

    Returns:
        Shares that add up to 1, with three decimals.
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
    return [dict(zip(names, rounded(shares).tolist(), strict=True)) for shares in whole[int(np.argmax(told))]]


def rounded(shares: Floats) -> Floats:
    """Shares with three decimals that add up to 1, none of them 0: the largest takes what is left."""
    result = np.maximum(np.round(shares, DECIMALS), 10.0**-DECIMALS)
    largest = int(np.argmax(result))
    result[largest] = np.round(result[largest] + 1 - result.sum(), DECIMALS)
    return result
