"""Questions of training documents as examples for fine-tuning: what is asked later, with its answer, to be learnt.

They are of the kinds and the form of the questions of held-out documents, which have no part in them. Half of them have
passages in front, where there is an index: found as for a question that is asked later, but of earlier days alone,
since an index of training text has the question's own document, and others of the same speech.
"""

import datetime
import itertools
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from data.errors import DataError
from data.files import value_digest
from data.progress import progress
from data.retrieval.prompt import OpenBook
from data.retrieval.search import Bound, Search
from evaluation.questions.documents import Document, read_documents
from evaluation.questions.items import KINDS, Item, Kind
from evaluation.questions.make import make_items
from evaluation.questions.open_book import WITHOUT, book_for, query

ALL = 1 << 62
DAY = datetime.timedelta(days=1)
SPARE = 20
"""Passages more that are asked for where the question has no day: those of its own document are left out."""


@dataclass(frozen=True)
class Passages:
    """What puts passages before a question.

    Attributes:
        most: before a question.
        encode: text to ids of the model that is to learn.
        room: most tokens of a question with its passages and its answer.
    """

    search: Search
    most: int
    encode: Callable[[str], Sequence[int]]
    room: int


def training_documents(corpus: Path, domain: Collection[str], since: datetime.date | None) -> dict[str, list[Document]]:
    """The training documents of the domain's sources, or of all where none of these has any.

    Args:
        since: of this day and later; None for all.

    Raises:
        DataError: there are none.
    """
    found = read_documents(corpus, "train", ALL)
    found = {source: each for source, each in found.items() if source in domain} or found
    if since:
        found = {
            source: [one for one in each if one.date and one.date.lies_from(since)] for source, each in found.items()
        }
    if not any(found.values()):
        raise DataError(f"{corpus}: no training documents{f' of {since} and later' if since else ''} to ask about")
    return found


def make_examples(
    documents: dict[str, list[Document]],
    most: int,
    passages: Passages | None,
    seed: int,
    kinds: Sequence[Kind] = KINDS,
) -> Iterator[tuple[dict[str, Any], int]]:
    """A record for each question, to be read as a pair: the prompt, maybe behind passages, and the right answer.

    Args:
        documents: by source.
        most: questions of each kind.
        kinds: of these alone.

    Returns:
        {"id", "date": the last day of the latest document that has a part in it, "kind", "document", "prompt",
        "response", "passages": the ids of their documents}, in random order; beside each, how many passages were found.
    """
    items: list[Item] = []
    for kind in kinds:
        turns = itertools.zip_longest(*(make_items(kind, each, most, seed) for each in documents.values()))
        items += [item for item in itertools.chain.from_iterable(turns) if item is not None][:most]
    dates = {(source, one.id): one.date for source, each in documents.items() for one in each}
    chance = Random(value_digest([seed, "examples"]))
    for item in progress(chance.sample(items, len(items)), "examples", unit="questions"):
        is_open = chance.random() < 0.5
        book, found = OpenBook(item.prompt, ()), []
        if passages and is_open and item.kind not in WITHOUT:
            found = _find(passages, item)
            book = book_for(passages.encode, passages.room, item, found)
        parts = [dates[item.source, id_] for id_ in (item.document, *item.others[: item.kind == "order"])]
        record = {
            "id": item.id,
            "date": max((date.last.isoformat() for date in parts if date), default=None),
            "kind": item.kind,
            "document": item.document,
            "prompt": book.prompt,
            "response": item.choices[item.answer],
            "passages": [cited.passage.id for cited in book.citations],
        }
        yield record, len(found)


def _find(passages: Passages, item: Item) -> list[Any]:
    """Of days before the question's; without a day, of all documents but its own."""
    if day := item.first_date or item.last_date:
        earlier = Bound(datetime.date.fromisoformat(day) - DAY, undated=False)
        return passages.search.find(query(item), passages.most, earlier)
    found = passages.search.find(query(item), passages.most + SPARE, Bound())
    return [one for one in found if (one.source, one.id) != (item.source, item.document)][: passages.most]
