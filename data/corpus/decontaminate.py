"""Evaluation items in training text: which of them share a run of words with a document.

The measure is that of GPT-3 (Brown et al. 2020, appendix C): n-grams of 13 words, and none of fewer than 8. Those that
more than 10 training documents have do not count: most are legal boilerplate and other common phrases (ibid.).

A word at the end of a line may have been broken there or may have its hyphen anyway ("under-" and "writer", "long-" and
"term"), and what looks like markup or a line's number may be text, so each text is read both ways.
"""

import io
import json
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from data.config import DecontaminationConfig
from data.corpus.shingles import MOST_WORDS_PER_BYTE, Hashes, composed, folding, hash_words, roll, shingle, shown
from data.errors import DataError
from data.files import file_stamp
from data.sources import packed
from data.sources.formats import JSON_LINES, ROWS_PER_BATCH
from data.sources.local import found_files
from data.sources.parts import BEGINNING, check_is_fetched

SLOTS_PER_HASH = 4


@dataclass(frozen=True)
class Items:
    """Evaluation items as a table of the hashes of their word n-grams; 60 bytes for each n-gram."""

    names: tuple[str, ...]  # file:line
    too_short: int  # how many of them have no string of `minimum_words`, so that they are not looked for
    sizes: npt.NDArray[np.int64]  # lengths of n-grams that there are: `ngram`, and those of shorter strings
    hashes: Hashes  # (n-grams,), ascending, each once
    offsets: npt.NDArray[np.int64]  # (n-grams + 1,): n-gram i stands in the items owners[offsets[i] : offsets[i + 1]]
    owners: npt.NDArray[np.int64]
    slots: npt.NDArray[np.int64]  # open addressing by a hash's low bits, linear probing: index into `hashes`, or -1

    def found(self, text: str) -> Hashes:
        """The items' n-grams that stand in a text (in NFC), ascending, each once."""
        readings = {shown(text), composed(text)}
        found = [
            _find(np.frombuffer(reading.encode(), np.uint8), folding(), self.sizes, self.hashes, self.slots)
            for reading in readings
        ]
        grams: Hashes = self.hashes[np.unique(np.concatenate(found))]
        return grams

    def names_of(self, grams: Hashes) -> list[str]:
        """Names of the items that have one of these n-grams (of `found`), in the order of the files."""
        return [self.names[item] for item in np.unique(self._owners_of(grams))]

    def shares(self, grams: Hashes) -> dict[str, tuple[int, int]]:
        """By the name of each item that has some of these n-grams: how many of its own they are, and of how many."""
        theirs, everything = (
            np.bincount(owners, minlength=len(self.names)) for owners in (self._owners_of(grams), self.owners)
        )
        return {self.names[item]: (int(theirs[item]), int(everything[item])) for item in np.flatnonzero(theirs)}

    def _owners_of(self, grams: Hashes) -> npt.NDArray[np.int64]:
        places = np.searchsorted(self.hashes, grams)
        owners = [self.owners[self.offsets[place] : self.offsets[place + 1]] for place in places]
        return np.concatenate([np.empty(0, np.int64), *owners])


def item_stamps(config: DecontaminationConfig) -> dict[str, list[int]]:
    """Every file of evaluation items with its `file_stamp`: what tells that they changed.

    Raises:
        DataError: there is nothing at a path, or a file of an unknown kind.
    """
    return {str(file): file_stamp(file) for file in _files(config)}


def load_items(config: DecontaminationConfig, rewrite: Callable[[str], str] | None = None) -> Items:
    """Read all items: of JSON lines and Parquet each string in a record, however deep, and of plain text each line.

    A string gives the n-grams of `config.ngram` words that are in it; a shorter one is an n-gram as a whole, down to
    `config.minimum_words`. N-grams do not go from one string into the next.

    Args:
        rewrite: what the texts that are searched have been rewritten by; strings count as it makes them too, so that
            marks for personal data and mended mojibake keep none from being found.

    Raises:
        DataError: a file is missing, damaged or of an unknown kind, or no item is long enough to be looked for.
    """
    names: list[str] = []
    texts: list[str] = []
    items: list[int] = []  # of each text
    for file in _files(config):
        for line, strings in _records(file):
            forms = [*strings, *(map(rewrite, strings) if rewrite else ())]
            of_item = dict.fromkeys(unicodedata.normalize("NFC", form) for form in forms)
            texts += of_item
            items += [len(names)] * len(of_item)
            names.append(f"{file}:{line}")
    grams, owners, sizes = (
        np.concatenate(parts)
        for parts in zip(*(_grams(texts, items, config, way) for way in (True, False)), strict=True)
    )
    if not len(grams):
        raise DataError(
            f"decontamination: none of the {len(names):,} items in {', '.join(config.paths)} has "
            f"{config.minimum_words} words in a string (data.decontamination.minimum_words)"
        )
    order = np.lexsort((owners, grams))
    grams, owners = grams[order], owners[order]
    is_new = np.append(True, (np.diff(grams) != 0) | (np.diff(owners) != 0))
    grams, owners = grams[is_new], owners[is_new]
    hashes, first = np.unique(grams, return_index=True)
    slots = np.full(1 << (SLOTS_PER_HASH * len(hashes)).bit_length(), -1)
    _fill(hashes, slots)
    return Items(
        names=tuple(names),
        too_short=len(names) - len(np.unique(owners)),
        sizes=np.unique(sizes),
        hashes=hashes,
        offsets=np.append(first, len(grams)),
        owners=owners,
        slots=slots,
    )


