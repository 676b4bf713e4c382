"""Scaling laws in one variable, fitted to a few points and carried to x = 1: numbers in, numbers out.

x is a run's computation as a share of the planned run's. Hoffmann et al. 2022 (arXiv 2203.15556, section 3.3) have
L = E + A / N^α + B / D^β, five constants, which three to five runs cannot carry. Runs of one number of tokens a
parameter lie on a line through N and D, on which it has three: y = E + K x^-γ. The laws here are that one and its two
halves with two constants. Errors are squared on logarithms: Huber's loss, as there, tells an outlier among hundreds of
runs, of five it would only choose which ones to pass through.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Name = Literal["power", "saturating", "offset"]
CONSTANTS: dict[Name, int] = {"power": 2, "saturating": 2, "offset": 3}
"""power: y = K x^-γ (Kaplan et al. 2020, arXiv 2001.08361, for computation); saturating: y = E + K x^-γ with γ as
published; offset: the same with γ free."""

PUBLISHED_EXPONENT = 0.34 * 0.28 / (0.34 + 0.28)
"""Of the loss in computation, 0.1535: α β / (α + β) of Hoffmann et al. 2022, approach 3."""
HIGHEST_EXPONENT = 1.0
LOWEST_EXPONENT = 0.01
MOST_FLOOR = 0.99
"""Largest share of E in what is predicted at x = 1."""
CELLS, ZOOMS, NARROWING = 15, 28, 0.65
"""Of the search: places a side; how often what surrounds the best one is looked at anew, and how much of it."""


@dataclass(frozen=True)
class Fit:
    """A law with its constants, for each of a batch of curves (B,); at x = 1 it has E + K."""

    floor: Floats
    """E."""
    scale: Floats
    """K."""
    exponent: Floats
    """γ."""
    error: Floats
    """Root of the mean square of ln y - ln law over the points, (B,)."""

    def at(self, x: float) -> Floats:
        return np.asarray(self.floor + self.scale * x**-self.exponent, np.float64)


def fit(name: Name, x: Floats, y: Floats) -> Fit:
    """The law's constants by least squares on logarithms.

    Args:
        x: (R,), ascending, above 0.
        y: (B, R) curves, above 0.

    Raises:
        ValueError: there are fewer points than constants.
    """
    if len(x) < CONSTANTS[name]:
        raise ValueError(f"{name} has {CONSTANTS[name]} constants, and there are {len(x)} points")
    log_x, log_y = np.log(x), np.log(y)
    if name == "power":
        centred = log_x - log_x.mean()
        exponent = np.maximum(-(log_y @ centred) / (centred @ centred), 0.0)
        return _with_scale(log_x, log_y, np.zeros(len(y)), exponent)
    free = name == "offset"
    low = np.array([0.0, np.log(LOWEST_EXPONENT if free else PUBLISHED_EXPONENT)])
    high = np.array([MOST_FLOOR, np.log(HIGHEST_EXPONENT if free else PUBLISHED_EXPONENT)])
    share, log_exponent = _search(log_x, log_y, low, high)
    return _with_scale(log_x, log_y, share / (1 - share), np.exp(log_exponent))


def _shape(log_x: Floats, ratio: Floats, exponent: Floats) -> Floats:
    """ln(E / K + x^-γ), the last axis over the points; ln K is what is left."""
    return np.asarray(np.log(ratio[..., None] + np.exp(-exponent[..., None] * log_x)), np.float64)


def _with_scale(log_x: Floats, log_y: Floats, ratio: Floats, exponent: Floats) -> Fit:
    left = log_y - _shape(log_x, ratio, exponent)
    log_scale = left.mean(axis=-1)
    scale = np.exp(log_scale)
    error = np.sqrt(((left - log_scale[..., None]) ** 2).mean(axis=-1))
    return Fit(ratio * scale, scale, exponent, error)


def _search(log_x: Floats, log_y: Floats, low: Floats, high: Floats) -> tuple[Floats, Floats]:
    """Share of E and ln γ, (B,) each, of the least squares between `low` and `high` (2,), by ever finer grids."""
    centre = np.tile((low + high) / 2, (len(log_y), 1))
    half = (high - low) / 2
    for _ in range(ZOOMS):
        steps = [np.linspace(-size, size, CELLS if size else 1) for size in half]
        offsets = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 2)
        places = np.clip(centre[:, None] + offsets, low, high)  # (B, places, 2)
        share = places[..., 0]
        left = log_y[:, None] - _shape(log_x, share / (1 - share), np.exp(places[..., 1]))
        errors = ((left - left.mean(axis=-1, keepdims=True)) ** 2).sum(axis=-1)
        centre = places[np.arange(len(places)), errors.argmin(axis=1)]
        half = half * NARROWING
    return centre[:, 0], centre[:, 1]


class Backtest(NamedTuple):
    """How a law fitted to all rungs but the largest predicts that one."""

    name: Name
    errors: Floats
    """Predicted by measured less 1, of each curve (B,)."""

    @property
    def size(self) -> float:
        """Root of the mean square over the curves."""
        return float(np.sqrt((self.errors**2).mean()))


def backtests(x: Floats, y: Floats) -> list[Backtest]:
    """Of each law that the rungs below the largest can carry, the best first; of equals (to 0.1 %) the simpler one."""
    carried: list[Name] = [name for name, constants in CONSTANTS.items() if constants <= len(x) - 1]
    found = [Backtest(name, fit(name, x[:-1], y[:, :-1]).at(float(x[-1])) / y[:, -1] - 1) for name in carried]
    return sorted(found, key=lambda test: (round(test.size, 3), CONSTANTS[test.name]))


NOT_SHOWN_WRONG = 0.01
"""Error of the largest rung up to which no law is told from a better one: three standard deviations over seeds."""
BY_CHANCE = 0.003
"""Standard deviation of a rung over seeds, as a share, measured on the demo's smallest: no one rung is a finer test."""


