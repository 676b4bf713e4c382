"""The rows of a packing: where each of a source's rows lies, and which pieces of its shard file it is made of."""

import functools
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from data.shards.packing import ROW_NUMBERS, SPLIT, Packing, packing_folder
from data.shards.reader import DTYPES, OpenFiles, ends_before, shard_name

Integers = npt.NDArray[np.int64]

ROW_OFFSETS = struct.Struct("<2i")  # of a row in the file of rows: its first piece, and the next row's
PIECE = struct.Struct("<2i")  # first token, and tokens: negative where a document goes on from another row


class PackedFile(NamedTuple):
    """A shard file and the file of its rows."""

    source: str
    number: int  # among the source's files
    tokens_name: str
    rows_name: str
    tokens: int
    rows: int


class PackedRows:
    """The rows of some sources. Their files are numbered through, one source's behind another's."""

    def __init__(self, packing: Packing, sources: Sequence[str], find: Callable[[str], str], keep: int) -> None:
        """`find` gives the place of a file, of which `keep` stay open."""
        self._packing, self._sources = packing, sources
        self._folder = packing_folder(Path(), packing.policy, packing.sequence_length)
        self._itemsize = DTYPES[packing.dtype].itemsize
        rows = [packing.sources[source].rows for source in sources]
        self._first_files = np.cumsum([0, *map(len, rows)])
        self._first_rows = np.cumsum(np.concatenate([[0], *rows]))  # of each file, counted through too
        self._files = OpenFiles(find, keep)
        self.file = functools.lru_cache(4096)(self._file)  # by its number

    def locate(self, sources: Integers, rows: Integers) -> tuple[Integers, Integers]:
        """Of each row of a source, the number of its file and the row within that; sources by their place."""
        rows = rows + self._first_rows[self._first_files[sources]]
        files = np.searchsorted(self._first_rows, rows, side="right") - 1
        return files, rows - self._first_rows[files]

    def rows_before(self, source: int, file: int) -> int:
        """How many rows a source has in its files before this one."""
        first_file = self._first_files[source]
        return int(self._first_rows[first_file + file] - self._first_rows[first_file])

    def _file(self, number: int) -> PackedFile:
        source = int(np.searchsorted(self._first_files, number, side="right")) - 1
        return self.describe(self._sources[source], number - int(self._first_files[source]))

    def describe(self, source: str, number: int) -> PackedFile:
        """One of a source's files, also of a source that is not among these."""
        packed, name = self._packing.sources[source], shard_name(SPLIT, source, number)
        rows_name = f"{self._folder}/{name}.rows"
        return PackedFile(source, number, f"{name}.bin", rows_name, packed.tokens[number], packed.rows[number])

    def tokens(self, file: PackedFile) -> memoryview:
        """The bytes of all tokens of a file. To hold them holds the file open."""
        return memoryview(self._files.content(file.tokens_name, file.tokens * self._itemsize))

    def counted(self, file: PackedFile) -> memoryview:
        """A byte for each token of a file: 1 where it counts in the loss. As of `tokens`."""
        return memoryview(self._files.content(file.tokens_name.removesuffix(".bin") + ".counted", file.tokens))

    def pieces(self, file: PackedFile, row: int) -> list[tuple[int, int]]:
        """First token and tokens of each piece of a row; tokens are negative where a document goes on."""
        if self._packing.policy == "concatenate":
            first = row * self._packing.sequence_length
            return [(first, min(self._packing.sequence_length, file.tokens - first))]
        begin = (file.rows + 1) * ROW_NUMBERS.itemsize
        content = self._files.content(file.rows_name, begin)
        first, last = ROW_OFFSETS.unpack_from(content, row * ROW_NUMBERS.itemsize)
        start, end = begin + first * PIECE.size, begin + last * PIECE.size
        if end > len(content):
            raise ends_before(file.rows_name, end)
        return list(PIECE.iter_unpack(content[start:end]))

    def touching(self, file: PackedFile, first_token: int, tokens: int) -> Integers:
        """The rows of a file that predict any of these tokens, ascending."""
        last_token = first_token + tokens - 1
        length = self._packing.sequence_length
        if self._packing.policy == "concatenate":
            return np.arange(first_token // length, last_token // length + 1)
        numbers = np.frombuffer(self._files.content(file.rows_name, ROW_NUMBERS.itemsize), ROW_NUMBERS).astype(np.int64)
        offsets, pieces = numbers[: file.rows + 1], numbers[file.rows + 1 :].reshape(-1, 2)
        first, count = pieces[:, 0], np.abs(pieces[:, 1])
        touched = (first <= last_token) & (first + count > first_token)
        return np.unique(np.searchsorted(offsets, np.flatnonzero(touched), side="right") - 1)
