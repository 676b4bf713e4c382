import bz2
import datetime
import functools
import gzip
import json
import lzma
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from data.errors import DataError
from data.interval import Interval
from data.source_config import SourceConfig
from data.sources.documents import BadRecord, Document, input_parts, read_part
from data.written_dates import of_month, of_year

PACK: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".zst": zstandard.ZstdCompressor().compress,
    ".bz2": bz2.compress,
    ".xz": functools.partial(lzma.compress, preset=0),
}


def on(year: int, month: int, day: int) -> Interval:
    return Interval.of_day(datetime.date(year, month, day))


RECORDS = [{"id": f"d{index}", "text": f"text {index}", "date": f"2001-02-{index + 1:02d}"} for index in range(5)]


def lines(records: list[Any]) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def read(path: Path | str, **changes: Any) -> tuple[list[Document], list[BadRecord]]:
    bad: list[BadRecord] = []
    source = SourceConfig(name="news", path=str(path), **changes)
    return [document for part in input_parts(source) for document in read_part(source, part, bad.append)], bad


def reason(tmp_path: Path, line: bytes, **changes: Any) -> str:
    """Why the second of three lines is no document."""
    (tmp_path / "a.jsonl").write_bytes(lines(RECORDS[:1]) + line + b"\n" + lines(RECORDS[1:2]))
    documents, bad = read(tmp_path / "a.jsonl", **changes)
    assert [document.line for document in documents] == [1, 3]
    assert [(record.file, record.line) for record in bad] == [("a.jsonl", 2)]
    return bad[0].reason


@pytest.mark.parametrize("extension", ["jsonl", "json", "ndjson"])
@pytest.mark.parametrize("compression", list(PACK))
def test_json_lines_in_every_wrapping(tmp_path: Path, extension: str, compression: str) -> None:
    pack = PACK[compression]
    file = tmp_path / f"a.{extension}{compression}"
    file.write_bytes(pack(lines(RECORDS[:3])) + pack(lines(RECORDS[3:])))  # two members, as appending makes them
    documents, bad = read(file, licence="CC0")
    assert not bad
    assert documents == [
        Document(f"d{index}", f"text {index}", "news", on(2001, 2, index + 1), "CC0", None, file.name, index + 1)
        for index in range(5)
    ]


def test_fields_may_have_other_names(tmp_path: Path) -> None:
    record = {"key": 7, "body": "text", "day": "2001-02-03T23:59:00Z", "license": "MIT", "url": "https://a.b"}
    (tmp_path / "a.jsonl").write_bytes(lines([record]))
    documents, _ = read(tmp_path / "a.jsonl", text_field="body", id_field="key", date_field="day", licence="CC0")
    day = on(2001, 2, 3)
    assert documents == [Document("7", "text", "news", day, "MIT", "https://a.b", "a.jsonl", 1)]


