"""Where a finished corpus keeps its documents: {split}/{source}/{part}.parquet, and how they are read."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

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


class RowGroup(NamedTuple):
    """Documents of a corpus file that are read together."""

    file: Path
    number: int


def corpus_files(corpus: Path, split: str) -> dict[str, list[Path]]:
    """The files of each source of a split, in order; none for a split that is empty."""
    folders = sorted(folder for folder in (corpus / split).glob("*") if folder.is_dir())
    return {folder.name: sorted(folder.glob("*.parquet")) for folder in folders}


def corpus_batches(files: list[Path], columns: list[str], rows: int = 1_000) -> Iterator[pa.RecordBatch]:
    """These columns of the files' documents, in order, in batches of at most `rows`."""
    for file in files:
        with pq.ParquetFile(file) as documents:
            yield from documents.iter_batches(rows, columns=columns)


def row_groups(files: Iterable[Path]) -> Iterator[tuple[RowGroup, int]]:
    """The row groups of corpus files, in order, each with the bytes of its text, which the files' footers tell."""
    for file in files:
        footer = pq.read_metadata(file)
        text = footer.schema.names.index("text")
        for number in range(footer.num_row_groups):
            yield RowGroup(file, number), footer.row_group(number).column(text).total_uncompressed_size
