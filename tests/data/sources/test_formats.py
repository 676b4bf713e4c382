import io
import json
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import DataError
from data.format_config import Format
from data.readers.rows import MalformedError
from data.source_config import SourceConfig
from data.sources import formats
from data.sources.formats import format_of, reader

FIELDS = ["text", "id", "meta.date"]


def rows(name: str, content: bytes) -> list[tuple[int, object]]:
    return list(reader(name)(io.BufferedReader(io.BytesIO(content)), name, FIELDS))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["a.md", "a", "a.gz", "a.parquet.gz", "a.HTML", "a.jsonl.rar", "a.JSONL"])
def test_an_unknown_extension_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(DataError, match=r"unknown extension '.*': known are \.jsonl.*\.parquet"):
        reader(name)


@pytest.mark.parametrize(
    ("name", "given", "found"),
    [
        ("a.nc", None, "edgar"),
        ("x.warc.gz", None, "warc"),
        ("x.wet.gz", None, "wet"),
        ("a.HTM.htm", None, "html"),
        ("a.eml", None, "mbox"),
        ("a.jsonl.zst", None, "jsonl"),
        ("0001.txt", "edgar", "edgar"),
        ("nothing", "pubmed", "pubmed"),
        ("a.parquet", "jsonl", "jsonl"),
    ],
)
def test_the_format_is_what_the_source_says_else_what_the_name_tells(name: str, given: Format, found: str) -> None:
    source = SourceConfig(name="a", path="a", format=given)
    assert format_of(name, source) == found


def test_xml_does_not_tell_its_format() -> None:
    with pytest.raises(DataError, match=r"a\.xml\.gz: \.xml is of several formats: set the source's format: jats or"):
        reader("a.xml.gz", SourceConfig(name="a", path="a"))


@given(st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=20) | st.integers() | st.none(), max_size=4)))
def test_json_lines_give_what_they_were_written_from(records: list[dict[str, object]]) -> None:
    content = b"".join(json.dumps(record).encode() + b"\n" for record in records)
    assert rows("a.jsonl", content) == list(enumerate(records, start=1))


def test_only_line_feeds_end_lines() -> None:
    content = '{"text": "a\u2028b\u0085c"}\r\n{"text": "d"}'.encode()
    assert rows("a.jsonl", content) == [(1, {"text": "a\u2028b\u0085c"}), (2, {"text": "d"})]


def test_numbers_are_as_json_has_them() -> None:
    assert rows("a.jsonl", b'{"id": 123456789012345678901234567890, "x": 1e2}') == [
        (1, {"id": 123456789012345678901234567890, "x": 100.0})
    ]


def test_of_a_name_with_two_values_in_json_none_is_taken() -> None:
    ((_, fields),) = rows("a.jsonl", b'{"x": 1, "x": 2, "y": 3, "y": 3, "in": {"z": 4, "z": 5}}')
    assert isinstance(fields, dict)
    assert str(fields["x"]) == "repeated field: 'x' has more than one value"
    assert fields["y"] == 3
    assert isinstance(fields["in"]["z"], MalformedError)


@pytest.mark.parametrize(
    ("names", "column"), [(["text", "text"], "text"), (["text", "id", "id"], "id"), (["text", "meta", "meta"], "meta")]
)
def test_parquet_with_two_columns_of_a_wanted_name_is_refused(tmp_path: Path, names: list[str], column: str) -> None:
    columns = {"meta": pa.array([{"date": "2001-02-03"}])}
    arrays = [columns.get(name, pa.array([f"{name} {number}"])) for number, name in enumerate(names)]
    pq.write_table(pa.Table.from_arrays(arrays, names), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=rf"a\.parquet: 2 columns are called '{column}': rename or remove all but one"):
        rows("a.parquet", (tmp_path / "a.parquet").read_bytes())


def test_columns_of_one_name_that_is_not_wanted_are_passed_over(tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array(["a"]), pa.array([1]), pa.array([2])], ["text", "other", "other"])
    pq.write_table(table, tmp_path / "a.parquet")
    assert rows("a.parquet", (tmp_path / "a.parquet").read_bytes()) == [(1, {"text": "a"})]


