"""How often each pre-token occurs in a corpus, counted part by part in memory that does not grow with the text.

Where there are more different pre-tokens than memory is meant for, some of the rare ones stand for the others, by the
threshold sampling of Duffield, Lund and Thorup (2005): of those that occur c times, fewer than a threshold t, a share
of c / t is kept and counts t times. So the count of whatever they have in common, as a pair of letters, is on average
what it was. To drop the rarest would be worse: a language without spaces has nothing but rare pre-tokens.

A given tokenizer's pre-tokens are counted as what it encodes them to: strings of ids of four bytes each.
"""

import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from tokenizers import Tokenizer

from data.corpus.files import RowGroup
from data.files import atomic_write
from data.hashing import GOLDEN, mix
from data.parallel import in_parallel
from data.tokenizer.pretokens import Splitting, pretoken_end
from data.tokenizer.report import TrainingFacts
from data.tokenizer.strings import EMPTY, Bytes, Floats, Int64s, Strings, keep_strings, new_strings, string_number
from data.tokenizer.text import find_chunks, read_groups, sample_texts

PART_BYTES = 32_000_000  # of text that are counted on their own
KEPT = 0.75  # of a full table
ENCODED_BYTES = 4_000_000  # of text at once: the library's encodings take tens of bytes for each character
ID = np.dtype("<i4")


class Limits(NamedTuple):
    """What a table holds at most; a full one is cut back to about three quarters of both."""

    pretokens: int = 1 << 20
    bytes: int = 16 << 20  # of their text; a pre-token of more than a quarter of it is left out


class Encoding(NamedTuple):
    """That pre-tokens are counted as ids: by which tokenizer."""

    definition: str  # the content of its tokenizer.json


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


