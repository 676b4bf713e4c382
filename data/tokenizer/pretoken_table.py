"""Encoding by looking pre-tokens up: each is cut by compiled code, and what it becomes is found once and remembered.

A pre-token becomes the same ids wherever it stands, so this is exact.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from data.errors import DataError
from data.tokenizer.pretokens import Digits, Pretokenization, Splitting, pretoken_end, splitting
from data.tokenizer.strings import (
    EMPTY,
    Bytes,
    Int32s,
    Int64s,
    Strings,
    add_string,
    apart,
    first_slot,
    is_equal,
    new_strings,
    string_hash,
)

BLOCK_BYTES = 4 << 20  # of text that is cut at a time
MOST_PRETOKENS = 1 << 20  # remembered; then the table is begun anew
MOST_BYTES = 64 << 20  # of them
SPACING = 8  # of the table; most pre-tokens are then where they are looked for first

Ids = npt.NDArray[np.uint32]
# The ids of pre-tokens text[offsets[i] : offsets[i + 1]]: all of them, and where those of each begin.
FindIds = Callable[[Bytes, Int64s], tuple[Ids, Int64s]]


class PretokenTable:
    """Encodes texts; memory is bounded by MOST_PRETOKENS, MOST_BYTES and BLOCK_BYTES."""

    def __init__(self, pretokenization: Pretokenization, digits: Digits, find_ids: FindIds) -> None:
        self._split = splitting(pretokenization, digits)
        self._find_ids = find_ids
        self._forget()

    def _forget(self) -> None:
        self._pretokens = new_strings(MOST_PRETOKENS, MOST_BYTES, SPACING)
        self._known = 0  # pre-tokens whose ids were found
        self._ids = np.empty(1 << 16, np.uint32)
        self._id_ends = np.zeros(MOST_PRETOKENS + 1, np.int64)

    def encode(self, texts: pa.Array) -> tuple[Ids, Int64s]:
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
            text, place, count = _cut(utf8, bounds, text, place, self._split, self._pretokens, numbers, owners)
            self._learn()
            ids.append(_gather(numbers[:count], owners[:count], self._ids, self._id_ends, lengths))
            if text < len(texts) and count < BLOCK_BYTES:  # the table is full
                if not self._known:
                    raise DataError(
                        f"a text has more than {MOST_BYTES:,} bytes without a place to cut: clean the corpus"
                    )
                self._forget()
        return np.concatenate(ids) if ids else np.empty(0, np.uint32), lengths

    def _learn(self) -> None:
        """Find the ids of the pre-tokens that are new."""
        known = self._pretokens.used[0]
        if known == self._known:
            return
        offsets = self._pretokens.offsets[self._known : known + 1]
        ids, starts = self._find_ids(self._pretokens.text[offsets[0] : offsets[-1]], offsets - offsets[0])
        used = self._id_ends[self._known]
        if used + len(ids) > len(self._ids):
            self._ids = np.concatenate([self._ids, np.empty(max(len(ids), len(self._ids)), np.uint32)])
        self._ids[used : used + len(ids)] = ids
        self._id_ends[self._known + 1 : known + 1] = used + starts[1:]
        self._known = known


@numba.njit(cache=True, nogil=True)
def _cut(
    utf8: Bytes,
    bounds: Int64s,
    text: int,
    place: int,
    split: Splitting,
    pretokens: Strings,
    numbers: Int32s,
    owners: Int32s,
) -> tuple[int, int, int]:
    """Cut the texts from `place` in `text` on, until all are cut, or `numbers` or the table is full.

    Returns where it stands, and how many pre-tokens it has cut.
    """
    count = 0
    while text < len(bounds) - 1:
        end = bounds[text + 1]
        while place < end:
            if count == len(numbers):
                return text, place, count
            stop = pretoken_end(utf8, place, end, split.classes, split.words, split.most_digits)
            key = string_hash(utf8, place, stop)
            slot = first_slot(pretokens, key)
            while True:  # as in `string_number`, which, inlined here as a whole, made this a sixth slower
                number = pretokens.slots[slot]
                if number == EMPTY:
                    number = add_string(pretokens, slot, key, utf8, place, stop)
                    if number == EMPTY:
                        return text, place, count
                    break
                if pretokens.hashes[number] == key and is_equal(pretokens, number, utf8, place, stop):
                    break
                slot = (slot + 1) & (len(pretokens.slots) - 1)
            numbers[count], owners[count] = number, text
            count += 1
            place = stop
        text += 1
    return text, place, count


@numba.njit(cache=True, nogil=True)
def _gather(numbers: Any, owners: Any, ids: Ids, ends: Int64s, lengths: Int64s) -> Any:
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

    def find(content: Bytes, offsets: Int64s) -> tuple[Ids, Int64s]:
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

    def find(content: Bytes, offsets: Int64s) -> tuple[Ids, Int64s]:
        found = [[token.id for token in model.tokenize(piece_name(pretoken))] for pretoken in apart(content, offsets)]
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
