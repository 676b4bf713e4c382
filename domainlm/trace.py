"""From steps to documents and back, and a document forgotten.

One that is forgotten is noted for the next corpus, and the checkpoints that have seen it are named.
"""

import bisect
import datetime
import functools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data.config import CANARIES, NearDuplicateConfig
from data.corpus.files import corpus_files
from data.corpus.split import SPLITS
from data.corpus.tombstones import TOMBSTONES, Request, forget
from data.errors import DataError
from data.files import read_object, stage_digest
from data.shards.documents import read_documents
from data.shards.format import read_manifest
from data.shards.packing import SPLIT
from data.stream.ledger import documents_of, samples_of, samples_of_all
from data.stream.stream import TokenStream
from data.tokenizer.build import load_tokenizer
from domainlm.configuration import check_made_of_documents
from train.checkpoints.compatibility import check_stream
from train.checkpoints.folders import CheckpointError, damaged_folders, find_latest, saved_steps
from train.config import RunConfig
from train.earlier_steps import read_skips
from train.records.journal import read_journal
from train.records.metrics import read_metrics
from train.schedule import batch_size, consumed_samples, micro_batches
from train.token_stream import open_stream


def trace_step(config: RunConfig, step: int, *, rank: int | None = None, text: bool = False) -> dict[str, Any]:
    """Which documents were in the batch of a step, or in one rank's part of it; with `text`, what the samples read.

    Raises:
        DataError: there is no such step or rank.
        CheckpointError: the run was trained on other data than are there now.
    """
    training = config.training
    if not 1 <= step <= training.steps:
        raise DataError(f"step {step} is not of this run: its steps are 1 to {training.steps}")
    if rank is None:
        first = consumed_samples(training, step - 1)
        samples = list(range(first, first + batch_size(training, step)))
    else:
        ranks = _ranks(config)
        if not 0 <= rank < ranks:
            raise DataError(f"rank {rank} is not of this run: its ranks are 0 to {ranks - 1}")
        firsts = micro_batches(training, step, rank, ranks)
        samples = [first + place for first in firsts for place in range(training.micro_batch)]
    stream = open_own(config)
    result: dict[str, Any] = {"step": step, "samples": samples, "documents": documents_of(stream, samples)}
    if text:
        tokenizer = load_tokenizer(config.tokenizer_folder)
        result["texts"] = [tokenizer.decode(row, skip_special_tokens=False) for row in _read(stream, samples)]
    return result


def open_own(config: RunConfig) -> TokenStream:
    """The run's stream, if it is what the newest checkpoint has read; without one, what the run would read.

    Raises:
        DataError: the shards cannot be used.
        CheckpointError: the run was trained on other data than are there now.
    """
    stream = open_stream(config)
    if found := find_latest(config.checkpoints):
        check_stream(found, config, stream)
    return stream


def _ranks(config: RunConfig) -> int:
    """Ranks of the process that trained here last."""
    try:
        return int(read_object(config.run_folder / "environment.json", "the next start of training writes it")["ranks"])
    except FileNotFoundError:
        raise DataError(f"{config.run_folder} has not been trained, so nothing says what its ranks read") from None


def _read(stream: TokenStream, samples: Sequence[int]) -> Iterator[list[int]]:
    """The tokens of each sample, without the padding at its end."""
    for sample in samples:
        batch = stream.batch(sample, 1)
        yield batch.tokens[0, : np.flatnonzero(batch.documents[0] >= 0)[-1] + 2].tolist()


def trace_document(config: RunConfig, document: str) -> dict[str, Any]:
    """In which steps of the run a document is, the first and the last of them, and how often it is seen in all.

    Raises:
        DataError: there is no such document, or it is held out.
        CheckpointError: the run was trained on other data than are there now.
    """
    stream = open_own(config)
    try:
        seen = samples_of(stream, document, consumed_samples(config.training, config.training.steps))
    except DataError:
        _refuse_held_out(config, document)
        raise
    steps = steps_of(config, seen.samples)
    return {
        "document": document,
        "steps": steps,
        "first_step": steps[0] if steps else None,
        "last_step": steps[-1] if steps else None,
        "batches": len(steps),
        "samples": len(seen.samples),
        "epochs": seen.epochs,
    }