def test_blank_lines_and_a_byte_order_mark_are_no_records(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"\xef\xbb\xbf" + lines(RECORDS[:1]) + b"\n \r\n" + lines(RECORDS[1:2]).strip())
    documents, bad = read(tmp_path / "a.jsonl")
    assert [(document.id, document.line) for document in documents] == [("d0", 1), ("d1", 4)]
    assert not bad


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b'{"text": "a"', "broken JSON: Expecting ',' delimiter at character 14"),
        (b"text", "broken JSON: Expecting value at character 1"),
        (b'{"text": "\xff"}', "invalid UTF-8: byte 11 of the line"),
        (b"[" * 100_000, "broken JSON: maximum recursion depth"),
        (b'{"text": ' + b"1" * 5_000 + b"}", "broken JSON: Exceeds the limit"),
        (b'["text"]', "JSON array: a record a line is read"),
        (b" [", "JSON array: a record a line is read"),
        (b"3", "not an object: a value of type int"),
        (b"null", "not an object: a value of type NoneType"),
        (b'{"body": "a", "id": 1}', "no field 'text': the record has body, id"),
        (b"{}", "no field 'text': the record has none"),
        (b'{"text": null}', "'text' is null"),
        (b'{"text": "a", "text": "b"}', "repeated field: 'text' has more than one value"),
        (b'{"text": "a", "date": "2001-01-01", "date": "2020-01-01"}', "repeated field: 'date'"),
        (b'{"text": "a", "licence": ["MIT", 2]}', "'licence' is no string: its type is int"),
        (b'{"text": 5}', "'text' is no string: its type is int"),
        (b'{"text": ["a"]}', "'text' is no string: its type is list"),
        (b'{"text": "a\\ud800"}', "'text' is no Unicode text: it holds half of a surrogate pair"),
        (b'{"text": "a", "id": {"n": 1}}', "'id' is no string: its type is dict"),
        (b'{"text": "a", "id": true}', "'id' is no string: its type is bool"),
        (b'{"text": "a", "url": 3}', "'url' is no string: its type is int"),
        (b'{"text": "a", "date": "last week"}', "unreadable date: 'last week' is not in ISO 8601, such as 2018-12-31"),
        (
            b'{"text": "a", "date": "2001-02-30"}',
            "unreadable date: '2001-02-30' is not in ISO 8601, such as 2018-12-31",
        ),
        (b'{"text": "a", "date": "2001W05 10:00"}', "unreadable date: '2001W05 10:00' is not in ISO 8601"),
        (b'{"text": "a", "date": 20010203}', "'date' is no string: its type is int"),
    ],
)
def test_a_malformed_record_is_set_aside_with_its_reason(tmp_path: Path, line: bytes, expected: str) -> None:
    assert reason(tmp_path, line).startswith(expected)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2001-02-03", on(2001, 2, 3)),
        ("20010203", on(2001, 2, 3)),
        ("2001-02-03 04:05:06", on(2001, 2, 3)),
        ("2001-02-03T23:30:00", on(2001, 2, 3)),
        ("2001-02-03T23:30:00-11:00", on(2001, 2, 4)),  # in UTC
        ("2001-02-03T00:30:00+01:00", on(2001, 2, 2)),
        ("2001-02-03T23:59:59Z", on(2001, 2, 3)),
        ("2001-W05", Interval(datetime.date(2001, 1, 29), datetime.date(2001, 2, 4))),
        ("2001", of_year(2001)),
        (2001, of_year(2001)),
        ("2001-02", of_month(2001, 2)),
        ("2001-W05-6", on(2001, 2, 3)),
        ("", None),
        (None, None),
    ],
)
def test_dates(tmp_path: Path, written: object, expected: Interval | None) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines([{"text": "a", "date": written}]))
    assert read(tmp_path / "a.jsonl")[0][0].date == expected


def test_the_first_spelling_of_licence_that_says_something_counts(tmp_path: Path) -> None:
    records = [{"text": "a", "licence": "MIT", "license": "CC0"}, {"text": "b", "licence": "", "license": "CC0"}]
    (tmp_path / "a.jsonl").write_bytes(lines(records))
    assert [document.licence for document in read(tmp_path / "a.jsonl")[0]] == ["MIT", "CC0"]


@pytest.mark.parametrize(
    ("licence", "expected"),
    [(["cc-by", "mit"], "cc-by, mit"), (["MIT"], "MIT"), ([], "CC0"), ("MIT", "MIT")],
)
def test_a_list_of_licences_is_one_text_from_every_reader(tmp_path: Path, licence: object, expected: str) -> None:
    records = [{"text": "a", "license": licence}]
    (tmp_path / "a.jsonl").write_bytes(lines(records))
    pq.write_table(pa.Table.from_pylist(records), tmp_path / "a.parquet")
    for name in ("a.jsonl", "a.parquet"):
        documents, bad = read(tmp_path / name, licence=["CC0"])
        assert not bad
        assert [document.licence for document in documents] == [expected]


