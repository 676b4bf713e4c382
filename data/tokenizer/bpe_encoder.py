"""Byte-pair encoding of pre-tokens, compiled: the merges of `tokenizers`' BPE, in its order."""

from typing import Any, NamedTuple

import numba
import numpy as np

from data.hashing import GOLDEN
from data.tokenizer.strings import Bytes, Int32s, Int64s

LONGEST = 512  # bytes of a pre-token that is merged here: the search for the next merge takes time in proportion
NO_MERGE = np.iinfo(np.int64).max
FREE = -1
FIBONACCI = np.int64(GOLDEN - (1 << 64))


class Merges(NamedTuple):
    """The merges as a hash table with open addressing, a power of two of slots."""

    byte_ids: Int32s  # (256,)
    pairs: Int64s  # (slots,): left id << 32 | right id, or FREE
    results: Int64s  # (slots,): rank << 32 | id of the merged piece


def merge_table(byte_ids: Int32s, merges: Int64s) -> Merges:
    """The table of merges, int64 (merges, 3) of left, right and merged id in order of rank."""
    slots = 1 << max(4, (2 * len(merges)).bit_length())
    table = Merges(byte_ids, np.full(slots, FREE, np.int64), np.empty(slots, np.int64))
    _fill(table.pairs, table.results, np.ascontiguousarray(merges))
    return table


@numba.njit(cache=True)
def _fill(pairs: Int64s, results: Int64s, merges: Int64s) -> None:
    for rank in range(len(merges)):
        left, right, merged = merges[rank]
        # of a pair that is listed twice the last rank holds, as where the library reads the list into a map
        slot = _slot(pairs, left << 32 | right)
        pairs[slot], results[slot] = left << 32 | right, rank << 32 | merged


@numba.njit(cache=True, nogil=True)
def _slot(pairs: Int64s, pair: int) -> Any:
    """The slot of a pair, or the free one where it belongs."""
    mixed = pair * FIBONACCI
    slot = (mixed ^ mixed >> 32) & (len(pairs) - 1)
    while pairs[slot] != pair and pairs[slot] != FREE:
        slot = (slot + 1) & (len(pairs) - 1)
    return slot


@numba.njit(cache=True, nogil=True)
def _result(pairs: Int64s, results: Int64s, left: int, right: int) -> Any:
    slot = _slot(pairs, np.int64(left) << 32 | np.int64(right))
    return NO_MERGE if pairs[slot] == FREE else results[slot]


@numba.njit(cache=True, nogil=True)
def merge_all(table: Merges, content: Bytes, offsets: Int64s) -> tuple[Any, Int64s]:
    """The ids of each text content[offsets[i] : offsets[i + 1]]; one of more than LONGEST bytes gets none.

    Returns:
        All ids, uint32, one text behind the other, and where those of each text begin, int64 (texts + 1,).
    """
    found, starts = np.empty(len(content), np.uint32), np.zeros(len(offsets), np.int64)
    ids, room = np.empty(LONGEST, np.int32), np.empty(LONGEST, np.int64)
    for text in range(len(offsets) - 1):
        count = 0
        if offsets[text + 1] - offsets[text] <= LONGEST:
            count = merge_piece(table, content, offsets[text], offsets[text + 1], ids, room)
        starts[text + 1] = starts[text] + count
        found[starts[text] : starts[text + 1]] = ids[:count].astype(np.uint32)
    return found[: starts[-1]].copy(), starts


@numba.njit(cache=True, nogil=True)
def merge_piece(table: Merges, text: Bytes, begin: int, end: int, ids: Int32s, next_results: Int64s) -> Any:
    """Write the ids of text[begin:end] into `ids` and return how many; of equal ranks the leftmost is merged first.

    Args:
        ids, next_results: room for LONGEST entries, which the pre-token must not exceed.
    """
    # taken apart once: each access through the tuple would count a reference
    byte_ids, pairs, results = table
    count = end - begin
    for place in range(count):
        ids[place] = byte_ids[text[begin + place]]
    for place in range(count - 1):
        next_results[place] = _result(pairs, results, ids[place], ids[place + 1])
    while count > 1:
        best, chosen = NO_MERGE, 0
        for place in range(count - 1):
            if next_results[place] < best:
                best, chosen = next_results[place], place
        if best == NO_MERGE:
            break
        ids[chosen] = best & 0xFFFFFFFF
        count -= 1
        for place in range(chosen + 1, count):
            ids[place], next_results[place - 1] = ids[place + 1], next_results[place]
        if chosen > 0:
            next_results[chosen - 1] = _result(pairs, results, ids[chosen - 1], ids[chosen])
        if chosen < count - 1:
            next_results[chosen] = _result(pairs, results, ids[chosen], ids[chosen + 1])
    return count
