"""Questions with passages before them: what they are looked up by, what a model has room for, what passages change.

A model answers each question twice, closed-book and with passages, and is compared with itself, question by question.
Where no passage is found, or none fits, both answers are one: passages that nobody reads change nothing.
"""

import datetime
import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.files import value_digest
from data.progress import progress
from data.retrieval.prompt import OpenBook, open_book
from data.retrieval.search import Bound, Passage, Search
from evaluation.figures import as_json
from evaluation.intervals import Interval
from evaluation.language_model import LanguageModel
from evaluation.questions.answers import Answers, Values, folder_of, in_groups, item_credits
from evaluation.questions.build import Questions
from evaluation.questions.items import Item, Kind
from evaluation.questions.make import stands_in
from evaluation.questions.score import accuracy, choice_nats, count_documents, difference

FORMAT = 2
WITHOUT: Mapping[str, str] = {"order": "nothing but its choices, two whole texts, could be looked up by"}
"""Kinds that are not asked with passages, and why."""
MASKED: tuple[Kind, ...] = ("name", "number", "date")
"""Kinds whose choices differ in what fills a gap, which a passage may say."""
SURE = 0.05
"""Below it the sign test speaks of a difference."""
EQUAL = 1e-9
"""Credits shared among equally likely choices are fractions."""


@dataclass(frozen=True)
class Found:
    """The passages of every question, the same for all models.

    Attributes:
        passages: by kind, in the order of the items, the best first.
        most: passages that were asked for.
        digest: of all that decides them: answers are kept under it.
    """

    passages: Mapping[Kind, Sequence[Sequence[Passage]]]
    most: int
    digest: str


@dataclass(frozen=True)
class OpenAnswers:
    """What a model answers with passages, by kind, in the order of the items.

    Attributes:
        nats: of every choice.
        shown: passages that its prompt had room for.
        said: whether these have what fills the gap, for each choice; nothing for kinds without a gap.
    """

    nats: Mapping[Kind, Sequence[Sequence[float]]]
    shown: Mapping[Kind, Sequence[int]]
    said: Mapping[Kind, Sequence[Sequence[bool]]]


def query(item: Item) -> str:
    """What a reader sees before any choice is taken: the prompt, and the words in which all choices end."""
    return " ".join([item.prompt, *_shared_ending(item)])


def _shared_ending(item: Item) -> list[str]:
    endings = zip(*(reversed(choice.split()) for choice in item.choices), strict=False)
    shared = [words[0] for words in itertools.takewhile(lambda words: len(set(words)) == 1, endings)]
    return shared[::-1]


def said_by(book: OpenBook, item: Item) -> list[bool]:
    """Whether the passages that a reader is shown have what fills the gap, for each choice of an item of MASKED."""
    behind = len(_shared_ending(item))
    fills = [" ".join(words[: len(words) - behind]) for words in (choice.split() for choice in item.choices)]
    text = "\n".join(citation.shown for citation in book.citations)
    return [stands_in(fill.strip(".,;:"), text) for fill in fills]


def look_up(questions: Questions, search: Search, most: int, index: str) -> Found:
    """Find passages for every question: of its day and of earlier days, or of all training text where it has no day.

    Args:
        most: passages for a question.
        index: digest of what is searched.
    """
    asked = [(kind, item) for kind, items in questions.items.items() if kind not in WITHOUT for item in items]
    passages: dict[Kind, list[Sequence[Passage]]] = {}
    for kind, item in progress(asked, "passages for the questions", unit="questions"):
        passages.setdefault(kind, []).append(search.find(query(item), most, bound_of(item)))
    inputs = [FORMAT, questions.digest, index, search.method, search.least_similarity, most]
    return Found(passages, most, value_digest(inputs))


def bound_of(item: Item) -> Bound:
    """What a question may see: nothing later than its document, and nothing that may be later."""
    day = datetime.date.fromisoformat(item.first_date) if item.first_date else None
    return Bound(day, undated=day is None)


def answer_open(closed: Answers, questions: Questions, found: Found, folder: Path) -> OpenAnswers:
    """Answer with passages, but for what the folder has from before.

    Args:
        closed: what the model answers without.
        folder: where the answers of all models are kept.
    """
    place = folder_of(closed.model, questions, folder, found=found.digest)
    values = {
        kind: _answer(closed.model, questions.items[kind], passages, closed.nats[kind], place / f"{kind}.json")
        for kind, passages in found.passages.items()
    }
    return OpenAnswers(*({kind: each[name] for kind, each in values.items()} for name in ("nats", "shown", "said")))


def _answer(
    model: LanguageModel,
    items: Sequence[Item],
    found: Sequence[Sequence[Passage]],
    closed: Sequence[Sequence[float]],
    file: Path,
) -> Values:
    room = model.window + 1  # the last token is predicted and not read

    def ask(first: int, end: int) -> Values:
        part, own = items[first:end], closed[first:end]
        books = [book_for(model.encode, room, item, each) for item, each in zip(part, found[first:end], strict=True)]
        asked = [(book.prompt, item.choices) for item, book in zip(part, books, strict=True) if book.citations]
        opened = iter(choice_nats(model, asked))
        return {
            "nats": [next(opened) if book.citations else list(each) for book, each in zip(books, own, strict=True)],
            "shown": [len(book.citations) for book in books],
            "said": [
                said_by(book, item) if item.kind in MASKED else [] for book, item in zip(books, part, strict=True)
            ],
        }

    return in_groups(file, items, f"{file.stem} with passages, {model.name}", ask)


