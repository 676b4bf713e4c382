"""Evaluation items in training text: which of them share a run of words with a document.

The measure is that of GPT-3 (Brown et al. 2020, appendix C): n-grams of 13 words, and none of fewer than 8.
"""

import io
import json
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from data.config import DecontaminationConfig
from data.corpus.shingles import Hashes, folded_characters, hash_words, roll, shingle
from data.errors import DataError
from data.files import file_stamp
from data.sources import packed
from data.sources.formats import JSON_LINES, ROWS_PER_BATCH
from data.sources.local import found_files

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

    def touched(self, text: str) -> list[str]:
        """Names of the items that share an n-gram with the text, in the order of the files."""
        utf8 = np.frombuffer(_normalised(text).encode(), np.uint8)
        found = _find(utf8, folded_characters(), self.sizes, self.hashes, self.slots)
        if not len(found):
            return []
        owners = [self.owners[self.offsets[index] : self.offsets[index + 1]] for index in found]
        return [self.names[item] for item in np.unique(np.concatenate(owners))]


def item_stamps(config: DecontaminationConfig) -> dict[str, list[int]]:
    """Every file of evaluation items with its `file_stamp`: what tells that they changed.

    Raises:
        DataError: there is nothing at a path, or a file of an unknown kind.
    """
    return {str(file): file_stamp(file) for file in _files(config)}


def load_items(config: DecontaminationConfig) -> Items:
    """Read all items: of JSON lines and Parquet each string in a record, however deep, and of plain text each line.

    A string gives the n-grams of `config.ngram` words that are in it; a shorter one is an n-gram as a whole, down to
    `config.minimum_words`. N-grams do not go from one string into the next.

    Raises:
        DataError: a file is missing, damaged or of an unknown kind, or no item is long enough to be looked for.
    """
    names: list[str] = []
    texts: list[str] = []
    items: list[int] = []  # of each text
    for file in _files(config):
        for line, strings in _records(file):
            texts += map(_normalised, strings)
            items += [len(names)] * len(strings)
            names.append(f"{file}:{line}")
    shingles = shingle(texts, config.ngram)
    is_long = shingles.words >= config.minimum_words
    if not is_long.any():
        raise DataError(
            f"decontamination: none of the {len(names):,} items in {', '.join(config.paths)} has "
            f"{config.minimum_words} words in a string (data.decontamination.minimum_words)"
        )
    counts = np.diff(shingles.offsets)
    owners = np.repeat(np.array(items), counts)
    taken = np.repeat(is_long, counts)
    grams, owners = shingles.hashes[taken], owners[taken]
    order = np.lexsort((owners, grams))
    hashes, first = np.unique(grams[order], return_index=True)
    slots = np.full(1 << (SLOTS_PER_HASH * len(hashes)).bit_length(), -1)
    _fill(hashes, slots)
    return Items(
        names=tuple(names),
        too_short=len(names) - len(np.unique(owners)),
        sizes=np.unique(np.minimum(shingles.words[is_long], config.ngram)),
        hashes=hashes,
        offsets=np.append(first, len(grams)),
        owners=owners[order],
        slots=slots,
    )


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


def _normalised(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _kind(file: Path) -> str:
    return Path(file.stem).suffix if file.suffix in packed.DECOMPRESSORS else file.suffix


def _records(file: Path) -> Iterator[tuple[int, list[str]]]:
    """The strings of each line or row, numbered from 1; blank lines are left out."""
    line = 0
    try:
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
def _find(utf8: Any, folded: Any, sizes: Any, hashes: Any, slots: Any) -> Any:
    """Indices of the hashes that n-grams of the text have; one may come several times."""
    words = np.empty(len(utf8) // 2 + 1, np.uint64)
    count = hash_words(utf8, 0, len(utf8), folded, words)
    grams = np.empty(count, np.uint64)
    mask = np.uint64(len(slots) - 1)
    found = []
    for size in sizes:
        for place in range(roll(words, count, size, grams)):
            slot = grams[place] & mask
            while slots[slot] >= 0:
                if hashes[slots[slot]] == grams[place]:
                    found.append(slots[slot])
                    break
                slot = (slot + np.uint64(1)) & mask
    return np.array(found, dtype=np.int64)
