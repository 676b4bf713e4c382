from pathlib import Path

import pytest

from data.config import SourceConfig
from data.errors import DataError
from data.local import data_files, local_files, root_of


def found(path: Path | str) -> list[str]:
    return [file.name for file in local_files(SourceConfig(name="news", path=str(path)))]


def test_marks_and_what_describes_token_files_are_no_data() -> None:
    names = ["b.bin", "b.idx", "_SUCCESS", "x/.git/a.txt", "c.npy", "c.csv.gz", "a.jsonl", "d.ds", "d.ds.index"]
    assert data_files([*names, "d.ds.metadata"]) == ["a.jsonl", "b.bin", "c.npy", "d.ds"]
    assert data_files(["b.idx", "c.csv.gz"]) == ["b.idx", "c.csv.gz"]


def test_an_index_without_its_tokens_is_refused(tmp_path: Path) -> None:
    (tmp_path / "b.idx").write_bytes(b"")
    with pytest.raises(DataError, match=r"b\.idx: unknown extension '\.idx'"):
        found(tmp_path)


def test_the_root_is_what_comes_before_the_pattern(tmp_path: Path) -> None:
    assert root_of(tmp_path) == tmp_path
    assert root_of(tmp_path / "a.jsonl") == tmp_path
    assert root_of(tmp_path / "a*" / "b" / "*.jsonl") == tmp_path


def test_the_home_folder_may_be_named_by_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.jsonl").write_bytes(b"")
    assert found("~/a.jsonl") == ["a.jsonl"]
    assert found("~/*.jsonl") == ["a.jsonl"]