def book_for(encode: Callable[[str], Sequence[int]], room: int, item: Item, passages: Sequence[Passage]) -> OpenBook:
    """As many passages as there is room for before the question and any one of its choices.

    Args:
        encode: text to a model's own ids.
        room: most of them.
    """

    def count(text: str) -> int:
        return max(len(encode(text + choice)) for choice in item.choices)

    if not passages or count(item.prompt) > room:
        return OpenBook(item.prompt, ())
    return open_book(item.prompt, passages, count, room)


def open_tasks(
    closed: Answers, opened: OpenAnswers, first: OpenAnswers | None, found: Found, questions: Questions, seed: int
) -> dict[str, dict[str, Any]]:
    """What passages change, by task, `questions/KIND`.

    Args:
        first: another model's answers with passages, to be compared with; None for none.

    Returns:
        {task: {"open_book": accuracy with passages, "open_less_closed": less that without, paired, "passages_found" and
        "passages_shown": shares of questions for which there was one, and in whose prompt one had room, of MASKED kinds
        "right_in_passages" and "wrong_in_passages": shares for which what was shown has the right answer, and has a
        wrong one (the mean of them), "closed_where_said" and "open_where_said": accuracies without and with passages on
        those for which it has the right answer, "closed_elsewhere" and "open_elsewhere" on all others, left out where
        there are none, "open_book_difference" from the other model}}, {"value", "low", "high"} each.
    """
    tasks = {}
    for kind, passages in found.passages.items():
        items = questions.items[kind]
        right = item_credits(items, opened.nats[kind])
        alone = item_credits(items, closed.nats[kind])
        figures = {
            "open_book": accuracy(items, right, seed),
            "open_less_closed": difference(items, right, alone, seed),
            "passages_found": accuracy(items, [float(bool(each)) for each in passages], seed),
            "passages_shown": accuracy(items, [float(each > 0) for each in opened.shown[kind]], seed),
        }
        if kind in MASKED:
            said = list(zip(items, opened.said[kind], strict=True))
            figures["right_in_passages"] = accuracy(items, [float(each[item.answer]) for item, each in said], seed)
            wrong = [(sum(each) - each[item.answer]) / (len(each) - 1) for item, each in said]
            figures["wrong_in_passages"] = accuracy(items, wrong, seed)
            figures |= _by_what_is_said([each[item.answer] for item, each in said], items, alone, right, seed)
        if first is not None:
            figures["open_book_difference"] = difference(items, right, item_credits(items, first.nats[kind]), seed)
        tasks[f"questions/{kind}"] = {name: as_json(figure) for name, figure in figures.items()}
    return tasks


def _by_what_is_said(
    is_said: Sequence[bool], items: Sequence[Item], alone: Sequence[float], right: Sequence[float], seed: int
) -> dict[str, Interval]:
    """Accuracies without passages and with them where these have the right answer, and where they do not."""
    figures = {}
    for where, wanted in (("where_said", True), ("elsewhere", False)):
        chosen = [place for place, each in enumerate(is_said) if each == wanted]
        for way, values in (("closed", alone), ("open", right)):
            if chosen:
                of = [items[place] for place in chosen]
                figures[f"{way}_{where}"] = accuracy(of, [values[place] for place in chosen], seed)
    return figures


def in_all(closed: Answers, opened: OpenAnswers, found: Found, questions: Questions, seed: int) -> dict[str, Any]:
    """What passages change over all kinds, and the verdict.

    Returns:
        {"passages": asked for, "items", "documents", "better" and "worse": documents with more and with fewer right
        answers, "difference": {"value", "low", "high"}, "verdict"}.
    """
    items = [item for kind in found.passages for item in questions.items[kind]]
    with_passages, without = (
        [right for kind in found.passages for right in item_credits(questions.items[kind], nats[kind])]
        for nats in (opened.nats, closed.nats)
    )
    change, documents = difference(items, with_passages, without, seed), count_documents(items)
    gained: dict[tuple[str, str], float] = defaultdict(float)
    for item, right, alone in zip(items, with_passages, without, strict=True):
        gained[item.source, item.document] += right - alone
    better, worse = (sum(sign * each > EQUAL for each in gained.values()) for sign in (1, -1))
    if not any(map(any, found.passages.values())):
        said = "no passage was found for any question"
    elif not any(map(any, opened.shown.values())):
        said = f"no passage fits beside a question into the {closed.model.window:,} tokens that it reads at once"
    else:
        said = f"{verdict(found.most, change, better, worse)}, {len(items):,} questions of {documents:,} documents"
    return {
        "passages": found.most,
        "items": len(items),
        "documents": documents,
        "better": better,
        "worse": worse,
        "difference": as_json(change),
        "verdict": said,
    }


def verdict(passages: int, change: Interval, better: int, worse: int) -> str:
    """Whether passages help a model, in words.

    Both must say so, the interval and the sign test: where few answers change, an interval of the bootstrap lies beside
    zero in 7 to 16 of 100 cases in which nothing is gained (simulated; with both in 3 at most).

    Args:
        better, worse: documents with more and with fewer right answers.
    """
    points = f"{100 * change.value:+.1f} points"
    books = "1 passage" if passages == 1 else f"{passages:,} passages"
    if change.low is None or change.high is None:
        return f"with {books} no difference shown: {points}, and too few documents for an interval"
    is_sure = change.low * change.high > 0 and sign_test(better, worse) < SURE
    which = ("better" if change.low > 0 else "worse") if is_sure else "no difference shown"
    return (
        f"with {books} {which}: {points} ({100 * change.low:+.1f} to {100 * change.high:+.1f}), {better:,} documents "
        f"better and {worse:,} worse"
    )


def sign_test(better: int, worse: int) -> float:
    """How likely so uneven a split is where both are equally likely, of either side (Dixon and Mood 1946, JASA 41)."""
    number = better + worse
    uneven = sum(math.comb(number, count) for count in range(max(better, worse), number + 1))
    return min(1.0, 2 * uneven / (1 << number))
