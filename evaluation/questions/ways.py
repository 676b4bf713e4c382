"""The ways beside each other: every model, closed-book and with passages, on the same questions, and which is best.

A way is a model with passages or without. Each pair of them is compared question by question, by right answers and by
how likely the right answer is found, which moves before any answer does. The sums by documents are given with the
figures, so that anyone can compute the intervals again.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from evaluation.figures import as_json
from evaluation.intervals import Interval, ratio_interval
from evaluation.questions.answers import Answers, item_credits
from evaluation.questions.build import Questions
from evaluation.questions.items import Item, Kind
from evaluation.questions.open_book import EQUAL, SURE, OpenAnswers, sign_test
from evaluation.questions.score import accuracy, difference

CLOSED, OPEN = "closed-book", "with passages"


@dataclass(frozen=True)
class Way:
    """What one way has right of each question, in one order for all ways."""

    name: str
    right: Sequence[float]
    nats: Sequence[float]
    """Negative log-likelihood of the right answer."""


def compare_ways(
    asked: Sequence[tuple[Answers, OpenAnswers | None]], kinds: Sequence[Kind], questions: Questions, seed: int
) -> dict[str, Any] | None:
    """Accuracies of all ways over the kinds that every one of them was asked, their differences, and a verdict.

    Args:
        asked: models' answers, closed-book and maybe with passages.

    Returns:
        None where there is one way alone, else {"kinds", "items", "ways": [{"way", "accuracy", "nats": of the right
        answer, a question}], "differences": of each pair, the later way less the earlier one: [{"way", "less",
        "difference", "nats", "better" and "worse": documents with more and with fewer right answers, "sure"}],
        "documents": [{"source", "document", "items", "right": how many, and "nats": summed, in the order of the ways}],
        "verdict"}, figures as {"value", "low", "high"}.
    """
    items = [item for kind in kinds for item in questions.items[kind]]
    ways = [way for closed, opened in asked for way in _ways(closed, opened, kinds, questions)]
    if len(ways) < 2:
        return None
    sums = _by_document(items, ways)
    differences = {
        (ours, theirs): _difference(items, ways, ours, theirs, sums, seed)
        for theirs, ours in itertools.combinations(range(len(ways)), 2)
    }
    accuracies = [accuracy(items, way.right, seed) for way in ways]
    return {
        "kinds": list(kinds),
        "items": len(items),
        "ways": [
            {"way": way.name, "accuracy": as_json(each), "nats": as_json(_nats(sums, seed, place))}
            for place, (way, each) in enumerate(zip(ways, accuracies, strict=True))
        ],
        "differences": list(differences.values()),
        "documents": [
            {"source": source, "document": document} | asdict(each) for (source, document), each in sums.items()
        ],
        "verdict": verdict([way.name for way in ways], accuracies, differences),
    }


def _ways(closed: Answers, opened: OpenAnswers | None, kinds: Sequence[Kind], questions: Questions) -> list[Way]:
    found = {CLOSED: closed.nats} | ({OPEN: opened.nats} if opened else {})
    return [
        Way(
            f"{closed.model.name}, {how}",
            [right for kind in kinds for right in item_credits(questions.items[kind], nats[kind])],
            [each[item.answer] for kind in kinds for item, each in zip(questions.items[kind], nats[kind], strict=True)],
        )
        for how, nats in found.items()
    ]


@dataclass
class Sums:
    """Of a document's questions: how many there are, and of each way how many are right, and the right ones' nats."""

    items: int
    right: list[float]
    nats: list[float]


ByDocument = Mapping[tuple[str, str], Sums]
"""By source and id."""


def _by_document(items: Sequence[Item], ways: Sequence[Way]) -> ByDocument:
    sums: dict[tuple[str, str], Sums] = {}
    for number, item in enumerate(items):
        own = sums.setdefault((item.source, item.document), Sums(0, [0.0] * len(ways), [0.0] * len(ways)))
        own.items += 1
        for place, way in enumerate(ways):
            own.right[place] += way.right[number]
            own.nats[place] += way.nats[number]
    return sums


def _nats(sums: ByDocument, seed: int, ours: int, theirs: int | None = None) -> Interval:
    """Mean nats of the right answer of a way, or that less another way's, with the interval over documents."""
    totals = [each.nats[ours] - (each.nats[theirs] if theirs is not None else 0.0) for each in sums.values()]
    return ratio_interval(totals, [each.items for each in sums.values()], seed)


def _difference(
    items: Sequence[Item], ways: Sequence[Way], ours: int, theirs: int, sums: ByDocument, seed: int
) -> dict[str, Any]:
    """One way less another; sure where the interval and an exact sign test over documents both say so."""
    change = difference(items, ways[ours].right, ways[theirs].right, seed)
    gains = [each.right[ours] - each.right[theirs] for each in sums.values()]
    better, worse = (sum(sign * gain > EQUAL for gain in gains) for sign in (1, -1))
    parted = change.low is not None and change.high is not None and change.low * change.high > 0
    return {
        "way": ways[ours].name,
        "less": ways[theirs].name,
        "difference": as_json(change),
        "nats": as_json(_nats(sums, seed, ours, theirs)),
        "better": better,
        "worse": worse,
        "sure": parted and sign_test(better, worse) < SURE,
    }


def verdict(
    names: Sequence[str], accuracies: Sequence[Interval], differences: Mapping[tuple[int, int], Mapping[str, Any]]
) -> str:
    """Which way has most right, and than which others it is surely better.

    Args:
        differences: by the places of both ways, the later one first.
    """
    best = max(range(len(names)), key=lambda place: accuracies[place].value)
    sure = {
        theirs
        for ours, theirs in itertools.permutations(range(len(names)), 2)
        if ours == best and differences[max(ours, theirs), min(ours, theirs)]["sure"]
    }
    head = f"{names[best]} has most right, {100 * accuracies[best].value:.1f} %"
    unsure = [name for place, name in enumerate(names) if place not in (best, *sure)]
    if not sure:
        return f"no way is shown to be the best: {head}, and the difference from every other way may be chance"
    surely = f"{head}: shown to be better than {'; '.join(names[place] for place in sorted(sure))}"
    return surely + (f"; not shown to be better than {'; '.join(unsure)}" if unsure else "")
