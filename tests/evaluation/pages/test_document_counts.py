"""Counts of documents by date and length equal those of a plain loop, however the tables are cut."""

import datetime
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.interval import Interval
from data.written_dates import of_year
from evaluation.pages.document_counts import Counts, DocumentCounts, count_documents

Rows = list[tuple[Interval | None, int, int]]
DAYS = st.dates(datetime.date(1, 1, 1), datetime.date(9999, 12, 31))
DOCUMENT = st.tuples(
    st.none()
    | st.builds(Interval.of_day, DAYS)
    | st.builds(lambda one, other: Interval(min(one, other), max(one, other)), DAYS, DAYS)
    | st.builds(lambda year: of_year(year), st.integers(1, 9999))
    | st.builds(lambda last: Interval(None, last), DAYS),
    st.integers(1, 2**40) | st.sampled_from([2**n + change for n in range(1, 40) for change in (-1, 0, 1)]),
    st.integers(0, 2**40),
)


def write_table(path: Path, rows: Rows) -> Path:
    dates, tokens, sizes = ([row[column] for row in rows] for column in range(3))
    columns = {"id": [str(n) for n in range(len(rows))]}
    columns |= {
        name: pa.array([date and date[place] for date in dates], pa.date32())
        for place, name in enumerate(("first_date", "last_date"))
    }
    columns |= {"tokens": pa.array(tokens, pa.int64()), "bytes": pa.array(sizes, pa.int64())}
    pq.write_table(pa.table(columns), path)
    return path


def counted(rows: Rows) -> DocumentCounts:
    """The same by a plain loop."""
    years: dict[int | str, list[int]] = {}
    lengths: dict[int, list[int]] = {}
    precisions = Counter(date.precision for date, _, _ in rows if date)
    for date, tokens, size in rows:
        year = "several" if date else "undated"
        if date and date.first and date.first.year == date.last.year:
            year = date.last.year
        for groups, key in ((years, year), (lengths, tokens.bit_length() - 1)):
            sums = groups.setdefault(key, [0, 0, 0])
            sums[:] = [sums[0] + 1, sums[1] + tokens, sums[2] + size]
    dates = [date for date, _, _ in rows if date]
    several, undated = (Counts(*years.pop(key, [0, 0, 0])) for key in ("several", "undated"))
    return DocumentCounts(
        {key: Counts(*sums) for key, sums in years.items()},
        {key: Counts(*sums) for key, sums in lengths.items()},
        min((date.first for date in dates if date.first), default=None),
        max((date.last for date in dates), default=None),
        several,
        undated,
        precisions,
    )


@given(st.lists(st.lists(DOCUMENT, max_size=12), max_size=4))
def test_counts_are_those_of_a_plain_loop(tmp_path_factory: pytest.TempPathFactory, tables: list[Rows]) -> None:
    folder = tmp_path_factory.mktemp("tables")
    found = count_documents(write_table(folder / f"{n}.parquet", rows) for n, rows in enumerate(tables))
    expected = counted([row for rows in tables for row in rows])
    assert found == expected
    assert list(found.years) == sorted(found.years)
    assert list(found.lengths) == sorted(found.lengths)
    assert found.total == Counts.total(expected.lengths.values())


def test_more_documents_than_a_batch_holds(tmp_path: Path) -> None:
    """2.5 million documents pass in several batches, and the sums are exact beyond 32 bits."""
    rows = 2_500_000
    table = pa.table(
        {
            "date": pa.array([i % 40_000 for i in range(1000)] * (rows // 1000), pa.int32()).cast(pa.date32()),
            "tokens": pa.array([3_000] * rows, pa.int64()),
            "bytes": pa.array([2**31] * rows, pa.int64()),
        }
    )
    pq.write_table(table, tmp_path / "many.parquet")
    found = count_documents([tmp_path / "many.parquet"])
    assert found.total == Counts(rows, 3_000 * rows, 2**31 * rows)
    assert found.lengths == {11: found.total}
    days = Counter((datetime.date(1970, 1, 1) + datetime.timedelta(day)).year for day in range(1000))
    assert {year: counts.documents for year, counts in found.years.items()} == {
        year: count * (rows // 1000) for year, count in days.items()
    }


def test_nothing_is_nothing() -> None:
    assert count_documents([]) == DocumentCounts({}, {}, None, None)
    assert count_documents([]).total == Counts(0, 0, 0)
