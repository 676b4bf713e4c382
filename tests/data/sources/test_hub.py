import csv
import datetime
import gzip
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.errors import DataError, UnreachableError
from data.interval import Interval
from data.readers.rows import MalformedError
from data.source_config import SourceConfig
from data.sources.documents import BadRecord, Document, input_parts, read_part
from data.sources.hub import HubDataset, hub_dataset, hub_shards, shard_rows


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("hub://allenai/c4", HubDataset("allenai/c4", None, None, "train")),
        ("hub://allenai/c4:en/validation", HubDataset("allenai/c4", None, "en", "validation")),
        ("hub://allenai/c4@1588ec4:en", HubDataset("allenai/c4", "1588ec4", "en", "train")),
        ("hub://a/b@refs/pr/1:en/test", HubDataset("a/b", "refs/pr/1", "en", "test")),
        ("hub://a/b@v1/test", HubDataset("a/b", "v1", None, "test")),
        ("hub://a/b@refs/pr/1/test", HubDataset("a/b", "refs/pr/1", None, "test")),
    ],
)
def test_hub_paths(path: str, expected: HubDataset) -> None:
    assert hub_dataset(path) == expected


@pytest.mark.parametrize("path", ["hub://", "hub://c4", "hub://a/b:", "hub://a/b c", "hub://a/b:en/x/y"])
def test_a_malformed_hub_path_is_refused(path: str) -> None:
    with pytest.raises(DataError, match="write hub://OWNER/NAME"):
        hub_dataset(path)


@pytest.fixture
def dataset(tmp_path: Path) -> HubDataset:
    """Three files of four rows each, in the layout of the hub, on this machine."""
    (tmp_path / "set" / "data").mkdir(parents=True)
    for file in range(3):
        table = pa.table(
            {
                "text": [f"text {file}-{row}" for row in range(4)],
                "meta": [{"day": datetime.datetime(2001, 2, 3, 4)}] * 4,
                "unused": [[1, 2]] * 4,
            }
        )
        pq.write_table(table, tmp_path / "set" / "data" / f"train-{file:05d}-of-00003.parquet")
    return HubDataset(str(tmp_path / "set"), None, None, "train")


def test_a_dataset_is_read_shard_by_shard(dataset: HubDataset) -> None:
    shards = hub_shards(dataset)
    assert [shard.name for shard in shards] == [f"train-{index:05d}-of-00003" for index in range(3)]
    assert [shard.location for shard in shards] == [f"hub://{dataset.name}/train#{index}/3" for index in range(3)]
    assert [shard.stamp for shard in shards] == [["", index, 3] for index in range(3)]
    for index in (2, 0, 1):
        assert list(shard_rows(dataset, index, 3, ["text", "meta.day", "absent"])) == [
            (row + 1, {"text": f"text {index}-{row}", "meta": {"day": datetime.datetime(2001, 2, 3, 4)}})
            for row in range(4)
        ]


def test_a_value_without_a_form_in_python_is_one_bad_row(dataset: HubDataset) -> None:
    file = Path(dataset.name) / "data" / "train-00001-of-00003.parquet"
    pq.write_table(pa.table({"text": pa.array([b"good", b"\xff"]).view(pa.string())}), file)
    rows = list(shard_rows(dataset, 1, 3, ["text"]))
    assert rows[0] == (1, {"text": "good"})
    assert isinstance(rows[1][1], MalformedError)


