from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from data.errors import DataError
from data.source_config import SourceConfig
from data.sources import token_files
from data.sources.documents import BadRecord, Document, input_parts, read_part

WritePair = Callable[[Path, list[list[list[int]]], str], Path]

TEXTS = ["one text", "", "zwei Sätze.\nÜber zwei Zeilen", "three \U0001f600", "<s> is no token here"]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer of single bytes with an end of text (id 0) and a beginning (id 257)."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<|endoftext|>": 0} | {letter: number for number, letter in enumerate(letters, start=1)}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(["<|endoftext|>", "<|begin|>"])
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    made.save(str(path))
    return path


@pytest.fixture(scope="module")
def encode(tokenizer: Path) -> Callable[[str], list[int]]:
    made = Tokenizer.from_file(str(tokenizer))
    return lambda text: made.encode(text).ids


def read(path: Path, **changes: Any) -> tuple[list[Document], list[BadRecord]]:
    bad: list[BadRecord] = []
    source = SourceConfig(name="news", path=str(path), **changes)
    return [document for part in input_parts(source) for document in read_part(source, part, bad.append)], bad


@pytest.mark.parametrize("dtype", ["uint16", "int32", "int64"])
def test_megatrons_files_become_the_texts_they_were_made_of(
    tmp_path: Path, tokenizer: Path, write_pair: WritePair, encode: Callable[[str], list[int]], dtype: str
) -> None:
    write_pair(tmp_path, [[encode(text), [0]] for text in TEXTS] + [[encode("no end")]], dtype)
    documents, bad = read(tmp_path, tokenizer=str(tokenizer), licence="CC0")
    assert not bad
    assert [document.text for document in documents] == [*TEXTS, "no end"]
    assert [document.id for document in documents] == [f"a.bin:{number}" for number in range(1, 7)]
    assert documents[0].licence == "CC0"
    assert read(tmp_path / "a.bin", tokenizer=str(tokenizer.parent), text_field="body")[0] == [
        document._replace(licence=None) for document in documents
    ]


@pytest.mark.parametrize("name", ["a.bin", "a.npy", "a.ds"])
@pytest.mark.parametrize("dtype", ["uint16", "uint32"])
@pytest.mark.parametrize("block", [1, 7, 1 << 20])
def test_bare_ids_are_cut_at_the_end_of_text(
    tmp_path: Path,
    tokenizer: Path,
    encode: Callable[[str], list[int]],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    dtype: str,
    block: int,
) -> None:
    monkeypatch.setattr(token_files, "BLOCK_IDS", block)
    monkeypatch.setattr(token_files, "DOCUMENTS_PER_BATCH", 2)
    ids = [number for text in TEXTS for number in [257, *encode(text), 0]] + encode("no end")
    (tmp_path / name).write_bytes(np.array(ids, dtype).tobytes())
    documents, bad = read(tmp_path, tokenizer=str(tokenizer), token_dtype=None if dtype == "uint16" else dtype)
    assert not bad
    assert [document.text for document in documents] == [*TEXTS, "no end"]
    assert [document.line for document in documents] == [1, 2, 3, 4, 5, 6]


def test_a_numpy_header_says_the_type(tmp_path: Path, tokenizer: Path, encode: Callable[[str], list[int]]) -> None:
    np.save(tmp_path / "a.npy", np.array([*encode("one"), 0, *encode("two"), 0], np.int64))
    assert [document.text for document in read(tmp_path, tokenizer=str(tokenizer))[0]] == ["one", "two"]


def test_what_lies_beside_token_files_is_passed_over(tmp_path: Path, tokenizer: Path) -> None:
    for name in ("a.ds", "a.ds.index", "a.ds.metadata", "b.npy", "b.csv.gz"):
        (tmp_path / name).write_bytes(b"")
    source = SourceConfig(name="news", path=str(tmp_path), tokenizer=str(tokenizer))
    assert [part.name for part in input_parts(source)] == ["a.ds", "b.npy"]
    assert read(tmp_path, tokenizer=str(tokenizer)) == ([], [])


def test_ids_outside_the_vocabulary_are_set_aside(tmp_path: Path, tokenizer: Path, write_pair: WritePair) -> None:
    write_pair(tmp_path, [[[5, 6]], [[5, 258]], [[-1]], [[7]]], "int32")
    documents, bad = read(tmp_path, tokenizer=str(tokenizer))
    assert [document.line for document in documents] == [1, 4]
    assert bad == [
        BadRecord("a.bin", 2, "unknown token: 258 in a vocabulary of 258"),
        BadRecord("a.bin", 3, "unknown token: -1 in a vocabulary of 258"),
    ]


