from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from data.corpus.files import corpus_batches, corpus_files


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