@pytest.mark.parametrize(
    "written",
    [
        "20190630/0702",
        "2020-06-30/2019",
        "2019-06-30/07",
        "2019-06-30_20:20",
        "2019-06-30 2020",
        "2019-06-30-07",
        "20190630\u20130702",
        "2019-06-30\t20:20",
        "2019-06-30T20:20/21:00",
    ],
)
def test_what_is_neither_a_day_nor_an_interval_is_unreadable(tmp_path: Path, written: str) -> None:
    line = json.dumps({"text": "a", "date": written}).encode()
    assert reason(tmp_path, line).startswith(f"unreadable date: {written!r} is not in ISO 8601")


@pytest.mark.parametrize(
    "written",
    [
        *("2019-06-30", "20190630", "2019-W26-7", "2019W267", "2019-06-30T07:02Z", "20190630t0702", "2019-06-30T10-12"),
        *("2019-06-30 07:02:03.456789+00:00", "2019-06-30T07", "2019-06-30T07:02:03,5"),
    ],
)
def test_the_forms_of_iso_8601_are_read(tmp_path: Path, written: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines([{"text": "a", "date": written}]))
    assert read(tmp_path / "a.jsonl")[0][0].date == on(2019, 6, 30)


@pytest.mark.parametrize(
    ("value", "written", "expected"),
    [
        ("03.02.2001", "%d.%m.%Y", on(2001, 2, 3)),
        ("February 3, 2001", "%B %d, %Y", on(2001, 2, 3)),
        (20010203, "%Y%m%d", on(2001, 2, 3)),
        ("3.2.2001", "%d.%m.%Y", on(2001, 2, 3)),
        ("03FEB2001", "%d%b%Y", on(2001, 2, 3)),
        ("2001 05 6", "%G %V %u", on(2001, 2, 3)),
        ("2001-02-03 23:30 -0500", "%Y-%m-%d %H:%M %z", on(2001, 2, 4)),
        (981_158_400, "seconds", on(2001, 2, 3)),
        (981_158_399.5, "seconds", on(2001, 2, 2)),
        ("981158400", "seconds", on(2001, 2, 3)),
        (981_158_399_999, "milliseconds", on(2001, 2, 2)),
        (315_619_200, "seconds", on(1980, 1, 2)),
        (None, "seconds", None),
        ("", "%Y-%m-%d", None),
    ],
)
def test_dates_in_a_declared_format(tmp_path: Path, value: object, written: str, expected: Interval | None) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines([{"text": "a", "date": value}]))
    documents, bad = read(tmp_path / "a.jsonl", date_format=written)
    assert not bad
    assert documents[0].date == expected


@pytest.mark.parametrize(
    ("value", "written", "expected"),
    [
        (b"201912", "%Y%m%d", "unreadable date: 201912 is not of the date_format '%Y%m%d'"),
        (b'"1022001"', "%d%m%Y", "unreadable date: '1022001' is not of"),
        (b"1577836800", "milliseconds", "implausible date: 1577836800 may be seconds instead of milliseconds"),
        (b"18262", "seconds", "implausible date: 18262 may be days instead of seconds, or mean no date"),
        (b"20240101", "seconds", "implausible date: 20240101 may be a day in digits (%Y%m%d) instead of seconds"),
        (b"0", "milliseconds", "implausible date: 0 may be seconds"),
        (b"-1", "seconds", "implausible date: -1 may be days"),
        (b"1577836800000", "seconds", "unreadable date: 1577836800000 is not of the date_format 'seconds'"),
        (b"15778368000", "seconds", "implausible date: 15778368000 is 2469-12-30, after the source's latest_date"),
        (b'"2001-02-03"', "%d.%m.%Y", "unreadable date: '2001-02-03' is not of the date_format '%d.%m.%Y'"),
        (b"1e300", "seconds", "unreadable date: 1e+300 is not of the date_format 'seconds'"),
        (b"NaN", "milliseconds", "unreadable date: nan is not of the date_format 'milliseconds'"),
        (b"true", "seconds", "'day' is no string: its type is bool"),
        (b"[1]", "%Y%m%d", "'day' is no string: its type is list"),
    ],
)
def test_dates_that_are_not_of_the_declared_format(tmp_path: Path, value: bytes, written: str, expected: str) -> None:
    assert reason(tmp_path, b'{"text": "a", "day": ' + value + b"}", date_field="day", date_format=written).startswith(
        expected
    )