def test_fields_of_one_name_within_a_column_are_refused(tmp_path: Path) -> None:
    twice = pa.StructArray.from_arrays([pa.array(["2001-01-01"]), pa.array(["2020-01-01"])], ["date", "date"])
    pq.write_table(pa.table({"text": ["a"], "meta": twice}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"2 columns are called 'meta\.date'"):
        rows("a.parquet", (tmp_path / "a.parquet").read_bytes())


@pytest.mark.parametrize("column", ["text", "id", "meta", "meta.date"])
def test_parquet_whose_column_holds_json_is_refused(tmp_path: Path, column: str) -> None:
    written = pa.ExtensionArray.from_storage(pa.json_(), pa.array(['"a\\nb"']))
    table = {"text": pa.array(["a"]), "other": written, column.partition(".")[0]: written}
    if column == "meta.date":
        table["meta"] = pa.StructArray.from_arrays([written], ["date"])
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=rf"a\.parquet: the column '{column}' holds JSON"):
        rows("a.parquet", (tmp_path / "a.parquet").read_bytes())


@pytest.mark.parametrize("name", ["a.jsonl", "a.txt"])
def test_what_is_too_long_is_set_aside_without_being_held(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "LONGEST_RECORD", 1_000)
    monkeypatch.setattr(formats, "READ_BYTES", 10_000)
    file = io.BufferedReader(io.BytesIO(b"x" * 5_000_000 + b"\n" + b'{"text": "after"}'))  # type: ignore[arg-type]
    tracemalloc.start()
    found = list(reader(name)(file, name, FIELDS))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert isinstance(found[0][1], MalformedError)
    assert str(found[0][1]) == "record too long: above 1,000 bytes"
    assert found[1:] == ([(2, {"text": "after"})] if name == "a.jsonl" else [])
    assert peak < 200_000


def test_a_line_of_exactly_the_longest_length_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    line = b'{"text": "abc"}\n'
    monkeypatch.setattr(formats, "LONGEST_RECORD", len(line))
    assert rows("a.jsonl", line * 2) == [(1, {"text": "abc"}), (2, {"text": "abc"})]


def test_parquet_gives_the_wanted_columns_and_parts_of_columns(tmp_path: Path) -> None:
    table = pa.table(
        {
            "text": ["a", "b"],
            "textual": ["no", "no"],
            "meta": [{"date": "2001-02-03", "dates": [1]}, None],
            "other": [1, 2],
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    assert rows("a.parquet", (tmp_path / "a.parquet").read_bytes()) == [
        (1, {"text": "a", "meta": {"date": "2001-02-03"}}),
        (2, {"text": "b", "meta": None}),
    ]


def test_parquet_of_long_texts_is_read_a_few_rows_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "BATCH_BYTES", 40_000)
    seen: list[int] = []
    real = formats.batch_rows_of
    monkeypatch.setattr(formats, "batch_rows_of", lambda batch: seen.append(batch.num_rows) or real(batch))
    texts = [f"{row}" * 1_000 for row in range(100, 200)]
    pq.write_table(pa.table({"text": texts}), tmp_path / "a.parquet", use_dictionary=False)
    found = rows("a.parquet", (tmp_path / "a.parquet").read_bytes())
    assert found == [(row, {"text": text}) for row, text in enumerate(texts, start=1)]
    assert max(seen) == 13  # of 3,004 bytes each


def test_a_changed_byte_in_a_page_with_a_checksum_is_found(tmp_path: Path) -> None:
    table = pa.table({"text": ["a" * 1_000 + str(row) for row in range(100)]})
    pq.write_table(table, tmp_path / "a.parquet", compression="none", use_dictionary=False, write_page_checksum=True)
    content = bytearray((tmp_path / "a.parquet").read_bytes())
    content[len(content) // 2] ^= 1
    with pytest.raises(OSError, match="CRC checksum verification failed"):
        rows("a.parquet", bytes(content))


def test_json_lines_that_are_named_text_are_refused() -> None:
    for content in (b'{"text": "a"}\n{"text": "b"}\n', b'\xef\xbb\xbf{"a": 1}\r\n\r\n{}'):
        with pytest.raises(DataError, match=r"a\.txt: each of its lines is a JSON object: rename it \.jsonl"):
            rows("a.txt", content)
    for content in (b'{"text": "a"}\n', b'{\n"a": 1\n}\n', b'{"a": 1}\ntext\n', b"{}", b"{x}\n{y}\n"):
        assert rows("a.txt", content) == [(1, {"text": content.decode()})]
