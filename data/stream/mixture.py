"""The mixture of a run: weights become whole numbers of samples, and those a schedule that is never a sample off."""

import heapq
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]

MAXIMUM_PERIOD = 65_536


def mixture_shares(weights: Mapping[str, float | int]) -> dict[str, int]:
    """How many samples of a period each source has; their sum is the period.

    Weights count as the decimal fractions they are written as (0.1 is 1/10), so a mixture of a common denominator up to
    65,536 is met exactly. A finer one is rounded to 65,536 samples by largest remainder.

    Raises ValueError when there is no weight, or one is not positive and finite or would be rounded to nothing.
    """
    if not weights:
        raise ValueError("no source has a weight above 0")
    for source, weight in weights.items():
        if not (math.isfinite(weight) and weight > 0):
            raise ValueError(f"the weight of source '{source}' is {weight}; it must be a number above 0")
    fractions = {source: Fraction(str(weight)) for source, weight in weights.items()}
    total = sum(fractions.values())
    exact = {source: fraction / total for source, fraction in fractions.items()}
    period = math.lcm(*(share.denominator for share in exact.values()))
    if period > MAXIMUM_PERIOD:
        period = MAXIMUM_PERIOD
    shares = {source: math.floor(share * period) for source, share in exact.items()}
    by_remainder = sorted(exact, key=lambda source: shares[source] - exact[source] * period)
    for source in by_remainder[: period - sum(shares.values())]:
        shares[source] += 1
    for source, share in shares.items():
        if share == 0:
            raise ValueError(
                f"source '{source}' would be {float(exact[source]):.2g} of the mixture, less than one sample in "
                f"{period:,}: give it a larger weight, or join it with another source"
            )
    return shares


@dataclass(frozen=True)
class Mixture:
    """A periodic schedule of sources: sample g comes from source `pattern[g % period]`."""

    shares: tuple[int, ...]  # samples of each source in one period
    pattern: Integers  # (period,) source of each slot
    ranks: Integers  # (period,) how many earlier slots of the period have the same source
    slots: Integers  # (period,) the slots of source 0 in order, then those of source 1, ...

    @property
    def period(self) -> int:
        return len(self.pattern)

    def locate(self, samples: Integers) -> tuple[Integers, Integers]:
        """Source and ordinal within that source of each sample."""
        periods, slots = np.divmod(samples, self.period)
        sources = self.pattern[slots]
        return sources, periods * np.array(self.shares)[sources] + self.ranks[slots]

    def samples(self, source: int, ordinals: Integers) -> Integers:
        """The inverse of `locate`: the samples in which a source has these ordinals."""
        periods, ranks = np.divmod(ordinals, self.shares[source])
        result: Integers = periods * self.period + self.slots[sum(self.shares[:source]) + ranks]
        return result

    def counts(self, samples: int) -> Integers:
        """How many of the first `samples` samples come from each source: (sources,)."""
        periods, rest = divmod(samples, self.period)
        return periods * np.array(self.shares) + np.bincount(self.pattern[:rest], minlength=len(self.shares))


def build_mixture(shares: Sequence[int]) -> Mixture:
    """Schedule sources with `shares` samples a period so that every prefix has each source within 1 of its exact count.

    Sample j of a source with share w must fall into the window [floor(j / w), ceil((j + 1) / w) - 1], which bounds the
    deviation by 1. Such a schedule exists (Tijdeman 1980, "The chairman assignment problem"; Baruah et al. 1996,
    "Proportionate progress", whose windows these are), and as earliest deadline first is optimal for unit jobs on
    one machine, it finds one however ties are broken; here the first source wins.
    """
    period, sources = sum(shares), len(shares)
    owners = np.repeat(np.arange(sources), shares)
    jobs = np.concatenate([np.arange(share) for share in shares])
    widths = np.repeat(np.array(shares), shares)
    releases, deadlines = jobs * period // widths, -(-(jobs + 1) * period // widths) - 1
    in_order = np.argsort(releases, kind="stable")
    entries = iter((deadlines * sources + owners)[in_order].tolist())  # earliest deadline first, then the first source
    waiting: list[int] = []
    chosen = []
    for released in np.bincount(releases, minlength=period).tolist():
        for entry in itertools.islice(entries, released):
            heapq.heappush(waiting, entry)
        chosen.append(heapq.heappop(waiting))
    met, pattern = np.divmod(np.array(chosen), sources)
    assert (np.arange(period) <= met).all(), "a feasible schedule missed a deadline"
    slots = np.argsort(pattern, kind="stable")
    ranks = np.empty(period, dtype=np.int64)
    ranks[slots] = jobs
    return Mixture(tuple(shares), pattern, ranks, slots)
