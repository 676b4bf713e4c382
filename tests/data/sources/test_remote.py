import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.errors import DataError, UnreachableError
from data.source_config import SourceConfig
from data.sources import remote
from data.sources.documents import BadRecord, Document, input_parts, read_part


@pytest.fixture
def store() -> Iterator[Any]:
    """A store of fsspec's in memory, empty before and after."""
    system = fsspec.filesystem("memory")
    system.store.clear()
    system.pseudo_dirs[:] = [""]
    yield system
    system.store.clear()
    system.pseudo_dirs[:] = [""]


def source(path: str) -> SourceConfig:
    return SourceConfig(name="news", path=path)


def read(path: str) -> tuple[list[Document], list[BadRecord]]:
    bad: list[BadRecord] = []
    parts = input_parts(source(path))
    return [document for part in parts for document in read_part(source(path), part, bad.append)], bad


def content(*texts: str) -> bytes:
    return b"".join(json.dumps({"text": text}).encode() + b"\n" for text in texts)


def fill(store: Any) -> None:
    table = io.BytesIO()
    pq.write_table(pa.table({"text": ["three", "four"]}), table)
    store.pipe("/corpus/b/two.jsonl.gz", gzip.compress(content("two")))
    store.pipe("/corpus/b/three.parquet", table.getvalue())
    store.pipe("/corpus/a.jsonl", content("one"))
    store.pipe("/corpus/_SUCCESS", b"")
    store.pipe("/corpus/.tmp/x.jsonl", content("no"))


def test_a_folder_a_pattern_and_a_file(store: Any) -> None:
    fill(store)
    ids = {"one": "a.jsonl:1", "three": "b/three.parquet:1", "four": "b/three.parquet:2", "two": "b/two.jsonl.gz:1"}
    documents, bad = read("memory://corpus")
    assert not bad
    assert {document.text: document.id for document in documents} == ids
    assert [document.text for document in documents] == list(ids)
    assert [document.id for document in read("memory://corpus/b/*.gz")[0]] == ["two.jsonl.gz:1"]
    assert [document.id for document in read("memory://corpus/**/*.jsonl.gz")[0]] == ["b/two.jsonl.gz:1"]
    assert [document.id for document in read("memory://corpus/a.jsonl")[0]] == ["a.jsonl:1"]


def test_marks_are_passed_over_unless_they_are_named(store: Any, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("_SUCCESS", "_2019.jsonl", "a.jsonl", "_delta_log/0.json"):
        store.pipe(f"/corpus/{name}", content(name))
    assert [part.name for part in input_parts(source("memory://corpus"))] == ["_2019.jsonl", "a.jsonl"]
    said = "memory://corpus: passed over 2 marks of other programs (_SUCCESS, _delta_log/0.json)"
    assert said in capsys.readouterr().err
    assert [part.name for part in input_parts(source("memory://corpus/_*.jsonl"))] == ["_2019.jsonl"]
    assert [part.name for part in input_parts(source("memory://corpus/_delta_log/*"))] == ["0.json"]
    assert [part.name for part in input_parts(source("memory://corpus/_delta_log/0.json"))] == ["0.json"]


def test_a_folder_reads_the_same_from_anywhere(store: Any, tmp_path: Path) -> None:
    fill(store)
    store.get("/corpus/", str(tmp_path / "corpus"), recursive=True)
    assert read("memory://corpus")[0] == read(str(tmp_path / "corpus"))[0] == read(f"file://{tmp_path}/corpus")[0]


def test_an_archive_within_a_store_is_read_by_a_chained_address(store: Any) -> None:
    import zipfile

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("in/a.jsonl", content("one", "two"))
    store.pipe("/corpus.zip", packed.getvalue())
    assert [document.text for document in read("zip://in/*.jsonl::memory://corpus.zip")[0]] == ["one", "two"]


def test_the_stamp_tells_changed_content(store: Any) -> None:
    fill(store)
    before = input_parts(source("memory://corpus"))
    assert input_parts(source("memory://corpus")) == before
    store.pipe("/corpus/a.jsonl", content("ONE"))
    after = input_parts(source("memory://corpus"))
    assert [part.stamp == old.stamp for part, old in zip(after, before, strict=True)] == [False, True, True]
    json.dumps([part.stamp for part in after])


def test_a_store_that_lists_names_alone_is_asked_about_each(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(store)
    real = type(store).find
    bare = {"type": "file", "size": None}
    monkeypatch.setattr(
        type(store), "find", lambda self, path, **options: dict.fromkeys(real(self, path, **options), bare)
    )
    assert [part.stamp[0] for part in input_parts(source("memory://corpus"))] == [
        store.size(f"/corpus/{name}") for name in ("a.jsonl", "b/three.parquet", "b/two.jsonl.gz")
    ]


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        ({"size": 5, "ETag": '"abc"', "LastModified": "now"}, [5, '"abc"']),
        ({"size": 5, "md5Hash": "m", "crc32c": "c", "mtime": 3.5}, [5, "m"]),
        ({"size": 5, "mtime": 3.5}, [5, "3.5"]),
        ({"size": None}, [0]),
    ],
)
def test_a_stores_own_mark_comes_before_the_time(info: dict[str, Any], expected: list[int | str]) -> None:
    assert remote._stamp(info) == expected


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("memory://absent", r"source 'news': memory://absent does not exist: correct data\.sources\.news\.path"),
        ("memory://corpus/*.parquet", "fits no file"),
        ("memory://marks", "holds no files"),
        ("memory://odd", r"notes\.md: unknown extension '\.md'"),
        ("memory://tokens", r"a\.bin is a token file, which is mapped to memory: copy it to this machine"),
        ("nowhere://a", r"nowhere://a cannot be opened: Protocol not known: nowhere: write hub://"),
        ("gs://bucket/a", r"gs://bucket/a: gs:// needs a package that is not installed: pip install gcsfs"),
        ("oss://bucket/a", r"oss:// needs a package that is not installed: Install ossfs"),
    ],
)
def test_what_cannot_be_read_is_said_at_once(store: Any, path: str, message: str) -> None:
    fill(store)
    store.pipe("/marks/_SUCCESS", b"")
    store.pipe("/odd/notes.md", b"")
    store.pipe("/tokens/a.bin", b"")
    with pytest.raises(DataError, match=message):
        input_parts(source(path))


