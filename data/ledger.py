"""The ledger of a run: which documents a sample was made of, and which samples a document went into."""

import bisect
import difflib
from collections import defaultdict
from typing import Any

import numpy as np
import pyarrow.compute as pc

from data.errors import DataError
from data.shards import ShardFile, read_documents
from data.stream import SPLIT, Piece, TokenStream

CANDIDATES = 1000


def documents_of(stream: TokenStream, first: int, count: int) -> list[dict[str, Any]]:
    """The documents with at least one token in samples first..first+count-1, by source and position, each once.

    Each has `id`, `source`, `date` (ISO 8601 or None), `first_token` (in the source's split) and `tokens` (with its
    end-of-text token).
    """
    pieces_of_file: defaultdict[tuple[str, int], list[Piece]] = defaultdict(list)
    for pieces in stream.pieces(first, count):
        for piece in pieces:
            starts = stream.manifest.splits[SPLIT][piece.source].first_tokens
            first_file = bisect.bisect_right(starts, piece.first_token) - 1
            end_file = bisect.bisect_left(starts, piece.first_token + piece.tokens)
            for number in range(first_file, end_file):
                pieces_of_file[piece.source, number].append(piece)
    found: list[dict[str, Any]] = []
    for (source, number), pieces in sorted(pieces_of_file.items()):
        file = stream.manifest.splits[SPLIT][source].files[number]
        starts = stream.manifest.splits[SPLIT][source].first_tokens
        found += _documents_in(stream, file, starts[number], pieces)
    return found


def _documents_in(stream: TokenStream, file: ShardFile, first_token: int, pieces: list[Piece]) -> list[dict[str, Any]]:
    table = read_documents(stream.folder, [file], first_token).drop_columns(["bytes"])
    starts = table["first_token"].to_numpy()
    begins = np.array([piece.first_token for piece in pieces])
    ends = begins + [piece.tokens for piece in pieces]
    first_rows = np.maximum(np.searchsorted(starts, begins, side="right") - 1, 0)
    end_rows = np.searchsorted(starts, ends, side="left")
    rows = np.unique(np.concatenate([np.arange(*span) for span in zip(first_rows, end_rows, strict=True)]))
    return [row | {"date": row["date"].isoformat() if row["date"] else None} for row in table.take(rows).to_pylist()]


def samples_of(stream: TokenStream, document_id: str, samples: int) -> list[int]:
    """Which of the first `samples` samples hold at least one token of the document, ascending.

    Raises DataError when no training document has this id, naming the closest that there are.
    """
    files = [file for shards in stream.manifest.splits[SPLIT].values() for file in shards.files]
    wanted = pc.field("id") == document_id
    found = [
        row
        for shards in stream.manifest.splits[SPLIT].values()
        for first, file in zip(shards.first_tokens, shards.files, strict=False)
        for row in read_documents(stream.folder, [file], first, wanted).to_pylist()
    ]
    if not found:
        raise DataError(f"no training document has the id '{document_id}'{_suggest(stream, files, document_id)}")
    pieces = [Piece(row["source"], row["first_token"], row["tokens"]) for row in found]
    found_in: list[int] = np.unique(np.concatenate([stream.samples_with(one, samples) for one in pieces])).tolist()
    return found_in


def _suggest(stream: TokenStream, files: list[ShardFile], document_id: str) -> str:
    # One slip of the pen leaves the first half of an id or the second as it was
    middle = len(document_id) // 2
    alike = pc.starts_with(pc.field("id"), document_id[:middle]) | pc.ends_with(pc.field("id"), document_id[middle:])
    candidates = read_documents(stream.folder, files, only=alike).slice(0, CANDIDATES)["id"].to_pylist()
    close = difflib.get_close_matches(document_id, candidates, n=3)
    return f": did you mean {' or '.join(repr(name) for name in close)}?" if close else ""
