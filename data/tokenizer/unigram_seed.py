"""The first pieces of a Unigram: the substrings of counted pre-tokens that repeat, and where each stands.

All ends of the pre-tokens (suffixes) are sorted, by doubling the bytes that are compared (Larsson and Sadakane 2007),
up to the longest piece. Substrings that repeat are then runs of neighbours with a common beginning (Abouelhoda, Kurtz
and Ohlebusch 2004). One that the same byte always follows cannot be better than the longer one and is no first piece,
as in SentencePiece, where suffix trees say so.
"""

from typing import NamedTuple

import numba
import numpy as np

from data.tokenizer.strings import EMPTY, Bytes, Floats, Int32s, Int64s

BYTES = 256
KEY_BYTES, KEY_BITS = 7, 9  # bytes that the first sorting compares, and what one of them, or the end, takes
LONGEST = 255  # bytes that a piece may have


class Lattice(NamedTuple):
    """Which pieces begin at each byte of the text; pieces 0 to 255 are the bytes."""

    begins: Int64s  # (bytes + 1,): the pieces at byte i are those from begins[i] to begins[i + 1], by length
    pieces: Int32s
    lengths: Bytes


class Seeds(NamedTuple):
    """The first pieces, and every place where each stands."""

    frequencies: Floats  # (pieces,): how often each occurs, however the text is cut
    lengths: Int64s  # (pieces,)
    places: Int64s  # (pieces,): a place in the text where each stands, -1 for bytes that do not occur
    lattice: Lattice


class _Runs(NamedTuple):
    """Substrings as runs of sorted suffixes that begin with them."""

    firsts: Int32s
    lasts: Int32s
    lengths: Bytes
    frequencies: Int64s


def find_seeds(text: Bytes, offsets: Int64s, counts: Int64s, size: int, longest: int) -> Seeds:
    """The bytes and the `size` substrings of the highest frequency × length.

    Memory is about 60 bytes for each byte of `text`, which is less than 2 GiB, and 5 for each piece at each place.

    Args:
        text, offsets, counts: pre-token i is text[offsets[i] : offsets[i + 1]] and occurs counts[i] times.
        longest: bytes that a piece may have, up to 255.
    """
    sizes = np.diff(offsets)
    left = (np.repeat(offsets[1:], sizes) - np.arange(len(text))).astype(np.int32)
    weights = np.repeat(counts, sizes)
    order = _sort_suffixes(text, left, longest + 1)
    runs = _find_runs(text, left, weights, order, longest)
    best = np.argsort(-(runs.frequencies * runs.lengths), kind="stable")[:size]
    best = best[np.lexsort((best, runs.lengths[best]))]  # shorter pieces come first at each place
    chosen = _Runs(*(of_all[best] for of_all in runs))
    del runs, left, best  # the lattice takes the most memory
    places = np.full(BYTES, EMPTY, np.int64)
    places[text] = np.arange(len(text))
    frequencies = np.concatenate([np.bincount(text, weights.astype(np.float64), BYTES), chosen.frequencies])
    del weights
    lengths = np.concatenate([np.ones(BYTES, np.int64), chosen.lengths])
    return Seeds(frequencies, lengths, np.concatenate([places, order[chosen.firsts]]), _lattice(text, order, chosen))


def _sort_suffixes(text: Bytes, left: Int32s, depth: int) -> Int32s:
    """Places in the order of the suffixes that begin there, as far as their first `depth` bytes say; shorter first.

    In what order suffixes come that are equal so far is left to the processor; it makes no difference.

    Args:
        left: bytes from each place to the end of its pre-token.
    """
    keys = _first_keys(text, left)
    order = np.argsort(keys).astype(np.int32)
    keys, slots = keys[order], np.arange(len(text), dtype=np.int32)  # of `order`, that are not decided yet
    ranks, compared = np.empty(len(text), np.int32), KEY_BYTES
    while True:
        places = order[slots]
        new = np.append(True, keys[1:] != keys[:-1])[: len(keys)]
        ranks[places] = slots[np.maximum.accumulate(np.where(new, np.arange(len(new)), 0))]
        alone = new & np.append(new[1:], True)[: len(new)]
        undecided = ~alone & (left[places] >= compared)
        if compared >= depth or not undecided.any():
            return order
        slots, places = slots[undecided], places[undecided]
        rests = np.where(left[places] > compared, ranks[np.minimum(places + compared, len(ranks) - 1)] + 1, 0)
        keys = ranks[places].astype(np.int64) << 32 | rests
        sorting = np.argsort(keys)
        keys, order[slots] = keys[sorting], places[sorting]
        compared *= 2


