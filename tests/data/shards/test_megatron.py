import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.errors import DataError
from data.interval import Interval
from data.shards.format import EncodedDocument, Manifest, SourceShards, write_manifest, write_source
from data.shards.megatron import export_megatron, megatron_dtype
from data.sources.megatron import read_indexed


def test_megatrons_rule_of_types() -> None:
    assert [megatron_dtype(size) for size in (258, 65_499, 65_500, 65_536, 131_072)] == ["<u2", "<u2", *["<i4"] * 3]


def shards(folder: Path, vocabulary_size: int, documents: list[list[int]], tokens_per_shard: int = 5) -> None:
    """Finished shards of one source in two splits, in several files."""
    dtype = "uint16" if vocabulary_size < 65_536 else "uint32"
    splits: dict[str, dict[str, SourceShards]] = {}
    for split in ("train", "past"):
        encoded = [
            EncodedDocument(f"{number}", Interval.of_day(datetime.date(2001, 2, 3)), np.array(ids, np.uint32), len(ids))
            for number, ids in enumerate(documents if split == "train" else documents[:1])
        ]
        splits[split] = {"news": write_source(folder, split, "news", encoded, dtype, tokens_per_shard)}
    fields: dict[str, Any] = {"tokenizer_digest": "t", "corpus_digest": "c", "seed": 0}
    fields |= {"dtype": dtype, "vocabulary_size": vocabulary_size, "bytes_per_shard": 1}
    write_manifest(folder, Manifest(splits=splits, **fields))


@pytest.mark.parametrize(
    ("vocabulary_size", "dtype"), [(300, "uint16"), (65_499, "uint16"), (65_500, "int32"), (131_072, "int32")]
)
def test_shards_are_exported_byte_for_byte_as_megatron_writes_them(
    tmp_path: Path,
    reference_pair: Callable[[list[list[list[int]]], str], tuple[bytes, bytes]],
    vocabulary_size: int,
    dtype: str,
) -> None:
    last = vocabulary_size - 1
    documents = [[1, 2, last], [3], [], [4, 5, 6, 7, 8, 9, 10], [last, last]]
    shards(tmp_path / "shards", vocabulary_size, documents)
    assert len(list((tmp_path / "shards" / "train").glob("*.bin"))) > 1
    written = export_megatron(tmp_path / "shards", tmp_path / "out")
    assert written == [tmp_path / "out" / "train" / "news.bin", tmp_path / "out" / "past" / "news.bin"]
    for tokens, kept in zip(written, (documents, documents[:1]), strict=True):
        expected = reference_pair([[[*ids, 0]] for ids in kept], dtype)
        assert (tokens.read_bytes(), tokens.with_suffix(".idx").read_bytes()) == expected
        dataset = read_indexed(tokens)
        assert [dataset.document(number).tolist() for number in range(len(kept))] == [[*ids, 0] for ids in kept]


def test_a_table_that_does_not_fit_its_tokens_is_refused_and_leaves_no_pair(tmp_path: Path) -> None:
    shards(tmp_path / "shards", 300, [[1, 2, 3, 4]])
    export_megatron(tmp_path / "shards", tmp_path / "out")
    other = tmp_path / "other"
    shards(other, 300, [[1, 2]])
    table = tmp_path / "shards" / "train" / "news-00000.documents.parquet"
    wrong = (other / "train" / "news-00000.documents.parquet").read_bytes()
    table.write_bytes(wrong.ljust(table.stat().st_size, b"\x00")[: table.stat().st_size])
    with pytest.raises((DataError, OSError, ValueError)):
        export_megatron(tmp_path / "shards", tmp_path / "out")
    assert not (tmp_path / "out" / "train" / "news.idx").exists()
