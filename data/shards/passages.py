"""The longest passages of a text that stand in training documents: looked up in an index, read in the shards."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from data.shards.place_index import GRAM, LEAST, SPACING, TOKEN_BITS, Entries, Pieces, PlaceIndex, gram_keys
from data.shards.reader import Tokens
from data.tokenizer.strings import Bytes, Int64s

MOST_CANDIDATES = 1 << 22
"""Places that are compared with the text for one query: about a second's work."""
_LOW_BITS = np.uint64((1 << TOKEN_BITS) - 1)
_SHIFT = np.uint64(TOKEN_BITS)


class Passage(NamedTuple):
    """A passage of the text that a document has, and none has with a character more before or after it."""

    begin: int  # first character
    end: int  # past the last
    files: Int64s  # (occurrences,): the place of its file among the index's
    tokens: Int64s  # (occurrences,): the token that its first character is in, in that file


class Found(NamedTuple):
    """What a text has in common with training documents.

    `passages` are all of LEAST bytes or more, by their beginning; one may overlap the next. `unsearched` are stretches
    (first character, past the last) of strings that stand in so many places that these were not looked at. Where there
    are none, nothing is missed. Otherwise a passage with LEAST bytes outside of them (`is_sure`) is found at its full
    length with all its places, and one without may be missed, or have more places.
    """

    passages: list[Passage]
    unsearched: list[tuple[int, int]]

    def is_sure(self, text: str, passage: Passage) -> bool:
        """Whether all places of a passage of the text were found."""
        rest = gaps([span for span in self.unsearched if span[1] > passage.begin], passage.begin, passage.end)
        return any(len(text[begin:end].encode()) >= LEAST for begin, end in rest)


def gaps(spans: Iterable[tuple[int, int]], begin: int, end: int) -> Iterator[tuple[int, int]]:
    """What of begin to end lies in none of these spans."""
    for first, past in sorted([*spans, (end, end)]):
        if first > begin:
            yield begin, min(first, end)
        begin = max(begin, past)


def find_passages(index: PlaceIndex, text: str) -> Found:
    """The longest passages that a text has in common with the training split, each with every place where it stands.

    Raises UnicodeEncodeError for a text with lone surrogates.
    """
    query = np.frombuffer(text.encode(), np.uint8)
    keys = gram_keys(query)
    ranges = [_ranges(index.entries(file), keys) for file in index.files]
    totals = sum((last - first for first, last in ranges), np.zeros(len(keys), np.int64))
    is_rare = _rarest(totals)
    matches = [np.empty((0, 5), np.int64)]
    for number, (file, (first, last)) in enumerate(zip(index.files, ranges, strict=True)):
        candidates = _candidates(index.entries(file), first[is_rare], last[is_rare], np.flatnonzero(is_rare))
        if len(candidates):
            own = _matches(index.tokens(file), index.pieces, query, candidates)
            matches.append(np.column_stack([own, np.full(len(own), number)]))
    skipped = _whole_characters(query, *_stretches(np.flatnonzero((totals > 0) & ~is_rare), len(query)))
    return Found(
        _longest(query, np.unique(np.concatenate(matches), axis=0)),
        [(int(begin), int(end)) for begin, end in zip(*skipped, strict=True)],
    )


@numba.njit(cache=True, nogil=True)
def _ranges(entries: Entries, keys: Entries) -> tuple[Int64s, Int64s]:
    """The first of a file's entries of each hash, and past the last: about where, as hashes are spread evenly."""
    first, last = np.empty(len(keys), np.int64), np.empty(len(keys), np.int64)
    for number in range(len(keys)):
        about = np.int64(((keys[number] >> _SHIFT) * np.uint64(len(entries))) >> _SHIFT)
        first[number] = _search(entries, keys[number], about, 1024)
        last[number] = _search(entries, keys[number] | _LOW_BITS, first[number], 1)
    return first, last


@numba.njit(cache=True, nogil=True)
def _search(entries: Entries, key: np.uint64, about: int, step: int) -> int:
    """The first entry that is not below a key, by steps from a place that grow until it is between, and bisection."""
    low, high = about, about
    while low > 0 and entries[low - 1] >= key:
        low, high, step = max(low - step, 0), low, 2 * step
    while high < len(entries) and entries[high] < key:
        low, high, step = high, min(high + step, len(entries)), 2 * step
    while low < high:
        middle = (low + high) // 2
        if entries[middle] < key:
            low = middle + 1
        else:
            high = middle
    return low


def _rarest(totals: Int64s) -> npt.NDArray[np.bool_]:
    """Which strings of the text are looked at: the rarest, as many as MOST_CANDIDATES allows."""
    order = np.argsort(totals, kind="stable")
    is_rare = np.empty(len(totals), np.bool_)
    is_rare[order] = np.cumsum(totals[order]) <= MOST_CANDIDATES
    return is_rare


def _candidates(entries: Entries, first: Int64s, last: Int64s, offsets: Int64s) -> Entries:
    """The places of these ranges of entries, ascending: the token's position, then the byte of the text beside it."""
    count = last - first
    numbers = np.arange(count.sum()) + np.repeat(last - np.cumsum(count), count)
    candidates: Entries = (entries[numbers] & _LOW_BITS) << _SHIFT | np.repeat(offsets.astype(np.uint64), count)
    candidates.sort()
    return candidates


def _matches(tokens: Tokens, pieces: Pieces, query: Bytes, candidates: Entries) -> Int64s:
    """What a file has in common with the query around each candidate: (matches, 4), as `_extend` has it."""
    places_in_piece = -(-int(np.diff(pieces.offsets).max()) // SPACING)
    matches = np.empty((len(candidates) * places_in_piece, 4), np.int64)  # of which hardly any are written
    return matches[: _extend(tokens, *pieces, query, candidates, matches)]


def _stretches(offsets: Int64s, size: int) -> tuple[Int64s, Int64s]:
    """First byte and past the last of the stretches that the GRAM bytes from these on make together."""
    change = np.zeros(size + 2, np.int64)
    change[offsets + 1] += 1
    change[offsets + GRAM + 1] -= 1
    edges = np.flatnonzero(np.diff(np.cumsum(change) > 0))
    return edges[::2], edges[1::2]


def _whole_characters(query: Bytes, begins: Int64s, ends: Int64s) -> tuple[Int64s, Int64s]:
    """First character, and past the last, of those that lie in stretches of bytes: the ends of one may be cut off."""
    is_first = (query & 0xC0) != 0x80
    before = np.append(0, np.cumsum(is_first))
    return before[begins], before[ends] - ~np.append(is_first, True)[ends]


def _longest(query: Bytes, matches: Int64s) -> list[Passage]:
    """The passages of matches of bytes (of `_extend`, with the number of their file) that lie in no longer one."""
    begins, ends = _whole_characters(query, matches[:, 0], matches[:, 1])
    starts = np.append(np.flatnonzero((query & 0xC0) != 0x80), len(query))
    is_long = starts[ends] - starts[begins] >= LEAST
    begins, ends, matches = begins[is_long], ends[is_long], matches[is_long]
    order = np.lexsort((-ends, begins))
    begins, ends, matches = begins[order], ends[order], matches[order]
    before = np.maximum.accumulate(np.append(-1, ends))[:-1]
    passages = []
    for number in np.flatnonzero(ends > before).tolist():
        past = np.searchsorted(begins, begins[number], side="right")
        own = number + np.flatnonzero(ends[number:past] == ends[number])
        passages.append(Passage(int(begins[number]), int(ends[number]), matches[own, 4], matches[own, 2]))
    return passages


@numba.njit(cache=True, nogil=True)
def _extend(
    tokens: Tokens,
    text: Bytes,
    offsets: Int64s,
    end_of_text: int,
    query: Bytes,
    candidates: Entries,
    matches: Int64s,
) -> int:
    """Fill `matches` with what is LEAST bytes or more around a candidate, up to the document's borders; their number.

    Each has the first byte of the query and past the last, the token that the first is in, and where in it.
    """
    count = 0
    is_done = np.zeros(len(candidates), np.bool_)
    for number in range(len(candidates)):
        place, at = np.int64(candidates[number] >> _SHIFT), np.int64(candidates[number] & _LOW_BITS)
        if is_done[number] or _is_border(tokens, place, offsets, end_of_text):
            continue
        size = offsets[tokens[place] + 1] - offsets[tokens[place]]
        for inside in range(0, size, SPACING):  # the place may be any of these
            end = _forward(tokens, text, offsets, end_of_text, query, place, inside, at, candidates, number, is_done)
            begin, first, first_inside = _backward(tokens, text, offsets, end_of_text, query, place, inside, at)
            if end - begin >= LEAST:
                matches[count, 0], matches[count, 1], matches[count, 2] = begin, end, first
                matches[count, 3] = first_inside
                count += 1
    return count


@numba.njit(cache=True, nogil=True)
def _is_border(tokens: Tokens, place: int, offsets: Int64s, end_of_text: int) -> bool:
    """Whether no document goes on at a place: past the file, at an end of text, or at what is no piece."""
    return place < 0 or place >= len(tokens) or tokens[place] == end_of_text or tokens[place] + 1 >= len(offsets)


@numba.njit(cache=True, nogil=True)
def _forward(
    tokens: Tokens,
    text: Bytes,
    offsets: Int64s,
    end_of_text: int,
    query: Bytes,
    place: int,
    inside: int,
    at: int,
    candidates: Entries,
    number: int,
    is_done: npt.NDArray[np.bool_],
) -> int:
    """Past the last byte of the query that is like the document's, from byte `inside` of a token and `at` of the query.

    Candidates that are met on the way, which would give the same match, are marked as done.
    """
    begin, end = offsets[tokens[place]] + inside, offsets[tokens[place] + 1]
    while at < len(query):
        if begin < end:
            if text[begin] != query[at]:
                break
            begin, at = begin + 1, at + 1
            continue
        place += 1
        if _is_border(tokens, place, offsets, end_of_text):
            break
        begin, end = offsets[tokens[place]], offsets[tokens[place] + 1]
        if end - begin <= SPACING:  # of a longer one another place may be meant
            wanted = np.uint64(place) << _SHIFT | np.uint64(at)
            while number < len(candidates) and candidates[number] < wanted:
                number += 1
            if number < len(candidates) and candidates[number] == wanted:
                is_done[number] = True
    return at


@numba.njit(cache=True, nogil=True)
def _backward(
    tokens: Tokens,
    text: Bytes,
    offsets: Int64s,
    end_of_text: int,
    query: Bytes,
    place: int,
    inside: int,
    at: int,
) -> tuple[int, int, int]:
    """The first byte of the query that is like the document's, back from such a place, the token, and where in it."""
    begin = offsets[tokens[place]]
    before = begin + inside
    first, first_inside = place, inside
    while at > 0:
        if before > begin:
            if text[before - 1] != query[at - 1]:
                break
            before, at = before - 1, at - 1
            first, first_inside = place, before - begin
            continue
        place -= 1
        if _is_border(tokens, place, offsets, end_of_text):
            break
        begin, before = offsets[tokens[place]], offsets[tokens[place] + 1]
    return at, first, first_inside
