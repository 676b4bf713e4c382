"""Byte-level BPE (Sennrich et al. 2016) learnt from counted pre-tokens: the pieces of `tokenizers`' BpeTrainer.

The best pair is the most frequent one, of equally frequent ones the one with the smallest pieces, by number. That rule
and the order of the first pieces are BpeTrainer's, so that the same text gives the same merges. It differs in three
ways: counts have 64 bits, not 32; a pair of pieces is merged everywhere at once even if another pair has made the same
piece before, where BpeTrainer may leave some of its places to a second, equal merge; and pieces are no longer than
asked, which BpeTrainer(max_token_length=n + 1) does for n.
"""

from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from data.tokenizer.bpe_pairs import (
    CHANGED,
    NONE,
    RIGHT,
    USED,
    Int32s,
    Int64s,
    Merge,
    Pairs,
    begin_words,
    count_pairs,
    longer,
    merge_pair,
)

Bytes = npt.NDArray[np.uint8]

FNV_OFFSET, FNV_PRIME = -3750763034362895579, 1099511628211  # Fowler, Noll and Vo's hash 1a of 64 bits, signed


class Bpe(NamedTuple):
    """What was learnt; pieces are numbered from 0 in the order in which they were made."""

    pieces: list[bytes]  # the 256 bytes, then what the merges made
    merges: list[tuple[int, int]]  # of two pieces each, in the order in which they were learnt


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
    numbers = np.empty(256, np.int32)
    numbers[np.frombuffer(byte_order, np.uint8)] = np.arange(256, dtype=np.int32)
    texts = np.zeros((size, longest), np.uint8)
    texts[:256, 0] = np.frombuffer(byte_order, np.uint8)
    lengths = np.ones(size, np.int32)
    known = np.full(1 << (2 * size).bit_length(), NONE, np.int32)
    learnt, merges = _learn(numbers[text], offsets, counts, texts, lengths, known)
    pieces = [row[:length].tobytes() for row, length in zip(texts[:learnt], lengths[:learnt].tolist(), strict=True)]
    return Bpe(pieces, [(left, right) for left, right in merges.tolist()])


@numba.njit(cache=True)
def _learn(
    symbols: Int32s, offsets: Int64s, counts: Int64s, texts: Bytes, piece_lengths: Int32s, known: Int32s
) -> tuple[int, Int32s]:
    """How many pieces there are in the end, their texts and lengths filled in, and the merges (merges, 2).

    Args:
        known: room for a hash table of pieces: a power of two, all NONE.
    """
    words = begin_words(symbols, offsets, counts)
    pairs = count_pairs(words, len(texts))
    heap_counts, heap_slots = np.empty(pairs.state[USED], np.int64), np.empty(pairs.state[USED], np.int32)
    waiting = 0
    for slot in range(pairs.state[USED]):
        waiting = _push(heap_counts, heap_slots, waiting, pairs, slot)
    learnt, merged, merges = 256, 0, np.empty((len(texts), 2), np.int32)
    while learnt < len(texts) and waiting:
        slot, count = heap_slots[0], heap_counts[0]
        waiting = _pop(heap_counts, heap_slots, waiting, pairs)
        if count != pairs.counts[slot]:  # it has become rarer, or was merged, since it was put there
            waiting = _push(heap_counts, heap_slots, waiting, pairs, slot)
            continue
        left, right = pairs.keys[slot] >> 32, pairs.keys[slot] & RIGHT
        piece = _piece(known, texts, piece_lengths, left, right, learnt)
        learnt = max(learnt, piece + 1)
        if merged == len(merges):
            merges = np.concatenate((merges, merges))
        merges[merged, 0], merges[merged, 1] = left, right
        merged += 1
        pairs = merge_pair(words, pairs, Merge(slot, piece, merged, texts.shape[1], piece_lengths))
        if waiting + pairs.state[CHANGED] > len(heap_slots):
            room = max(waiting + pairs.state[CHANGED], 3 * len(heap_slots) // 2)
            heap_counts, heap_slots = longer(heap_counts, room), longer(heap_slots, room)
        for place in range(pairs.state[CHANGED]):
            waiting = _push(heap_counts, heap_slots, waiting, pairs, pairs.changed[place])
    return learnt, merges[:merged]


@numba.njit(cache=True)
def _piece(known: Int32s, texts: Bytes, lengths: Int32s, left: int, right: int, learnt: int) -> Any:
    """Number of the piece that a pair makes: that of an equal piece, or a new one, which is written down."""
    size = lengths[left] + lengths[right]
    text = np.concatenate((texts[left, : lengths[left]], texts[right, : lengths[right]]))
    key = np.int64(FNV_OFFSET)
    for byte in text:
        key = (key ^ np.int64(byte)) * np.int64(FNV_PRIME)
    place = (key ^ key >> 32) & (len(known) - 1)
    while known[place] != NONE:
        piece = known[place]
        if lengths[piece] == size and (texts[piece, :size] == text).all():
            return piece
        place = (place + 1) & (len(known) - 1)
    known[place] = learnt
    texts[learnt, :size], lengths[learnt] = text, size
    return np.int32(learnt)


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
