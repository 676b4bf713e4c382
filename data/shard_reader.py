"""Reading shards: stretches of tokens by file and position, tables of documents, whole documents one at a time."""

import functools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from data.errors import DataError

if TYPE_CHECKING:  # Arrow takes more time and memory than a stream, which does without it
    import pyarrow as pa
    import pyarrow.compute as pc

    from data.shards import EncodedDocument, ShardFile

Tokens = npt.NDArray[np.unsignedinteger[Any]]

OPEN_FILES = 256  # a process may often have no more than 1,024


class OpenFiles:
    """Files read at any place with `pread`; those used last stay open.

    Not mapped into memory: a process that has read a terabyte of shards is no larger for it, and a file that vanishes
    or is cut short is an error that can be named instead of a signal.
    """

    def __init__(self) -> None:
        self._open = functools.lru_cache(OPEN_FILES)(_Descriptor)

    def read(self, path: str, offset: int, size: int) -> bytes:
        """Raises DataError when the file cannot be read or ends before offset + size."""
        try:
            content = os.pread(self._open(path).number, size, offset)
        except OSError as error:
            raise DataError(f"{path} cannot be read ({error.strerror}): restore it, or make the shards again") from None
        if len(content) != size:
            raise DataError(f"{path} ends before byte {offset + size:,}: restore it, or make the shards again")
        return content


class _Descriptor:
    """An open file, closed when nothing refers to it any more."""

    def __init__(self, path: str) -> None:
        self.number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def __del__(self) -> None:
        if hasattr(self, "number"):
            os.close(self.number)


def read_tokens(files: OpenFiles, path: Path, dtype: np.dtype[Any], first: int, count: int) -> Tokens:
    """Tokens first..first+count-1 of one file, read-only."""
    return np.frombuffer(files.read(str(path), first * dtype.itemsize, count * dtype.itemsize), dtype)


def read_documents(folder: Path, files: "Sequence[ShardFile]", only: "pc.Expression | None" = None) -> "pa.Table":
    """The documents of these files in order; `only` those for which an expression holds.

    Columns as in DOCUMENT_COLUMNS. `first_token` counts within the document's own file.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    from data.shards import DOCUMENT_COLUMNS

    tables = []
    for file in files:
        table = pq.read_table(folder / file.documents_path, schema=DOCUMENT_COLUMNS, filters=only)
        # format 1 counts from the first file of the source
        within = pc.subtract(table["first_token"], _first_token(folder / file.documents_path))
        tables.append(table.set_column(table.schema.get_field_index("first_token"), "first_token", within))
    return pa.concat_tables(tables) if tables else DOCUMENT_COLUMNS.empty_table()


@functools.lru_cache(maxsize=4096)
def _first_token(path: Path) -> int:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        return int(next(file.iter_batches(1, columns=["first_token"]))["first_token"][0].as_py())


def held_out_documents(folder: Path, split: str, source: str) -> "Iterator[EncodedDocument]":
    """The documents of one source of one split, in order, one at a time."""
    from data.shards import DTYPES, EncodedDocument, read_manifest

    manifest = read_manifest(folder)
    dtype, opened = DTYPES[manifest.dtype], OpenFiles()
    for file in manifest.source(split, source).files:
        for row in read_documents(folder, [file]).to_pylist():
            path = folder / file.tokens_path
            tokens = read_tokens(opened, path, dtype, row["first_token"], row["tokens"] - 1)
            yield EncodedDocument(row["id"], row["date"], tokens, row["bytes"])