def test_days_beyond_the_limits_of_the_source_are_none(tmp_path: Path) -> None:
    days = ["0202-01-05", "1445-12-31", "1583-01-01", "2099-12-31", "2109-01-05"]
    records = [{"text": day, "date": day} for day in days]
    (tmp_path / "a.jsonl").write_bytes(lines(records))
    typed = [record | {"date": datetime.date.fromisoformat(record["date"])} for record in records]
    pq.write_table(pa.Table.from_pylist(typed), tmp_path / "a.parquet")
    for name in ("a.jsonl", "a.parquet"):
        documents, bad = read(tmp_path / name)
        assert [document.text for document in documents] == days[2:4]
        assert [record.reason.rpartition(" is ")[2] for record in bad] == [
            "0202-01-05, before the source's earliest_date 1583-01-01",
            "1445-12-31, before the source's earliest_date 1583-01-01",
            "2109-01-05, after the source's latest_date 2099-12-31",
        ]
        assert {record.reason.partition(":")[0] for record in bad} == {"implausible date"}
    assert len(read(tmp_path / "a.jsonl", earliest_date="0001-01-01", latest_date="9999-12-31")[0]) == 5


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("1900-01-01", None),
        ("1899-12-30T00:00:00", None),
        ("1904-01-01", None),
        ("1840-12-31", None),
        ("1960-01-01", None),
        ("1980-01-01T00:00:00", None),
        (315_532_800, "seconds"),  # the same day
        ("1969-12-31T19:00:00", None),
        ("1970-01-01T00:00:01.577836Z", None),
        ("1970-01-25", None),
        ("01.01.1900", "%d.%m.%Y"),
        (190_630, "seconds"),  # %y%m%d
        (201_906, "seconds"),  # %Y%m
        (433_848, "seconds"),  # hours
        (26_030_880, "seconds"),  # minutes
        (-86_400, "seconds"),
        (201_906_300_702, "milliseconds"),  # %Y%m%d%H%M
    ],
)
def test_days_that_stand_for_no_date_or_another_unit_are_none_unless_they_are_meant(
    tmp_path: Path, value: object, written: str | None
) -> None:
    line = json.dumps({"text": "a", "date": value}).encode()
    (tmp_path / "a.jsonl").write_bytes(line)
    documents, bad = read(tmp_path / "a.jsonl", date_format=written)
    assert not documents
    assert bad[0].reason.startswith("implausible date: ")
    assert "may mean no date or be of another unit: set the source's earliest_date" in bad[0].reason
    assert len(read(tmp_path / "a.jsonl", date_format=written, earliest_date="1583-01-01")[0]) == 1


