"""The index of a run's corpus: made or brought up to date, opened if it is of what is there now, and asked."""

import datetime
import textwrap
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from data.interval import dates_as_json, said_dates
from data.retrieval.build import build_index, index_inputs
from data.retrieval.search import Bound, Passage, Search, open_index
from data.retrieval.vectors import Embedder
from domainlm.configuration import check_made_of_documents
from train.config import RunConfig
from train.config_file import ConfigError

NOTHING = "nothing relevant was found"
SHOWN_CHARACTERS = 400  # of a passage, to people


def index_folder(config: RunConfig) -> Path:
    """Where the index lies: beside the corpus."""
    return config.data_folder / "retrieval"


def retrieve(config: RunConfig, question: str | None, number: int, bound: Bound) -> dict[str, Any]:
    """Bring the index of the run's training text up to date, and find passages for a question, if there is one.

    Args:
        number: most passages.

    Returns:
        `index`: its `folder`, and how many `documents`, `passages` and different `words` it has. With a question also
        the `question`, and `passages`, the best first (`describe_passage`).

    Raises:
        DataError: the corpus is missing or damaged, the embedding model cannot be used, or the question is empty.
    """
    check_made_of_documents(config, "retrieve")
    folder, settings = index_folder(config), config.retrieval
    embedder = _embedder(config)
    made = build_index(config.data, config.corpus, folder, settings.passage_words, embedder)
    result: dict[str, Any] = {"index": {"folder": str(folder), **made}}
    if question is not None:
        found = _open(config, embedder).find(question, number, bound)
        result |= {"question": question, "passages": [describe_passage(passage) for passage in found]}
    return result


def open_search(config: RunConfig) -> Search:
    """The finished index of the run's training text, to be asked.

    Raises:
        ConfigError: the run is a fine-tuning, which has no corpus of its own.
        DataError: there is none, or it is of another corpus or an older one, made with other settings, or with an
            embedding model that has changed since.
    """
    check_made_of_documents(config, "retrieval")
    return _open(config, _embedder(config))


def current_search(config: RunConfig) -> Callable[[], Search]:
    """The index as it is whenever it is asked for: opened anew where the corpus, or what is to be forgotten, changes.

    Both raise DataError and ConfigError, as `open_search` does.
    """
    search = open_search(config)
    made = _wanted(config, search.embedder)

    def current() -> Search:
        nonlocal search, made
        if (now := _wanted(config, search.embedder)) != made:
            search, made = open_search(config), now
        return search

    return current


def _wanted(config: RunConfig, embedder: Embedder | None) -> dict[str, Any]:
    """What the index has to be made of."""
    digest = embedder.digest if embedder else None
    return index_inputs(config.data, config.corpus, config.retrieval.passage_words, digest)


def _open(config: RunConfig, embedder: Embedder | None) -> Search:
    index, settings = open_index(index_folder(config), _wanted(config, embedder)), config.retrieval
    return Search(index, settings.chosen, embedder, settings.least_similarity)


def _embedder(config: RunConfig) -> Embedder | None:
    if config.retrieval.embedding is None or config.retrieval.chosen == "bm25":
        return None
    from domainlm.retrieval.embedding import load_embedder  # torch and transformers, only where they are used

    return load_embedder(Path(config.retrieval.embedding))


def bound_of(config: RunConfig, date: datetime.date | None, undated: bool = False) -> Bound:
    """What a question may see.

    A question with a date sees documents of that day and earlier days, and those without a date only where they are
    asked for. One without sees all training text: what is dated is older than the run's cutoff, and what is not is what
    the user has said is older (`undated: train`).

    Raises:
        ConfigError: documents without a date are asked for, and there is no date.
    """
    if date is None and undated:
        raise ConfigError("--undated is for a question with a --date: without one, all training text is looked at")
    if date is None:
        return Bound(config.data.cutoff, undated=True)
    return Bound(date, undated)


def describe_passage(passage: Passage) -> dict[str, Any]:
    """A passage as JSON values: number, id, source, first_date, last_date, date_kind, url, passage (text) and score."""
    values = asdict(passage)
    dates = dates_as_json(values.pop("date"))
    return values | {**dates, "passage": values.pop("text"), "score": round(passage.score, 6)}


def describe(result: dict[str, Any]) -> str:
    """What `retrieve` returns, for people."""
    if "passages" not in result:
        return "{folder}: {documents:,} documents, {passages:,} passages, {words:,} words".format(**result["index"])
    if not result["passages"]:
        return NOTHING
    return "\n\n".join(
        describe_source(number, passage, f"  score {passage['score']:.3f}")
        for number, passage in enumerate(result["passages"], start=1)
    )


def describe_source(number: int, passage: dict[str, Any], behind: str = "") -> str:
    """A passage with its source, document, date and address, for people."""
    url = f"  {passage['url']}" if passage["url"] else ""
    heading = f"[{number}] {passage['source']}  {passage['id']}  {said_dates(passage)}{url}{behind}"
    text = textwrap.shorten(passage["passage"], SHOWN_CHARACTERS, placeholder=" …")
    return f"{heading}\n{textwrap.indent(text, '    ')}"
