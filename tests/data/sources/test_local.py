import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from data.errors import DataError
from data.source_config import SourceConfig
from data.sources.documents import input_parts
from data.sources.local import data_files, found_files, local_files, root_of


def found(path: Path | str) -> list[str]:
    return [file.name for file in local_files(SourceConfig(name="news", path=str(path)))]


def test_marks_and_what_describes_token_files_are_no_data() -> None:
    names = ["b.bin", "b.idx", "_SUCCESS", "x/.git/a.txt", "c.npy", "c.csv.gz", "a.jsonl", "d.ds", "d.ds.index"]
    assert data_files("here", [*names, "d.ds.metadata"], "") == ["a.jsonl", "b.bin", "c.npy", "d.ds"]
    assert data_files("here", ["b.idx", "c.csv.gz"], "") == ["b.idx", "c.csv.gz"]


MARKS = [
    "_SUCCESS",
    "_metadata",
    "_common_metadata",
    "_temporary/0/part-0.parquet",
    "_delta_log/00000000000000000000.json",
    "_change_data/part-0.parquet",
    "_spark_metadata/0",
    "_started_7180452331",
    "_committed_7180452331",
    "_committed_vacuum823",
    "__MACOSX/a.txt",
    "__MACOSX/._a.txt",
    ".a.jsonl.crc",
    "year=2019/_SUCCESS",
]
DATA = ["_2019.jsonl", "_index.txt", "_logs/a.txt", "_meta.jsonl", "__init__.txt", "_started.txt", "a_b/_c/d.txt"]


def test_only_known_marks_are_passed_over_and_they_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in (*MARKS, *DATA):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert [file.relative_to(tmp_path).as_posix() for file in found_files(tmp_path)] == sorted(DATA)
    table, marks = capsys.readouterr().err.splitlines(keepends=True)
    assert table.startswith(f"WARNING: {tmp_path} is a table of Delta Lake, whose files also have the rows that")
    assert marks == (
        f"{tmp_path}: passed over {len(MARKS)} marks of other programs (.a.jsonl.crc, _SUCCESS, "
        "__MACOSX/._a.txt and others); a glob can name them\n"
    )
    found_files(tmp_path)
    assert capsys.readouterr().err == ""  # once is enough