def test_times_of_another_unit_in_parquet_are_none(tmp_path: Path) -> None:
    seconds = 1_577_836_800  # of 2020
    for unit, number in (
        ("s", seconds // 1000),
        ("ms", seconds),
        ("us", seconds),
        ("us", seconds * 1000),
        ("ns", seconds),
    ):
        moments = pa.array([number], pa.int64()).cast(pa.timestamp(unit))
        pq.write_table(pa.table({"text": ["a"], "date": moments}), tmp_path / "a.parquet")
        documents, bad = read(tmp_path / "a.parquet")
        assert not documents
        assert "may mean no date or be of another unit" in bad[0].reason


def test_fields_within_fields(tmp_path: Path) -> None:
    record = {
        "content": {"body": "text"},
        "metadata": {"date": "2001-02-03", "source": {"url": "https://a.b", "terms": "MIT"}, "key": 7},
        "a.b": "x",
    }
    names = {"text_field": "content.body", "date_field": "metadata.date", "id_field": "metadata.key"}
    names |= {"url_field": "metadata.source.url", "licence_field": "metadata.source.terms"}
    expected = Document("7", "text", "news", on(2001, 2, 3), "MIT", "https://a.b", "a", 1)
    (tmp_path / "a.jsonl").write_bytes(lines([record]))
    pq.write_table(pa.Table.from_pylist([record]), tmp_path / "a.parquet")
    for name in ("a.jsonl", "a.parquet"):
        assert read(tmp_path / name, **names)[0] == [expected._replace(file=name)]
        assert read(tmp_path / name, text_field="a.b")[0][0].text == "x"
    bad = read(tmp_path / "a.jsonl", text_field="content.body.x")[1]
    assert [record.reason for record in bad] == ["'body' is no object with a field 'x': its type is str"]
    bad = read(tmp_path / "a.jsonl", text_field="content.title")[1]
    assert [record.reason for record in bad] == ["no field 'content.title': the record has content, metadata, a.b"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            b'{"text": "a", "metadata.date": "2010-01-01", "metadata": {"date": "2024-01-01"}}',
            "repeated field: 'metadata.date' and 'date' of 'metadata' have two values",
        ),
        (
            b'{"text": "a", "metadata": "{\\"date\\": \\"2024-01-01\\"}"}',
            "'metadata' is no object with a field 'date': its type is str",
        ),
    ],
)
def test_a_field_within_a_field_is_one_or_none(tmp_path: Path, line: bytes, expected: str) -> None:
    assert reason(tmp_path, line, date_field="metadata.date") == expected


def test_a_text_file_of_another_encoding_that_is_valid_utf_8_is_set_aside(tmp_path: Path) -> None:
    text = "Net sales rose, the firm said."
    others = {"wide": "utf-16-le", "wider": "utf-32-be", "escaped": "iso2022_jp"}
    for name, encoding in others.items():
        (tmp_path / f"{name}.txt").write_bytes((text + " \u65e5\u672c").encode(encoding))
    (tmp_path / "hole.txt").write_bytes(text.encode() + bytes(4096) + text.encode())
    (tmp_path / "good.txt").write_text(text)
    documents, bad = read(tmp_path)
    assert [document.text for document in documents] == [text]
    assert {record.file: record.reason for record in bad}.keys() == {*(f"{name}.txt" for name in others), "hole.txt"}
    for record in bad:
        assert record.reason.partition(":")[0] in ("no UTF-8 text", "invalid UTF-8")


def test_a_missing_id_is_made_of_file_and_line(tmp_path: Path) -> None:
    for name in ("b/x.jsonl", "a/x.jsonl"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(lines([{"text": "one"}, {"text": "two", "id": ""}]))
    expected = ["a/x.jsonl:1", "a/x.jsonl:2", "b/x.jsonl:1", "b/x.jsonl:2"]
    assert [document.id for document in read(tmp_path)[0]] == expected
    assert [document.id for document in read(f"{tmp_path}/*/x.jsonl")[0]] == expected
    assert [document.id for document in read(tmp_path / "a" / "x.jsonl")[0]] == ["x.jsonl:1", "x.jsonl:2"]


def test_a_text_file_is_one_document(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.txt").write_text("\ufeffline one\nline two\n", encoding="utf-8")
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"packed"))
    (tmp_path / "c.txt").write_bytes(b"latin \xe9")
    documents, bad = read(tmp_path)
    assert [(document.id, document.text) for document in documents] == [
        ("a.txt.gz:1", "packed"),
        ("sub/b.txt:1", "line one\nline two\n"),
    ]
    assert bad == [BadRecord("c.txt", 1, "invalid UTF-8: byte 7")]


