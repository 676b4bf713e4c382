from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.corpus.files import RowGroup, corpus_batches, corpus_files, read_row_groups
from data.errors import DataError
from data.files import finish_stage
from data.tokenizer.text import read_groups


def write(file: Path, texts: list[str]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"id": texts, "text": texts}), file)


def test_files_of_each_source_in_order(tmp_path: Path) -> None:
    for name in ("news/00010", "news/00002", "general/00000"):
        write(tmp_path / "train" / f"{name}.parquet", ["a"])
    found = corpus_files(tmp_path, "train")
    assert {source: [file.stem for file in files] for source, files in found.items()} == {
        "general": ["00000"],
        "news": ["00002", "00010"],
    }
    assert list(found) == ["general", "news"]
    assert corpus_files(tmp_path, "future") == {}


def test_batches_hold_the_wanted_columns_in_order(tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.parquet" for number in range(3)]
    for number, file in enumerate(files):
        write(file, [f"{number}.{row}" for row in range(5)])
    batches = list(corpus_batches(files, ["text"], rows=2))
    assert all(batch.num_rows <= 2 and batch.schema.names == ["text"] for batch in batches)
    texts = [text for batch in batches for text in batch["text"].to_pylist()]
    assert texts == [f"{number}.{row}" for number in range(3) for row in range(5)]


def test_a_file_that_changed_at_equal_size_is_read_by_nobody(tmp_path: Path) -> None:
    file = tmp_path / "train" / "news" / "00000.parquet"
    write(file, ["The rate rose."])
    finish_stage(tmp_path, {}, [file])
    readers = {
        "batches": lambda: list(corpus_batches([file], ["text"])),
        "row groups": lambda: read_row_groups(file, [0], ["text"]),
        "tokenizer": lambda: list(read_groups([RowGroup(file, 0)])),
    }
    for read in readers.values():
        assert read()
    file.write_bytes(file.read_bytes().replace(b"The rate rose.", b"The rate fell."))
    assert pq.read_table(file)["text"].to_pylist() == ["The rate fell."], "it can be read"
    for read in readers.values():
        with pytest.raises(DataError, match=rf"{file} is not as it was written: delete it, and run `domainlm prepare"):
            read()
    unknown = file.with_name("00001.parquet")
    write(unknown, ["other"])
    with pytest.raises(DataError, match=r"00001.parquet is not in the corpus's manifest.json"):
        list(corpus_batches([unknown], ["text"]))