@pytest.mark.parametrize(("mark", "kind"), [("_delta_log", "Delta Lake"), (".hoodie", "Hudi")])
@pytest.mark.parametrize("pattern", ["", "*.parquet", "year=*/*.parquet", "**/*.parquet"])
@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_table_of_which_old_rows_are_read_is_named(
    tmp_path: Path, mark: str, kind: str, pattern: str, scheme: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("0.parquet", "year=2019/0.parquet"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    source = SourceConfig(name="news", path=f"{scheme}{tmp_path}/{pattern}".rstrip("/"))
    assert input_parts(source)
    assert "is a table of" not in capsys.readouterr().err
    (tmp_path / mark).mkdir()
    (tmp_path / mark / "0.json").write_bytes(b"")
    assert input_parts(source)
    assert f"is a table of {kind}, whose files also have the rows that it has changed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("_*", ["_2019.jsonl", "_SUCCESS", "_index.txt", "_meta.jsonl", "_metadata", "_started.txt"]),
        ("_delta_log/*.json", ["_delta_log/0.json"]),
        ("[_]delta_log/*.json", []),
        ("*_log/*.json", []),
        (".hidden/*.txt", [".hidden/a.txt"]),
        ("*", ["_2019.jsonl", "_index.txt", "_meta.jsonl", "_started.txt"]),
        ("_SUCCESS", ["_SUCCESS"]),
    ],
)
def test_a_glob_that_names_marks_takes_them(tmp_path: Path, pattern: str, names: list[str]) -> None:
    marks = ["_SUCCESS", "_metadata", "_delta_log/0.json", ".hidden/a.txt"]
    for name in (*marks, "_2019.jsonl", "_index.txt", "_meta.jsonl", "_started.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert [file.relative_to(tmp_path).as_posix() for file in found_files(tmp_path / pattern)] == names


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


def test_links_are_followed_in_folders_and_globs_but_never_in_a_circle(tmp_path: Path) -> None:
    corpus, elsewhere = tmp_path / "corpus", tmp_path / "elsewhere"
    (corpus / "a").mkdir(parents=True)
    (elsewhere / "deep").mkdir(parents=True)
    (elsewhere / "deep" / "b.jsonl").write_bytes(b"")
    (corpus / "a" / "a.jsonl").write_bytes(b"")
    (corpus / "linked").symlink_to(elsewhere)
    (corpus / "one.jsonl").symlink_to(elsewhere / "deep" / "b.jsonl")
    names = ["a/a.jsonl", "linked/deep/b.jsonl", "one.jsonl"]
    for path in (corpus, corpus / "**" / "*.jsonl"):
        assert [file.relative_to(corpus).as_posix() for file in found_files(path)] == names
    (corpus / "a" / "back").symlink_to(corpus)
    (elsewhere / "self").symlink_to(elsewhere)
    assert [file.relative_to(corpus).as_posix() for file in found_files(corpus)] == names


@pytest.mark.parametrize("pattern", ["", "*.jsonl"])
def test_a_link_that_leads_nowhere_is_named(pattern: str, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").symlink_to("gone.jsonl")
    with pytest.raises(DataError, match=r"a\.jsonl is a link to gone\.jsonl, where nothing is: mend or remove it"):
        found(tmp_path / pattern)


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_folders_that_fit_a_glob_are_read_as_a_whole(
    tmp_path: Path, scheme: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for year in range(2018, 2022):
        (tmp_path / str(year)).mkdir()
        (tmp_path / str(year) / "a.jsonl").write_bytes(b"")
    (tmp_path / "b.jsonl").write_bytes(b"")

    def names(pattern: str) -> list[str]:
        return [part.name for part in input_parts(SourceConfig(name="news", path=f"{scheme}{tmp_path}/{pattern}"))]

    (tmp_path / "2018" / "deep").mkdir()
    (tmp_path / "2018" / "a.jsonl").rename(tmp_path / "2018" / "deep" / "_SUCCESS")
    (tmp_path / "2018" / "deep" / "a.jsonl").write_bytes(b"")
    (tmp_path / "_delta_log").mkdir()
    (tmp_path / "_delta_log" / "0.json").write_bytes(b"")
    assert names("*") == ["2018/deep/a.jsonl", "2019/a.jsonl", "2020/a.jsonl", "2021/a.jsonl", "b.jsonl"]
    said = capsys.readouterr().err
    assert f"{tmp_path}/*: 4 folders (2018, 2019, 2020 and others) read as a whole\n" in said
    assert "2018/deep/_SUCCESS" in said
    assert len(names("**")) == len(names("**/*.jsonl")) == len(names("")) == 5
    assert len(names("20*/*")) == len(names("20*/**")) == 4


def test_what_is_no_file_is_passed_over_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "a.jsonl")
    (tmp_path / "b.jsonl").write_bytes(b"")
    for path in (tmp_path, tmp_path / "*"):
        assert found(path) == ["b.jsonl"]
        assert capsys.readouterr().err == f"{path}: passed over 1 pipe or device (a.jsonl)\n"


@pytest.fixture
def folder_of_nobody() -> Iterator[Path]:
    """A folder, made and entered by a user to whom permissions are an obstacle, as they are not to root."""
    user = os.geteuid()
    folder = Path(tempfile.mkdtemp())  # into pytest's own another user could not look
    try:
        if user == 0:
            os.chown(folder, 65534, -1)
            os.seteuid(65534)
        yield folder
    finally:
        os.seteuid(user)
        for path in [folder, *folder.rglob("*")]:
            path.chmod(0o700)
        shutil.rmtree(folder)


@pytest.mark.parametrize("mode", [0o000, 0o300, 0o600])
@pytest.mark.parametrize("pattern", ["", "*/*.jsonl", "**/*.jsonl", "**", "2020/*", "2*/deep/*"])
def test_a_folder_that_cannot_be_read_is_named(folder_of_nobody: Path, pattern: str, mode: int) -> None:
    for year in ("2019", "2020"):
        (folder_of_nobody / year / "deep").mkdir(parents=True)
        (folder_of_nobody / year / f"{year}.jsonl").write_bytes(b"")
        (folder_of_nobody / year / "deep" / f"{year}.jsonl").write_bytes(b"")
    assert "2020.jsonl" in found(folder_of_nobody / pattern)
    locked = folder_of_nobody / "2020"
    (locked / "deep" if "deep" in pattern else locked).chmod(mode)
    with pytest.raises(DataError, match=r"/2020.* cannot be read: Permission denied: what is in it would be missing"):
        found(folder_of_nobody / pattern)
