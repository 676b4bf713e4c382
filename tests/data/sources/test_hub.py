import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.errors import DataError, UnreachableError
from data.sources.hub import HubDataset, hub_dataset, hub_shards, shard_rows
from data.sources.parts import MalformedError


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
