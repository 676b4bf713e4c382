"""Shards written as Megatron's indexed datasets, whose layout is in data/sources/megatron.py."""

from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from data.errors import DataError
from data.files import MANIFEST, READ_BYTES, atomic_write
from data.lock import only_writer
from data.progress import progress, say
from data.shards.format import SourceShards, read_manifest
from data.shards.reader import DTYPES
from data.sources.megatron import HEADER, ID_DTYPES, MAGIC, index_of

# Megatron's rule: smaller vocabularies are written as uint16, all others as int32.
SMALL_VOCABULARY = 65_500
LEFT_OUT = "; which of them count in the loss, the format cannot say: trained on as they are, all do"
LONGEST_SEQUENCE = 2**31 - 1  # lengths are int32


def megatron_dtype(vocabulary_size: int) -> np.dtype[Any]:
    """What Megatron-LM writes ids of such a vocabulary as: its preprocessing chooses by this rule."""
    return np.dtype("<u2" if vocabulary_size < SMALL_VOCABULARY else "<i4")


def export_megatron(shards: Path, folder: Path) -> list[Path]:
    """Write every source of every split of finished shards as {split}/{source}.bin and .idx, each in one piece.

    A document is one sequence that ends with the end-of-text token, as `preprocess_data.py --append-eod` makes them.

    Returns:
        The .bin files; what Megatron's --data-path takes is their path without the extension.

    Raises:
        DataError: the shards are unfinished or damaged, a document is too long for the format, or `folder` is one of a
            stage, or another process writes to it.
    """
    manifest = read_manifest(shards)
    if (folder / MANIFEST).exists():
        raise DataError(f"{folder} has a {MANIFEST}, it is a corpus, shards, or another stage's: choose another folder")
    written = []
    with only_writer(folder):
        for split, sources in manifest.splits.items():
            for source, files in sources.items():
                tokens = folder / split / f"{source}.bin"
                dtype = megatron_dtype(manifest.vocabulary_size)
                index_of(tokens).unlink(missing_ok=True)  # a pair must not be of two exports
                with atomic_write(tokens) as out:
                    for file in progress(files.files, f"exporting {split}/{source}", unit="files"):
                        _copy_ids(shards / file.tokens_path, DTYPES[manifest.dtype], out, dtype)
                _write_index(index_of(tokens), _document_lengths(shards, files), dtype)
                counted = any(file.counted_digest for file in files.files)
                say(
                    f"{tokens}: {files.documents:,} documents, {files.tokens:,} tokens as {dtype.name}"
                    + LEFT_OUT * counted
                )
                written.append(tokens)
    return written


def _copy_ids(path: Path, stored: np.dtype[Any], out: BinaryIO, dtype: np.dtype[Any]) -> None:
    with path.open("rb") as file:
        while block := file.read(READ_BYTES):
            out.write(np.frombuffer(block, stored).astype(dtype).tobytes())


def _document_lengths(shards: Path, files: SourceShards) -> npt.NDArray[np.int64]:
    lengths = []
    for file in files.files:
        lengths.append(pq.read_table(shards / file.documents_path, columns=["tokens"])["tokens"].to_numpy())
        if lengths[-1].sum() != file.tokens:
            raise DataError(f"{shards / file.documents_path} does not fit its tokens: run `domainlm tokenize` again")
    return np.concatenate([np.zeros(0, np.int64), *lengths])


def _write_index(path: Path, lengths: npt.NDArray[np.int64], dtype: np.dtype[Any]) -> None:
    if len(lengths) and lengths.max() > LONGEST_SEQUENCE:
        raise DataError(f"{path}: a document has {lengths.max():,} tokens, the format holds {LONGEST_SEQUENCE:,}")
    offsets = (np.cumsum(lengths) - lengths) * dtype.itemsize
    code = next(code for code, known in ID_DTYPES.items() if known == dtype)
    with atomic_write(path) as file:
        file.write(HEADER.pack(MAGIC, 1, code, len(lengths), len(lengths) + 1))
        for array, kind in ((lengths, "<i4"), (offsets, "<i8"), (np.arange(len(lengths) + 1), "<i8")):
            file.write(array.astype(kind).tobytes())
