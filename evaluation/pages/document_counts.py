"""Documents, tokens and bytes by date and by length, from the shards' tables of documents, one batch at a time."""

import datetime
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data.date_columns import as_intervals, stored_columns
from data.interval import Interval, Precision

ROWS_PER_BATCH = 1 << 20
DATES = ("first_date", "last_date")
GROUPS, COUNTS = (*DATES, "length"), ("documents", "tokens", "bytes")


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

    years: dict[int, Counts]
    """By the year that all days of the document lie in, in ascending order."""
    lengths: dict[int, Counts]
    """By length n, in ascending order: documents of 2ⁿ to 2ⁿ⁺¹ - 1 tokens."""
    first_date: datetime.date | None
    last_date: datetime.date | None
    several: Counts = field(default_factory=Counts)
    """Of no single year."""
    undated: Counts = field(default_factory=Counts)
    precisions: Mapping[Precision, int] = field(default_factory=dict)
    """Documents that have a date, by how precise it is."""

    @property
    def total(self) -> Counts:
        return Counts.total([*self.years.values(), self.several, self.undated])


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
    types = dict.fromkeys(DATES, pa.date32())
    groups = _grouped(pa.table({name: pa.array([], types.get(name, pa.int64())) for name in (*GROUPS, *COUNTS)}))
    for batch in _batches(tables):
        groups = _grouped(pa.concat_tables([groups, _grouped(_keyed(batch))]))
    years: dict[int, Counts] = {}
    several, undated, precisions = Counts(), Counts(), Counter[Precision]()
    for (first, last), counts in _counts_by(groups, *DATES):
        if (date := Interval.of_columns(first, last)) is None:
            undated = Counts.total([undated, counts])
            continue
        precisions[date.precision] += counts.documents
        if date.first and date.first.year == date.last.year:
            years[date.last.year] = Counts.total([years.get(date.last.year, Counts()), counts])
        else:
            several = Counts.total([several, counts])
    lengths = {length: counts for (length,), counts in _counts_by(groups, "length")}
    bounds = pc.min(groups["first_date"]).as_py(), pc.max(groups["last_date"]).as_py()
    return DocumentCounts(dict(sorted(years.items())), lengths, *bounds, several, undated, precisions)


def _batches(tables: Iterable[Path]) -> Iterator[pa.RecordBatch]:
    wanted = [*DATES, "tokens", "bytes"]
    for path in tables:
        with pq.ParquetFile(path) as documents:
            stored = stored_columns(wanted, documents.schema_arrow.names)
            for batch in documents.iter_batches(ROWS_PER_BATCH, columns=stored):
                yield as_intervals(batch, wanted)


def _keyed(batch: pa.RecordBatch) -> pa.Table:
    _, exponents = np.frexp(batch["tokens"].to_numpy())  # exact, as a logarithm would not be
    columns = {name: batch[name] for name in DATES} | {"length": pa.array(exponents.astype(np.int64) - 1)}
    columns |= {"documents": pa.array(np.ones(batch.num_rows, np.int64))}
    return pa.table(columns | {"tokens": batch["tokens"], "bytes": batch["bytes"]})


def _grouped(table: pa.Table) -> pa.Table:
    """The sums of the counts for each pair of dates and length."""
    sums = table.group_by(list(GROUPS)).aggregate([(name, "sum") for name in COUNTS])
    return sums.select([*GROUPS, *(f"{name}_sum" for name in COUNTS)]).rename_columns([*GROUPS, *COUNTS])


def _counts_by(groups: pa.Table, *keys: str) -> list[tuple[tuple[Any, ...], Counts]]:
    sums = groups.group_by(list(keys)).aggregate([(name, "sum") for name in COUNTS])
    sums = sums.sort_by([(key, "ascending") for key in keys])
    rows = zip(*(sums[name].to_pylist() for name in (*keys, *(f"{name}_sum" for name in COUNTS))), strict=True)
    return [(row[: len(keys)], Counts(*row[len(keys) :])) for row in rows]