class Flaky(io.BytesIO):
    """A file that breaks off, raises, or ends too early at some of its reads."""

    faults: list[str] = []  # noqa: RUF012  what happens at the next reads, over all opened files
    opened = 0

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.size = len(content)
        Flaky.opened += 1

    def read(self, size: int | None = -1) -> bytes:
        fault = Flaky.faults.pop(0) if Flaky.faults else ""
        if fault == "error":
            raise ConnectionResetError(104, "reset by peer")
        if fault == "end":
            return b""
        return super().read(min(size, 100_000) if size is not None and size > 0 else size)


@pytest.fixture
def flaky(store: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The store with files that do as Flaky.faults says, and the pauses that were made."""
    pauses: list[float] = []
    monkeypatch.setattr(remote.time, "sleep", pauses.append)
    real = type(store).open

    def opened(system: Any, path: str, mode: str = "rb", **options: Any) -> Any:
        file = real(system, path, mode, **options)
        return Flaky(file.getvalue()) if mode == "rb" else file

    monkeypatch.setattr(type(store), "open", opened)
    monkeypatch.setattr(Flaky, "opened", 0)
    return pauses


def test_a_read_that_fails_is_tried_again_where_it_stood(
    store: Any, flaky: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    texts = [f"{number}" * 1_000 for number in range(1_000)]
    store.pipe("/corpus/a.jsonl", content(*texts))
    Flaky.faults = ["", "error", "", "", "end", "error", "", "error", "error", "error", ""]
    documents, bad = read("memory://corpus")
    assert not bad
    assert [document.text for document in documents] == texts
    assert flaky == [1, 1, 4, 1, 4, 16]
    assert Flaky.opened == 7
    assert "trying again in 16 s" in capsys.readouterr().err


def test_a_parquet_file_is_read_through_failures(store: Any, flaky: list[float]) -> None:
    table = io.BytesIO()
    texts = [f"{number}" * 500 for number in range(1_000)]
    pq.write_table(pa.table({"text": texts}), table)
    store.pipe("/corpus/a.parquet", table.getvalue())
    Flaky.faults = ["error", "", "end", "error"]
    documents, bad = read("memory://corpus")
    assert not bad
    assert [document.text for document in documents] == texts
    assert flaky == [1, 1, 4]


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.parquet"])
def test_a_store_that_stays_away_is_named_and_its_file_is_not_taken_for_damaged(
    store: Any, flaky: list[float], name: str
) -> None:
    store.pipe(f"/corpus/{name}", content("one"))
    (part,) = input_parts(source("memory://corpus"))
    Flaky.faults = ["error"] * 4
    bad: list[BadRecord] = []
    with pytest.raises(
        UnreachableError, match=rf"memory:///corpus/{name} cannot be read: ConnectionResetError.*network"
    ):
        list(read_part(source("memory://corpus"), part, bad.append))
    assert flaky == [1, 4, 16]
    assert not bad


def test_a_file_that_went_away_is_not_waited_for(store: Any) -> None:
    store.pipe("/corpus/a.jsonl", content("one"))
    (part,) = input_parts(source("memory://corpus"))
    store.rm("/corpus/a.jsonl")
    with pytest.raises(UnreachableError, match="FileNotFoundError"):
        list(read_part(source("memory://corpus"), part, lambda record: None))
