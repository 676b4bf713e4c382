"""The documents of shards: their tables, and whole documents one at a time."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data.shards.format import DOCUMENT_COLUMNS, EncodedDocument, read_manifest
from data.shards.reader import DTYPES, OpenFiles


def read_documents(tables: Sequence[Path], only: pc.Expression | None = None) -> pa.Table:
    """The documents of these NAME.documents.parquet in order; `only` those for which an expression holds.

    Columns as in DOCUMENT_COLUMNS; `first_token` counts within the document's own file.
    """
    found = [_read_table(path, only) for path in tables]
    return pa.concat_tables(found) if found else DOCUMENT_COLUMNS.empty_table()


def _read_table(path: Path, only: pc.Expression | None) -> pa.Table:
    if only is not None:
        return pq.read_table(path, schema=DOCUMENT_COLUMNS, filters=only)
    with pq.ParquetFile(path) as file:  # `read_table` would load pandas, a third of a second of every start
        return file.read()


def held_out_documents(folder: Path, split: str, source: str) -> Iterator[EncodedDocument]:
    """The documents of one source of one split, in order, one at a time."""
    manifest = read_manifest(folder)
    dtype, opened = DTYPES[manifest.dtype], OpenFiles(lambda name: f"{folder}/{name}")
    for file in manifest.source(split, source).files:
        for row in read_documents([folder / file.documents_path]).to_pylist():
            tokens = opened.read_tokens(file.tokens_path, dtype, row["first_token"], row["tokens"])
            yield EncodedDocument(row["id"], row["date"], tokens[:-1], row["bytes"], int(tokens[-1]))
