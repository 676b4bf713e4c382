"""The order of a run, computed instead of stored: a keyed permutation of rows and a schedule of the sources."""

import functools
import hashlib
import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

MAXIMUM_PERIOD = 65_536
ROUNDS = 6
GOLDEN = 0x9E3779B97F4A7C15  # 2^64 / golden ratio: the step of splitmix64
TOP_BIT = np.uint64(1 << 63)


@functools.lru_cache(maxsize=4096)
def derive_key(seed: int, source: str, epoch: int) -> int:
    """The 64-bit key of one pass over one source."""
    return int.from_bytes(hashlib.blake2b(f"{seed}:{epoch}:{source}".encode(), digest_size=8).digest(), "little")


def permute(index: npt.ArrayLike, n: npt.ArrayLike, key: npt.ArrayLike) -> Integers:
    """Place `index` of 0..n-1 under the permutation that `key` names.

    A Feistel network over Z_a x Z_b with a, b near sqrt(n) and cycle walking (Black & Rogaway 2002, "Ciphers with
    Arbitrary Finite Domains", §5): a bijection in constant memory. As a * b exceeds n by a few sqrt(n) at most, hardly
    an index walks, where a network over a power of two walks four times on average in its worst case.

    `index` (any shape, 0 <= index < n), `n` (1 <= n < 2^62) and `key` (0 <= key < 2^64) broadcast to the shape of
    `index`, so one call serves sources and epochs side by side. Returns int64 in the shape of `index`.
    """
    return _walk(index, n, key, range(ROUNDS))


def unpermute(index: npt.ArrayLike, n: npt.ArrayLike, key: npt.ArrayLike) -> Integers:
    """The inverse of `permute`, with the same arguments."""
    return _walk(index, n, key, range(ROUNDS)[::-1])


def _walk(index: npt.ArrayLike, n: npt.ArrayLike, key: npt.ArrayLike, rounds: Sequence[int]) -> Integers:
    values = np.array(index, dtype=np.uint64)
    shape, values = values.shape, values.reshape(-1)
    sizes, keys = _words(n, shape), _words(key, shape)
    assert (values < sizes).all(), "an index lies outside 0..n-1"
    values = _feistel(values, sizes, keys, rounds)
    while (outside := values >= sizes).any():
        values[outside] = _feistel(values[outside], sizes[outside], keys[outside], rounds)
    return values.astype(np.int64).reshape(shape)


def _words(values: npt.ArrayLike, shape: tuple[int, ...]) -> Words:
    return np.full(shape, np.asarray(values, dtype=np.uint64)).reshape(-1)


def _feistel(values: Words, sizes: Words, keys: Words, rounds: Sequence[int]) -> Words:
    # width * height >= size holds however the square root is rounded
    width = np.sqrt(sizes).astype(np.uint64) + np.uint64(1)
    height = sizes // width + np.uint64(1)
    row, column = np.divmod(values, width)
    # Each round reflects one half, x -> hash - x, which undoes itself: the inverse is the same rounds in reverse order.
    # The top bit keeps the difference positive.
    for number in rounds:
        round_keys = keys + np.uint64(GOLDEN * (number + 1) % 2**64)
        if number % 2:
            row = ((_mix(column ^ round_keys) | TOP_BIT) - row) % height
        else:
            column = ((_mix(row ^ round_keys) | TOP_BIT) - column) % width
    result: Words = row * width + column
    return result


def _mix(words: Words) -> Words:
    """The mixer of splitmix64 (Steele, Lea & Flood 2014, "Fast Splittable Pseudorandom Number Generators")."""
    words = words ^ (words >> np.uint64(30))
    words *= np.uint64(0xBF58476D1CE4E5B9)
    words ^= words >> np.uint64(27)
    words *= np.uint64(0x94D049BB133111EB)
    words ^= words >> np.uint64(31)
    return words


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
    period = sum(shares)
    released: list[list[tuple[int, int]]] = [[] for _ in range(period)]  # at each slot: (deadline, source)
    for source, share in enumerate(shares):
        for job in range(share):
            released[job * period // share].append((-(-(job + 1) * period // share) - 1, source))
    waiting: list[tuple[int, int]] = []
    pattern = np.empty(period, dtype=np.int64)
    for slot, jobs in enumerate(released):
        for entry in jobs:
            heapq.heappush(waiting, entry)
        deadline, pattern[slot] = heapq.heappop(waiting)
        assert slot <= deadline, "a feasible schedule missed a deadline"
    slots = np.argsort(pattern, kind="stable")
    ranks = np.empty(period, dtype=np.int64)
    ranks[slots] = np.concatenate([np.arange(share) for share in shares])
    return Mixture(tuple(shares), pattern, ranks, slots)
