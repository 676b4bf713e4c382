"""The text that a tokenizer learns from, and is measured on: documents from all over a corpus."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from data.config import CANARIES
from data.corpus.files import RowGroup, corpus_batches, corpus_files, read_row_groups, row_groups

ROWS_PER_BATCH = 100
REPORT = "report.json"


def bytes_by_source(corpus: Path, split: str) -> dict[str, int]:
    """Bytes of UTF-8 that a split of a finished corpus has from each source; sources without any are left out.

    So are canaries: a piece that is a secret would be a copy more of it.
    """
    report = json.loads((corpus / REPORT).read_bytes())
    planted = {CANARIES} if report.get("canaries") else set()
    return {
        name: source["kept"][split]["bytes"]
        for name, source in report["sources"].items()
        if split in source["kept"] and name not in planted
    }


def read_texts(files: Sequence[Path]) -> Iterator[pa.Array]:
    """The texts of corpus files, in order."""
    for batch in corpus_batches(list(files), ["text"], ROWS_PER_BATCH):
        yield batch["text"]


def find_chunks(files: Mapping[str, Sequence[Path]], chunk_bytes: float) -> list[list[RowGroup]]:
    """Row groups of each source, in order, in runs that have about so many bytes of text each, the last one fewer."""
    chunks: list[list[RowGroup]] = []
    for own in files.values():
        room = 0.0
        for group, size in row_groups(own):
            if room <= 0:
                chunks.append([])
                room = chunk_bytes
            chunks[-1].append(group)
            room -= size
    return chunks


def read_groups(groups: Iterable[RowGroup]) -> Iterator[pa.Array]:
    """The texts of row groups, in order. Raises DataError: a file is not as it was written."""
    for group in groups:
        yield read_row_groups(group.file, [group.number], ["text"])["text"].combine_chunks()


def sample_texts(batches: Iterable[pa.Array], fraction: float) -> Iterator[pa.Array]:
    """Texts from all over the batches, about this fraction of their bytes but one at least; always the same ones."""
    passed = taken = 0
    for texts in batches:
        if fraction >= 1:
            yield texts
            continue
        chosen = []
        for place, size in enumerate(pc.binary_length(texts).to_pylist()):
            if taken <= fraction * passed:
                taken += size
                chosen.append(place)
            passed += size
        yield texts.take(pa.array(chosen, pa.int64()))


def measured_texts(corpus: Path, most_bytes: int) -> tuple[str, dict[str, list[str]]]:
    """The split that a tokenizer is measured on, and of each source about so many bytes of text.

    It is the held-out split `past`, or the training split where there is none.
    """
    split = "past" if bytes_by_source(corpus, "past") else "train"
    return split, texts_from_all_over(corpus, split, most_bytes)


def texts_from_all_over(corpus: Path, split: str, most_bytes: int) -> dict[str, list[str]]:
    """Of each source about so many bytes of a split's text, always the same."""
    files = corpus_files(corpus, split)
    return {
        source: [
            text
            for batch in sample_texts(read_texts(files[source]), min(1.0, most_bytes / size))
            for text in batch.to_pylist()
        ]
        for source, size in bytes_by_source(corpus, split).items()
    }
