"""Corpus and tokenizer to shards: every document becomes token ids, in the order of the corpus, shard by shard."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from multiprocessing import parent_process
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data.corpus_files import corpus_files
from data.encoder import DifferentIds, Encoder, check_encoder, load_encoder
from data.errors import DataError
from data.files import MANIFEST, file_digest, stage_digest, value_digest, write_atomically
from data.parallel import in_parallel
from data.progress import say
from data.shards import (
    BLOCK_COLUMNS,
    DTYPES,
    END_OF_TEXT_ID,
    EncodedBlock,
    Manifest,
    ShardFile,
    SourceShards,
    dtype_name,
    read_manifest,
    shard_name,
    write_manifest,
    write_shard,
)
from data.tokenizer import TOKENIZER

SPLITS = ("train", "past", "future")
BYTES_PER_SHARD = 256_000_000
CHECKED_TEXTS = 8  # of each row group, the first CHECKED_CHARACTERS of each: encoded twice and compared
CHECKED_CHARACTERS = 2_000

RowGroup = tuple[Path, int]


@dataclass(frozen=True)
class ShardJob:
    """One shard to make: row groups of the corpus in a row."""

    corpus: Path
    tokenizer: Path
    folder: Path
    name: str
    source: str
    row_groups: tuple[RowGroup, ...]
    dtype: str
    inputs: str  # digest of everything that decides the shard's content

    @property
    def note(self) -> Path:
        """Written when the shard is whole: what it was made from, and its entry in the manifest."""
        return self.folder / f"{self.name}.json"


def encode_corpus(
    corpus: Path,
    tokenizer: Path,
    folder: Path,
    seed: int,
    workers: int | None = None,
    shard: tuple[int, int] | None = None,
    bytes_per_shard: int = BYTES_PER_SHARD,
) -> Manifest | None:
    """Write the shards of a corpus into `folder`, those that are not there already, and return their manifest.

    The bytes depend on corpus and tokenizer alone, not on processes or on the engine that encodes. An interrupted call
    leaves no manifest, and the next one keeps the shards that are whole.

    Args:
        workers: processes; None for one for each CPU.
        shard: (i, n) makes every n-th shard from the i-th on (from 0) and no manifest; a call without it finishes.
        bytes_per_shard: of text; a shard ends before the row group of the corpus that would exceed it.

    Returns:
        The manifest; None for a share of the shards, unless all of them were finished before.

    Raises:
        DataError: corpus or tokenizer are unfinished, or a document gets an id that the shards cannot hold.
    """
    encoder = load_encoder(tokenizer)
    inputs: dict[str, Any] = {
        "tokenizer_digest": file_digest(tokenizer / TOKENIZER),
        "corpus_digest": stage_digest(corpus),
        "seed": seed,
        "bytes_per_shard": bytes_per_shard,
    }
    if (finished := _finished(folder, inputs)) is not None:
        return finished
    (folder / MANIFEST).unlink(missing_ok=True)
    jobs = _plan(corpus, tokenizer, folder, dtype_name(encoder.vocabulary_size), inputs)
    mine = list(jobs) if shard is None else list(jobs)[shard[0] :: shard[1]]
    say(f"shards: encoding {len(mine):,} of {len(jobs):,} with {encoder.engine}")
    files = dict(zip(mine, in_parallel(_make_shard, mine, workers, "tokenize", "shards"), strict=True))
    if shard is not None:
        say("shards: the same command without --shard finishes the folder")
        return None
    _remove_others(folder, jobs)
    splits = {split: {source: SourceShards(()) for source in corpus_files(corpus, split)} for split in SPLITS}
    for job, file in files.items():
        split = job.name.partition("/")[0]
        splits[split][job.source] = SourceShards((*splits[split][job.source].files, file))
    manifest = Manifest(
        dtype=dtype_name(encoder.vocabulary_size), vocabulary_size=encoder.vocabulary_size, splits=splits, **inputs
    )
    write_manifest(folder, manifest)
    return manifest
