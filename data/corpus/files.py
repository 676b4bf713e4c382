"""Where a finished corpus keeps its documents: {split}/{source}/{part}.parquet, and how they are read.

Other programs read them by README.md, the card that `datasets.load_dataset` looks for: without it, the library takes
`train` alone.
"""

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from data.corpus.split import STRADDLES
from data.date_columns import DATE_COLUMNS, as_intervals, stored_columns
from data.errors import DataError
from data.files import MANIFEST, file_digest, file_stamp, read_object

CORPUS_COLUMNS = {
    "id": pa.string(),
    "text": pa.string(),
    "source": pa.string(),
    **DATE_COLUMNS,
    "title": pa.string(),
    "licence": pa.string(),
    "url": pa.string(),
}
CORPUS_SCHEMA = pa.schema(CORPUS_COLUMNS)
CARD = "README.md"
NOT_AS_WRITTEN = "is not as it was written: delete it, and run `domainlm prepare CONFIG` again"
_MEANINGS = {
    "train": "what models are trained on, surely of before the cutoff",
    "past": "held out, from the same time as the training text",
    "future": "held out, surely of the cutoff or later",
}


class RowGroup(NamedTuple):
    """Documents of a corpus file that are read together."""

    file: Path
    number: int


def corpus_files(corpus: Path, split: str) -> dict[str, list[Path]]:
    """The files of each source of a split, in order; none for a split that is empty."""
    folders = sorted(folder for folder in (corpus / split).glob("*") if folder.is_dir())
    return {folder.name: sorted(folder.glob("*.parquet")) for folder in folders}


def check_as_written(file: Path) -> None:
    """Raise DataError where a corpus file is not, byte by byte, what the manifest of its corpus says.

    A file is read for that once in a process. Without a manifest there is nothing to compare with: `stage_digest` is
    what refuses an unfinished corpus.
    """
    corpus = file.parents[2]
    manifest = corpus / MANIFEST
    if manifest.exists():
        listed = _listed(manifest, *file_stamp(manifest)).get(file.relative_to(corpus).as_posix())
        if listed is None:
            raise DataError(
                f"{file} is not in the corpus's {MANIFEST}: remove it, or run `domainlm prepare CONFIG` again"
            )
        if digest_once(file) != listed:
            raise DataError(f"{file} {NOT_AS_WRITTEN}")


def digest_once(file: Path) -> str:
    """The digest of a file, taken once in a process while its size and time stay, though several ask."""
    return _digest_of(file, *file_stamp(file))


@functools.lru_cache(maxsize=1_000)
def _digest_of(file: Path, size: int, changed: int) -> str:
    return file_digest(file)


@functools.lru_cache(maxsize=10)
def _listed(manifest: Path, size: int, changed: int) -> dict[str, str]:
    return {name: found["digest"] for name, found in read_object(manifest)["files"].items()}


def corpus_batches(files: list[Path], columns: list[str], rows: int = 1_000) -> Iterator[pa.RecordBatch]:
    """These columns of the files' documents, in order, in batches of at most `rows`; raises as `check_as_written`."""
    for file in files:
        check_as_written(file)
        with pq.ParquetFile(file) as documents:
            stored = stored_columns(columns, documents.schema_arrow.names)
            for batch in documents.iter_batches(rows, columns=stored):
                yield as_intervals(batch, columns)


def read_row_groups(file: Path, numbers: Sequence[int], columns: Sequence[str]) -> pa.Table:
    """These columns of some row groups of a corpus file; raises as `check_as_written`."""
    check_as_written(file)
    with pq.ParquetFile(file) as documents:
        stored = stored_columns(columns, documents.schema_arrow.names)
        return as_intervals(documents.read_row_groups(list(numbers), columns=stored), columns)


def row_groups(files: Iterable[Path]) -> Iterator[tuple[RowGroup, int]]:
    """The row groups of corpus files, in order, each with the bytes of its text, which the files' footers tell."""
    for file in files:
        footer = pq.read_metadata(file)
        text = footer.schema.names.index("text")
        for number in range(footer.num_row_groups):
            yield RowGroup(file, number), footer.row_group(number).column(text).total_uncompressed_size


def dataset_card(sources: Mapping[str, Any], cutoff: str | None) -> str:
    """The content of the card of a corpus: its splits, for people and for `datasets.load_dataset`.

    Args:
        sources: those of report.json.
        cutoff: the day from which on documents are held out.
    """
    splits = [split for split in _MEANINGS if any(split in source["kept"] for source in sources.values())]
    lines = ["---", "configs:", "- config_name: default", "  data_files:"]
    for split in splits:
        lines += [f"  - split: {split}", f"    path: {split}/*/*.parquet"]
    lines += ["---", "# Corpus", "", "| split | source | documents | characters | first date | last date |"]
    lines.append("|---|---|--:|--:|---|---|")
    for split in splits:
        for name, source in sources.items():
            if kept := source["kept"].get(split):
                dates = f"{kept['first_date'] or '–'} | {kept['last_date'] or '–'}"
                lines.append(f"| {split} | {name} | {kept['documents']:,} | {kept['characters']:,} | {dates} |")
    lines += ["", *(f"- `{split}`: {_MEANINGS[split]}" for split in splits), ""]
    straddling = sum(source["dropped"].get(STRADDLES, 0) for source in sources.values())
    left_out = f"; {straddling:,} documents that may be of either side of it are in neither" if straddling else ""
    lines += [f"Cutoff: {cutoff or 'none'}{left_out}.", ""]
    lines += [
        "A document became public between `first_date` and `last_date`, both included (no `first_date`: there is no "
        "telling how early; none of both: it has no date); `date_kind` says what kind of date that is.",
        "",
    ]
    lines.append(
        "`report.json` says what was dropped and why, and the licences; `quarantine.jsonl`, what was unusable."
    )
    return "\n".join(lines) + "\n"
