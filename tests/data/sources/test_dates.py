"""What a source's settings make of a date: forms, limits, kinds, and what stands for no date."""

import datetime
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from data.interval import DateKind, Interval
from data.source_config import SourceConfig
from data.sources.dates import interval_of
from data.sources.documents import BadRecord, Document, input_parts, read_part
from data.sources.parts import MalformedError
from data.written_dates import of_month, of_year

DAY = datetime.date(2018, 12, 31)


def source(**settings: object) -> SourceConfig:
    return SourceConfig.model_validate({"name": "news", "path": "a", **settings})


def on(year: int, month: int, day: int) -> Interval:
    return Interval.of_day(datetime.date(year, month, day))


@pytest.mark.parametrize(
    ("written", "value", "expected"),
    [
        ("%Y", "1995", of_year(1995)),
        ("%Y", 1995, of_year(1995)),
        ("%Y%m", "199503", of_month(1995, 3)),
        ("%B %Y", "March 1995", of_month(1995, 3)),
        (["%d.%m.%Y", "%m.%Y", "%Y"], "31.12.2018", on(2018, 12, 31)),
        (["%d.%m.%Y", "%m.%Y", "%Y"], "12.2018", of_month(2018, 12)),
        (["%d.%m.%Y", "%m.%Y", "%Y"], "2018", of_year(2018)),
        (["usual", "%d.%m.%Y"], "2018-12", of_month(2018, 12)),
        (["usual", "%d.%m.%Y"], "31.12.2018", on(2018, 12, 31)),
        (["seconds", "milliseconds"], 981_158_400, on(2001, 2, 3)),
        (["seconds", "milliseconds"], 981_158_400_000, on(2001, 2, 3)),
        (["%d/%m/%Y", "%m/%d/%Y"], "04/04/2018", on(2018, 4, 4)),
        (["%d/%m/%Y", "%m/%d/%Y"], "31/12/2018", on(2018, 12, 31)),
        ("%Y-%m-%d %z", "2018-12-31 +0500", Interval(datetime.date(2018, 12, 30), DAY)),
        ("%Y-%m-%d %H %z", "2018-12-31 05 +0530", Interval(datetime.date(2018, 12, 30), DAY)),
        ("%Y-%m-%d %H:%M %z", "2018-12-31 05:31 +0530", on(2018, 12, 31)),
        (None, 1995, of_year(1995)),
        (None, Interval(None, DAY), Interval(None, DAY)),
        (None, datetime.datetime(2018, 12, 31, 23, tzinfo=datetime.UTC), on(2018, 12, 31)),
    ],
)
def test_a_date_is_all_days_of_its_form(written: object, value: object, expected: Interval) -> None:
    assert interval_of(source(date_format=written), value) == expected


@pytest.mark.parametrize(
    ("settings", "value", "message"),
    [
        (
            {"date_format": ["%d/%m/%Y", "%m/%d/%Y"]},
            "03/04/2018",
            "ambiguous date: '03/04/2018' is 2018-04-03 by '%d/%m/%Y' and 2018-03-04 by '%m/%d/%Y': it may be either",
        ),
        ({"date_format": ["%d.%m.%Y", "%Y"]}, "12.2018", "not of the date_format '%d.%m.%Y', '%Y'"),
        ({"date_format": ["usual", "%Y%m%d"]}, "gone", "not of the date_format '%Y%m%d' nor in ISO 8601"),
        ({"date_format": "%Y"}, "95", "unreadable date: '95' is not of the date_format '%Y'"),
        ({}, 18_262, "no string: its type is int"),
        ({}, 20_181_231, "no string: its type is int"),
        ({}, 1995.0, "no string: its type is float"),
        ({}, True, "no string: its type is bool"),
        (
            {},
            "1445",
            "implausible date: '1445' is 1445-01-01 to 1445-12-31, before the source's earliest_date 1583-01-01",
        ),
        ({}, "1403-05", "before the source's earliest_date 1583-01-01"),
        ({}, "2118 Jul-Aug", "after the source's latest_date 2099-12-31"),
        ({}, "1900", "may mean no date"),
        ({}, "1900-01", "may mean no date"),
        ({}, "1970-01", "may mean no date"),
        ({}, "January 1970", "may mean no date"),
        ({}, "1900-01-01", "may mean no date"),
        ({}, Interval(None, datetime.date(1970, 1, 1)), "may mean no date"),
        ({"earliest_date": "1995-06-01"}, "1994", "before the source's earliest_date"),
    ],
)
def test_what_is_no_date_of_the_source_is_malformed(settings: dict, value: object, message: str) -> None:
    with pytest.raises(MalformedError) as caught:
        interval_of(source(**settings), value)
    assert message in str(caught.value)