def _refuse_held_out(config: RunConfig, document: str) -> None:
    """Raise DataError where the shards hold the document out."""
    for split, sources in read_manifest(config.shards).splits.items():
        for file in (file for source in sources.values() for file in source.files if split != SPLIT):
            table = config.shards / file.documents_path
            if table.exists() and read_documents(table, pc.field("id") == document).num_rows:
                raise DataError(f"the document '{document}' is held out, in the split {split}: no step reads it")


def not_learnt(config: RunConfig, steps: Sequence[int]) -> list[str]:
    """Lines on those of the steps of which the run has learnt nothing: skipped ones, and ones still to come."""
    skips = read_skips(read_journal(config.run_folder))
    skipped = [step for step in steps if any(skip.first <= step <= skip.last for skip in skips)]
    done = max([*saved_steps(config.checkpoints), *(line["step"] for line in read_metrics(config.metrics))], default=0)
    to_come = [step for step in steps if step > done]
    lines = [f"skipped, so that nothing was learnt there: {_some(skipped)}"] if skipped else []
    return lines + ([f"still to come, the run has done {done} steps: {_some(to_come)}"] if to_come else [])


def _some(steps: Sequence[int]) -> str:
    named = ", ".join(map(str, steps[:5]))
    return (
        f"{'step' if len(steps) == 1 else 'steps'} {named}{f' and {len(steps) - 5:,} more' if len(steps) > 5 else ''}"
    )


def steps_of_documents(config: RunConfig, documents: Sequence[str], last: int) -> dict[str, list[int]]:
    """The steps up to `last` that saw each document; none for one that no step saw, or that is no training document.

    Raises:
        CheckpointError: the run was trained on other data than are there now.
    """
    found = samples_of_all(open_own(config), documents, consumed_samples(config.training, last))
    return {document: steps_of(config, found[document].samples) if document in found else [] for document in documents}


def steps_of(config: RunConfig, samples: Iterable[int]) -> list[int]:
    """The steps that read these samples, ascending."""
    steps, end = range(1, config.training.steps + 1), functools.partial(consumed_samples, config.training)
    return sorted({bisect.bisect_right(steps, sample, key=end) + 1 for sample in samples})


def passed_over(config: RunConfig) -> list[tuple[int, int]]:
    """Samples (first, end) of the steps that the run has skipped."""
    return [
        (consumed_samples(config.training, skip.first - 1), consumed_samples(config.training, skip.last))
        for skip in read_skips(read_journal(config.run_folder))
    ]


def tokens_between(config: RunConfig, first: int, last: int) -> dict[str, int]:
    """Tokens of each source that the steps behind `first` up to `last` read, skipped ones left out.

    By passes: a row of a source counts as the mean of all its rows, nearly all of which are full.

    Raises:
        CheckpointError: the run was trained on other data than are there now.
    """
    stream = open_own(config)
    begin, end = (consumed_samples(config.training, step) for step in (first, last))
    skipped = [(max(begin, start), min(end, stop)) for start, stop in passed_over(config)]
    passes = dict.fromkeys(stream.sources, 0.0)
    for sign, spans in ((1, [(begin, end)]), (-1, [span for span in skipped if span[0] < span[1]])):
        for start, stop in spans:
            before, behind = stream.epochs(start), stream.epochs(stop)
            passes = {name: passes[name] + sign * (behind[name] - before[name]) for name in passes}
    sources = stream.packing.sources
    return {name: round(times * sum(sources[name].tokens)) for name, times in passes.items()}


