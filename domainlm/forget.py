"""Forgetting a document: it is noted for the next corpus, and the checkpoints that have seen it are named."""

import datetime
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from data.config import NearDuplicateConfig
from data.corpus.files import corpus_files
from data.corpus.split import SPLITS
from data.corpus.tombstones import TOMBSTONES, Request, forget
from data.errors import DataError
from data.files import stage_digest
from domainlm.pipeline import trace_document
from train.checkpoints.folders import damaged_folders, saved_steps
from train.config import RunConfig


def forget_document(config: RunConfig, document: str) -> dict[str, Any]:
    """Note that a document is to be forgotten, in every source that has its id.

    The next `prepare` leaves it and all that resembles it out. The shards and the checkpoints that there are stay as
    they are: those that have seen the document are named.

    Returns:
        `sources` that have it; `first_step` and `last_step` of the configured run that see it, None if no step does;
        the saved steps that are `touched`, and the `last_clean` one, None if there is none; `set_aside`, the names of
        damaged checkpoints if any step sees it, as theirs cannot be trusted.

    Raises:
        DataError: the corpus has no such document.
    """
    requests, trained_on = _find(config.corpus, document)
    near = config.data.near_duplicates or NearDuplicateConfig()
    file = config.data_folder / TOMBSTONES
    added = forget(file, requests, near, datetime.date.today())
    seen: dict[str, Any] = trace_document(config, document) if trained_on else {"first_step": None, "last_step": None}
    first = seen["first_step"]
    steps = saved_steps(config.checkpoints)
    clean = [step for step in steps if first is None or step < first]
    return {
        "document": document,
        "sources": sorted({request.source for request in requests}),
        "added": added,
        "tombstones": str(file),
        "first_step": first,
        "last_step": seen["last_step"],
        "touched": [step for step in steps if step not in clean],
        "last_clean": max(clean, default=None),
        "set_aside": [folder.name for folder in damaged_folders(config.checkpoints)] if first is not None else [],
    }


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
    if result["first_step"] is None:
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