def test_a_folder_is_read_in_the_order_of_names_and_marks_are_passed_over(tmp_path: Path) -> None:
    for name in ("z.jsonl", "a.jsonl", "m/k.jsonl", ".git/x.jsonl", "_SUCCESS", "m/._k.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(lines([{"text": name}]))
    assert [document.text for document in read(tmp_path)[0]] == ["a.jsonl", "m/k.jsonl", "z.jsonl"]
    assert [document.text for document in read(f"{tmp_path}/**/[kz].jsonl")[0]] == ["m/k.jsonl", "z.jsonl"]
    source = SourceConfig(name="news", path=str(tmp_path))
    assert [part.name for part in input_parts(source)] == ["a.jsonl", "m/k.jsonl", "z.jsonl"]


def test_parquet(tmp_path: Path) -> None:
    day = on(2001, 2, 3)
    table = pa.table(
        {
            "text": [f"text {index}" for index in range(2_500)],
            "id": list(range(2_500)),
            "date": pa.array([day.last] * 2_499 + [None], pa.date32()),
            "unused": [[1, 2]] * 2_500,
        }
    )
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=700)
    documents, bad = read(tmp_path / "a.parquet")
    assert not bad
    assert [(document.id, document.line) for document in documents] == [(str(row), row + 1) for row in range(2_500)]
    assert {document.date for document in documents[:-1]} == {day}
    assert documents[-1].date is None


@pytest.mark.parametrize(
    ("column", "reasons"),
    [
        (pa.array(["good", 5, None][::2]), ["'text' is null"]),
        (pa.array([1.5]), ["'text' is no string: its type is float"]),
        (pa.array([b"bytes"]), ["'text' is no string: its type is bytes"]),
        (pa.array([["a", "b"]]), ["'text' is no string: its type is list"]),
        (pa.array([b"good", b"\xff"]).view(pa.string()), ["unreadable value: 'utf-8' codec can't decode byte 0xff"]),
        (pa.array([2**40]).cast(pa.timestamp("s")), ["unreadable value: "]),
    ],
)
def test_parquet_of_wrong_types(tmp_path: Path, column: pa.Array, reasons: list[str]) -> None:
    pq.write_table(pa.table({"text": column}), tmp_path / "a.parquet")
    documents, bad = read(tmp_path / "a.parquet")
    assert [document.text for document in documents] == ["good"] * (len(column) - len(reasons))
    assert [record.reason[: len(expected)] for record, expected in zip(bad, reasons, strict=True)] == reasons