def forget_document(config: RunConfig, document: str) -> dict[str, Any]:
    """Note that a document is to be forgotten, in every source that has its id.

    The next `prepare` leaves it and all that resembles it out. The shards and the checkpoints that there are stay as
    they are: those that have seen the document are named.

    Returns:
        `sources` that have it; `first_step` and `last_step` of the configured run that see it, None if no step does;
        the saved steps that are `touched`, and the `last_clean` one, None if there is none; `set_aside`, the names of
        damaged checkpoints if any step sees it, as theirs cannot be trusted. Checkpoints of other data than are there
        now may have seen anything: all are `touched`, though no step is known.

    Raises:
        ConfigError: the run is a fine-tuning: take the example out of its source and fine-tune again.
        DataError: the corpus has no such document, or it is a canary.
    """
    check_made_of_documents(config, "--forget")
    requests, trained_on = _find(config.corpus, document)
    if config.data.canaries and any(request.source == CANARIES for request in requests):
        raise DataError(f"{document} is a canary, which the next corpus would have again: change data.canaries instead")
    near = config.data.near_duplicates or NearDuplicateConfig()
    file = config.data_folder / TOMBSTONES
    added = forget(file, requests, near, datetime.date.today())
    steps = saved_steps(config.checkpoints)
    known = not steps or _is_own(config)
    seen: dict[str, Any] = {"first_step": None, "last_step": None}
    if trained_on and known:
        seen = trace_document(config, document)
    first = seen["first_step"]
    clean = [step for step in steps if known and (first is None or step < first)]
    return {
        "document": document,
        "sources": sorted({request.source for request in requests}),
        "added": added,
        "tombstones": str(file),
        "first_step": first,
        "last_step": seen["last_step"],
        "touched": [step for step in steps if step not in clean],
        "last_clean": max(clean, default=None),
        "set_aside": [folder.name for folder in damaged_folders(config.checkpoints)]
        if first is not None or not known
        else [],
    }


def _is_own(config: RunConfig) -> bool:
    """Whether the data that are there now are those that the checkpoints were trained on."""
    try:
        open_own(config)
    except (CheckpointError, DataError):
        return False
    return True


def _find(corpus: Path, document: str) -> tuple[list[Request], bool]:
    """The documents of this id with their texts, and whether one of them is trained on."""
    stage_digest(corpus)  # the corpus is whole
    found: list[Request] = []
    trained_on = False
    for split in SPLITS:
        for source, files in corpus_files(corpus, split).items():
            for file in files:
                texts = pq.read_table(file, columns=["text"], filters=pc.field("id") == document)["text"].to_pylist()
                found += [Request(source, document, text) for text in texts]
                trained_on |= bool(texts) and split == "train"
    if not found:
        raise DataError(f"no document of the corpus in {corpus} has the id '{document}'")
    return found, trained_on


def describe(result: dict[str, Any]) -> str:
    """What was done and what is left to do, for people."""
    lines = [f"{result['document']} ({', '.join(result['sources'])}) is noted in {result['tombstones']}"]
    if result["first_step"] is None and result["touched"]:
        lines.append("the data there now are not those that the checkpoints were trained on: any may have seen it")
    elif result["first_step"] is None:
        lines.append("no step of this run sees it")
    else:
        lines.append(f"this run sees it first in step {result['first_step']}, last in step {result['last_step']}")
    if result["touched"]:
        lines.append(f"checkpoints that have seen it: steps {', '.join(map(str, result['touched']))}")
        clean = result["last_clean"]
        lines.append(f"the last that has not: step {clean}" if clean is not None else "there is none that has not")
    if result["set_aside"]:
        lines.append(f"checkpoints that were set aside may have seen it, delete them: {', '.join(result['set_aside'])}")
    lines.append("`domainlm prepare` and `tokenize` make corpus and shards without it and all that resembles it")
    return "\n".join(lines)
