"""Encoding by looking pre-tokens up: each is cut by compiled code, and what it becomes is found once and remembered.

A pre-token becomes the same ids wherever it stands, so this is exact; equal ones are told by their bytes, not by a
hash.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from data.errors import DataError
from data.tokenizer.pretokens import MOST_DIGITS, Bytes, Digits, Pretokenization, character_classes, pretoken_end

BLOCK_BYTES = 4 << 20  # of text that is cut at a time
MOST_PRETOKENS = 1 << 20  # remembered; then the table is begun anew
MOST_BYTES = 64 << 20  # of them

FNV_OFFSET = np.uint64(14695981039346656037)  # FNV-1a, 64 bits (Fowler, Noll and Vo): only chooses a place
FNV_PRIME = np.uint64(1099511628211)
FIBONACCI = np.uint64(11400714819323198485)

Ids = npt.NDArray[np.uint32]
Positions = npt.NDArray[np.int64]
# The ids of pre-tokens content[offsets[i] : offsets[i + 1]]: all of them, and where those of each begin.
FindIds = Callable[[Bytes, Positions], tuple[Ids, Positions]]


class _Cuts(NamedTuple):
    """How texts are cut; see pretokens.py."""

    classes: Bytes
    words: bool
    most_digits: int


class _Table(NamedTuple):
    """Pre-tokens in the order in which they were met, and an open-addressed table of their numbers."""

    slots: npt.NDArray[np.int32]  # a power of two; number of a pre-token, -1 where there is none
    hashes: npt.NDArray[np.uint64]  # (MOST_PRETOKENS,)
    ends: Positions  # (MOST_PRETOKENS + 1,) in `content`; pre-token i begins where i - 1 ends
    content: Bytes


class PretokenTable:
    """Encodes texts; memory is bounded by MOST_PRETOKENS, MOST_BYTES and BLOCK_BYTES."""

    def __init__(self, pretokenization: Pretokenization, digits: Digits, find_ids: FindIds) -> None:
        self._cuts = _Cuts(character_classes(pretokenization), pretokenization == "words", MOST_DIGITS[digits])
        self._find_ids = find_ids
        self._forget()

    def _forget(self) -> None:
        self._table = _Table(
            slots=np.full(1 << (4 * MOST_PRETOKENS).bit_length(), -1, np.int32),
            hashes=np.empty(MOST_PRETOKENS, np.uint64),
            ends=np.zeros(MOST_PRETOKENS + 1, np.int64),
            content=np.empty(MOST_BYTES, np.uint8),
        )
        self._known = 0
        self._ids = np.empty(1 << 16, np.uint32)
        self._id_ends = np.zeros(MOST_PRETOKENS + 1, np.int64)

    def encode(self, texts: pa.Array) -> tuple[Ids, Positions]:
        """The ids of all texts (large_string, without nulls), one behind the other, and the number of each text's."""
        _, offsets, content = texts.buffers()
        bounds = np.frombuffer(offsets, np.int64, len(texts) + 1, 8 * texts.offset)
        utf8 = np.frombuffer(content, np.uint8) if content else np.empty(0, np.uint8)
        ids: list[Ids] = []
        lengths = np.zeros(len(texts), np.int64)
        text, place = 0, int(bounds[0])
        numbers = np.empty(BLOCK_BYTES, np.int32)
        owners = np.empty(BLOCK_BYTES, np.int32)
        while text < len(texts):
            text, place, count, known = _cut(
                utf8, bounds, text, place, self._cuts, self._table, self._known, numbers, owners
            )
            self._learn(known)
            ids.append(_gather(numbers[:count], owners[:count], self._ids, self._id_ends, lengths))
            if text < len(texts) and count < BLOCK_BYTES:  # the table is full
                if not self._known:
                    raise DataError(
                        f"a text has more than {MOST_BYTES:,} bytes without a place to cut: clean the corpus"
                    )
                self._forget()
        return np.concatenate(ids) if ids else np.empty(0, np.uint32), lengths

    def _learn(self, known: int) -> None:
        """Find the ids of the pre-tokens that are new."""
        if known == self._known:
            return
        ends = self._table.ends[self._known : known + 1]
        ids, starts = self._find_ids(self._table.content[ends[0] : ends[-1]], ends - ends[0])
        used = self._id_ends[self._known]
        if used + len(ids) > len(self._ids):
            self._ids = np.concatenate([self._ids, np.empty(max(len(ids), len(self._ids)), np.uint32)])
        self._ids[used : used + len(ids)] = ids
        self._id_ends[self._known + 1 : known + 1] = used + starts[1:]
        self._known = known


