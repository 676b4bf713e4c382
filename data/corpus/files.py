"""Where a finished corpus keeps its documents: {split}/{source}/{part}.parquet, and how they are read."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

CORPUS_COLUMNS = {
    "id": pa.string(),
    "text": pa.string(),
    "source": pa.string(),
    "date": pa.date32(),
    "licence": pa.string(),
    "url": pa.string(),
}
CORPUS_SCHEMA = pa.schema(CORPUS_COLUMNS)


def corpus_files(corpus: Path, split: str) -> dict[str, list[Path]]:
    """The files of each source of a split, in order; none for a split that is empty."""
    folders = sorted(folder for folder in (corpus / split).glob("*") if folder.is_dir())
    return {folder.name: sorted(folder.glob("*.parquet")) for folder in folders}


def corpus_batches(files: list[Path], columns: list[str], rows: int = 1_000) -> Iterator[pa.RecordBatch]:
    """These columns of the files' documents, in order, in batches of at most `rows`."""
    for file in files:
        with pq.ParquetFile(file) as documents:
            yield from documents.iter_batches(rows, columns=columns)
