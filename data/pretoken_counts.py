"""How often each pre-token occurs in a corpus, counted file by file in bounded memory."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from data.files import atomic_write
from data.parallel import in_parallel
from data.pretokens import MOST_DIGITS, Digits, Pretokenization, character_classes, pretoken_end
from data.tokenizer_report import TrainingFacts
from data.tokenizer_text import read_texts, sample_texts

MOST_PRETOKENS = 20_000_000
SLACK = 4  # counts are cut back to the most when they exceed it by a quarter
EMPTY = -1
ROOM = 1 << 16
USED, TEXT = 0, 1  # of _Table.state
FNV_OFFSET, FNV_PRIME = -3750763034362895579, 1099511628211  # Fowler, Noll and Vo's hash 1a of 64 bits, signed

Bytes = npt.NDArray[np.uint8]
Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PretokenCounts:
    """Distinct pre-tokens in the order in which they were first met, and what had to be left out."""

    text: Bytes
    offsets: Int64s  # (pretokens + 1,): pre-token i is text[offsets[i] : offsets[i + 1]]
    counts: Int64s  # (pretokens,)
    documents: int
    bytes: int
    cut_pretokens: int = 0
    cut_occurrences: int = 0


def training_facts(counts: PretokenCounts) -> TrainingFacts:
    """What a tokenizer's report says about these counts."""
    cut = counts.cut_pretokens, counts.cut_occurrences
    return TrainingFacts(counts.documents, counts.bytes, len(counts.counts), *cut)


class Splitting(NamedTuple):
    """How a text is cut: what `pretoken_end` wants to know."""

    classes: Bytes
    words: bool
    most_digits: int


def splitting(pretokenization: Pretokenization, digits: Digits) -> Splitting:
    return Splitting(character_classes(pretokenization), pretokenization == "words", MOST_DIGITS[digits])


class _Table(NamedTuple):
    """A hash table of byte strings and their counts, with room for more."""

    slots: Int32s  # number of the string at this place, or EMPTY; a power of two of them
    hashes: Int64s
    ends: Int64s  # of each string in `text`, behind a 0
    counts: Int64s
    text: Bytes
    state: Int64s  # strings and bytes used


