"""The law of mixtures: how many bits per byte a text needs after training with given shares of the sources.

Of one held-out text it is floor + exp(slopes · shares), the log-linear form of Ye et al. 2024 (Data Mixing Laws, arXiv
2403.16952), which Olmix found best of several as well (Chen et al. 2026, arXiv 2602.12237). It is convex in the shares,
so that the best mixture is found for certain.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

FLOORS = np.linspace(0.0, 0.98, 50)
"""Floors that are tried, as parts of the least value seen."""
DESCENTS = 2_000
FLAT = 1e-6
"""Curvature of a law that no share changes: its descent stays where it is."""


@dataclass(frozen=True)
class Law:
    """Laws of several texts, or of several resamples of one.

    Attributes:
        floors: (…) bits per byte that no mixture gets below.
        slopes: (…, sources).
    """

    floors: Floats
    slopes: Floats

    def predict(self, shares: Floats) -> Floats:
        """Bits per byte (…, mixtures) at shares (mixtures, sources)."""
        exponents = np.einsum("...s,ms->...m", self.slopes, shares)
        return np.asarray(self.floors[..., None] + np.exp(exponents))

    def gradient(self, shares: Floats) -> Floats:
        """Bits per byte by shares, (…, sources), at shares (sources,) or (…, sources)."""
        return np.asarray(self.slopes * np.exp((self.slopes * shares).sum(-1))[..., None])


def fit(shares: Floats, values: Floats) -> tuple[Law, Floats]:
    """The law of each text by least squares of the logarithm; its floor is the one that predicts left-out runs best.

    Args:
        shares: (runs, sources), of more runs than sources + 1.
        values: (texts, runs) bits per byte.

    Returns:
        The laws, and (texts, runs) by how much each run is missed by the law of all others.
    """
    projection = shares @ np.linalg.pinv(shares)
    leverage = np.minimum(np.diag(projection), 1 - 1e-9)
    floors = FLOORS * values.min(-1)[:, None]  # (texts, floors)
    above = np.log(values[:, None] - floors[..., None])  # (texts, floors, runs)
    left_out = above - (above - above @ projection) / (1 - leverage)
    missed = values[:, None] - floors[..., None] - np.exp(left_out)
    best = (missed**2).sum(-1).argmin(-1)
    texts = np.arange(len(values))
    slopes = above[texts, best] @ np.linalg.pinv(shares).T
    return Law(floors[texts, best], slopes), missed[texts, best]


def best_shares(laws: Law, importance: Floats, low: Floats, high: Floats) -> Floats:
    """The shares at which the weighted mean of several texts' laws is least, by projected gradient descent.

    Args:
        laws: of (…, texts).
        importance: (texts,) weight of each.
        low, high: (sources,) bounds of the shares, with low.sum() ≤ 1 ≤ high.sum().

    Returns:
        (…, sources), adding up to 1.
    """
    leading = laws.slopes.shape[:-2]
    shares = np.broadcast_to(_project((low + high) / 2, low, high), (*leading, len(low)))
    size = (laws.slopes**2).sum(-1)
    for _ in range(DESCENTS):
        heights = np.exp((laws.slopes * shares[..., None, :]).sum(-1))  # (…, texts)
        gradient = (importance * heights)[..., None] * laws.slopes
        curvature = (importance * heights * size).sum(-1)[..., None]
        moved = _project(shares - gradient.sum(-2) / (2 * np.maximum(curvature, FLAT)), low, high)
        if np.abs(moved - shares).max() < 1e-7:
            break
        shares = moved
    return shares


def _project(shares: Floats, low: Floats, high: Floats) -> Floats:
    """The nearest point between the bounds that adds up to 1, for each of (…, sources), by bisection."""
    under = (shares - high).min(-1, keepdims=True)
    over = (shares - low).max(-1, keepdims=True)
    for _ in range(50):
        middle = (under + over) / 2
        is_much = np.clip(shares - middle, low, high).sum(-1, keepdims=True) > 1
        under, over = np.where(is_much, middle, under), np.where(is_much, over, middle)
    return np.asarray(np.clip(shares - over, low, high))
