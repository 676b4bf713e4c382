"""Reads by position, many files with few descriptors, and errors that name the file."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import DataError
from data.shard_reader import DTYPES, OPEN_FILES, OpenFiles, held_out_documents, read_documents

Write = Callable[..., Path]


def descriptors() -> set[Path]:
    return set(Path("/proc/self/fd").iterdir())


@given(data=st.data(), dtype=st.sampled_from(list(DTYPES.values())))
def test_tokens_are_those_of_the_file(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, dtype: np.dtype[np.uint16]
) -> None:
    folder = tmp_path_factory.getbasetemp()
    whole = np.arange(1000, dtype=dtype) * 60
    whole.tofile(folder / "tokens.bin")
    first = data.draw(st.integers(0, 1000))
    count = data.draw(st.integers(0, 1000 - first))
    tokens = OpenFiles(lambda name: f"{folder}/{name}").read_tokens("tokens.bin", dtype, first, count)
    assert tokens.dtype == dtype
    assert np.array_equal(tokens, whole[first : first + count])


def test_only_the_files_used_last_stay_open(tmp_path: Path) -> None:
    names = [f"{number}.bin" for number in range(OPEN_FILES + 50)]
    for name in names:
        (tmp_path / name).write_text(name)
    before = descriptors()
    files = OpenFiles(lambda name: f"{tmp_path}/{name}")
    for name in [*names, *names]:
        assert files.read(name, 0, len(name)).decode() == name
    assert len(descriptors() - before) <= OPEN_FILES
    del files
    assert not descriptors() - before


def test_a_file_is_looked_for_only_when_it_is_opened(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"123456")
    asked: list[str] = []

    def find(name: str) -> str:
        asked.append(name)
        return f"{tmp_path}/{name}"

    files = OpenFiles(find)
    assert (files.read("a", 0, 3), files.read("a", 3, 3), files.read("a", 6, 0)) == (b"123", b"456", b"")
    assert asked == ["a"]


def test_a_missing_or_short_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "short.bin").write_bytes(b"123")
    files = OpenFiles(lambda name: f"{tmp_path}/{name}")
    with pytest.raises(DataError, match=r"short.bin ends before byte 4: restore it"):
        files.read("short.bin", 2, 2)
    with pytest.raises(DataError, match=r"gone.bin is missing: restore it"):
        files.read("gone.bin", 0, 1)


def test_documents_count_within_their_file(tmp_path: Path, write_training_shards: Write) -> None:
    write_training_shards(tmp_path, {"news": [3, 4, 5, 6]}, tokens_per_shard=8)
    tables = [tmp_path / f"train/news-{number:05d}.documents.parquet" for number in range(2)]
    assert read_documents(tables)["first_token"].to_pylist() == [0, 4, 0, 6]
    assert read_documents(tables)["tokens"].to_pylist() == [4, 5, 6, 7]
    found = read_documents(tables, pc.field("id") == "news-003").to_pylist()
    assert [(row["id"], row["first_token"], row["source"]) for row in found] == [("news-003", 6, "news")]
    assert read_documents([]).num_rows == 0


def test_whole_documents_come_without_their_end(tmp_path: Path, write_training_shards: Write) -> None:
    write_training_shards(tmp_path, {"news": [3, 0, 5, 6]}, tokens_per_shard=5)
    documents = list(held_out_documents(tmp_path, "train", "news"))
    assert [(one.id, len(one.tokens), one.bytes) for one in documents] == [
        ("news-000", 3, 12), ("news-001", 0, 0), ("news-002", 5, 20), ("news-003", 6, 24),
    ]  # fmt: skip
    assert np.concatenate([one.tokens for one in documents]).tolist() == [
        *range(1_000_000, 1_000_003), *range(1_000_005, 1_000_010), *range(1_000_011, 1_000_017),
    ]  # fmt: skip