def test_what_cannot_be_found_is_named(dataset: HubDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    absent = HubDataset(dataset.name, None, None, "absent")
    with pytest.raises(UnreachableError, match=r"hub dataset .*set cannot be read: ValueError"):
        hub_shards(absent)
    with pytest.raises(UnreachableError, match=r"hub dataset .*set cannot be read: ValueError"):
        list(shard_rows(absent, 0, 3, ["text"]))


RECORDS: list[dict[str, Any]] = [
    {"text": 'a sentence\nof "two" lines', "id": "0000320193", "date": "2019-12-31T20:00:00-05:00"},
    {"text": "null", "id": "null", "date": "2019-12-31T20:00:00"},
    {"text": "007", "id": "12.50", "date": "2019-12-31"},
    {"text": "2019-12-31", "id": "true", "date": "2019-12-31T23:59:59Z"},
    {"text": '{"rate": 5.0}', "id": "1e3", "date": "2020-01-01T00:30:00+01:00"},
]
DAYS = [Interval.of_day(datetime.date(2020, 1, 1)), *[Interval.of_day(datetime.date(2019, 12, 31))] * 4]


def documents_of(path: Path | str, **changes: Any) -> tuple[list[Document], list[BadRecord]]:
    bad: list[BadRecord] = []
    source = SourceConfig(name="news", path=str(path), **changes)
    return [document for part in input_parts(source) for document in read_part(source, part, bad.append)], bad


@pytest.fixture
def owned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of hub://owner/set, which stands here and not on the hub."""
    (tmp_path / "owner" / "set").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "owner" / "set"


def json_lines(records: Sequence[object]) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


@pytest.mark.parametrize(
    "other", [None, {"text": 7, "id": 8}, {"text": ["a"], "id": None}, {"text": {"a": 1}, "id": 9}]
)
@pytest.mark.parametrize("packing", ["", ".gz"])
def test_json_of_the_hub_is_read_as_the_same_file_is_here(owned: Path, other: object, packing: str) -> None:
    """Whatever else stands in a column, a string in it stays as it is written, and a date is of the same day."""
    content = json_lines(RECORDS if other is None else [*RECORDS, other])
    file = owned / f"train.jsonl{packing}"
    file.write_bytes(gzip.compress(content) if packing else content)
    documents, bad = documents_of("hub://owner/set")
    assert [(it.text, it.id, it.date) for it in documents] == [
        (record["text"], record["id"], day) for record, day in zip(RECORDS, DAYS, strict=True)
    ]
    here, bad_here = documents_of(file)
    assert [it._replace(file=file.name) for it in documents] == here
    assert [(record.line, record.reason) for record in bad] == [(record.line, record.reason) for record in bad_here]
    assert len(bad) == (other is not None)


def test_a_number_far_behind_in_a_file_changes_no_text_before_it(owned: Path) -> None:
    """Behind the first 10 MB the library makes JSON of texts in a column that it still calls one of strings."""
    texts = [f'"{number}"\n' * 30_000 for number in range(100)]
    content = json_lines([*({"text": text} for text in texts), {"text": 7}])
    assert len(content) > 12 << 20
    (owned / "train.jsonl").write_bytes(content)
    documents, bad = documents_of("hub://owner/set")
    assert [document.text for document in documents] == texts
    assert [record.reason for record in bad] == ["'text' is no string: its type is int"]


@pytest.mark.parametrize("others", [[], [{"text": 7, "id": "x"}]])
def test_one_array_of_json_is_read_as_it_is_written(owned: Path, others: list[object]) -> None:
    (owned / "train.json").write_text(json.dumps([*RECORDS, *others], indent=1))
    documents, bad = documents_of("hub://owner/set")
    assert [(it.text, it.id, it.date, it.line) for it in documents] == [
        (record["text"], record["id"], day, line)
        for line, (record, day) in enumerate(zip(RECORDS, DAYS, strict=True), 1)
    ]
    assert len(bad) == len(others)


def test_json_in_an_archive_is_refused_by_name(owned: Path) -> None:
    with zipfile.ZipFile(owned / "train.jsonl.zip", "w") as archive:
        archive.writestr("train.jsonl", json_lines(RECORDS))
    with pytest.raises(
        DataError, match=r"hub dataset owner/set: .*train\.jsonl\.zip is not JSON .* @refs/convert/parquet"
    ):
        documents_of("hub://owner/set")


def test_csv_of_the_hub_is_text_as_it_is_written(owned: Path) -> None:
    with (owned / "train.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, ["id", "text", "date", "other"])
        table.writeheader()
        table.writerows(record | {"other": 1.5} for record in RECORDS)
    documents, bad = documents_of("hub://owner/set")
    assert not bad
    assert [(it.text, it.id, it.date) for it in documents] == [
        (record["text"], record["id"], day) for record, day in zip(RECORDS, DAYS, strict=True)
    ]


def test_parquet_of_the_hub_gives_the_day_in_utc_and_refuses_columns_of_json(owned: Path) -> None:
    moment = pa.array([datetime.datetime(2020, 1, 1, 1, tzinfo=datetime.UTC)])
    local = moment.cast(pa.timestamp("us", "America/New_York"))  # there, it is 20 hours of the day before
    table = pa.table({"text": ["a"], "date": local})
    pq.write_table(table, owned / "train.parquet")
    for path in ("hub://owner/set", owned / "train.parquet"):
        assert [document.date for document in documents_of(path)[0]] == [Interval.of_day(datetime.date(2020, 1, 1))]
    written = pa.ExtensionArray.from_storage(pa.json_(), pa.array(['"a\\nb"']))
    pq.write_table(pa.table({"text": written}), owned / "train.parquet")
    with pytest.raises(DataError, match="hub dataset owner/set: the column 'text' holds JSON"):
        documents_of("hub://owner/set")
