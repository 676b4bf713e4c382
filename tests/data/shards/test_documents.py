"""Tables of documents and whole documents, read from real shards."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from data.shards.documents import held_out_documents, read_documents

Write = Callable[..., Path]


def test_documents_count_within_their_file(tmp_path: Path, write_training_shards: Write) -> None:
    write_training_shards(tmp_path, {"news": [3, 4, 5, 6]}, tokens_per_shard=8)
    tables = [tmp_path / f"train/news-{number:05d}.documents.parquet" for number in range(2)]
    assert [read_documents(table)["first_token"].to_pylist() for table in tables] == [[0, 4], [0, 6]]
    assert [read_documents(table)["tokens"].to_pylist() for table in tables] == [[4, 5], [6, 7]]
    found = [row for table in tables for row in read_documents(table, pc.field("id") == "news-003").to_pylist()]
    assert [(row["id"], row["first_token"], row["source"]) for row in found] == [("news-003", 6, "news")]
    assert read_documents(tables[0], pc.field("id") == "news-003").num_rows == 0


def test_whole_documents_come_without_their_end(tmp_path: Path, write_training_shards: Write) -> None:
    write_training_shards(tmp_path, {"news": [3, 0, 5, 6]}, tokens_per_shard=5)
    documents = list(held_out_documents(tmp_path, "train", "news"))
    assert [(one.id, len(one.tokens), one.bytes) for one in documents] == [
        ("news-000", 3, 12), ("news-001", 0, 0), ("news-002", 5, 20), ("news-003", 6, 24),
    ]  # fmt: skip
    assert np.concatenate([one.tokens for one in documents]).tolist() == [
        *range(1_000_000, 1_000_003), *range(1_000_005, 1_000_010), *range(1_000_011, 1_000_017),
    ]  # fmt: skip