@numba.njit(cache=True, nogil=True)
def _first_keys(text: Bytes, left: Int32s) -> Int64s:
    """The first bytes of each suffix as one number."""
    keys = np.empty(len(text), np.int64)
    key = np.int64(0)
    for place in range(len(text) - 1, -1, -1):
        if left[place] == 1:
            key = np.int64(0)
        key = key >> KEY_BITS | (np.int64(text[place]) + 1) << KEY_BITS * (KEY_BYTES - 1)
        keys[place] = key
    return keys


@numba.njit(cache=True, nogil=True)
def _find_runs(text: Bytes, left: Int32s, weights: Int64s, order: Int32s, longest: int) -> _Runs:
    """Every substring of 2 to `longest` bytes that occurs twice and is not always followed by the same byte."""
    runs = _new_runs(1 << 16)
    used, total, last = 0, np.int64(0), 0
    # The open runs, each within the one before it, from 0 to `last`; the first holds everything and is never closed.
    depths = np.zeros(longest + 2, np.int64)
    firsts, totals = depths.copy(), depths.copy()
    for slot in range(len(order)):
        place = order[slot]
        common = _common(text, left, place, order[slot + 1], longest + 1) if slot + 1 < len(order) else 0
        if used + longest + 2 > len(runs.firsts):
            runs = _longer_runs(runs)
        first, before, own = slot, total, left[place]
        total += weights[place]
        if weights[place] >= 2 and max(depths[last], common, 1) < own <= longest:  # the whole suffix, here alone
            used = _note(runs, used, slot, slot, own, weights[place])
        while depths[last] > common:
            first, before = firsts[last], totals[last]
            if 2 <= depths[last] <= longest:
                used = _note(runs, used, first, slot, depths[last], total - before)
            last -= 1
        if depths[last] < common:
            last += 1
            depths[last], firsts[last], totals[last] = common, first, before
    return _Runs(runs.firsts[:used], runs.lasts[:used], runs.lengths[:used], runs.frequencies[:used])


@numba.njit(cache=True, nogil=True)
def _common(text: Bytes, left: Int32s, one: int, other: int, most: int) -> int:
    """How many bytes two suffixes have in common at their beginnings, at most so many."""
    most = min(most, left[one], left[other])
    common = 0
    while common < most and text[one + common] == text[other + common]:
        common += 1
    return common


@numba.njit(cache=True, nogil=True)
def _note(runs: _Runs, used: int, first: int, last: int, length: int, frequency: int) -> int:
    runs.firsts[used], runs.lasts[used], runs.lengths[used], runs.frequencies[used] = first, last, length, frequency
    return used + 1


@numba.njit(cache=True, nogil=True)
def _new_runs(room: int) -> _Runs:
    return _Runs(np.empty(room, np.int32), np.empty(room, np.int32), np.empty(room, np.uint8), np.empty(room, np.int64))


@numba.njit(cache=True, nogil=True)
def _longer_runs(runs: _Runs) -> _Runs:
    used = len(runs.firsts)
    longer: _Runs = _new_runs(2 * used)
    longer.firsts[:used], longer.lasts[:used] = runs.firsts, runs.lasts
    longer.lengths[:used], longer.frequencies[:used] = runs.lengths, runs.frequencies
    return longer


@numba.njit(cache=True, nogil=True)
def _lattice(text: Bytes, order: Int32s, runs: _Runs) -> Lattice:
    """Every place of every substring of `runs`, which are sorted by length, after the byte at each place."""
    begins = np.ones(len(text) + 1, np.int64)
    begins[0] = 0
    for run in range(len(runs.firsts)):
        for slot in range(runs.firsts[run], runs.lasts[run] + 1):
            begins[order[slot] + 1] += 1
    begins = np.cumsum(begins)
    pieces, lengths = np.empty(begins[-1], np.int32), np.empty(begins[-1], np.uint8)
    following = begins[:-1] + 1
    for place in range(len(text)):
        pieces[begins[place]], lengths[begins[place]] = text[place], 1
    for run in range(len(runs.firsts)):
        for slot in range(runs.firsts[run], runs.lasts[run] + 1):
            entry = following[order[slot]]
            following[order[slot]] += 1
            pieces[entry], lengths[entry] = BYTES + run, runs.lengths[run]
    return Lattice(begins, pieces, lengths)
