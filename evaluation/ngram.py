"""A byte n-gram model with modified Kneser–Ney smoothing: what counting alone learns from the training text.

Chen and Goodman, "An empirical study of smoothing techniques for language modeling" (1999), §4.1.6, over the 256 bytes.
Of the smoothings tried on dated prose (Witten–Bell, absolute discounting, with and without continuation counts) it
needs the fewest bits by far, and it alone goes on gaining much from contexts of more than six bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from data.progress import progress

ORDER = 12
START = b"\xff"  # fills the context before a document's first byte; UTF-8 text has no such byte
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # odd, its bits evenly mixed: 2^64 over the golden ratio
SYMBOL = np.uint64(0xFF)

Keys = npt.NDArray[np.uint64]
Integers = npt.NDArray[np.integer[Any]]
Probabilities = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Text:
    """Documents on end, each after a context of START bytes, and the positions of their own bytes."""

    symbols: npt.NDArray[np.uint8]
    positions: npt.NDArray[np.int32]


def probabilities(training: Sequence[bytes], held_out: Sequence[bytes], order: int = ORDER) -> list[Probabilities]:
    """Probability of every byte of each held-out document, given the bytes before it in its document.

    All orders are interpolated, from `order` - 1 bytes of context down to none and to the uniform distribution. They
    are counted and used from the longest to the shortest, so that one table of counts is alive at a time.

    Returns:
        For each held-out document float64 (bytes,).
    """
    text, wanted = _join(training, order - 1), _join(held_out, order - 1)
    representatives = text.positions
    total = np.zeros(len(wanted.positions))
    remaining = np.ones(len(wanted.positions))  # the weight of the orders still to come
    for context in progress(range(order - 1, -1, -1), "n-gram baseline", unit="orders"):
        # The longest n-grams are counted as they occur; of a shorter one, the distinct bytes that precede it are
        # counted, which are the distinct n-grams one byte longer, each known by the position of one occurrence.
        keys, counts, representatives = _count(_keys(text, representatives, context), representatives)
        share, back_off = _interpolate(keys, counts, _keys(wanted, wanted.positions, context))
        total += remaining * share
        remaining *= back_off
    ends = np.cumsum([len(document) for document in held_out])
    return np.split(total + remaining / 256, ends[:-1])


def _join(documents: Sequence[bytes], context: int) -> _Text:
    symbols = np.frombuffer(b"".join(START * context + document for document in documents), np.uint8)
    lengths = [len(document) for document in documents]
    starts = np.repeat(np.arange(1, len(documents) + 1, dtype=np.int32) * np.int32(context), lengths)
    return _Text(symbols, np.arange(sum(lengths), dtype=np.int32) + starts)


def _keys(text: _Text, positions: npt.NDArray[np.int32], context: int) -> Keys:
    """A key for the n-gram that ends at each position: a 56-bit hash of its context, then its last byte.

    Among 30 million contexts two share their hash once in 160 texts: far too seldom to be seen in a mean.
    """
    hashes = np.zeros(len(positions), np.uint64)
    for distance in range(context, 0, -1):
        hashes ^= text.symbols[positions - distance]
        hashes *= MULTIPLIER
    hashes &= ~SYMBOL
    hashes |= text.symbols[positions]
    return hashes


def _count(keys: Keys, positions: npt.NDArray[np.int32]) -> tuple[Keys, Integers, npt.NDArray[np.int32]]:
    """The distinct keys in order, how often each occurs, and one position of each."""
    order = np.argsort(keys)
    keys = keys[order]
    first = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    return keys[first], np.diff(first, append=len(keys)), positions[order[first]]


def _interpolate(keys: Keys, counts: Integers, wanted: Keys) -> tuple[Probabilities, Probabilities]:
    """Discounted probability of each wanted n-gram, and the weight of the shorter context; 0 and 1 in a new one."""
    discounts = _discounts(counts)[np.minimum(counts, 3)]
    counts_before = np.concatenate([[0], np.cumsum(counts)])
    discounts_before = np.concatenate([[0.0], np.cumsum(discounts)])
    order = np.argsort(wanted)
    ascending = wanted[order]  # a search in order stays in the cache
    begin = np.searchsorted(keys, ascending & ~SYMBOL)
    end = np.searchsorted(keys, ascending | SYMBOL, side="right")
    found = np.minimum(np.searchsorted(keys, ascending), len(keys) - 1)
    context_count = counts_before[end] - counts_before[begin]
    known = np.maximum(context_count, 1)
    kept = np.where(keys[found] == ascending, counts[found] - discounts[found], 0.0)
    set_aside = np.where(context_count > 0, discounts_before[end] - discounts_before[begin], 1.0)
    share, back_off = np.empty(len(wanted)), np.empty(len(wanted))
    share[order], back_off[order] = kept / known, set_aside / known
    return share, back_off


def _discounts(counts: Integers) -> Probabilities:
    """What is taken from an n-gram that was counted 0, 1, 2, and 3 or more times (equation 26 there).

    A count of counts of 0 is taken for 1, and discounts never fall as counts rise: in a small text, too, every context
    leaves something for bytes not seen after it.
    """
    n1, n2, n3, n4 = (max(int(np.count_nonzero(counts == times)), 1) for times in (1, 2, 3, 4))
    ratio = n1 / (n1 + 2 * n2)
    discounts = [0.0, 1 - 2 * ratio * n2 / n1, 2 - 3 * ratio * n3 / n2, 3 - 4 * ratio * n4 / n3]
    return np.maximum.accumulate(discounts)
