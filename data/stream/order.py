"""The order of a run, computed instead of stored: which row of which source a sample is, and the way back."""

import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data.hashing import GOLDEN, mix
from data.stream.mixture import Integers, Mixture

Words = npt.NDArray[np.uint64]

ROUNDS = 6
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
            row = ((mix(column ^ round_keys) | TOP_BIT) - row) % height
        else:
            column = ((mix(row ^ round_keys) | TOP_BIT) - column) % width
    result: Words = row * width + column
    return result


@dataclass(frozen=True)
class Stage:
    """A mixture that holds from a sample on, until the next stage's first."""

    first_sample: int
    mixture: Mixture


class Order:
    """Which row of which source each sample of a run is.

    Source s has `rows[s]` rows. Its k-th sample, counted through all stages, is the row at place k mod rows of its pass
    k // rows, and each pass is a permutation with a key of its own: every row comes once in a pass, also where stages
    change within it.

    A reshuffle {first sample: seed} permutes the places that a source's current pass has not come to at that sample;
    what was shown before, and the later passes, stay as they are. Several in one pass compose.
    """

    def __init__(
        self,
        names: Sequence[str],
        rows: Sequence[int],
        stages: Sequence[Stage],
        reshuffles: Mapping[int, int],
        seed: int,
    ) -> None:
        """`stages` ascend, and the first begins at sample 0; every source has at least one row."""
        self.names = list(names)
        self.rows = np.array(rows, dtype=np.int64)
        self.stages = list(stages)
        self.seed = seed
        self._firsts = np.array([stage.first_sample for stage in stages], dtype=np.int64)
        assert self._firsts[0] == 0, "the first stage must begin at sample 0"
        assert (np.diff(self._firsts) > 0).all(), "stages must ascend"
        bases = [np.zeros(len(names), dtype=np.int64)]
        for stage, end in zip(stages, self._firsts[1:].tolist(), strict=False):
            bases.append(bases[-1] + stage.mixture.counts(end - stage.first_sample))
        self._bases = np.stack(bases)  # (stages, sources) samples of each source before each stage
        self._reshuffles = [self._reshuffle(sample, new_seed) for sample, new_seed in sorted(reshuffles.items())]

    def counts(self, samples: int) -> Integers:
        """How many of the first `samples` samples come from each source: (sources,)."""
        number = int(np.searchsorted(self._firsts, samples, side="right")) - 1
        stage = self.stages[number]
        result: Integers = self._bases[number] + stage.mixture.counts(samples - stage.first_sample)
        return result

    def locate(self, samples: Integers) -> tuple[Integers, Integers]:
        """Source and row of each sample: int64 (samples,) both."""
        sources, ordinals = np.empty_like(samples), np.empty_like(samples)
        numbers = np.searchsorted(self._firsts, samples, side="right") - 1
        for number in _different(numbers):
            here, stage = numbers == number, self.stages[number]
            found, counted = stage.mixture.locate(samples[here] - stage.first_sample)
            sources[here], ordinals[here] = found, counted + self._bases[number][found]
        passes, places = np.divmod(ordinals, self.rows[sources])
        for reshuffle in reversed(self._reshuffles):
            reshuffle.move(permute, sources, passes, places)
        return sources, permute(places, self.rows[sources], self._keys(sources, passes))

    def samples(self, source: int, rows: Integers, end: int) -> Integers:
        """Which of the first `end` samples are one of these rows of a source, ascending: the inverse of `locate`."""
        total = int(self.rows[source])
        passes = np.repeat(np.arange(-(-int(self.counts(end)[source]) // total)), len(rows))
        sources = np.full(len(passes), source)
        places = unpermute(np.resize(rows, len(passes)), total, self._keys(sources, passes))
        for reshuffle in self._reshuffles:
            reshuffle.move(unpermute, sources, passes, places)
        ordinals = np.sort(passes * total + places)
        ordinals = ordinals[ordinals < self.counts(end)[source]]
        numbers = np.searchsorted(self._bases[:, source], ordinals, side="right") - 1
        found: Integers = np.empty_like(ordinals)
        for number in _different(numbers):
            here, stage = numbers == number, self.stages[number]
            within = stage.mixture.samples(source, ordinals[here] - self._bases[number, source])
            found[here] = stage.first_sample + within
        return found

    def _keys(self, sources: Integers, passes: Integers) -> Words:
        pairs = zip(sources.tolist(), passes.tolist(), strict=True)
        return np.array([derive_key(self.seed, self.names[source], number) for source, number in pairs], np.uint64)

    def _reshuffle(self, sample: int, seed: int) -> "_Reshuffle":
        passes, places = np.divmod(self.counts(sample), self.rows)
        names = [f"{name} from sample {sample}" for name in self.names]
        keys = [derive_key(seed, name, number) for name, number in zip(names, passes.tolist(), strict=True)]
        return _Reshuffle(passes, places, self.rows - places, np.array(keys, np.uint64))


def _different(numbers: Integers) -> list[int]:
    """What `np.unique` gives, which imports 8 ms of other code when it is first called."""
    different: list[int] = np.flatnonzero(np.bincount(numbers)).tolist()
    return different


@dataclass(frozen=True)
class _Reshuffle:
    """Another order of the places `first` and later of one pass of each source; arrays are (sources,)."""

    passes: Integers
    first: Integers
    remaining: Integers
    keys: Words

    def move(self, function: Callable[..., Integers], sources: Integers, passes: Integers, places: Integers) -> None:
        """Change the places that it holds for, by `permute` or by `unpermute`, in their array."""
        here = (passes == self.passes[sources]) & (places >= self.first[sources])
        sources = sources[here]
        first = self.first[sources]
        places[here] = first + function(places[here] - first, self.remaining[sources], self.keys[sources])
