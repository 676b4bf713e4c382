"""Corpus and tokenizer to shards: every document becomes token ids, in the order of the corpus."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from tokenizers import Tokenizer

from data.corpus_files import corpus_batches, corpus_files
from data.errors import DataError
from data.files import MANIFEST, begin_stage, file_digest, stage_digest
from data.progress import progress, say
from data.shards import (
    DTYPES,
    END_OF_TEXT_ID,
    EncodedDocument,
    Manifest,
    dtype_name,
    read_manifest,
    verify_sizes,
    write_manifest,
    write_source,
)
from data.tokenizer import TOKENIZER, load_tokenizer

SPLITS = ("train", "past", "future")
ROWS_READ = 1024
BATCH_CHARACTERS = 4_000_000  # bounds memory: an encoding takes tens of bytes for each character


def encode_corpus(
    corpus: Path, tokenizer: Path, folder: Path, seed: int, tokens_per_shard: int = 100_000_000
) -> Manifest:
    """Write the shards of a corpus into `folder`, unless they are there already, and return their manifest.

    The bytes depend on corpus and tokenizer alone, not on how many threads encode. An interrupted call leaves no
    manifest, and the next one starts over.

    Raises DataError when corpus or tokenizer are unfinished, or a document gets an id that the shards cannot hold.
    """
    engine = load_tokenizer(tokenizer)
    vocabulary_size = max(engine.get_vocab(with_added_tokens=True).values()) + 1
    dtype = dtype_name(vocabulary_size)
    inputs: dict[str, Any] = {
        "tokenizer_digest": file_digest(tokenizer / TOKENIZER),
        "corpus_digest": stage_digest(corpus),
        "seed": seed,
        "tokens_per_shard": tokens_per_shard,
    }
    if (finished := _finished(folder, inputs)) is not None:
        return finished
    begin_stage(folder, SPLITS)
    splits = {
        split: {
            source: write_source(
                folder, split, source, _encode(files, split, source, engine, vocabulary_size), dtype, tokens_per_shard
            )
            for source, files in corpus_files(corpus, split).items()
        }
        for split in SPLITS
    }
    manifest = Manifest(dtype=dtype, vocabulary_size=vocabulary_size, splits=splits, **inputs)
    write_manifest(folder, manifest)
    return manifest


def _finished(folder: Path, inputs: Mapping[str, Any]) -> Manifest | None:
    """The manifest of shards that are whole and made from these inputs; says why if there is something else."""
    if not (folder / MANIFEST).exists():
        return None
    try:
        manifest = read_manifest(folder)
        verify_sizes(folder, manifest)
    except DataError as error:
        say(f"shards: redoing {folder}: {error}")
        return None
    changed = [name for name, value in inputs.items() if getattr(manifest, name) != value]
    if changed:
        say(f"shards: inputs changed ({', '.join(changed)}), redoing {folder}")
        return None
    say(f"shards: {folder} is up to date")
    return manifest


def _encode(
    files: list[Path], split: str, source: str, engine: Tokenizer, vocabulary_size: int
) -> Iterator[EncodedDocument]:
    documents = sum(pq.read_metadata(file).num_rows for file in files)
    rows = progress(_rows(files), f"tokenize {split}/{source}", documents)
    for batch in _batches(rows):
        encodings = engine.encode_batch_fast([row["text"] for row in batch], add_special_tokens=False)
        for row, encoding in zip(batch, encodings, strict=True):
            tokens = np.array(encoding.ids, dtype=np.int64)
            if len(tokens) and not END_OF_TEXT_ID < tokens.min() <= tokens.max() < vocabulary_size:
                raise DataError(
                    f"{split}/{source}: the tokenizer gives document '{row['id']}' ids {tokens.min()} to {tokens.max()}, "
                    f"but text may have {END_OF_TEXT_ID + 1} to {vocabulary_size - 1} only: use another tokenizer"
                )
            compact = tokens.astype(DTYPES[dtype_name(vocabulary_size)])
            yield EncodedDocument(row["id"], row["date"], compact, len(row["text"].encode()))


def _rows(files: list[Path]) -> Iterator[dict[str, Any]]:
    for batch in corpus_batches(files, ["id", "date", "text"], ROWS_READ):
        yield from batch.to_pylist()


def _batches(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    characters = 0
    for row in rows:
        batch.append(row)
        characters += len(row["text"])
        if characters >= BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch
