"""Byte-level BPE (Sennrich et al. 2016) learnt from counted pre-tokens: the pieces of `tokenizers`' BpeTrainer.

The best pair is the most frequent one, of equally frequent ones the one with the smallest pieces, by number. That rule
and the order of the first pieces are BpeTrainer's, so that the same text gives the same merges. It differs in three
ways: counts have 64 bits, not 32; a pair of pieces is merged everywhere at once even if another pair has made the same
piece before, where BpeTrainer may leave some of its places to a second, equal merge; and pieces are no longer than
asked, which BpeTrainer(max_token_length=n + 1) does for n.

A given BPE is learnt further in the same way, but for one thing: each merge makes a piece that is not there yet.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numba
import numpy as np

from data.progress import working
from data.tokenizer.bpe_pairs import (
    CHANGED,
    MERGED,
    RIGHT,
    USED,
    Merge,
    Pairs,
    begin_words,
    count_pairs,
    longer,
    merge_pair,
)
from data.tokenizer.strings import Bytes, Int32s, Int64s, Strings, apart, new_strings, string_number

NEVER = -(1 << 62)  # the count of a pair that is not to be merged, however often it occurs


class Bpe(NamedTuple):
    """What was learnt; pieces are numbered from 0 in the order in which they were made."""

    pieces: list[bytes]  # the 256 bytes, then what the merges made
    merges: list[tuple[int, int]]  # of two pieces each, in the order in which they were learnt


class FurtherMerges(NamedTuple):
    """What was learnt beyond a given BPE; merge i makes the piece of number len(given) + i."""

    merges: list[tuple[int, int]]  # of two pieces each, by number, in the order in which they were learnt
    saved: list[int]  # tokens that each saved in the text when it was learnt


def learn_bpe(text: Bytes, offsets: Int64s, counts: Int64s, byte_order: bytes, size: int, longest: int) -> Bpe:
    """Learn pieces until there are `size`, or nothing is left to merge.

    Memory is about 16 bytes for each byte of `text`.

    Args:
        text, offsets: uint8 and int64 (pretokens + 1,): pre-token i is text[offsets[i] : offsets[i + 1]].
        counts: int64 (pretokens,): how often each occurs.
        byte_order: all 256 bytes, in the order in which they are numbered.
        size: pieces wanted in all, at least 256.
        longest: bytes that a piece may have, at least 2.
    """
    pieces = new_strings(size, size * longest)
    numbers = np.empty(256, np.int32)
    order = np.frombuffer(byte_order, np.uint8)
    numbers[order] = _add_all(pieces, order, np.arange(257))
    with working(lambda: f"learning pieces: {pieces.used[0]:,} of {size:,}"):
        merges, _ = _learn(numbers[text], offsets, counts, pieces, longest, 1, False)
    return Bpe(apart(*pieces.content), [(left, right) for left, right in merges.tolist()])


def learn_further(
    numbers: Int32s, offsets: Int64s, counts: Int64s, given: Sequence[bytes], most: int, longest: int, least: int
) -> FurtherMerges:
    """Learn up to `most` merges of text that is encoded in given pieces, while a pair occurs `least` times or more.

    No merge makes a piece that there is already, so that none of the given merges can follow one of these: whoever
    merges by rank, the given ones first, gets what is counted here.

    Args:
        numbers, offsets: int32 and int64 (pretokens + 1,): pre-token i is numbers[offsets[i] : offsets[i + 1]], of
            places in `given`.
        counts: int64 (pretokens,): how often each occurs.
        given: distinct pieces.
        longest: bytes that a new piece may have.
    """
    sizes = np.fromiter(map(len, given), np.int64, len(given))
    pieces = new_strings(len(given) + most, int(sizes.sum()) + most * longest)
    _add_all(pieces, np.frombuffer(b"".join(given), np.uint8), np.concatenate(([0], np.cumsum(sizes))))
    # A piece fills as many places as it has bytes, of which only the first and the last are looked at.
    places = np.concatenate(([0], np.cumsum(sizes[numbers])))
    symbols = np.repeat(numbers, sizes[numbers])
    with working(lambda: f"learning pieces: {pieces.used[0] - len(given):,} of {most:,}"):
        merges, saved = _learn(symbols, places[offsets], counts, pieces, longest, least, True)
    return FurtherMerges([(left, right) for left, right in merges.tolist()], saved.tolist())


@numba.njit(cache=True)
def _add_all(pieces: Strings, text: Bytes, offsets: Int64s) -> Int32s:
    """The number of each string text[offsets[i] : offsets[i + 1]]."""
    numbers = np.empty(len(offsets) - 1, np.int32)
    for place in range(len(numbers)):
        numbers[place] = string_number(pieces, text, offsets[place], offsets[place + 1])
    return numbers


@numba.njit(cache=True, nogil=True)
def _learn(
    symbols: Int32s, offsets: Int64s, counts: Int64s, pieces: Strings, longest: int, least: int, only_new: bool
) -> tuple[Int32s, Int64s]:
    """Fill `pieces`; returns the merges (merges, 2), and how often each was made."""
    size, given = len(pieces.hashes), pieces.used[0]
    lengths = np.ones(size, np.int32)
    lengths[:given] = (pieces.offsets[1 : given + 1] - pieces.offsets[:given]).astype(np.int32)
    words = begin_words(symbols, offsets, counts)
    pairs = count_pairs(words, lengths, longest)
    heap_counts, heap_slots = np.empty(pairs.state[USED], np.int64), np.empty(pairs.state[USED], np.int32)
    waiting = 0
    for slot in range(pairs.state[USED]):
        waiting = _push(heap_counts, heap_slots, waiting, pairs, slot)
    merged, merges, made = 0, np.empty((size, 2), np.int32), np.empty(size, np.int64)
    while pieces.used[0] < size and waiting and heap_counts[0] >= least:
        slot, count = heap_slots[0], heap_counts[0]
        waiting = _pop(heap_counts, heap_slots, waiting, pairs)
        if count != pairs.counts[slot]:  # it has become rarer, or was merged, since it was put there
            waiting = _push(heap_counts, heap_slots, waiting, pairs, slot)
            continue
        left, right, known = pairs.keys[slot] >> 32, pairs.keys[slot] & RIGHT, pieces.used[0]
        piece = _join(pieces, left, right)
        if only_new and piece < known:
            pairs.counts[slot] = NEVER
            continue
        lengths[piece] = lengths[left] + lengths[right]
        if merged == len(merges):
            merges, made = np.concatenate((merges, merges)), np.concatenate((made, made))
        merges[merged, 0], merges[merged, 1] = left, right
        pairs = merge_pair(words, pairs, Merge(slot, piece, merged + 1, longest, lengths))
        made[merged] = pairs.state[MERGED]  # of a run of equal pieces fewer than there are pairs
        merged += 1
        if waiting + pairs.state[CHANGED] > len(heap_slots):
            room = max(waiting + pairs.state[CHANGED], 3 * len(heap_slots) // 2)
            heap_counts, heap_slots = longer(heap_counts, room), longer(heap_slots, room)
        for place in range(pairs.state[CHANGED]):
            waiting = _push(heap_counts, heap_slots, waiting, pairs, pairs.changed[place])
    return merges[:merged], made[:merged]


@numba.njit(cache=True)
def _join(pieces: Strings, left: int, right: int) -> Any:
    """Number of the piece that a pair makes: that of an equal piece, or a new one."""
    text, offsets = pieces.text, pieces.offsets
    joined = np.concatenate((text[offsets[left] : offsets[left + 1]], text[offsets[right] : offsets[right + 1]]))
    return string_number(pieces, joined, 0, len(joined))


@numba.njit(cache=True)
def _before(count: int, key: int, other_count: int, other_key: int) -> bool:
    """Whether a pair is merged before another."""
    return count > other_count or (count == other_count and key < other_key)


@numba.njit(cache=True)
def _push(counts: Int64s, slots: Int32s, size: int, pairs: Pairs, slot: int) -> int:
    """Put a pair that still occurs on the heap of this size; returns the new size."""
    count, key = pairs.counts[slot], pairs.keys[slot]
    if count <= 0:
        return size
    place = size
    while place:
        parent = (place - 1) >> 1
        if not _before(count, key, counts[parent], pairs.keys[slots[parent]]):
            break
        counts[place], slots[place] = counts[parent], slots[parent]
        place = parent
    counts[place], slots[place] = count, slot
    return size + 1


@numba.njit(cache=True)
def _pop(counts: Int64s, slots: Int32s, size: int, pairs: Pairs) -> int:
    """Take the first pair off the heap of this size; returns the new size."""
    size -= 1
    count, slot = counts[size], slots[size]
    key, place, child = pairs.keys[slot], 0, 1
    while child < size:
        if child + 1 < size and _before(
            counts[child + 1], pairs.keys[slots[child + 1]], counts[child], pairs.keys[slots[child]]
        ):
            child += 1
        if not _before(counts[child], pairs.keys[slots[child]], count, key):
            break
        counts[place], slots[place] = counts[child], slots[child]
        place, child = child, 2 * child + 1
    counts[place], slots[place] = count, slot
    return size
