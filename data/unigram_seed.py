"""The first pieces of a Unigram: the substrings of counted pre-tokens that repeat, and where each stands.

Substrings are named length by length (Karp, Miller, Rosenberg 1972): one of n + 1 bytes is the pair of those of n bytes
at its place and at the next. Those that occur once are not extended. A substring that the same byte always follows
cannot be better than the longer one and is no first piece, as in SentencePiece, where suffix trees say so.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
EMPTY = -1
HASH = -7046029254386353131  # 2^64 / the golden ratio (Knuth, volume 3, 6.4), signed
BYTES = 256
LONGEST = 255  # bytes that a piece may have


class Lattice(NamedTuple):
    """Which pieces begin at each byte of the text; pieces 0 to 255 are the bytes."""

    begins: Int64s  # (bytes + 1,): the pieces at byte i are those from begins[i] to begins[i + 1], by length
    pieces: Int32s
    lengths: Bytes


class Seeds(NamedTuple):
    """The first pieces, and every place where each stands."""

    frequencies: npt.NDArray[np.float64]  # (pieces,): how often each occurs, however the text is cut
    lengths: Int64s  # (pieces,)
    places: Int64s  # (pieces,): a place in the text where each stands, -1 for bytes that do not occur
    lattice: Lattice


class _Level(NamedTuple):
    """Substrings of one length that may become pieces."""

    length: int
    frequencies: Int64s  # of each substring, 0 where it cannot be one
    places: Int32s  # of every occurrence of the others, in order
    names: Int32s  # of the substring at each place


def find_seeds(text: Bytes, offsets: Int64s, counts: Int64s, size: int, longest: int) -> Seeds:
    """The bytes and the `size` substrings of the highest frequency × length.

    Memory is about 8 bytes for each place and length at which a substring repeats.

    Args:
        text, offsets, counts: pre-token i is text[offsets[i] : offsets[i + 1]] and occurs counts[i] times.
        longest: bytes that a piece may have, up to LONGEST.
    """
    levels = list(_levels(text, offsets, counts, longest))
    scores = np.concatenate([np.empty(0, np.int64), *(level.frequencies * level.length for level in levels)])
    best = np.argsort(-scores, kind="stable")[:size]
    best = np.sort(best[scores[best] > 0])
    numbers = np.full(len(scores), EMPTY, np.int32)
    numbers[best] = np.arange(BYTES, BYTES + len(best))
    numbers_of_levels = np.split(numbers, np.cumsum([len(level.frequencies) for level in levels]))
    all_frequencies = np.concatenate([np.empty(0, np.int64), *(level.frequencies for level in levels)])
    all_lengths = np.concatenate(
        [np.empty(0, np.int64), *(np.full(len(level.frequencies), level.length) for level in levels)]
    )
    lattice = _lattice(text, levels, numbers_of_levels)
    places = np.full(BYTES + len(best), EMPTY, np.int64)
    where = np.repeat(np.arange(len(text)), np.diff(lattice.begins))
    places[lattice.pieces] = where
    single = np.bincount(text, np.repeat(counts, np.diff(offsets)).astype(np.float64), BYTES)
    return Seeds(
        np.concatenate([single, all_frequencies[best]]),
        np.concatenate([np.ones(BYTES, np.int64), all_lengths[best]]),
        places,
        lattice,
    )


def _levels(text: Bytes, offsets: Int64s, counts: Int64s, longest: int) -> Iterator[_Level]:
    """The substrings of 2, 3 … bytes that repeat."""
    sizes = np.diff(offsets)
    words = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    last = np.zeros(len(text), bool)
    last[offsets[1:][sizes > 0] - 1] = True
    names = text.astype(np.int32)
    places, frequencies = np.flatnonzero(~last).astype(np.int32), np.full(BYTES, np.iinfo(np.int64).max)
    for length in range(2, longest + 2):
        new_names, new_frequencies = _extend(names, places, words, counts)
        kept = new_frequencies >= 2
        if length > 2:
            parents = names[places]
            found = new_names >= 0
            followed = new_frequencies[new_names[found]] == frequencies[parents[found]]
            frequencies[parents[found][followed]] = 0
            wanted = frequencies[parents] > 0
            yield _Level(length - 1, frequencies, places[wanted], parents[wanted])
        if not kept.any():
            return
        renumbered = np.where(kept, np.cumsum(kept) - 1, EMPTY).astype(np.int32)
        new_names = np.where(new_names >= 0, renumbered[new_names], EMPTY)
        names[:] = EMPTY
        names[places] = new_names
        places, frequencies = places[new_names >= 0], new_frequencies[kept]


@numba.njit(cache=True, nogil=True)
def _extend(names: Int32s, places: Int32s, words: Int32s, counts: Int64s) -> tuple[Int32s, Int64s]:
    """The substrings at these places, one byte longer: a name for each place, or EMPTY, and each name's frequency."""
    room = 1 << 10
    while room < 2 * len(places):
        room *= 2
    table_keys, table_names = np.full(room, EMPTY, np.int64), np.empty(room, np.int32)
    extended, frequencies, used = np.full(len(places), EMPTY, np.int32), np.zeros(len(places), np.int64), 0
    for index in range(len(places)):
        place = np.int64(places[index])
        if place + 1 == len(names) or names[place + 1] == EMPTY:
            continue
        key = np.int64(names[place]) << 32 | np.int64(names[place + 1])
        slot = (key * np.int64(HASH) >> 20) & (room - 1)
        while table_keys[slot] != key:
            if table_keys[slot] == EMPTY:
                table_keys[slot], table_names[slot] = key, used
                used += 1
                break
            slot = (slot + 1) & (room - 1)
        extended[index] = table_names[slot]
        frequencies[table_names[slot]] += counts[words[place]]
    return extended, frequencies[:used]


def _lattice(text: Bytes, levels: Sequence[_Level], numbers_of_levels: Sequence[Int32s]) -> Lattice:
    """Every place of every chosen substring, after the byte at each place."""
    found = [numbers[level.names] for level, numbers in zip(levels, numbers_of_levels, strict=False)]
    at_place = np.ones(len(text), np.int64)
    for level, pieces in zip(levels, found, strict=True):
        at_place[level.places[pieces >= 0]] += 1
    begins = np.concatenate([np.zeros(1, np.int64), np.cumsum(at_place)])
    lattice = Lattice(begins, np.empty(begins[-1], np.int32), np.empty(begins[-1], np.uint8))
    following = begins[:-1].copy()
    lattice.pieces[following], lattice.lengths[following] = text, 1
    for level, pieces in zip(levels, found, strict=True):
        following[level.places[pieces >= 0]] += 1
        here = following[level.places[pieces >= 0]]
        lattice.pieces[here], lattice.lengths[here] = pieces[pieces >= 0], level.length
    return lattice
