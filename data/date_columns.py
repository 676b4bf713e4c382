"""The columns in which files of documents keep when each became public; of older files, their one day is read as both.

This is the one place that knows of the older `date`.
"""

from collections.abc import Collection, Sequence
from typing import TypeVar

import pyarrow as pa

from data.interval import Interval

DATE_COLUMNS = {"first_date": pa.date32(), "last_date": pa.date32(), "date_kind": pa.string()}
"""The first and the last day on which a document may have become public, and what kind of date that is (`DateKind`).

Without a date all are null; of an open beginning `first_date` is.
"""
OLDER = "date"
Rows = TypeVar("Rows", pa.Table, pa.RecordBatch)


def stored_columns(wanted: Sequence[str], stored: Collection[str]) -> list[str]:
    """The columns to read so that `as_intervals` gives those that are wanted."""
    if OLDER not in stored:
        return list(wanted)
    return [*(name for name in wanted if name in stored), *[OLDER] * bool(DATE_COLUMNS.keys() & {*wanted})]


def as_intervals(rows: Rows, wanted: Sequence[str]) -> Rows:
    """These columns of a table or batch; in one of an older file, what it lacks is null and its day both ends."""
    if OLDER in rows.schema.names:
        found = {name: rows.column(name) for name in rows.schema.names}
        nothing = pa.nulls(rows.num_rows, pa.string())
        found |= {"first_date": found[OLDER], "last_date": found[OLDER]}
        rows = type(rows).from_pydict({name: found.get(name, nothing) for name in wanted})
    return rows.select(list(wanted))


def intervals_of(rows: pa.Table | pa.RecordBatch) -> list[Interval | None]:
    """When each document of a table or batch became public."""
    ends = (rows.column(name).to_pylist() for name in ("first_date", "last_date"))
    return [Interval.of_columns(*pair) for pair in zip(*ends, strict=True)]
