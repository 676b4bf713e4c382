"""The shard format is fixed to the byte, and nothing damaged or half written is read."""

import dataclasses
import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from data.errors import DataError
from data.interval import Interval
from data.shards.documents import held_out_documents
from data.shards.format import (
    EncodedDocument,
    Manifest,
    dtype_name,
    read_manifest,
    verify_digests,
    verify_sizes,
    write_manifest,
    write_source,
)

DAY = datetime.date(2022, 7, 31)
ON_THE_DAY = Interval.of_day(DAY)
NEITHER = {"first_date": None, "last_date": None, "date_kind": None}
BOTH = NEITHER | {"first_date": DAY, "last_date": DAY}


def document(name: str, *tokens: int, date: Interval | None = ON_THE_DAY) -> EncodedDocument:
    return EncodedDocument(name, date, np.array(tokens, dtype=np.int64), bytes=3 * len(tokens))


def write_folder(
    folder: Path, documents: list[EncodedDocument], dtype: str = "uint16", tokens_per_shard: int = 6
) -> Manifest:
    shards = write_source(folder, "train", "news", documents, dtype, tokens_per_shard)
    vocabulary_size = 65_535 if dtype == "uint16" else 131_072
    manifest = Manifest(dtype, vocabulary_size, "tok", "cor", 7, tokens_per_shard, {"train": {"news": shards}})
    write_manifest(folder, manifest)
    return manifest


DOCUMENTS = [document("a", 1, 2, 258), document("b", date=None), document("c", 4, 5), document("d", 65_534)]


def test_golden_bytes(tmp_path: Path) -> None:
    write_folder(tmp_path, DOCUMENTS)
    assert (tmp_path / "train/news-00000.bin").read_bytes().hex() == "01000200020100000000040005000000"
    assert (tmp_path / "train/news-00001.bin").read_bytes().hex() == "feff0000"
    assert pq.read_table(tmp_path / "train/news-00000.documents.parquet").to_pylist() == [
        {"id": "a", "source": "news", **BOTH, "first_token": 0, "tokens": 4, "bytes": 9},
        {"id": "b", "source": "news", **NEITHER, "first_token": 4, "tokens": 1, "bytes": 0},
        {"id": "c", "source": "news", **BOTH, "first_token": 5, "tokens": 3, "bytes": 6},
    ]
    assert pq.read_table(tmp_path / "train/news-00001.documents.parquet").to_pylist() == [
        {"id": "d", "source": "news", **BOTH, "first_token": 0, "tokens": 2, "bytes": 3}
    ]
    content = json.loads((tmp_path / "manifest.json").read_text())
    assert sorted(content) == [
        "bytes_per_shard", "corpus_digest", "digest", "dtype", "end_of_text", "format", "seed", "splits",
        "tokenizer_digest", "vocabulary_size",
    ]  # fmt: skip
    assert (content["format"], content["end_of_text"]) == (4, 0)
    first, second = content["splits"]["train"]["news"]["files"]
    assert second["name"] == "train/news-00001"
    assert (first["tokens"], first["documents"], first["bytes"], first["tokens_size"]) == (8, 3, 15, 16)
    assert first["tokens_digest"] == "aea664d915c3be19ff98787bdbae8d90"
    assert sorted(path.name for path in (tmp_path / "train").iterdir()) == [
        "news-00000.bin", "news-00000.documents.parquet", "news-00001.bin", "news-00001.documents.parquet",
    ]  # fmt: skip


def test_wide_ids_take_four_bytes(tmp_path: Path) -> None:
    write_folder(tmp_path, [document("a", 65_536, 131_071)], dtype="uint32")
    assert (tmp_path / "train/news-00000.bin").read_bytes().hex() == "00000100ffff010000000000"


def test_the_dtype_follows_the_vocabulary() -> None:
    assert [dtype_name(size) for size in (512, 65_535, 65_536, 131_072)] == ["uint16", "uint16", "uint32", "uint32"]


def test_the_manifest_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    written = write_folder(tmp_path, DOCUMENTS)
    assert read_manifest(tmp_path) == written == verify_digests(tmp_path)
    shards = written.source("train", "news")
    assert (shards.tokens, shards.documents, shards.bytes) == (10, 4, 18)


def test_same_documents_same_bytes(tmp_path: Path) -> None:
    first, second = write_folder(tmp_path / "1", DOCUMENTS), write_folder(tmp_path / "2", DOCUMENTS)
    assert first.digest == second.digest
    assert first.digest != write_folder(tmp_path / "3", DOCUMENTS[::-1]).digest


def test_held_out_documents_come_without_their_end(tmp_path: Path) -> None:
    write_folder(tmp_path, DOCUMENTS)
    read = list(held_out_documents(tmp_path, "train", "news"))
    assert [(one.id, one.date, one.tokens.tolist(), one.bytes) for one in read] == [
        (one.id, one.date, one.tokens.tolist(), one.bytes) for one in DOCUMENTS
    ]


def test_an_unknown_split_or_source_is_named(tmp_path: Path) -> None:
    manifest = write_folder(tmp_path, DOCUMENTS)
    with pytest.raises(DataError, match=r"no source 'blogs' in split 'train': they have \['news'\]"):
        manifest.source("train", "blogs")
    with pytest.raises(DataError, match="split 'future'"):
        list(held_out_documents(tmp_path, "future", "news"))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["news-00001.bin", "news-00000.documents.parquet"])
@pytest.mark.parametrize("harm", [truncate, Path.unlink])
def test_a_missing_or_short_file_is_named(tmp_path: Path, name: str, harm: Callable[[Path], None]) -> None:
    write_folder(tmp_path, DOCUMENTS)
    harm(tmp_path / "train" / name)
    with pytest.raises(
        DataError, match=rf"{name} (is missing|has [0-9,]+ bytes), the manifest says .* tokenize CONFIG"
    ):
        verify_sizes(tmp_path, read_manifest(tmp_path))


@pytest.mark.parametrize("name", ["news-00001.bin", "news-00000.documents.parquet"])
def test_a_flipped_bit_is_found(tmp_path: Path, name: str) -> None:
    write_folder(tmp_path, DOCUMENTS)
    flip_a_bit(tmp_path / "train" / name)
    with pytest.raises(DataError, match=f"{name} is damaged"):
        verify_digests(tmp_path)


def test_a_folder_without_a_manifest_is_unfinished(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"manifest.json does not exist: run `domainlm tokenize CONFIG` first"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 1}, "has shard format 1, this program reads 4"),
        ({"seed": 8}, "does not match its own digest"),
        ({"digest": None}, "does not match its own digest"),
    ],
)
def test_an_edited_manifest_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    write_folder(tmp_path, DOCUMENTS)
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DataError, match=message):
        read_manifest(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "\udcff"])
def test_what_is_no_manifest_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "manifest.json").write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(DataError, match=r"manifest.json"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("source", ["../news", "/etc/passwd", "", "a/b"])
def test_names_never_lead_out_of_the_folder(tmp_path: Path, source: str) -> None:
    written = write_folder(tmp_path, DOCUMENTS)
    write_manifest(tmp_path, dataclasses.replace(written, splits={"train": {source: written.splits["train"]["news"]}}))
    with pytest.raises(DataError, match="do not belong there"):
        read_manifest(tmp_path)


def test_an_interrupted_write_leaves_no_file_under_a_final_name(tmp_path: Path) -> None:
    def failing() -> Any:
        yield DOCUMENTS[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_source(tmp_path, "train", "news", failing(), "uint16", 100)
    assert not list(tmp_path.rglob("*.bin"))
