"""Megatron's indexed datasets: token ids in NAME.bin, and in NAME.idx how they are cut into sequences and documents.

NAME.idx is little-endian: the 9 bytes of MAGIC, the version 1 as uint64, the code of the ids' dtype as uint8, the
number of sequences and of document bounds as uint64, then sequence lengths (int32), byte offsets of the sequences in
NAME.bin (int64), and document bounds, which count sequences from 0 (int64). The layout is that of Megatron-LM,
megatron/core/datasets/indexed_dataset.py; GPT-NeoX and what else grew out of it read the same.
"""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

MAGIC = b"MMIDIDX\x00\x00"
HEADER = struct.Struct("<9sQBQQ")
# Codes 6 and 7 are floating-point numbers, which are no token ids.
ID_DTYPES = {code: np.dtype(name) for code, name in {1: "u1", 2: "i1", 3: "<i2", 4: "<i4", 5: "<i8", 8: "<u2"}.items()}
CHECKED_AT_ONCE = 1 << 20  # sequences; the index of a large corpus is itself too large to copy

Ids = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True, eq=False)
class IndexedDataset:
    """The two files mapped to memory."""

    ids: Ids  # (ids,)
    offsets: npt.NDArray[np.int64]  # (sequences,), where each begins, in bytes
    lengths: npt.NDArray[np.int32]  # (sequences,), in ids
    bounds: npt.NDArray[np.int64]  # (documents + 1,), which sequences are a document's

    @property
    def documents(self) -> int:
        return len(self.bounds) - 1

    def document(self, index: int) -> Ids:
        """The ids of a document: of all its sequences behind one another."""
        sequences = slice(self.bounds[index], self.bounds[index + 1])
        starts = (self.offsets[sequences] // self.ids.itemsize).tolist()
        pieces = [
            self.ids[start : start + length]
            for start, length in zip(starts, self.lengths[sequences].tolist(), strict=True)
        ]
        return pieces[0] if len(pieces) == 1 else np.concatenate([self.ids[:0], *pieces])


def read_indexed(tokens: Path) -> IndexedDataset:
    """Open NAME.bin, which has NAME.idx beside it.

    Raises:
        ValueError: a file is damaged, or they do not belong together.
        OSError: a file cannot be opened.
    """
    content = mapped(index_of(tokens), np.dtype(np.uint8))
    if len(content) < HEADER.size:
        raise ValueError(f"{index_of(tokens).name} is cut off")
    magic, version, code, sequences, bounds = HEADER.unpack(content[: HEADER.size].tobytes())
    if magic != MAGIC or version != 1 or code not in ID_DTYPES:
        raise ValueError(f"{index_of(tokens).name} is no index of version 1 of whole numbers")
    if len(content) < HEADER.size + 12 * sequences + 8 * bounds:
        raise ValueError(f"{index_of(tokens).name} is cut off")
    lengths, rest = content[HEADER.size : HEADER.size + 4 * sequences], content[HEADER.size + 4 * sequences :]
    dataset = IndexedDataset(
        ids=mapped(tokens, ID_DTYPES[code]),
        offsets=rest[: 8 * sequences].view("<i8"),
        lengths=lengths.view("<i4"),
        # What follows the bounds are the modes of multimodal sequences.
        bounds=rest[8 * sequences : 8 * (sequences + bounds)].view("<i8"),
    )
    _check_bounds(tokens, dataset)
    for first in range(0, sequences, CHECKED_AT_ONCE):
        _check_sequences(tokens, dataset, slice(first, first + CHECKED_AT_ONCE))
    return dataset


def _check_bounds(tokens: Path, dataset: IndexedDataset) -> None:
    bounds = dataset.bounds
    falls = (
        np.any(np.diff(bounds[first : first + CHECKED_AT_ONCE + 1]) < 0)
        for first in range(0, len(bounds), CHECKED_AT_ONCE)
    )
    if len(bounds) == 0 or bounds[0] != 0 or bounds[-1] != len(dataset.offsets) or any(falls):
        raise ValueError(f"{index_of(tokens).name} has documents that are not all of its sequences in order")


def _check_sequences(tokens: Path, dataset: IndexedDataset, some: slice) -> None:
    starts, odd = np.divmod(dataset.offsets[some], dataset.ids.itemsize)
    lengths = dataset.lengths[some]
    if odd.any():
        raise ValueError(f"{index_of(tokens).name} has sequences that begin within an id")
    if (lengths < 0).any() or (starts < 0).any() or (lengths > len(dataset.ids) - starts).any():
        raise ValueError(f"{tokens.name} is shorter than its index says")


def mapped(path: Path, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """A file as an array (whole values,) that is read as it is used; a last value that is cut off is left out."""
    values = path.stat().st_size // dtype.itemsize
    # As a plain array, because each slice of a memmap would be one and cost microseconds.
    return np.asarray(np.memmap(path, dtype, "r", shape=(values,))) if values else np.zeros(0, dtype)


def index_of(tokens: Path) -> Path:
    """The index that belongs to NAME.bin."""
    return tokens.with_suffix(".idx")