@numba.njit(cache=True, nogil=True)
def _cut(
    utf8: Bytes, bounds: Positions, text: int, place: int, cuts: Any, table: Any, known: int, numbers: Any, owners: Any
) -> tuple[int, int, int, int]:
    """Cut the texts from `place` in `text` on, until all are cut, or `numbers` or the table is full.

    Returns where it stands, how many pre-tokens it has cut and how many the table knows.
    """
    count, mask = 0, len(table.slots) - 1
    while text < len(bounds) - 1:
        end = bounds[text + 1]
        while place < end:
            if count == len(numbers):
                return text, place, count, known
            stop = pretoken_end(utf8, place, end, cuts.classes, cuts.words, cuts.most_digits)
            value = FNV_OFFSET
            for at in range(place, stop):
                value = (value ^ np.uint64(utf8[at])) * FNV_PRIME
            slot = np.int64((value * FIBONACCI) >> np.uint64(32)) & mask
            while True:
                number = table.slots[slot]
                if number < 0:
                    used = table.ends[known]
                    if known == len(table.hashes) or used + stop - place > len(table.content):
                        return text, place, count, known
                    table.slots[slot], table.hashes[known] = known, value
                    table.content[used : used + stop - place] = utf8[place:stop]
                    table.ends[known + 1] = used + stop - place
                    number = known
                    known += 1
                    break
                if table.hashes[number] == value and _equal(table, number, utf8, place, stop):
                    break
                slot = (slot + 1) & mask
            numbers[count], owners[count] = number, text
            count += 1
            place = stop
        text += 1
    return text, place, count, known


@numba.njit(cache=True, nogil=True, inline="always")
def _equal(table: Any, number: int, utf8: Bytes, place: int, stop: int) -> bool:
    begin = table.ends[number]
    if table.ends[number + 1] - begin != stop - place:
        return False
    for offset in range(stop - place):  # noqa: SIM110 - a compiled loop
        if table.content[begin + offset] != utf8[place + offset]:
            return False
    return True


@numba.njit(cache=True, nogil=True)
def _gather(numbers: Any, owners: Any, ids: Ids, ends: Positions, lengths: Positions) -> Any:
    """The ids of the pre-tokens, one behind the other; `lengths` counts them for each text."""
    total = 0
    for number in numbers:
        total += ends[number + 1] - ends[number]
    found = np.empty(total, np.uint32)
    used = 0
    for place in range(len(numbers)):
        number = numbers[place]
        lengths[owners[place]] += ends[number + 1] - ends[number]
        for at in range(ends[number], ends[number + 1]):
            found[used] = ids[at]
            used += 1
    return found


def ids_by_merges(vocabulary: Mapping[str, int], merges: Sequence[Sequence[str]], model: Any) -> FindIds:
    """Merges bytes by bpe_encoder.py; what is too long for it is left to the model."""
    from data.tokenizer.bpe_encoder import LONGEST, merge_all, merge_table
    from data.tokenizer.model import BYTE_LETTERS

    byte_ids = np.array([vocabulary[letter] for letter in BYTE_LETTERS], np.int32)
    table = merge_table(
        byte_ids,
        np.array([[vocabulary[left], vocabulary[right], vocabulary[left + right]] for left, right in merges], np.int64),
    )
    by_model = ids_by_model(model)

    def find(content: Bytes, offsets: Positions) -> tuple[Ids, Positions]:
        ids, starts = merge_all(table, content, offsets)
        long = np.flatnonzero(np.diff(offsets) > LONGEST)
        if not len(long):
            return ids, starts
        parts = np.split(ids, starts[1:-1])
        for place in long:
            begin, end = offsets[place : place + 2]
            parts[place] = by_model(content[begin:end], np.array([0, end - begin]))[0]
        return np.concatenate(parts), np.cumsum([0, *map(len, parts)])

    return find


def ids_by_model(model: Any) -> FindIds:
    """Asks a model of the `tokenizers` library for each pre-token."""
    from data.tokenizer.model import piece_name

    def find(content: Bytes, offsets: Positions) -> tuple[Ids, Positions]:
        whole, bounds = content.tobytes(), offsets.tolist()
        found = [
            [token.id for token in model.tokenize(piece_name(whole[begin:end]))]
            for begin, end in itertools.pairwise(bounds)
        ]
        lengths = np.fromiter(map(len, found), np.int64, len(found))
        ids = np.fromiter((number for of_one in found for number in of_one), np.uint32, int(lengths.sum()))
        return ids, np.concatenate([[0], np.cumsum(lengths)])

    return find


def ids_by_unigram(vocabulary: list[tuple[str, float]], special: set[str]) -> FindIds | None:
    """Finds the most probable pieces by unigram_encoder.py; None for a vocabulary that it does not take."""
    from data.tokenizer.model import BYTE_LETTERS
    from data.tokenizer.unigram_encoder import build_pieces, find_best

    byte_of = {letter: byte for byte, letter in enumerate(BYTE_LETTERS)}
    known = [(number, name) for number, (name, _) in enumerate(vocabulary) if name not in special]
    if not all(name and byte_of.keys() >= set(name) for _, name in known):
        return None  # its pieces are not bytes as letters
    pieces = build_pieces(
        [bytes(byte_of[letter] for letter in name) for _, name in known],
        [number for number, _ in known],
        [score for _, score in vocabulary],
    )
    if pieces is None:
        return None
    return lambda content, offsets: find_best(content, offsets, pieces)
