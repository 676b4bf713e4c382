"""How far values lie from their middle, relative to it, measured so that a few wild ones do not count."""

import statistics
from collections.abc import Callable, Iterable

NORMAL_SPREAD = 1.4826
"""Standard deviations of a normal distribution in one median absolute deviation."""


def relative_spread(
    values: Iterable[float], middle: float, median: Callable[[Iterable[float]], float] = statistics.median
) -> float:
    """The standard deviation that a normal distribution with the same median absolute deviation would have."""
    return NORMAL_SPREAD * median(abs(value / middle - 1) for value in values)
