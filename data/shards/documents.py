"""The documents of shards: their tables, and whole documents one at a time."""

import datetime
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data.date_columns import OLDER, as_intervals
from data.interval import Interval
from data.shards.format import DOCUMENT_COLUMNS, EncodedDocument, read_manifest
from data.shards.reader import DTYPES, OpenFiles


def read_documents(table: Path, only: pc.Expression | None = None) -> pa.Table:
    """The documents of a NAME.documents.parquet, columns as in DOCUMENT_COLUMNS; `only` those for which this holds."""
    if only is not None:
        return as_intervals(pq.read_table(table, filters=only), DOCUMENT_COLUMNS.names)
    with pq.ParquetFile(table) as file:  # `read_table` would load pandas, a third of a second of every start
        return as_intervals(file.read(), DOCUMENT_COLUMNS.names)


def newest_date(table: Path) -> datetime.date | None:
    """The newest last day of a NAME.documents.parquet, by statistics in its footer alone; None where none has one."""
    with pq.ParquetFile(table) as file:
        names = file.schema_arrow.names
        place = names.index(OLDER if OLDER in names else "last_date")
        columns = (file.metadata.row_group(group).column(place) for group in range(file.metadata.num_row_groups))
        known = [column.statistics.max for column in columns if column.statistics and column.statistics.has_min_max]
    return max(known, default=None)


def held_out_documents(folder: Path, split: str, source: str) -> Iterator[EncodedDocument]:
    """The documents of one source of one split, in order, one at a time."""
    manifest = read_manifest(folder)
    dtype, opened = DTYPES[manifest.dtype], OpenFiles(lambda name: f"{folder}/{name}")
    for file in manifest.source(split, source).files:
        for row in read_documents(folder / file.documents_path).to_pylist():
            tokens = opened.read_tokens(file.tokens_path, dtype, row["first_token"], row["tokens"])
            counted = None
            if file.counted_digest:
                counted = opened.read_tokens(file.counted_path, np.dtype(np.uint8), row["first_token"], len(tokens) - 1)
            date = Interval.of_columns(row["first_date"], row["last_date"])
            yield EncodedDocument(row["id"], date, tokens[:-1], row["bytes"], int(tokens[-1]), counted)