def count_pretokens(
    files: Sequence[Path],
    fraction: float,
    folder: Path,
    split: Splitting,
    workers: int | None,
    most: int = MOST_PRETOKENS,
) -> PretokenCounts:
    """Count the pre-tokens of corpus files, of about this fraction of each; the same whatever the number of workers.

    Each file is counted on its own and left in `folder` until its turn comes, so that each worker and this process hold
    at most 1.25 × `most` pre-tokens. Where there are more, the rarest go, of equally rare ones those of the highest
    hash, and are counted as cut; one that comes back may be cut, and counted, again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [_Job(file, fraction, folder / f"{number:06d}.npz", split, most) for number, file in enumerate(files)]
    merged = _Counter(most)
    for part in in_parallel(_count_file, jobs, workers, "counting words", "files"):
        merged.add_counts(_load(part))
        part.unlink()
    return merged.counts()


class _Job(NamedTuple):
    file: Path
    fraction: float
    target: Path
    split: Splitting
    most: int


def _count_file(job: _Job) -> Path:
    counts = count_texts(sample_texts(read_texts([job.file]), job.fraction), job.split, job.most)
    with atomic_write(job.target) as file:
        np.savez(file, **asdict(counts))
    return job.target


def _load(file: Path) -> PretokenCounts:
    with np.load(file) as arrays:
        numbers = {name: int(arrays[name]) for name in ("documents", "bytes", "cut_pretokens", "cut_occurrences")}
        return PretokenCounts(arrays["text"], arrays["offsets"], arrays["counts"], **numbers)


def count_texts(batches: Iterable[pa.Array], split: Splitting, most: int = MOST_PRETOKENS) -> PretokenCounts:
    """Count the pre-tokens of Arrow arrays of strings without nulls."""
    counter = _Counter(most)
    for batch in batches:
        counter.add_texts(batch, split)
    return counter.counts()


class _Counter:
    """A table that grows up to the most pre-tokens, and what it has seen."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.table = _new_table()
        self.documents = self.bytes = self.cut_pretokens = self.cut_occurrences = 0

    def add_texts(self, texts: pa.Array, split: Splitting) -> None:
        if not len(texts):
            return
        texts = texts.cast(pa.large_string())
        _, offsets, content = texts.buffers()
        places = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + len(texts) + 1]
        text = np.frombuffer(content or b"", np.uint8)
        self.table = _count_batch(self.table, text, places, *split)
        self.documents += len(texts)
        self.bytes += int(places[-1] - places[0])
        self._limit(self.most + self.most // SLACK)

    def add_counts(self, counts: PretokenCounts) -> None:
        everything = np.arange(len(counts.counts))
        self.table = _add_chosen(self.table, counts.text, counts.offsets, counts.counts, everything)
        self.documents += counts.documents
        self.bytes += counts.bytes
        self.cut_pretokens += counts.cut_pretokens
        self.cut_occurrences += counts.cut_occurrences
        self._limit(self.most + self.most // SLACK)

    def counts(self) -> PretokenCounts:
        self._limit(self.most)
        used, size = self.table.state.tolist()
        arrays = self.table.text[:size].copy(), self.table.ends[: used + 1].copy(), self.table.counts[:used].copy()
        return PretokenCounts(*arrays, self.documents, self.bytes, self.cut_pretokens, self.cut_occurrences)

    def _limit(self, limit: int) -> None:
        used = int(self.table.state[USED])
        if used <= limit:
            return
        counts = self.table.counts[:used]
        order = np.lexsort((self.table.hashes[:used], -counts))
        keep, cut = np.sort(order[: self.most]), order[self.most :]
        self.cut_pretokens += len(cut)
        self.cut_occurrences += int(counts[cut].sum())
        self.table = _add_chosen(_new_table(), self.table.text, self.table.ends, counts, keep)


def _new_table() -> _Table:
    ends = np.zeros(ROOM + 1, np.int64)
    numbers = np.empty(ROOM, np.int64)
    slots = np.full(2 * ROOM, EMPTY, np.int32)
    return _Table(slots, numbers, ends, numbers.copy(), np.empty(16 * ROOM, np.uint8), np.zeros(2, np.int64))


@numba.njit(cache=True, nogil=True)
def _count_batch(table: _Table, text: Bytes, places: Int64s, classes: Bytes, words: bool, most_digits: int) -> _Table:
    for document in range(len(places) - 1):
        begin, end = places[document], places[document + 1]
        while begin < end:
            after = pretoken_end(text, begin, end, classes, words, most_digits)
            if _add(table, text, begin, after, 1):
                begin = after
            else:
                table = _with_room(table, after - begin)
    return table


@numba.njit(cache=True, nogil=True)
def _add_chosen(table: _Table, text: Bytes, offsets: Int64s, counts: Int64s, chosen: Int64s) -> _Table:
    for number in chosen:
        while not _add(table, text, offsets[number], offsets[number + 1], counts[number]):
            table = _with_room(table, offsets[number + 1] - offsets[number])
    return table


@numba.njit(cache=True, nogil=True)
def _add(table: _Table, text: Bytes, begin: int, end: int, count: int) -> bool:
    """Count text[begin:end] so many times more; False, with nothing done, where the table has no room for it."""
    key = np.int64(FNV_OFFSET)
    for place in range(begin, end):
        key = (key ^ np.int64(text[place])) * np.int64(FNV_PRIME)
    size, slot = end - begin, _first_slot(table, key)
    while table.slots[slot] != EMPTY:
        number = table.slots[slot]
        if table.hashes[number] == key and table.ends[number + 1] - table.ends[number] == size:
            own, place = table.ends[number], 0
            while place < size and table.text[own + place] == text[begin + place]:
                place += 1
            if place == size:
                table.counts[number] += count
                return True
        slot = (slot + 1) & (len(table.slots) - 1)
    number, used = table.state[USED], table.state[TEXT]
    if number == len(table.counts) or used + size > len(table.text):
        return False
    table.slots[slot] = number
    table.hashes[number], table.counts[number], table.ends[number + 1] = key, count, used + size
    table.text[used : used + size] = text[begin:end]
    table.state[USED], table.state[TEXT] = number + 1, used + size
    return True


@numba.njit(cache=True, nogil=True)
def _with_room(table: _Table, size: int) -> _Table:
    """A table of twice the strings, or with room for `size` more bytes, whichever is wanted."""
    slots, hashes, ends, counts, text, state = table
    if state[TEXT] + size > len(text):
        text = _longer(text, max(2 * len(text), state[TEXT] + size))
    if state[USED] < len(counts):
        return _Table(slots, hashes, ends, counts, text, state)
    room = 2 * len(counts)
    slots = np.full(2 * room, EMPTY, np.int32)
    table = _Table(slots, _longer(hashes, room), _longer(ends, room + 1), _longer(counts, room), text, state)
    for number in range(state[USED]):
        slots[_free_slot(table, hashes[number])] = number
    return table


@numba.njit(cache=True, nogil=True)
def _longer(array: Any, size: int) -> Any:
    longer = np.empty(size, array.dtype)
    longer[: len(array)] = array
    return longer


@numba.njit(cache=True, nogil=True)
def _first_slot(table: _Table, key: int) -> Any:
    return (key ^ key >> 32) & (len(table.slots) - 1)


@numba.njit(cache=True, nogil=True)
def _free_slot(table: _Table, key: int) -> Any:
    slot = _first_slot(table, key)
    while table.slots[slot] != EMPTY:
        slot = (slot + 1) & (len(table.slots) - 1)
    return slot
