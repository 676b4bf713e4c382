"""Rows by source, file and place, the pieces they are made of, and which of them predict given tokens."""

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from data.errors import DataError
from data.shards.packed_rows import PackedRows
from data.shards.packing import pack_shards

Write = Callable[..., Path]
LENGTHS = {"news": [30, 5, 9] * 10, "web": [90, 0] * 4, "mail": [3] * 25}


def open_rows(folder: Path, policy: str, write: Write, sources: list[str]) -> PackedRows:
    write(folder, LENGTHS, tokens_per_shard=100)
    packing = pack_shards(folder, policy, 16, workers=1)  # type: ignore[arg-type]
    return PackedRows(packing, sources, lambda name: f"{folder}/{name}", 4)


@pytest.mark.parametrize("policy", ["best_fit", "concatenate"])
def test_the_rows_of_a_source_are_those_of_its_files_in_order(
    policy: str, tmp_path: Path, write_training_shards: Write
) -> None:
    sources = ["mail", "web"]
    rows = open_rows(tmp_path, policy, write_training_shards, sources)
    for place, source in enumerate(sources):
        files = [rows.describe(source, number) for number in range(len(rows._packing.sources[source].tokens))]
        expected = [(file, row) for file in files for row in range(file.rows)]
        numbers, places = rows.locate(np.full(len(expected), place), np.arange(len(expected)))
        assert [(rows.file(int(number)), row) for number, row in zip(numbers, places.tolist(), strict=True)] == expected
        before = [0, *itertools.accumulate(file.rows for file in files)]
        assert [rows.rows_before(place, file.number) for file in files] == before[:-1]


@pytest.mark.parametrize("policy", ["best_fit", "concatenate"])
def test_every_token_is_in_one_piece_and_found_by_it(policy: str, tmp_path: Path, write_training_shards: Write) -> None:
    rows = open_rows(tmp_path, policy, write_training_shards, ["web"])
    for source in LENGTHS:  # those that are not mixed too
        file = rows.describe(source, 0)
        assert len(rows.tokens(file)) == file.tokens * 4
        row_of = np.full(file.tokens, -1)
        for row in range(file.rows):
            for first, tokens in rows.pieces(file, row):
                assert (row_of[first : first + abs(tokens)] == -1).all()
                row_of[first : first + abs(tokens)] = row
        assert (row_of >= 0).all()
        for first, end in itertools.combinations(range(0, file.tokens + 1, 7), 2):
            assert rows.touching(file, first, end - first).tolist() == np.unique(row_of[first:end]).tolist()


def test_a_file_of_rows_that_is_short_is_named(tmp_path: Path, write_training_shards: Write) -> None:
    rows = open_rows(tmp_path, "best_fit", write_training_shards, ["web"])
    file = rows.describe("web", 0)
    path = tmp_path / file.rows_name
    content = path.read_bytes()
    for size in (1, 4 * (file.rows + 1), len(content) - 1):
        path.write_bytes(content[:size])
        again = PackedRows(rows._packing, ["web"], lambda name: f"{tmp_path}/{name}", 4)
        with pytest.raises(DataError, match=f"{file.rows_name} ends before byte"):
            again.pieces(file, file.rows - 1)