@pytest.mark.parametrize("value", ["1970", "1980", "1960-01", "1969-1970", "1899-1901", "Winter 1970", "1970 Q1"])
def test_periods_that_hold_a_zero_are_dates(value: str) -> None:
    assert interval_of(source(), value)


@pytest.mark.parametrize("value", ["1900", "1970-01", "1900-01"])
def test_a_period_that_stands_for_no_date_is_one_where_it_is_meant(value: str) -> None:
    assert interval_of(source(earliest_date="1583-01-01"), value)


def test_a_period_that_a_limit_cuts_is_taken_whole() -> None:
    limited = source(earliest_date="1995-06-01", latest_date="1999-06-30")
    assert [interval_of(limited, year) for year in ("1995", "1999")] == [of_year(1995), of_year(1999)]


def test_a_crawl_tells_nothing_of_how_early() -> None:
    assert interval_of(source(), "2018-12-31", "crawled") == Interval(None, DAY)
    assert interval_of(source(), "2018-12", "crawled") == Interval(None, DAY)
    assert interval_of(source(), "2018-12-31", "filed") == Interval.of_day(DAY)


@pytest.mark.parametrize("written", [[], ["%d"], ["%Y", "%Y %U"], ["%d.%m.%y"]])
def test_every_form_of_a_list_is_checked(written: object) -> None:
    with pytest.raises(ValidationError, match="1 validation error"):
        source(date_format=written)


def read(file: Path, **settings: object) -> tuple[list[Document], list[BadRecord]]:
    bad: list[BadRecord] = []
    found = source(path=str(file), **settings)
    return [one for part in input_parts(found) for one in read_part(found, part, bad.append)], bad


def test_kinds_and_titles_of_records(tmp_path: Path) -> None:
    records: list[dict] = [
        {"text": "a", "date": "2018-12-31", "title": "Of rates"},
        {"text": "b", "date": "2018-12-31", "date_kind": "crawled", "title": {"rendered": "x"}},
        {"text": "b", "date": "2018-12-31", "date_kind": "revised"},
        {"text": "b", "first_date": "2018-12-01", "last_date": "2018-12-31", "date_kind": "revised"},
        {"text": "c", "date_kind": "filed", "title": ["One", "Two"]},
        {"text": "d", "date": "2018", "date_kind": "guessed"},
    ]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    documents, bad = read(tmp_path / "a.jsonl", date_kind="published")
    kinds: list[tuple[Interval | None, DateKind | None, str | None]] = [
        (Interval.of_day(DAY), "published", "Of rates"),
        (Interval(None, DAY), "crawled", None),
        (Interval(None, DAY), "revised", None),
        (Interval(DAY.replace(day=1), DAY), "revised", None),
        (None, None, "One, Two"),
    ]
    assert [(one.date, one.date_kind, one.title) for one in documents] == kinds
    assert [record.reason.partition(" is none of ")[0] for record in bad] == ["unknown date_kind: 'guessed'"]
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": "a", "head": {"rendered": "x"}}))
    assert read(tmp_path / "a.jsonl", title_field="head")[1][0].reason.startswith("'head' is no string")


def test_a_column_called_last_date_alone_is_no_date(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": "a", "last_date": "2018-12-31"}))
    pq.write_table(pa.table({"text": ["a"], "last_date": [DAY]}), tmp_path / "a.parquet")
    for name in ("a.jsonl", "a.parquet"):
        documents, bad = read(tmp_path / name)
        assert not bad
        assert [(one.date, one.date_kind) for one in documents] == [(None, None)]


def test_a_corpus_is_a_source_again(tmp_path: Path) -> None:
    table = pa.table(
        {
            "text": ["a", "b", "c"],
            "first_date": pa.array([datetime.date(2018, 1, 1), None, None], pa.date32()),
            "last_date": pa.array([DAY, DAY, None], pa.date32()),
            "date_kind": ["filed", "crawled", None],
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    (tmp_path / "b.jsonl").write_text("".join(json.dumps(row, default=str) + "\n" for row in table.to_pylist()))
    for name in ("a.parquet", "b.jsonl"):
        documents, bad = read(tmp_path / name)
        assert not bad
        assert [(one.date, one.date_kind) for one in documents] == [
            (of_year(2018), "filed"),
            (Interval(None, DAY), "crawled"),
            (None, None),
        ]
