"""How fast a run trains: the time that is left, and the ranks that hold the others up."""

import statistics
import time
from collections import deque
from collections.abc import Sequence

from train.config import TrainingConfig
from train.outliers import relative_spread
from train.schedule import consumed_samples

STRAGGLER_EXCESS = 0.15
"""A rank that needs this share more than others need may be a straggler."""
OUTLIER = 3.0
"""Standard deviations between ranks that it must be away from the others."""
WINDOW, WINDOWS = 20, 5
"""Steps over which ranks are compared at a time, and in how many windows, one after the other, a straggler is slow."""


class Pace:
    """How fast this process trains, from which the time that is left follows."""

    def __init__(self, training: TrainingConfig, first_step: int) -> None:
        self._training = training
        self._begin, self._first_sample = time.perf_counter(), consumed_samples(training, first_step)

    def seconds_left(self, step: int) -> float:
        """Seconds from `step` to the last step, evaluations and saves included."""
        done, all_samples = (consumed_samples(self._training, at) for at in (step, self._training.steps))
        return (time.perf_counter() - self._begin) * (all_samples - done) / (done - self._first_sample)


class Stragglers:
    """Which ranks hold the others up for long: in each of several windows of steps, one after the other.

    On a machine that also does other work, where steps of any rank take longer now and then, that is nobody.

    Under ZeRO-3 the weights are gathered within the forward pass, where ranks wait for each other: a straggler then
    shows by its batches only, and by the node's health check.
    """

    def __init__(self) -> None:
        self._steps: deque[Sequence[float]] = deque(maxlen=WINDOW)
        self._slow: deque[dict[int, float]] = deque([{}] * WINDOWS, maxlen=WINDOWS)
        self._named: set[int] = set()

    def news(self, seconds_by_rank: Sequence[float]) -> dict[int, float] | None:
        """Take in a step; returns {rank: times slower than the median rank} when other ranks than before are slow.

        A rank is no longer when it was in none of the windows. None: no news.
        """
        self._steps.append(seconds_by_rank)
        if len(self._steps) < WINDOW or len(seconds_by_rank) < 2:
            return None
        self._slow.append(slow_ranks(list(zip(*self._steps, strict=True))))
        self._steps.clear()
        always, ever = set.intersection(*map(set, self._slow)), set.union(*map(set, self._slow))
        named = always | (self._named & ever)
        if named == self._named:
            return None
        self._named = named
        slowness = {rank: [window[rank] for window in self._slow if rank in window] for rank in sorted(named)}
        return {rank: round(statistics.median(times), 2) for rank, times in slowness.items()}


def slow_ranks(seconds: Sequence[Sequence[float]]) -> dict[int, float]:
    """The ranks that are slower than the others beyond chance, and how many times slower than the median rank.

    Their median exceeds the median rank's by 15 %, by as much as a rank's steps spread among themselves, and by three
    times the spread between ranks.

    Args:
        seconds: of each rank, for each of a window's steps.
    """
    medians = [statistics.median(steps) for steps in seconds]
    usual = statistics.median_low(medians)
    spreads = [relative_spread(steps, own) for own, steps in zip(medians, seconds, strict=True)]
    # Of two ranks the spread between them says nothing, and median_low leaves it at 0.
    between = relative_spread(medians, usual, statistics.median_low)
    least = 1 + max(STRAGGLER_EXCESS, statistics.median(spreads), OUTLIER * between)
    return {rank: own / usual for rank, own in enumerate(medians) if own > least * usual}


def describe_stragglers(step: int, slowness: dict[int, float]) -> str:
    """One line that names the ranks, the slowest first."""
    if not slowness:
        return f"step {step}  no rank is slower than the others any more"
    ranks = ", ".join(f"{rank} ({slowness[rank]:.2f} ×)" for rank in sorted(slowness, key=lambda r: -slowness[r]))
    return f"step {step}  slower than the other ranks: {ranks}; the whole run waits for them"