def candidates(tests: Sequence[Backtest]) -> list[Name]:
    """The laws that are not shown to be wrong, the best first: each widens the interval."""
    limit = max(NOT_SHOWN_WRONG, 2 * tests[0].size)
    return [test.name for test in tests if test.size <= limit]


@dataclass(frozen=True)
class Prediction:
    """What the law has at x = 1 for one curve, and how far that may be off, by where the doubt comes from."""

    value: float
    fitted: Fit
    """Of this curve alone, (1,)."""
    doubts: dict[str, tuple[float, float]]
    """Ends of what each of them leaves open: `documents`, `rungs`, `laws`, `extrapolation`."""

    @property
    def low(self) -> float:
        return min(self.value, *(ends[0] for ends in self.doubts.values()))

    @property
    def high(self) -> float:
        return max(self.value, *(ends[1] for ends in self.doubts.values()))


LEVEL = 0.95


def predict(laws: Sequence[Name], x: Floats, y: Floats, resampled: Floats | None, backtest: float) -> Prediction:
    """Carry a curve to x = 1 by the first of `laws`.

    Args:
        laws: those that are not shown to be wrong.
        x, y: (R,) both.
        resampled: (B, R), y of documents drawn anew; None for too few of them.
        backtest: share by which the law missed the largest rung, or the largest rungs of all curves together.

    Returns:
        `documents`: the middle 95 % of the laws fitted to `resampled`; `rungs`: all fits with one rung left out;
        `laws`: all of `laws`; `extrapolation`: the backtest's error times `reach`, to both sides of all of these.
    """
    own = fit(laws[0], x, y[None])
    value = float(own.at(1.0)[0])
    doubts = {}
    if resampled is not None:
        ends = np.quantile(fit(laws[0], x, resampled).at(1.0), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        doubts["documents"] = (float(ends[0]), float(ends[1]))
    rest = [np.delete(np.arange(len(x)), place) for place in range(len(x))]
    fewer = [float(fit(laws[0], x[kept], y[None, kept]).at(1.0)[0]) for kept in rest if _carries(laws[0], len(kept))]
    if fewer:
        doubts["rungs"] = (min(fewer), max(fewer))
    others = [float(fit(name, x, y[None]).at(1.0)[0]) for name in laws]  # the own one among them
    doubts["laws"] = (min(others), max(others))
    share = max(abs(backtest), BY_CHANCE) * reach(x)
    doubts["extrapolation"] = (min(others) * (1 - share), max(others) * (1 + share))
    return Prediction(value, own, doubts)


def reach(x: Floats) -> float:
    """How many times the backtest's error a prediction at x = 1 may have.

    What a line through points leaves over of a curve grows with the product of the distances to them (the remainder of
    interpolation); here of the distances in ln x to both ends of the rungs that were fitted.
    """
    first, below, last = np.log(x[[0, -2, -1]])
    return float(last * first / ((last - below) * (last - first)))


def _carries(name: Name, points: int) -> bool:
    return points >= CONSTANTS[name]
