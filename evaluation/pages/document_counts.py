"""Documents, tokens and bytes by year and by length, from the shards' tables of documents, one batch at a time."""

import datetime
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

ROWS_PER_BATCH = 1 << 20
GROUPS, COUNTS = ("year", "length"), ("documents", "tokens", "bytes")


class Counts(NamedTuple):
    """How many documents, their tokens with the one that ends each, and the bytes of their text in UTF-8."""

    documents: int = 0
    tokens: int = 0
    bytes: int = 0

    @classmethod
    def total(cls, parts: "Iterable[Counts]") -> Self:
        return cls(*(sum(column) for column in zip(*parts, strict=True)))


@dataclass(frozen=True)
class DocumentCounts:
    """Of one source of one split."""

    years: dict[int | None, Counts]
    """By the year of the document's date in ascending order; None, the last: without a date."""
    lengths: dict[int, Counts]
    """By length n, in ascending order: documents of 2ⁿ to 2ⁿ⁺¹ - 1 tokens."""
    first_date: datetime.date | None
    last_date: datetime.date | None

    @property
    def total(self) -> Counts:
        return Counts.total(self.years.values())

    @property
    def undated(self) -> Counts:
        return self.years.get(None, Counts())


SplitCounts = Mapping[str, Mapping[str, DocumentCounts]]
"""Split → source → counts."""


def totals_by_split(counts: SplitCounts) -> dict[str, Counts]:
    """Of all sources together."""
    return {split: Counts.total(found.total for found in sources.values()) for split, sources in counts.items()}


def totals_by_source(counts: SplitCounts) -> dict[str, Counts]:
    """Of all splits together, the source with the most tokens first."""
    sources = {source for found in counts.values() for source in found}
    totals = {
        source: Counts.total(found[source].total for found in counts.values() if source in found) for source in sources
    }
    return dict(sorted(totals.items(), key=lambda entry: (-entry[1].tokens, entry[0])))


def count_documents(tables: Iterable[Path]) -> DocumentCounts:
    """Count what the tables of documents hold; memory is that of one batch, whatever their number and size.

    Raises:
        OSError, pyarrow.ArrowInvalid: a table cannot be read.
    """
    groups = _grouped(pa.table({name: pa.array([], pa.int64()) for name in (*GROUPS, *COUNTS)}))
    dates: list[datetime.date] = []
    for batch in _batches(tables):
        groups = _grouped(pa.concat_tables([groups, _grouped(_keyed(batch))]))
        bounds = pc.min_max(batch["date"]).as_py()
        known = [date for date in (*dates, bounds["min"], bounds["max"]) if date is not None]
        dates = [min(known), max(known)] if known else []
    first, last = dates or (None, None)
    return DocumentCounts(_counts_by(groups, "year"), _counts_by(groups, "length"), first, last)


def _batches(tables: Iterable[Path]) -> Iterator[pa.RecordBatch]:
    for path in tables:
        with pq.ParquetFile(path) as documents:
            yield from documents.iter_batches(ROWS_PER_BATCH, columns=["date", "tokens", "bytes"])


def _keyed(batch: pa.RecordBatch) -> pa.Table:
    _, exponents = np.frexp(batch["tokens"].to_numpy())  # exact, as a logarithm would not be
    columns = {"year": pc.year(batch["date"]), "length": pa.array(exponents.astype(np.int64) - 1)}
    columns |= {"documents": pa.array(np.ones(batch.num_rows, np.int64))}
    return pa.table(columns | {"tokens": batch["tokens"], "bytes": batch["bytes"]})


def _grouped(table: pa.Table) -> pa.Table:
    """The sums of the counts for each year and length."""
    sums = table.group_by(list(GROUPS)).aggregate([(name, "sum") for name in COUNTS])
    return sums.select([*GROUPS, *(f"{name}_sum" for name in COUNTS)]).rename_columns([*GROUPS, *COUNTS])


def _counts_by(groups: pa.Table, key: str) -> dict[Any, Counts]:
    sums = groups.group_by(key).aggregate([(name, "sum") for name in COUNTS]).sort_by(key)
    rows = zip(*(sums[name].to_pylist() for name in (key, *(f"{name}_sum" for name in COUNTS))), strict=True)
    return {value: Counts(*counts) for value, *counts in rows}
