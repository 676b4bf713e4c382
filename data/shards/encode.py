"""Corpus and tokenizer to shards: every document becomes token ids, in the order of the corpus, shard by shard."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from multiprocessing import parent_process
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data.corpus.files import NOT_AS_WRITTEN, RowGroup, corpus_files, digest_once, read_row_groups, row_groups
from data.corpus.split import SPLITS
from data.date_columns import DATE_COLUMNS
from data.errors import DataError
from data.files import MANIFEST, file_digest, stage_digest, value_digest, write_atomically
from data.lock import only_writer
from data.parallel import in_parallel
from data.progress import say
from data.shards.format import (
    BLOCK_COLUMNS,
    FORMAT,
    EncodedBlock,
    Manifest,
    ShardFile,
    SourceShards,
    dtype_name,
    read_manifest,
    verify_sizes,
    write_manifest,
    write_shard,
)
from data.shards.reader import DTYPES, Tokens, shard_name
from data.tokenizer.build import TOKENIZER, end_of_text_id
from data.tokenizer.encoder import DifferentIdsError, Encoded, Encoder, check_encoder, load_encoder

BYTES_PER_SHARD = 256_000_000
CHECKED_TEXTS = 4  # of each row group, the first CHECKED_CHARACTERS of each: encoded twice and compared
CHECKED_CHARACTERS = 1_000


@dataclass(frozen=True)
class ShardJob:
    """One shard to make, of row groups of the corpus."""

    tokenizer: Path
    folder: Path
    name: str
    source: str
    row_groups: tuple[RowGroup, ...]
    corpus_files: tuple[tuple[Path, str], ...]  # that these are in, with their digests
    dtype: str
    end_of_text: int
    inputs: str  # digest of everything that decides the shard's content, and of `without`
    without: tuple[str, ...] = ()  # engines that have erred

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
        DataError: corpus or tokenizer are unfinished, a document gets an id that the shards cannot hold, or another
            process writes to `folder`.
    """
    encoder = load_encoder(tokenizer)
    inputs: dict[str, Any] = {
        "tokenizer_digest": file_digest(tokenizer / TOKENIZER),
        "corpus_digest": stage_digest(corpus),
        "seed": seed,
        "bytes_per_shard": bytes_per_shard,
        "end_of_text": end_of_text_id(tokenizer),
    }
    if (finished := _finished(folder, inputs)) is not None:
        return finished
    with only_writer(folder, shard):
        (folder / MANIFEST).unlink(missing_ok=True)
        dtype = dtype_name(encoder.vocabulary_size)
        jobs = _plan(corpus, tokenizer, folder, dtype, inputs)
        mine = jobs if shard is None else jobs[shard[0] :: shard[1]]
        files = _make_shards(tokenizer, mine, len(jobs), workers)
        if shard is not None:
            say("shards: the same command without --shard finishes the folder")
            return None
        _remove_others(folder, jobs)
        made: dict[str, dict[str, list[ShardFile]]] = {split: {} for split in SPLITS}
        for job, file in zip(jobs, files, strict=True):
            made[job.name.partition("/")[0]].setdefault(job.source, []).append(file)
        splits = {
            split: {source: SourceShards(tuple(of_source)) for source, of_source in sources.items()}
            for split, sources in made.items()
        }
        manifest = Manifest(dtype=dtype, vocabulary_size=encoder.vocabulary_size, splits=splits, **inputs)
        write_manifest(folder, manifest)
    return manifest


def _plan(corpus: Path, tokenizer: Path, folder: Path, dtype: str, inputs: Mapping[str, Any]) -> list[ShardJob]:
    """The shards of a corpus in order, each of row groups that follow one another."""
    digests = {name: file["digest"] for name, file in json.loads((corpus / MANIFEST).read_bytes())["files"].items()}
    end_of_text = inputs["end_of_text"]
    jobs = []
    for split in SPLITS:
        for source, files in corpus_files(corpus, split).items():
            for number, groups in enumerate(_runs(files, inputs["bytes_per_shard"])):
                listed = {file: _listed(digests, corpus, file) for file, _ in groups}
                content = [(listed[file], group) for file, group in groups]
                made_from = value_digest([FORMAT, inputs["tokenizer_digest"], source, dtype, content, end_of_text])
                name = shard_name(split, source, number)
                own = (tuple(groups), tuple(listed.items()))
                jobs.append(ShardJob(tokenizer, folder, name, source, *own, dtype, end_of_text, made_from))
    return jobs


def _listed(digests: Mapping[str, str], corpus: Path, file: Path) -> str:
    name = file.relative_to(corpus).as_posix()
    if name not in digests:
        raise DataError(f"{file} is not in the corpus's {MANIFEST}: remove it, or run `domainlm prepare CONFIG` again")
    return digests[name]


def _runs(files: list[Path], size: int) -> Iterator[list[RowGroup]]:
    """The row groups of the files in runs of about `size` bytes of text."""
    run: list[RowGroup] = []
    room = size
    for group, taken in row_groups(files):
        if run and taken > room:
            yield run
            run, room = [], size
        run.append(group)
        room -= taken
    if run:
        yield run