def test_a_document_without_an_end_is_not_held_without_bounds(
    tmp_path: Path, tokenizer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_files, "LONGEST_DOCUMENT", 100)
    (tmp_path / "a.npy").write_bytes(np.full(101, 5, np.uint16).tobytes())
    documents, bad = read(tmp_path, tokenizer=str(tokenizer))
    assert not documents
    assert bad == [BadRecord("a.npy", 1, "record too long: 101 tokens: is end_of_text what ends a document here?")]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.npy", b"odd", "damaged file: its size is no multiple of 2 bytes, as ids of type uint16 need"),
        ("a.npy", b"\x93NUMPY\x01\x00", "damaged file: "),
        ("a.idx", b"MMIDIDX", r"damaged file: a.idx is cut off"),
    ],
)
def test_a_damaged_file_is_one_bad_record(
    tmp_path: Path, tokenizer: Path, write_pair: WritePair, name: str, content: bytes, reason: str
) -> None:
    if name == "a.idx":
        write_pair(tmp_path, [[[5]]], "int32")
    (tmp_path / name).write_bytes(content)
    documents, bad = read(tmp_path, tokenizer=str(tokenizer))
    assert not documents
    assert len(bad) == 1
    assert bad[0].reason.startswith(reason)


def test_a_float_array_is_no_list_of_ids(tmp_path: Path, tokenizer: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((2, 2)))
    (record,) = read(tmp_path, tokenizer=str(tokenizer))[1]
    assert record.reason == "damaged file: an array of shape (2, 2) and type float64 is no list of token ids"


def test_the_stamp_tells_a_changed_index_and_a_changed_tokenizer(
    tmp_path: Path, tokenizer: Path, write_pair: WritePair
) -> None:
    write_pair(tmp_path, [[[5]]], "int32")
    own = tmp_path / "own.json"
    own.write_bytes(tokenizer.read_bytes())
    source = SourceConfig(name="news", path=f"{tmp_path}/*.bin", tokenizer=str(own))
    stamps = [input_parts(source)[0].stamp]
    (tmp_path / "a.idx").write_bytes((tmp_path / "a.idx").read_bytes() + b"\x00")
    stamps.append(input_parts(source)[0].stamp)
    own.write_bytes(own.read_bytes() + b"\n")
    stamps.append(input_parts(source)[0].stamp)
    assert len({tuple(stamp) for stamp in stamps}) == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, r"source 'news': .* is tokenized: set data\.sources\.news\.tokenizer to its tokenizer\.json"),
        ({"tokenizer": "absent.json"}, r"absent\.json does not exist: correct data\.sources\.news\.tokenizer"),
        ({"tokenizer": "broken.json"}, r"broken\.json is no tokenizer: "),
        ({"end_of_text": "</s>"}, r"no token '</s>': name the one that ends a document in .*end_of_text"),
    ],
)
def test_a_wrong_tokenizer_is_named(tmp_path: Path, tokenizer: Path, changes: dict[str, str], message: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "broken.json").write_text("{}")
    (tmp_path / "in" / "a.npy").write_bytes(b"\x05\x00")
    if "tokenizer" in changes:
        changes = {"tokenizer": str(tmp_path / changes["tokenizer"])}
    elif changes:
        changes = {"tokenizer": str(tokenizer), **changes}
    with pytest.raises(DataError, match=message):
        read(tmp_path / "in", **changes)


@pytest.mark.parametrize(("pieces", "dtype"), [(65_536, "uint16"), (65_537, "uint32")])
def test_ids_have_two_bytes_as_long_as_they_fit(tmp_path: Path, pieces: int, dtype: str) -> None:
    vocabulary = {"<|endoftext|>": 0} | {f"{number} ": number for number in range(1, pieces)}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<|endoftext|>"))
    made.decoder = decoders.Fuse()
    made.add_special_tokens(["<|endoftext|>"])
    made.save(str(tmp_path / "tokenizer.json"))
    np.array([7, 65_535, 0], dtype).tofile(tmp_path / "a.bin")
    documents, bad = read(tmp_path / "a.bin", tokenizer=str(tmp_path))
    assert not bad
    assert [document.text for document in documents] == ["7 65535 "]
