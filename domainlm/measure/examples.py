"""Questions of a run's training documents as examples for `domainlm finetune`, so that its model learns to answer them.

Nothing held out has a part in them: they are made of the corpus's split `train` alone, and so are their passages.
"""

import datetime
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data.corpus.tombstones import TOMBSTONES
from data.errors import DataError
from data.files import atomic_write, file_digest, finished_inputs
from data.tokenizer.build import end_of_text_id, load_tokenizer
from domainlm.retrieval.index import open_search
from evaluation.questions.examples import Passages, make_examples, training_documents
from evaluation.questions.items import KINDS, Kind
from train.config import RunConfig

MARKS = 8
"""Tokens of a row that are left for the marks of a chat template."""


def write_examples(
    config: RunConfig,
    file: Path,
    *,
    items: int,
    passages: int | None,
    since: datetime.date | None,
    kinds: Sequence[Kind] = KINDS,
) -> dict[str, Any]:
    """Write questions with their right answers as JSON lines, which `finetune` takes with `form: pairs`.

    Args:
        items: most of each kind.
        passages: before half of the questions, at most; None for none.
        since: of documents of this day and later; None for all.
        kinds: of these alone.

    Returns:
        {"file", "examples", "with_passages", "without_room": for which passages were found that no row has room for,
        "row": its tokens, None without passages, "kinds": {kind: how many}, "documents": of how many}.

    Raises:
        DataError: there are no training documents to ask about, the tokenizer is missing, or there is no index.
    """
    check_nothing_is_forgotten(config)
    shown = _passages(config, passages) if passages else None
    domain = {source.name for source in config.data.sources if source.domain}
    documents = training_documents(config.corpus, domain, since)
    made: Counter[str] = Counter()
    asked_about, with_passages, without_room = set(), 0, 0
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(file) as out:
        for record, found in make_examples(documents, items, shown, config.seed, kinds):
            made[record["kind"]] += 1
            asked_about.add(record["document"])
            with_passages += bool(record["passages"])
            without_room += bool(found and not record["passages"])
            out.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
    return {
        "file": str(file),
        "examples": made.total(),
        "with_passages": with_passages,
        "without_room": without_room,
        "row": shown.room + MARKS if shown else None,
        "kinds": dict(made),
        "documents": len(asked_about),
    }


def check_nothing_is_forgotten(config: RunConfig) -> None:
    """Raise DataError where documents were asked to be forgotten since the corpus was made."""
    file = config.corpus.parent / TOMBSTONES
    if (file_digest(file) if file.exists() else None) != finished_inputs(config.corpus).get("tombstones"):
        raise DataError(
            f"{config.corpus} was made with other documents to be forgotten than {file} names now: run `domainlm "
            "prepare CONFIG` first, or they would be learnt from examples"
        )


def _passages(config: RunConfig, most: int) -> Passages:
    search = open_search(config)
    tokenizer, end = load_tokenizer(config.tokenizer_folder), end_of_text_id(config.tokenizer_folder)
    length = (config.finetune and config.finetune.sequence_length) or config.model.sequence_length
    return Passages(search, most, lambda text: [end, *tokenizer.encode(text).ids], length - MARKS)


def describe(result: dict[str, Any]) -> str:
    kinds = ", ".join(f"{number:,} {kind}" for kind, number in result["kinds"].items())
    too_long = ""
    if result["without_room"]:
        too_long = (
            f"; {result['without_room']:,} more would have some, but not even a sentence of them fits beside the "
            f"question into a row of {result['row']:,} tokens: set finetune.sequence_length higher"
        )
    return (
        f"{result['file']}: {result['examples']:,} examples of {result['documents']:,} training documents ({kinds}), "
        f"{result['with_passages']:,} with passages{too_long}"
    )