def _grams(
    texts: Sequence[str], items: Sequence[int], config: DecontaminationConfig, joining: bool
) -> tuple[Hashes, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The n-grams of all texts that are long enough, the item of each, and the lengths of these n-grams."""
    shingles = shingle(texts, config.ngram, joining)
    is_long = shingles.words >= config.minimum_words
    counts = np.diff(shingles.offsets)
    taken = np.repeat(is_long, counts)
    owners = np.repeat(np.array(items, np.int64), counts)[taken]
    return shingles.hashes[taken], owners, np.minimum(shingles.words[is_long], config.ngram)


def _files(config: DecontaminationConfig) -> list[Path]:
    """All files, path by path as configured; below a folder, or for a glob, in the order of their names."""
    files: list[Path] = []
    for path in (Path(name).expanduser() for name in config.paths):
        found = found_files(path)
        if not found:
            raise DataError(f"decontamination: there are no files at {path}: correct data.decontamination.paths")
        files += found
    for file in files:
        if _kind(file) not in {*JSON_LINES, ".txt"} and file.suffix != ".parquet":
            raise DataError(
                f"decontamination: {file}: unknown extension: known are .jsonl, .json, .ndjson and .txt, each also "
                "with .gz, .zst, .bz2 or .xz, and .parquet; name what to read with a glob, such as folder/**/*.jsonl"
            )
    return files


def _kind(file: Path) -> str:
    return Path(file.stem).suffix if file.suffix in packed.DECOMPRESSORS else file.suffix


def _records(file: Path) -> Iterator[tuple[int, list[str]]]:
    """The strings of each line or row, numbered from 1; blank lines are left out."""
    line = 0
    try:
        with file.open("rb") as begun:
            check_is_fetched(begun.read(BEGINNING))
        if file.suffix == ".parquet":
            with pq.ParquetFile(file, page_checksum_verification=True) as parquet:
                rows = (row for batch in parquet.iter_batches(ROWS_PER_BATCH) for row in batch.to_pylist())
                yield from enumerate(map(list, map(_strings, rows)), start=1)
            return
        with io.BufferedReader(io.FileIO(file)) as stream:
            for line, content in enumerate(packed.unpacked(stream, file.name), start=1):
                if content.strip():
                    text = content.decode("utf-8-sig" if line == 1 else "utf-8")
                    yield line, list(_strings(json.loads(text))) if _kind(file) in JSON_LINES else [text]
    except (OSError, ValueError, RecursionError, pa.ArrowException, *packed.DAMAGE) as error:
        raise DataError(
            f"decontamination: {file}:{line} cannot be read: {error}: mend the file, as its items could not be found"
        ) from None


def _strings(value: object) -> Iterator[str]:
    """Every string in a JSON value but the keys, in order."""
    if isinstance(value, str):
        yield value.encode("utf-8", "replace").decode()  # a lone surrogate is no text
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _strings(inner)


@numba.njit(cache=True, nogil=True)
def _fill(hashes: Any, slots: Any) -> None:
    mask = np.uint64(len(slots) - 1)
    for index in range(len(hashes)):
        slot = hashes[index] & mask
        while slots[slot] >= 0:
            slot = (slot + np.uint64(1)) & mask
        slots[slot] = index


@numba.njit(cache=True, nogil=True)
def _find(utf8: Any, folding: Any, sizes: Any, hashes: Any, slots: Any) -> Any:
    """Indices of the hashes that n-grams of the text have; one may come several times."""
    words = np.empty(MOST_WORDS_PER_BYTE * len(utf8) + 1, np.uint64)
    mask = np.uint64(len(slots) - 1)
    found = []
    for joining in (True, False):
        count, has_lines = hash_words(utf8, 0, len(utf8), folding, joining, words)
        grams = np.empty(count, np.uint64)
        for size in sizes:
            for place in range(roll(words, count, size, grams)):
                slot = grams[place] & mask
                while slots[slot] >= 0:
                    if hashes[slots[slot]] == grams[place]:
                        found.append(slots[slot])
                        break
                    slot = (slot + np.uint64(1)) & mask
        if not has_lines:
            break
    return np.array(found, dtype=np.int64)
