"""Embeddings of passages, kept by their text: only new passages are encoded, and a search is one product, exact.

At a million passages of 384 numbers in float32 that is 1.5 GB, mapped, to be read once for each question.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from data.errors import DataError
from data.files import atomic_write, new_digest
from data.progress import progress, say

BATCH = 256  # passages
KEY = np.dtype("S16")  # digest of a passage's text

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Embedder:
    """A model that makes embeddings, (texts, dimension) float32 of length 1."""

    digest: str  # of the model's files
    dimension: int
    passages: Callable[[Sequence[str]], Vectors]
    question: Callable[[str], Vectors]  # (dimension,)


def vectors_file(folder: Path, digest: str) -> Path:
    """The embeddings of an index's passages by a model."""
    return folder / f"vectors-{digest}.npy"


def embed_passages(folder: Path, embedder: Embedder, passages: int, text_of: Callable[[int], bytes]) -> list[Path]:
    """Write the embeddings of passages in their order, and the digests of their texts; returns both files.

    Of texts that the index has embeddings of by the same model, these are kept. What is encoded is written as it comes,
    so that an interrupted build goes on. Embeddings of other models are removed.
    """
    vectors, named = vectors_file(folder, embedder.digest), folder / f"keys-{embedder.digest}.npy"
    begun = folder / f"begun-{embedder.digest}.embeddings"
    remove_vectors(folder, (vectors, named, begun))
    keys = np.frombuffer(b"".join(new_digest(text_of(place)).digest() for place in range(passages)), KEY)
    entry = np.dtype([("key", KEY), ("vector", "<f4", (embedder.dimension,))])
    known = [_kept(vectors, named, entry)]
    if begun.exists():
        known.append(np.fromfile(begun, entry, begun.stat().st_size // entry.itemsize))
    missing = np.flatnonzero(~np.isin(keys, np.concatenate([part["key"] for part in known])))
    missing = missing[np.sort(np.unique(keys[missing], return_index=True)[1])]
    say(f"index: {len(missing):,} of {passages:,} passages are to be embedded")
    with begun.open("wb") as file:
        for part in known[1:]:
            file.write(part.tobytes())
        for begin in progress(range(0, len(missing), BATCH), "embedding", unit="batches"):
            chosen = missing[begin : begin + BATCH]
            part = np.empty(len(chosen), entry)
            part["key"] = keys[chosen]
            part["vector"] = embedder.passages([text_of(place).decode() for place in chosen.tolist()])
            if not np.isfinite(part["vector"]).all():
                raise DataError("the embedding model gives numbers that are not finite: use another one")
            file.write(part.tobytes())
            file.flush()
            known.append(part)
    joined = np.concatenate(known)
    order = np.argsort(joined["key"])
    places = order[np.searchsorted(joined["key"], keys, sorter=order)]
    for path, array in zip((vectors, named), (joined["vector"][places], keys), strict=True):
        with atomic_write(path) as file:
            np.save(file, array)
    begun.unlink()
    return [vectors, named]


def remove_vectors(folder: Path, kept: Collection[Path] = ()) -> None:
    """Remove the embeddings that an index has, but for some files."""
    for kind in ("vectors-*.npy", "keys-*.npy", "begun-*.embeddings"):
        for file in folder.glob(kind):
            if file not in kept:
                file.unlink()


def _kept(vectors: Path, keys: Path, entry: np.dtype[np.void]) -> npt.NDArray[np.void]:
    """What an earlier index has of the same model; nothing where that is damaged."""
    try:
        found, named = np.load(vectors), np.load(keys)
    except (OSError, ValueError):
        return np.empty(0, entry)
    if found.shape != (len(named), entry["vector"].shape[0]):
        return np.empty(0, entry)
    kept = np.empty(len(named), entry)
    kept["key"], kept["vector"] = named, found
    return kept
