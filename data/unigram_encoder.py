"""The most probable pieces of a text under a Unigram model, compiled: the same as `tokenizers` finds, ties included."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Positions = npt.NDArray[np.int64]


ID_BITS, CHILDREN_BITS = 31, 9  # of a node's number; the others are its first child's: 16 million nodes
MOST_NODES = 1 << (63 - ID_BITS - CHILDREN_BITS)


class Pieces(NamedTuple):
    """The pieces as a tree of their bytes: node 0 is the empty piece, and children stand together, by their byte."""

    bytes: Bytes  # (nodes,) the last byte of the node's piece
    nodes: Positions  # (nodes,) first child, number of children, and one more than the id of the piece that ends here
    scores: npt.NDArray[np.float64]  # (vocabulary,) logarithms of probabilities, by id


def build_pieces(pieces: Sequence[bytes], ids: Sequence[int], scores: Sequence[float]) -> Pieces | None:
    """Arrange pieces, which are not empty and each there once, for `find_best`; `scores` are those of all ids.

    None when they are too many.
    """
    order = sorted(range(len(pieces)), key=pieces.__getitem__)
    ordered = [pieces[index] for index in order]
    content = np.frombuffer(b"".join(ordered), np.uint8)
    if len(content) >= MOST_NODES:
        return None
    offsets = np.cumsum([0, *map(len, ordered)])
    last, nodes = _build(content, offsets, np.array([ids[index] for index in order], np.int64))
    return Pieces(last, nodes, np.array(scores, np.float64))


@numba.njit(cache=True, nogil=True)
def _build(content: Bytes, offsets: Positions, ids: Positions) -> tuple[Bytes, Positions]:
    most = len(content) + 1
    last, packed = np.zeros(most, np.uint8), np.zeros(most, np.int64)
    # The pieces that begin with a node's are begin..until, sorted, and `depth` bytes long or longer.
    begin, until, depth = np.zeros(most, np.int32), np.zeros(most, np.int32), np.zeros(most, np.int32)
    until[0] = len(ids)
    nodes, node = 1, 0
    while node < nodes:
        piece, level, ending = begin[node], depth[node], 0
        if level and offsets[piece + 1] - offsets[piece] == level:
            ending = ids[piece] + 1
            piece += 1
        first_child = nodes
        while piece < until[node]:
            byte = content[offsets[piece] + level]
            last[nodes], begin[nodes], depth[nodes] = byte, piece, level + 1
            while piece < until[node] and content[offsets[piece] + level] == byte:
                piece += 1
            until[nodes] = piece
            nodes += 1
        packed[node] = (first_child << CHILDREN_BITS | nodes - first_child) << ID_BITS | ending
        node += 1
    return last[:nodes].copy(), packed[:nodes].copy()


@numba.njit(cache=True, nogil=True)
def find_best(content: Bytes, offsets: Positions, pieces: Any) -> tuple[Any, Positions]:
    """The ids of the best segmentation of each text content[offsets[i] : offsets[i + 1]].

    Best is the largest sum of scores (Kudo 2018, "Subword Regularization", §3.2), added from the left; of equal ones
    the one whose last piece is longest. Every byte must be a piece.

    Returns:
        All ids, uint32, one text behind the other, and where those of each text begin, int64 (texts + 1,).
    """
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
            packed = pieces.nodes[0]
            for end in range(place, size):
                child, byte = packed >> (ID_BITS + CHILDREN_BITS), content[begin + end]
                children = packed >> ID_BITS & ((1 << CHILDREN_BITS) - 1)
                after = child + children
                if children == 256:
                    child += byte
                while child < after and pieces.bytes[child] < byte:
                    child += 1
                if child == after or pieces.bytes[child] != byte:
                    break
                packed = pieces.nodes[child]
                found = (packed & ((1 << ID_BITS) - 1)) - 1
                if found >= 0:
                    score = pieces.scores[found] + best[place]
                    if start[end + 1] < 0 or score > best[end + 1]:
                        best[end + 1], start[end + 1], piece[end + 1] = score, place, found
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