def count_pretokens(
    files: Mapping[str, Sequence[Path]],
    fraction: float,
    folder: Path,
    split: Splitting | Encoding,
    workers: int | None,
    limits: Limits | None = None,
) -> PretokenCounts:
    """Count the pre-tokens of about this fraction of each source's text; the same whatever the number of workers.

    Parts of the corpus, which are the same for any number of workers, are counted on their own and left in `folder`
    until their turn comes. Each worker and this process hold at most what `limits` says, by default about 50 MB, plus
    a row group of text. While nothing is cut, the counts are exact. Pre-tokens that others stand for are counted as
    cut; one that comes back may be cut, and counted, again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    limits = limits or Limits()
    chunks = find_chunks(files, PART_BYTES / fraction)
    jobs = [_Job(chunk, fraction, folder / f"{i:06d}.npz", split, limits, i + 1) for i, chunk in enumerate(chunks)]
    merged = _Counter(limits)
    for part in in_parallel(_count_part, jobs, workers, "counting words"):
        merged.add_counts(_load(part))
        part.unlink()
    return merged.counts()


class _Job(NamedTuple):
    groups: Sequence[RowGroup]
    fraction: float
    target: Path
    split: Splitting | Encoding
    limits: Limits
    seed: int


def _count_part(job: _Job) -> Path:
    counts = count_texts(sample_texts(read_groups(job.groups), job.fraction), job.split, job.limits, job.seed)
    with atomic_write(job.target) as file:
        np.savez(file, **asdict(counts))
    return job.target


def _load(file: Path) -> PretokenCounts:
    with np.load(file) as arrays:
        numbers = {name: int(arrays[name]) for name in ("documents", "bytes", "cut_pretokens", "cut_occurrences")}
        return PretokenCounts(arrays["text"], arrays["offsets"], arrays["counts"], **numbers)


def count_texts(
    batches: Iterable[pa.Array], split: Splitting | Encoding, limits: Limits | None = None, seed: int = 0
) -> PretokenCounts:
    """Count the pre-tokens of Arrow arrays of strings without nulls; the seed, below 2^31, decides which are cut."""
    counter = _Counter(limits or Limits(), seed)
    for batch in batches:
        if isinstance(split, Encoding):
            counter.add_encoded(batch, split)
        else:
            counter.add_texts(batch, split)
    return counter.counts()


@functools.lru_cache(maxsize=1)
def _tokenizer(encoding: Encoding) -> Tokenizer:
    """The tokenizer as texts are encoded with: nothing is put around a text, whose marks are only characters."""
    unused = {"post_processor": None, "truncation": None, "padding": None}
    tokenizer = Tokenizer.from_str(json.dumps(json.loads(encoding.definition) | unused))
    tokenizer.encode_special_tokens = True
    return tokenizer


def _encode(texts: Sequence[str], encoding: Encoding) -> tuple[npt.NDArray[np.int32], Int64s]:
    """The ids of all texts, behind one another, and where each pre-token begins, and the last one ends."""
    ids, begins = [np.zeros(0, ID)], [np.zeros(0, np.int64)]
    passed = 0
    for encoded in _tokenizer(encoding).encode_batch(texts, add_special_tokens=False):
        of_text, words = np.array(encoded.ids, ID), np.array(encoded.word_ids, np.int64)
        ids.append(of_text)
        begins.append(passed + np.flatnonzero(np.diff(words, prepend=-1)))
        passed += len(of_text)
    return np.concatenate(ids), np.concatenate([*begins, [passed]])


class _Counter:
    """Pre-tokens in a table of a fixed size, how often each was seen, and what had to be left out."""

    def __init__(self, limits: Limits, seed: int = 0) -> None:
        self.draws = seed << 32  # each cut draws anew
        self.strings = new_strings(limits.pretokens, limits.bytes)
        self.occurrences = np.zeros(limits.pretokens, np.int64)
        self.documents = self.bytes = self.cut_pretokens = self.cut_occurrences = 0

    def add_texts(self, texts: pa.Array, split: Splitting) -> None:
        texts = texts.cast(pa.large_string())
        _, offsets, content = texts.buffers()
        if not len(texts):
            return
        bounds = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + len(texts) + 1]
        text = np.frombuffer(content or b"", np.uint8)
        begin, end = bounds[0], bounds[0]
        while True:
            begin, end = _count_while_room(self.strings, self.occurrences, text, bounds, end, split)
            if begin == end:
                break
            if end - begin > len(self.strings.text) // 4:
                self.cut_pretokens += 1
                self.cut_occurrences += 1
            else:
                self._make_room()
                end = begin
        self.documents += len(texts)
        self.bytes += int(bounds[-1] - bounds[0])

    def add_encoded(self, texts: pa.Array, encoding: Encoding) -> None:
        sizes = pc.binary_length(texts).to_numpy(zero_copy_only=False)
        cuts = np.flatnonzero(np.diff(np.cumsum(sizes) // ENCODED_BYTES)) + 1
        for batch in np.split(np.arange(len(texts)), cuts):
            ids, begins = _encode(texts.take(pa.array(batch)).to_pylist(), encoding)
            kept = np.diff(begins) * ID.itemsize <= len(self.strings.text) // 4
            self.cut_pretokens += int((~kept).sum())
            self.cut_occurrences += int((~kept).sum())
            content, offsets = ids[np.repeat(kept, np.diff(begins))], np.cumsum([0, *np.diff(begins)[kept]])
            once = np.ones(len(offsets) - 1, np.int64)
            text, offsets = content.view(np.uint8), offsets * ID.itemsize
            self.add_counts(PretokenCounts(text, offsets, once, len(batch), int(sizes[batch].sum())))

    def add_counts(self, counts: PretokenCounts) -> None:
        number = 0
        arrays = counts.text, counts.offsets, counts.counts
        while (number := _add_while_room(self.strings, self.occurrences, *arrays, number)) < len(counts.counts):
            self._make_room()
        self.documents += counts.documents
        self.bytes += counts.bytes
        self.cut_pretokens += counts.cut_pretokens
        self.cut_occurrences += counts.cut_occurrences

    def counts(self) -> PretokenCounts:
        arrays = *self.strings.content, self.occurrences[: self.strings.used[0]]
        return PretokenCounts(*arrays, self.documents, self.bytes, self.cut_pretokens, self.cut_occurrences)

    def _make_room(self) -> None:
        """Let some of the rare pre-tokens stand for the others, so that about a quarter of the table is free."""
        used = int(self.strings.used[0])
        counts, sizes = self.occurrences[:used], np.diff(self.strings.offsets[: used + 1])
        threshold, chances = 1, np.ones(used)
        while chances.sum() > KEPT * len(self.occurrences) or chances @ sizes > KEPT * len(self.strings.text):
            threshold += 1 + threshold // 8
            np.minimum(counts / threshold, 1, out=chances)
        self.draws += 1
        kept = _draw(self.strings.hashes[:used], self.draws) < chances
        left = int(kept.sum())
        self.cut_pretokens += used - left
        self.cut_occurrences += int(counts[~kept].sum())
        self.occurrences[:left] = np.maximum(counts[kept], threshold)
        self.occurrences[left:] = 0
        keep_strings(self.strings, kept)


def _draw(hashes: npt.NDArray[np.uint64], number: int) -> Floats:
    """Numbers from 0 to 1, alike for equal hashes in the draw of this number."""
    mixed = mix(hashes + np.uint64(number * GOLDEN % (1 << 64)))
    drawn: Floats = (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53  # 53 bits
    return drawn


@numba.njit(cache=True, nogil=True)
def _count_while_room(
    strings: Strings, occurrences: Int64s, text: Bytes, bounds: Int64s, begin: int, split: Splitting
) -> tuple[int, int]:
    """Count pre-tokens from this byte on up to the first that the table has no room for: where it begins and ends."""
    classes, words, most_digits = split
    end = begin
    for document in range(np.searchsorted(bounds, begin, "right") - 1, len(bounds) - 1):
        while begin < bounds[document + 1]:
            end = pretoken_end(text, begin, bounds[document + 1], classes, words, most_digits)
            if not _add(strings, occurrences, text, begin, end, 1):
                return begin, end
            begin = end
    return end, end


@numba.njit(cache=True, nogil=True)
def _add_while_room(
    strings: Strings, occurrences: Int64s, text: Bytes, offsets: Int64s, counts: Int64s, number: int
) -> int:
    """Add counts from this pre-token's on up to the first that the table has no room for, which is returned."""
    while number < len(counts) and _add(
        strings, occurrences, text, offsets[number], offsets[number + 1], counts[number]
    ):
        number += 1
    return number


@numba.njit(cache=True, nogil=True, inline="always")  # a call would count references to each array
def _add(strings: Strings, occurrences: Int64s, text: Bytes, begin: int, end: int, count: int) -> bool:
    """Count text[begin:end] so many times more; False, with nothing done, where the table has no room for it."""
    if end - begin > len(strings.text) // 4:
        return False
    number = string_number(strings, text, begin, end)
    if number == EMPTY:
        return False
    occurrences[number] += count
    return True
