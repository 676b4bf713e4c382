"""Best-fit decreasing: documents of one shard file into rows of a fixed number of tokens, compiled."""

from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]


class Rows(NamedTuple):
    """Pieces of documents by row: row r has pieces offsets[r]..offsets[r + 1] - 1."""

    offsets: Integers  # (rows + 1,)
    first: Integers  # (pieces,) position of the first token
    tokens: Integers  # (pieces,) how many; negative: -tokens, and the document's beginning is in another row


def best_fit(lengths: Integers, row_tokens: int) -> Rows:
    """Place documents that follow one another, of `lengths` tokens each, into rows of at most `row_tokens`.

    A longer document fills whole rows from its beginning; only its remainder is placed with the rest. Longest first,
    each piece goes into the fullest row that still has room for it, or opens a row (best-fit decreasing; Ding et al.
    2024, "Fewer Truncations Improve Language Modeling", §3). So no document is cut that fits into a row, and no token
    is dropped.

    A remainder repeats the token before it where it is not the first of its row (that token is then the context of its
    first), and takes that much more room. Ties are broken by position; the rows that long documents fill come first.
    """
    if not len(lengths):
        return Rows(np.zeros(1, np.int64), np.empty(0, np.int64), np.empty(0, np.int64))
    # a copy, as an array that is read-only (Arrow's) is another type to numba
    return Rows(*_best_fit(np.array(lengths, dtype=np.int64, order="C"), row_tokens))


@numba.njit(cache=True, nogil=True)
def _cut(lengths: Integers, row_tokens: int) -> tuple[Integers, Integers, Integers, int]:
    """Pieces (first, tokens, room they need), those that fill a row first, and how many these are."""
    full, rest = 0, 0
    for length in lengths:
        full += length // row_tokens
        rest += length % row_tokens > 0
    first = np.empty(full + rest, dtype=np.int64)
    tokens = np.empty(full + rest, dtype=np.int64)
    room = np.empty(full + rest, dtype=np.int64)
    whole, piece, position = 0, full, 0
    for length in lengths:
        count = length // row_tokens
        for number in range(count):
            first[whole] = position + number * row_tokens
            tokens[whole] = -row_tokens if number else row_tokens
            room[whole] = row_tokens
            whole += 1
        remainder = length - count * row_tokens
        if remainder:
            first[piece] = position + count * row_tokens
            tokens[piece] = -remainder if count else remainder
            room[piece] = remainder + (count > 0)
            piece += 1
        position += length
    return first, tokens, room, full


@numba.njit(cache=True, nogil=True)
def _place(room: Integers, tokens: Integers, pieces: Integers, rows: int, row_tokens: int, row_of: Integers) -> int:
    """Fill `row_of` for these pieces, in this order, beside `rows` full rows; returns the number of all rows."""
    leaves = 1
    while leaves <= row_tokens:
        leaves *= 2
    occupied = np.zeros(2 * leaves, dtype=np.bool_)  # a tree over the amounts of free room: is there such a row?
    newest = np.full(leaves, -1, dtype=np.int64)  # by free room, a stack of rows
    below = np.full(len(room), -1, dtype=np.int64)
    for piece in pieces:
        free = _least_room(occupied, leaves, room[piece])
        if free < 0:
            row, free = rows, row_tokens - abs(tokens[piece])
            rows += 1
        else:
            row = newest[free]
            newest[free] = below[row]
            if newest[free] < 0:
                _mark(occupied, leaves + free, False)
            free -= room[piece]
        row_of[piece] = row
        if free:
            below[row] = newest[free]
            newest[free] = row
            _mark(occupied, leaves + free, True)
    return rows


@numba.njit(cache=True, nogil=True)
def _least_room(occupied: npt.NDArray[np.bool_], leaves: int, at_least: int) -> int:
    """The smallest amount of free room that some row has and that is enough; -1: none."""
    node = leaves + at_least
    if occupied[node]:
        return at_least
    while node % 2 or not occupied[node + 1]:  # up, to a larger amount beside
        node //= 2
        if node <= 1:
            return -1
    node += 1
    while node < leaves:
        node = 2 * node if occupied[2 * node] else 2 * node + 1
    return node - leaves


@numba.njit(cache=True, nogil=True)
def _mark(occupied: npt.NDArray[np.bool_], node: int, value: bool) -> None:
    occupied[node] = value
    while node > 1:
        node //= 2
        occupied[node] = occupied[2 * node] or occupied[2 * node + 1]


# Compiled as the module is imported, by one thread while the others wait: numba fails at times where threads compile
# side by side
@numba.njit("UniTuple(int64[::1], 3)(int64[::1], int64)", cache=True, nogil=True)
def _best_fit(lengths: Integers, row_tokens: int) -> tuple[Integers, Integers, Integers]:
    first, tokens, room, full = _cut(lengths, row_tokens)
    longest_first = np.concatenate((np.arange(full), full + np.argsort(-room[full:], kind="mergesort")))
    row_of = np.arange(len(first))
    rows = _place(room, tokens, longest_first[full:], full, row_tokens, row_of)
    order = longest_first[np.argsort(row_of[longest_first], kind="mergesort")]
    offsets = np.zeros(rows + 1, dtype=np.int64)
    for row in row_of:
        offsets[row + 1] += 1
    return np.cumsum(offsets), first[order], tokens[order]
