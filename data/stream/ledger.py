"""The ledger of a run: which documents a sample was made of, and which samples a document went into."""

import difflib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from data.errors import DataError
from data.interval import Interval, dates_as_json
from data.shards.documents import read_documents
from data.shards.packing import SPLIT
from data.shards.reader import shard_name
from data.stream.stream import Piece, TokenStream

CANDIDATES = 1000


@dataclass(frozen=True)
class Sightings:
    """Where a run has seen a document."""

    samples: list[int]  # ascending, each once
    rows: int  # over which the document is spread: as many samples show it once

    @property
    def epochs(self) -> float:
        """How often it was seen, in whole documents."""
        return len(self.samples) / self.rows


def documents_of(stream: TokenStream, samples: Sequence[int]) -> list[dict[str, Any]]:
    """The documents of which these samples predict at least one token, by source and position, each once.

    Each has `id`, `source`, `first_date` and `last_date` (ISO 8601 or None), `date_kind` (or None), `shard` (the name
    of its file), `first_token` (in that file) and `tokens` (with its end-of-text token).
    """
    pieces: defaultdict[tuple[str, int], list[Piece]] = defaultdict(list)
    for sample in samples:
        for piece in stream.pieces(sample, 1)[0]:
            pieces[piece.source, piece.file].append(piece)
    return [
        row for (source, file), of_file in sorted(pieces.items()) for row in _touched(stream, source, file, of_file)
    ]


def _touched(stream: TokenStream, source: str, file: int, pieces: list[Piece]) -> list[dict[str, Any]]:
    table = read_documents(_table(stream, source, file)).drop_columns(["bytes"])
    starts = table["first_token"].to_numpy()
    begins = np.array([piece.first_token for piece in pieces])
    ends = begins + [piece.tokens for piece in pieces]
    spans = zip(np.searchsorted(starts, begins, side="right") - 1, np.searchsorted(starts, ends), strict=True)
    rows = np.unique(np.concatenate([np.arange(*span) for span in spans]))
    shard = shard_name(SPLIT, source, file)
    return [
        row | dates_as_json(Interval.of_columns(row["first_date"], row["last_date"])) | {"shard": shard}
        for row in table.take(rows).to_pylist()
    ]


def samples_of(stream: TokenStream, document_id: str, end: int) -> Sightings:
    """Which of the first `end` samples predict at least one token of the document.

    Raises DataError when no training document has this id, naming the closest that there are.
    """
    found = samples_of_all(stream, [document_id], end)
    if document_id not in found:
        raise DataError(f"no training document has the id '{document_id}'{_suggest(stream, document_id)}")
    return found[document_id]


def samples_of_all(stream: TokenStream, document_ids: Sequence[str], end: int) -> dict[str, Sightings]:
    """The same for many documents, which are looked for together; those that are not there are left out."""
    found: defaultdict[str, list[Piece]] = defaultdict(list)
    for source, file in _files(stream):
        for row in read_documents(_table(stream, source, file), pc.field("id").isin(document_ids)).to_pylist():
            found[row["id"]].append(Piece(source, file, row["first_token"], row["tokens"]))
    return {
        document: Sightings(
            np.unique(np.concatenate([stream.samples_with(piece, end) for piece in pieces])).tolist(),
            sum(len(stream.rows_with(piece)) for piece in pieces),
        )
        for document, pieces in found.items()
    }


def times_seen(stream: TokenStream, piece: Piece, end: int, passed_over: Sequence[tuple[int, int]] = ()) -> float:
    """How often the first `end` samples have shown a stretch of tokens, in whole stretches as `Sightings.epochs`.

    Args:
        passed_over: samples (first, end) that do not count, such as those of skipped steps.
    """
    samples = stream.samples_with(piece, end)
    for first, behind in passed_over:
        samples = samples[(samples < first) | (samples >= behind)]
    return len(samples) / len(stream.rows_with(piece))


def _files(stream: TokenStream) -> list[tuple[str, int]]:
    """Source and number of every shard file."""
    sources = stream.packing.sources.items()
    return [(source, file) for source, packed in sources for file in range(len(packed.tokens))]


def _table(stream: TokenStream, source: str, file: int) -> Path:
    return Path(stream.local(f"{shard_name(SPLIT, source, file)}.documents.parquet"))


def _suggest(stream: TokenStream, document_id: str) -> str:
    # One slip of the pen leaves the first half of an id or the second as it was
    middle = len(document_id) // 2
    alike = pc.starts_with(pc.field("id"), document_id[:middle]) | pc.ends_with(pc.field("id"), document_id[middle:])
    candidates: list[str] = []
    for source, file in _files(stream):
        if len(candidates) < CANDIDATES:
            candidates += read_documents(_table(stream, source, file), alike)["id"].to_pylist()
    close = difflib.get_close_matches(document_id, candidates[:CANDIDATES], n=3)
    return f": did you mean {' or '.join(repr(name) for name in close)}?" if close else ""