def test_parquet_without_the_field_names_what_there_is(tmp_path: Path) -> None:
    pq.write_table(pa.table({"body": ["a"], "id": ["x"]}), tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet")[1] == [BadRecord("a.parquet", 1, "no field 'text': the record has body, id")]


@pytest.mark.parametrize("kind", ["gz", "zst", "bz2", "xz"])
def test_of_a_file_that_is_cut_off_what_is_whole_is_read_and_the_rest_is_one_bad_record(
    tmp_path: Path, kind: str
) -> None:
    random = Random(0)
    many = lines([{"text": random.randbytes(2_000).hex()} for _ in range(1_000)])
    content = PACK[f".{kind}"](many)
    (tmp_path / f"a.jsonl.{kind}").write_bytes(content[: len(content) // 2])
    (tmp_path / "b.jsonl").write_bytes(lines(RECORDS[:1]))
    documents, bad = read(tmp_path)
    whole = [json.loads(line)["text"] for line in many.splitlines()]
    before = [document.text for document in documents if document.file.startswith("a")]
    assert len(before) >= (430 if kind == "bz2" else 480)  # of 500; bzip2 has blocks of 900 kB
    assert before == whole[: len(before)]
    assert [(record.file, record.line) for record in bad] == [(f"a.jsonl.{kind}", len(before) + 1)]
    assert bad[0].reason.startswith("damaged file: ")
    assert documents[-1].text == "text 0"


@pytest.mark.parametrize("compression", ["", ".gz"])
def test_json_lines_that_end_within_an_object_are_cut_off_wherever_that_is(tmp_path: Path, compression: str) -> None:
    record = {"text": 'Ω {x} "y" \\ \u2028', "more": {"a": [1, -2.5, True, None], "b": {}}, "date": "2001-02-03"}
    last = json.dumps(record, ensure_ascii=False).replace("\u2028", "\\u2028").encode()
    file = tmp_path / f"a.jsonl{compression}"
    for size in range(1, len(last)):
        file.write_bytes(PACK[compression](lines(RECORDS) + last[:size]))
        documents, bad = read(file)
        assert (len(documents), len(bad), bad[0].line) == (5, 1, 6)
        assert bad[0].reason.startswith("damaged file: it is cut off in line 6: ")
    file.write_bytes(PACK[compression](lines(RECORDS) + last))
    assert len(read(file)[0]) == 6
    for whole in (b'{"text": "a" "b"}', b'{"text": "a"},', b"}", b"text", b'{"text": NULL, "a": 1}', last[:20] + b"\n"):
        file.write_bytes(PACK[compression](lines(RECORDS) + whole))
        assert read(file)[1][0].reason.startswith("broken JSON: "), whole


@pytest.mark.parametrize("kind", ["gz", "zst", "bz2", "xz"])
def test_packed_files_put_behind_one_another_are_one_and_none_is_passed_over(tmp_path: Path, kind: str) -> None:
    pack = PACK[f".{kind}"]
    first, second = pack(lines(RECORDS[:1])), pack(lines(RECORDS[1:2]))
    file = tmp_path / f"a.jsonl.{kind}"
    file.write_bytes(first + pack(b"") + second)
    assert [document.text for document in read(file)[0]] == ["text 0", "text 1"]
    for damaged in (b"?" + second[1:], second[:3], b"not packed"):
        file.write_bytes(first + damaged)
        assert [record.reason[:14] for record in read(file)[1]] == ["damaged file: "], damaged


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.parquet", b"PAR1 and no more"),
        ("a.parquet", b""),
        ("a.jsonl.gz", b""),
        ("a.jsonl.zst", lines(RECORDS)),
        ("a.txt.xz", b"\xfd7zXZ\x00\x00"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_one_bad_record(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    documents, bad = read(tmp_path)
    assert not documents
    assert [(record.file, record.line, record.reason[:14]) for record in bad] == [(name, 1, "damaged file: ")]


def test_a_file_that_the_system_cannot_give_stops_the_job(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines(RECORDS))
    source = SourceConfig(name="news", path=str(tmp_path))
    (part,) = input_parts(source)
    (tmp_path / "a.jsonl").unlink()
    with pytest.raises(
        DataError, match=r"a\.jsonl cannot be read: .*No such file.*; finished parts are kept, try again"
    ):
        list(read_part(source, part, lambda record: None))


def test_errors_of_the_one_who_reads_are_not_taken_for_damage(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"broken\n")
    source = SourceConfig(name="news", path=str(tmp_path))
    (part,) = input_parts(source)

    def full(record: BadRecord) -> None:
        raise ValueError("the disk is full")

    with pytest.raises(ValueError, match="the disk is full"):
        list(read_part(source, part, full))


def test_a_part_is_read_alone_and_all_parts_are_the_source(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a/c.jsonl", "a/d.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"text\n" if name.endswith(".txt") else lines([{"text": name}, {"no": 1}]))
    source = SourceConfig(name="news", path=str(tmp_path))
    parts = input_parts(source)
    assert [part.name for part in parts] == ["a/c.jsonl", "a/d.txt", "b.jsonl"]
    assert [part.location for part in parts] == [str(tmp_path / part.name) for part in parts]
    bad: list[BadRecord] = []
    alone = [list(read_part(source, part, bad.append)) for part in reversed(parts)]
    assert [document for part in reversed(alone) for document in part] == read(tmp_path)[0]
    assert {record.file for record in bad} == {"a/c.jsonl", "b.jsonl"}


def test_the_stamp_of_a_part_tells_a_changed_file(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines(RECORDS))
    source = SourceConfig(name="news", path=str(tmp_path))
    before = input_parts(source)
    assert input_parts(source) == before
    (tmp_path / "a.jsonl").write_bytes(lines(RECORDS[:2]))
    assert input_parts(source)[0].stamp != before[0].stamp


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("absent.jsonl", r"source 'news': .*absent\.jsonl does not exist: correct data\.sources\.news\.path"),
        ("*.parquet", r"source 'news': .*\*\.parquet fits no file"),
        ("empty", "source 'news': .*empty holds no files"),
        ("a.rtf", r"a\.rtf: unknown extension '\.rtf': known are \.jsonl.* with a glob"),
        ("a.rtf.gz", r"unknown extension '\.gz'"),
        ("a.parquet.zst", r"unknown extension '\.zst'"),
        ("mixed", r"mixed/notes\.md: unknown extension '\.md'"),
    ],
)
def test_what_cannot_be_read_is_said_at_once(tmp_path: Path, path: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "mixed").mkdir()
    for name in ("a.rtf", "a.rtf.gz", "a.parquet.zst", "mixed/notes.md", "mixed/a.jsonl"):
        (tmp_path / name).write_bytes(b"")
    source = SourceConfig(name="news", path=f"{tmp_path}/{path}")
    with pytest.raises(DataError, match=message):
        input_parts(source)


def test_a_file_name_that_is_no_unicode_is_refused(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.jsonl")).write_bytes(lines(RECORDS))
    with pytest.raises(DataError, match=r"caf\\udce9\.jsonl': the name is not UTF-8: rename it"):
        read(tmp_path)


@given(st.binary(max_size=300))
def test_any_line_is_a_document_or_a_bad_record(tmp_path_factory: pytest.TempPathFactory, line: bytes) -> None:
    file = tmp_path_factory.mktemp("fuzz") / "a.jsonl"
    file.write_bytes(line)
    documents, bad = read(file)
    assert len(documents) + len(bad) == sum(bool(part.strip()) for part in line.split(b"\n"))


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("a.txt", {"edgar": {"date": "filed"}}, "edgar is of files of that format, .* but text: set format: edgar"),
        ("a.jsonl", {"pdf": {"date": "created"}}, "pdf is of files of that format"),
        ("a.html", {"warc": {}}, "warc is of files of that format"),
        ("a.html", {"text_is": "html"}, "what is read of html is text already.*: leave data.sources.news.text_is out"),
        ("a.txt", {"format": "edgar", "text_is": "html"}, "what is read of edgar is text already"),
    ],
)
def test_settings_that_no_file_is_of_are_refused(
    name: str, changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(lines(RECORDS))
    with pytest.raises(DataError, match=f"source 'news': .*{message}"):
        read(tmp_path / name, **changes)


def test_settings_of_one_format_may_stand_beside_files_of_others(tmp_path: Path) -> None:
    for name in ("a.jsonl", "b.wet", "c.txt"):
        (tmp_path / name).write_bytes(lines(RECORDS))
    assert len(input_parts(SourceConfig.model_validate({"name": "news", "path": str(tmp_path), "warc": {}}))) == 3
    source = SourceConfig.model_validate({"name": "news", "path": str(tmp_path / "*.[jt]*"), "text_is": "html"})
    assert len(input_parts(source)) == 2


def test_a_text_beside_its_summary_is_counted_as_left_out(tmp_path: Path) -> None:
    """With text_field on the summaries, a corpus of them was made without a word of the texts beside."""
    summary, whole = "The court allows the appeal. " * 3, "The court allows the appeal for these reasons. " * 20
    records = [{"id": str(number), "summary": summary, "text": whole, "notes": [whole]} for number in range(3)]
    (tmp_path / "a.jsonl").write_bytes(lines([*records, {"id": "3", "summary": " " * 30, "text": whole}]))
    for field, expected in (("summary", {"longer text in the field 'text'": 3}), ("text", {})):
        source, left_out = SourceConfig(name="news", path=str(tmp_path), text_field=field), Counter[str]()
        for part in input_parts(source):
            list(read_part(source, part, lambda record: None, left_out=left_out))
        assert left_out == expected
