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
from data.encoder import Encoder, Ids, Lengths, WrongIdsError, check_encoder, load_encoder
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
    Tokens,
    dtype_name,
    read_manifest,
    shard_name,
    write_manifest,
    write_shard,
)
from data.tokenizer import TOKENIZER

SPLITS = ("train", "past", "future")
BYTES_PER_SHARD = 256_000_000
NOTE = ".made.json"  # beside a whole shard: what it was made from, and its entry in the manifest
CHECKED_TEXTS = 8  # of each row group, the first CHECKED_CHARACTERS of each: encoded twice and compared
CHECKED_CHARACTERS = 2_000

RowGroup = tuple[Path, int]


@dataclass(frozen=True)
class ShardJob:
    """One shard to make: row groups of the corpus in a row."""

    tokenizer: Path
    folder: Path
    split: str
    source: str
    number: int
    row_groups: tuple[RowGroup, ...]
    dtype: str
    inputs: str  # digest of everything that decides the shard's content

    @property
    def name(self) -> str:
        return shard_name(self.split, self.source, self.number)


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
        The manifest; None for a share of the shards, unless the folder was finished before.

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
    dtype = dtype_name(encoder.vocabulary_size)
    jobs = _plan(corpus, tokenizer, folder, dtype, inputs)
    mine = jobs if shard is None else jobs[shard[0] :: shard[1]]
    say(f"shards: encoding {len(mine):,} of {len(jobs):,} with {encoder.engine}")
    files = list(in_parallel(_make_shard, mine, workers, "tokenize", "shards"))
    if shard is not None:
        say(f"shards: {len(mine):,} of {len(jobs):,} are made; the same command without --shard finishes the folder")
        return None
    _remove_others(folder, jobs)
    found: dict[str, dict[str, list[ShardFile]]]
    found = {split: {source: [] for source in corpus_files(corpus, split)} for split in SPLITS}
    for job, file in zip(jobs, files, strict=True):
        found[job.split][job.source].append(file)
    splits = {
        split: {source: SourceShards(tuple(files)) for source, files in sources.items()}
        for split, sources in found.items()
    }
    manifest = Manifest(dtype=dtype, vocabulary_size=encoder.vocabulary_size, splits=splits, **inputs)
    write_manifest(folder, manifest)
    return manifest


def _finished(folder: Path, inputs: Mapping[str, Any]) -> Manifest | None:
    """The manifest of shards that are whole and made from these inputs; says why if there is something else."""
    if not (folder / MANIFEST).exists():
        return None
    try:
        manifest = read_manifest(folder)
    except DataError as error:
        say(f"shards: redoing {folder}: {error}")
        return None
    changed = [name for name, value in inputs.items() if getattr(manifest, name) != value]
    if changed:
        say(f"shards: inputs changed ({', '.join(changed)}), redoing {folder}")
        return None
    say(f"shards: {folder} is up to date")
    return manifest


def _plan(corpus: Path, tokenizer: Path, folder: Path, dtype: str, inputs: Mapping[str, Any]) -> list[ShardJob]:
    """All shards, in order of split and source: rows groups in a row of up to `bytes_per_shard`, one at least."""
    digests = {name: file["digest"] for name, file in json.loads((corpus / MANIFEST).read_bytes())["files"].items()}
    jobs: list[ShardJob] = []
    for split in SPLITS:
        for source, files in corpus_files(corpus, split).items():
            for number, row_groups in enumerate(_cut(files, inputs["bytes_per_shard"])):
                content = [(digests[path.relative_to(corpus).as_posix()], group) for path, group in row_groups]
                made_from = value_digest([inputs["tokenizer_digest"], dtype, content])
                jobs.append(ShardJob(tokenizer, folder, split, source, number, tuple(row_groups), dtype, made_from))
    return jobs


def _cut(files: list[Path], limit: int) -> Iterator[list[RowGroup]]:
    """Row groups in runs of at most `limit` bytes of text each, by what the files' metadata says."""
    run: list[RowGroup] = []
    size = 0
    for path in files:
        metadata = pq.read_metadata(path)
        text = metadata.schema.names.index("text")
        for group in range(metadata.num_row_groups):
            added = metadata.row_group(group).column(text).total_uncompressed_size
            if run and size + added > limit:
                yield run
                run, size = [], 0
            if metadata.row_group(group).num_rows:
                run.append((path, group))
                size += added
    if run:
        yield run


