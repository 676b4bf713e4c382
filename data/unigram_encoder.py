"""The most probable pieces of a text under a Unigram model, compiled: the same as `tokenizers` finds, ties included."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.int32]
Positions = npt.NDArray[np.int64]


class Pieces(NamedTuple):
    """The pieces as a tree of their bytes: node 0 is the empty piece, and children stand together, by their byte."""

    bytes: Bytes  # (nodes,) the last byte of the node's piece
    first_child: Numbers  # (nodes,)
    children: Numbers  # (nodes,) how many
    ids: Numbers  # (nodes,) of the piece that ends here, -1 where none does
    scores: npt.NDArray[np.float64]  # (vocabulary,) logarithms of probabilities, by id


def build_pieces(pieces: Sequence[bytes], ids: Sequence[int], scores: Sequence[float]) -> Pieces:
    """Arrange pieces, which are not empty and each there once, for `find_best`; `scores` are those of all ids."""
    order = sorted(range(len(pieces)), key=pieces.__getitem__)
    ordered = [pieces[index] for index in order]
    content = np.frombuffer(b"".join(ordered), np.uint8)
    offsets = np.cumsum([0, *map(len, ordered)])
    tree = _build(content, offsets, np.array([ids[index] for index in order], np.int32))
    return Pieces(*tree, np.array(scores, np.float64))


@numba.njit(cache=True, nogil=True)
def _build(content: Bytes, offsets: Positions, ids: Numbers) -> tuple[Bytes, Numbers, Numbers, Numbers]:
    most = len(content) + 1
    last, first_child, children = np.zeros(most, np.uint8), np.zeros(most, np.int32), np.zeros(most, np.int32)
    ends = np.full(most, -1, np.int32)
    # The pieces that begin with a node's are from..until, sorted, and `depth` bytes long or longer.
    begin, until, depth = np.zeros(most, np.int32), np.zeros(most, np.int32), np.zeros(most, np.int32)
    until[0] = len(ids)
    nodes, node = 1, 0
    while node < nodes:
        piece, level = begin[node], depth[node]
        if level and piece < until[node] and offsets[piece + 1] - offsets[piece] == level:
            ends[node] = ids[piece]
            piece += 1
        first_child[node] = nodes
        while piece < until[node]:
            byte = content[offsets[piece] + level]
            last[nodes], begin[nodes], depth[nodes] = byte, piece, level + 1
            while piece < until[node] and content[offsets[piece] + level] == byte:
                piece += 1
            until[nodes] = piece
            nodes += 1
        children[node] = nodes - first_child[node]
        node += 1
    return last[:nodes].copy(), first_child[:nodes].copy(), children[:nodes].copy(), ends[:nodes].copy()


@numba.njit(cache=True, nogil=True, inline="always")
def _child(pieces: Any, node: int, byte: int) -> int:
    low = pieces.first_child[node]
    high = low + pieces.children[node]
    while low < high:
        middle = (low + high) >> 1
        if pieces.bytes[middle] < byte:
            low = middle + 1
        else:
            high = middle
    found = low < pieces.first_child[node] + pieces.children[node] and pieces.bytes[low] == byte
    return low if found else -1


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
            node = 0
            for end in range(place, size):
                node = _child(pieces, node, content[begin + end])
                if node < 0:
                    break
                found = pieces.ids[node]
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