def _make_shards(tokenizer: Path, jobs: list[ShardJob], of: int, workers: int | None) -> list[ShardFile]:
    """Make the shards; where an engine errs in one of them, all of them without it, as it may have erred unseen."""
    differed: tuple[str, ...] = ()
    while True:
        engine = load_encoder(tokenizer, without=differed).engine
        say(f"shards: encoding {len(jobs):,} of {of:,} with {engine}{'' if differed else _slower(tokenizer, engine)}")
        chosen = [replace(job, without=differed, inputs=value_digest([job.inputs, *differed])) for job in jobs]
        try:
            return list(in_parallel(_make_shard, chosen, workers, "tokenize", "shards"))
        except DifferentIdsError as difference:
            if engine in differed:
                raise DataError(f"{tokenizer}: no engine gives the same ids twice: {difference}") from None
            say(f"shards: {difference}; making all of them again with the next engine")
            differed = (*differed, engine)


def _slower(tokenizer: Path, engine: str) -> str:
    """What it costs that gigatoken does not take a BPE."""
    if engine == "gigatoken" or json.loads((tokenizer / TOKENIZER).read_bytes())["model"]["type"] != "BPE":
        return ""
    return (
        ", at four times the CPU time of gigatoken, which is not installed or does not know this pattern: of this "
        "project's, it knows pretokenization: words with digits: single"
    )


def _make_shard(job: ShardJob) -> ShardFile:
    """Write a shard, unless that was done before from the same text with the same tokenizer.

    Raises DifferentIdsError where the engine gives other ids than `tokenizers`.
    """
    if (finished := _noted(job)) is not None:
        return finished
    if parent_process() is not None:
        os.environ["TOKENIZERS_PARALLELISM"] = "false"  # every CPU has a worker already
    for path, digest in job.corpus_files:
        if digest_once(path) != digest:
            raise DataError(f"{path} {NOT_AS_WRITTEN}")
    encoder = load_encoder(job.tokenizer, without=job.without)
    file = write_shard(job.folder, job.name, _blocks(job, encoder), job.dtype)
    write_atomically(job.note, json.dumps({"inputs": job.inputs, "file": asdict(file)}))
    return file


def _noted(job: ShardJob) -> ShardFile | None:
    try:
        note = json.loads(job.note.read_bytes())
        file = ShardFile(**note["file"])
        sizes = [(job.folder / path).stat().st_size for path in (file.tokens_path, file.documents_path)]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return file if note["inputs"] == job.inputs and sizes == [file.tokens_size, file.documents_size] else None


def _blocks(job: ShardJob, encoder: Encoder) -> Iterator[EncodedBlock]:
    """The documents of a shard by row group of the corpus; the engine is compared with `tokenizers` in each."""
    for file, group in job.row_groups:
        table = read_row_groups(file, [group], ["id", *DATE_COLUMNS, "text"])
        texts = table["text"].combine_chunks().cast(pa.large_string())
        try:
            texts.validate(full=True)
        except pa.ArrowInvalid as error:
            raise DataError(f"{file} is damaged ({error}): run `domainlm prepare CONFIG` again") from None
        check_encoder(encoder, _samples(texts))
        encoded = encoder.encode(texts)
        _check_ids(encoded, encoder.vocabulary_size, job, table)
        columns = {
            "id": table["id"],
            "source": pa.repeat(job.source, len(texts)),
            **{name: table[name] for name in DATE_COLUMNS},
            "tokens": encoded.lengths + 1,
            "bytes": pc.binary_length(texts),
        }
        yield EncodedBlock(
            _with_ends(encoded, job.end_of_text, DTYPES[job.dtype]), pa.table(columns).cast(BLOCK_COLUMNS)
        )


def _samples(texts: pa.Array) -> pa.Array:
    places = np.linspace(0, len(texts) - 1, min(CHECKED_TEXTS, len(texts))).astype(np.int64)
    return pc.utf8_slice_codeunits(texts.take(pa.array(places)), 0, CHECKED_CHARACTERS)


def _with_ends(encoded: Encoded, end_of_text: int, dtype: np.dtype[Any]) -> Tokens:
    """The ids with an end-of-text token behind each document."""
    tokens = np.empty(len(encoded.ids) + len(encoded.lengths), dtype)
    ends = np.cumsum(encoded.lengths + 1) - 1
    within = np.ones(len(tokens), bool)
    within[ends] = False
    tokens[within] = encoded.ids
    tokens[ends] = end_of_text
    return tokens


def _check_ids(encoded: Encoded, vocabulary_size: int, job: ShardJob, table: pa.Table) -> None:
    wrong = np.flatnonzero((encoded.ids == job.end_of_text) | (encoded.ids >= vocabulary_size))
    if len(wrong):
        document = int(np.searchsorted(np.cumsum(encoded.lengths), wrong[0], side="right"))
        raise DataError(
            f"{job.name}: the tokenizer gives document '{table['id'][document]}' id {encoded.ids[wrong[0]]}, but text "
            f"may have those below {vocabulary_size} but {job.end_of_text}, its end: use another tokenizer"
        )


def _remove_others(folder: Path, jobs: list[ShardJob]) -> None:
    """Leave no files of shards that are not of this corpus."""
    wanted = {folder / f"{job.name}{ending}" for job in jobs for ending in (".bin", ".documents.parquet", ".json")}
    for split in SPLITS:
        for file in (folder / split).glob("*"):
            if file not in wanted:
                file.unlink()


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