def _make_shard(job: ShardJob) -> ShardFile:
    """Make a shard, or recognise it; an engine that turns out to give other ids is replaced, and said."""
    if (kept := _kept(job)) is not None:
        return kept
    if parent_process() is not None:
        os.environ["TOKENIZERS_PARALLELISM"] = "false"  # every CPU has a worker already
    differed: list[str] = []
    while True:
        encoder = load_encoder(job.tokenizer, without=differed)
        try:
            file = write_shard(job.folder, job.name, _blocks(job, encoder), job.dtype)
        except WrongIdsError as difference:
            say(f"{job.name}: {difference}; making the shard again with the next engine")
            differed.append(encoder.engine)
        else:
            note = {"inputs": job.inputs, "file": asdict(file)}
            write_atomically(job.folder / f"{job.name}{NOTE}", json.dumps(note))
            return file


def _kept(job: ShardJob) -> ShardFile | None:
    """The entry of a shard that was finished from the same inputs and is of the size that it then had."""
    try:
        note = json.loads((job.folder / f"{job.name}{NOTE}").read_bytes())
        file = ShardFile(**note["file"])
        sizes = [(job.folder / path).stat().st_size for path in (file.tokens_path, file.documents_path)]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    whole = note["inputs"] == job.inputs and sizes == [file.tokens_size, file.documents_size]
    return file if whole else None


def _blocks(job: ShardJob, encoder: Encoder) -> Iterator[EncodedBlock]:
    """Row group by row group: their text bounds what is in memory."""
    for path, group in job.row_groups:
        with pq.ParquetFile(path) as file:
            rows = file.read_row_group(group, columns=["id", "date", "text"])
        texts = rows["text"].cast(pa.large_string()).combine_chunks()
        step = max(1, len(texts) // CHECKED_TEXTS)
        check_encoder(encoder, pc.utf8_slice_codeunits(texts[::step], 0, CHECKED_CHARACTERS))
        ids, lengths = encoder.encode(texts)
        _check_ids(job, ids, lengths, rows["id"], encoder.vocabulary_size)
        documents = {
            "id": rows["id"],
            "source": pa.repeat(job.source, len(rows)),
            "date": rows["date"],
            "tokens": pa.array(lengths + 1),
            "bytes": pc.binary_length(texts),
        }
        tokens = _with_ends(ids, lengths, DTYPES[job.dtype])
        yield EncodedBlock(tokens, pa.table(documents).cast(BLOCK_COLUMNS))


def _check_ids(job: ShardJob, ids: Ids, lengths: Lengths, names: pa.ChunkedArray, vocabulary_size: int) -> None:
    if not len(ids) or END_OF_TEXT_ID < ids.min() <= ids.max() < vocabulary_size:
        return
    wrong = np.argmax((ids <= END_OF_TEXT_ID) | (ids >= vocabulary_size))
    document = names[int(np.searchsorted(np.cumsum(lengths), wrong, side="right"))]
    raise DataError(
        f"{job.split}/{job.source}: the tokenizer gives document '{document}' the id {ids[wrong]}, but text may have "
        f"{END_OF_TEXT_ID + 1} to {vocabulary_size - 1} only: use another tokenizer"
    )


def _with_ends(ids: Ids, lengths: Lengths, dtype: np.dtype[Any]) -> Tokens:
    """The ids with an end-of-text token behind each document."""
    tokens = np.empty(len(ids) + len(lengths), dtype)
    ends = np.cumsum(lengths + 1) - 1
    within = np.ones(len(tokens), bool)
    within[ends] = False
    tokens[within] = ids
    tokens[ends] = END_OF_TEXT_ID
    return tokens


def _remove_others(folder: Path, jobs: list[ShardJob]) -> None:
    """Remove what earlier inputs left in the splits' folders: the manifest names every file that stays."""
    stay = {f"{job.name}{ending}" for job in jobs for ending in (".bin", ".documents.parquet", NOTE)}
    for split in SPLITS:
        for path in (folder / split).glob("*"):
            if f"{split}/{path.name}" not in stay:
                path.unlink()
