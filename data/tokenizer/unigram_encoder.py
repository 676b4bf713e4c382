"""The most probable pieces of a text under a Unigram model, compiled: the same as `tokenizers` finds, ties included."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numba
import numpy as np

from data.tokenizer.strings import Bytes, Floats, Int32s, Int64s

FREE = -1
PARENT, ENDS, BASE = (1 << 32) - 1, 1 << 32, 33  # of a unit; the base is what stands above
MOST_BYTES = 1 << 24  # of all pieces


class Pieces(NamedTuple):
    """The pieces as a tree of their bytes in a double array (Aoe 1989): a node's child by a byte is at base + byte.

    A unit is the base of a node, whether a piece ends there, and the place of its parent; the root is at 0.
    """

    units: Int64s
    ids: Int32s  # of the piece that ends there
    scores: Floats  # logarithm of its probability


def build_pieces(pieces: Sequence[bytes], ids: Sequence[int], scores: Sequence[float]) -> Pieces | None:
    """Arrange pieces, which are not empty and each there once, for `find_best`; `scores` are those of all ids.

    None when they are too many.
    """
    order = sorted(range(len(pieces)), key=pieces.__getitem__)
    content = np.frombuffer(b"".join(pieces[index] for index in order), np.uint8)
    if len(content) >= MOST_BYTES:
        return None
    offsets = np.cumsum([0, *(len(pieces[index]) for index in order)])
    ordered = np.array([ids[index] for index in order], np.int32)
    return Pieces(*_build(content, offsets, ordered, np.array(scores, np.float64)[ordered]))


@numba.njit(cache=True)
def _build(text: Bytes, begins: Int64s, ids: Int32s, scores: Floats) -> tuple[Int64s, Int32s, Floats]:
    """The double array of sorted pieces, level by level: a node is a stretch of pieces that begin alike."""
    most = len(text) + 1
    room = 2 * most + 2 * 256
    units, unit_ids, unit_scores = np.full(room, FREE, np.int64), np.zeros(room, np.int32), np.zeros(room)
    queue = np.empty((most, 4), np.int64)  # place, first piece, piece behind the last, depth
    queue[0] = 0, 0, len(ids), 0
    units[0], waiting, first_free = 0, 1, 1
    children, bounds = np.empty(256, np.int64), np.empty(256 + 1, np.int64)
    for head in range(most):
        if head == waiting:
            break
        node, first, last, depth = queue[head]
        if begins[first] + depth == begins[first + 1]:
            units[node] |= ENDS
            unit_ids[node], unit_scores[node] = ids[first], scores[first]
            first += 1
        count = 0
        for piece in range(first, last):
            byte = text[begins[piece] + depth]
            if count == 0 or children[count - 1] != byte:
                children[count], bounds[count] = byte, piece
                count += 1
        bounds[count] = last
        if count == 0:
            continue
        while units[first_free] != FREE:
            first_free += 1
        base = _fitting_base(units, children[:count], first_free)
        if base + 2 * 256 > len(units):
            units, unit_ids, unit_scores = _longer(units, FREE), _longer(unit_ids, 0), _longer(unit_scores, 0)
        units[node] |= base << BASE
        for child in range(count):
            units[base + children[child]] = node
            queue[waiting] = base + children[child], bounds[child], bounds[child + 1], depth + 1
            waiting += 1
    return units, unit_ids, unit_scores


@numba.njit(cache=True)
def _fitting_base(units: Int64s, children: Int64s, first_free: int) -> Any:
    """The least base, up to the end of what is used, whose places for all children are free."""
    base = max(0, first_free - children[0])
    while base + 256 < len(units):
        for child in children:
            if units[base + child] != FREE:
                break
        else:
            break
        base += 1
    return base


@numba.njit(cache=True)
def _longer(array: Any, filling: Any) -> Any:
    longer = np.full(2 * len(array), filling, array.dtype)
    longer[: len(array)] = array
    return longer


@numba.njit(cache=True, nogil=True)
def find_best(content: Bytes, offsets: Int64s, pieces: Any) -> tuple[Any, Int64s]:
    """The ids of the best segmentation of each text content[offsets[i] : offsets[i + 1]].

    Best is the largest sum of scores (Kudo 2018, "Subword Regularization", §3.2), added from the left; of equal ones
    the one whose last piece is longest. Every byte must be a piece.

    Returns:
        All ids, uint32, one text behind the other, and where those of each text begin, int64 (texts + 1,).
    """
    # taken apart once: each access through the tuple would count a reference
    units, ids_of, scores = pieces
    ids = np.empty(len(content), np.uint32)
    starts = np.zeros(len(offsets), np.int64)
    longest = 0
    for text in range(len(offsets) - 1):
        longest = max(longest, offsets[text + 1] - offsets[text])
    best, start, piece = np.empty(longest + 1), np.empty(longest + 1, np.int32), np.empty(longest + 1, np.int32)
    for text in range(len(offsets) - 1):
        begin, size = offsets[text], offsets[text + 1] - offsets[text]
        best[0] = 0.0
        start[: size + 1] = -1
        for place in range(size):
            node, unit, before = 0, units[0], best[place]
            for end in range(place + 1, size + 1):
                child = (unit >> BASE) + np.int64(content[begin + end - 1])
                unit = units[child]
                if unit & PARENT != node:  # also where it is FREE
                    break
                node = child
                if unit & ENDS:
                    score = scores[node] + before
                    if start[end] < 0 or score > best[end]:
                        best[end], start[end], piece[end] = score, place, ids_of[node]
        count, place = 0, size
        while place > 0:
            count += 1
            place = start[place]
        starts[text + 1] = starts[text] + count
        place, position = size, starts[text + 1]
        while place > 0:
            position -= 1
            ids[position] = piece[place]
            place = start[place]
    return ids[: starts[len(offsets) - 1]].copy(), starts
