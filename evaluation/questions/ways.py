"""The ways beside each other: every model, closed-book and with passages, on the same questions, and which is best.

A way is a model with passages or without. Each pair of them is compared question by question; the counts by documents
are given with the figures, so that anyone can compute the intervals again.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evaluation.figures import as_json
from evaluation.intervals import Interval
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


def compare_ways(
    asked: Sequence[tuple[Answers, OpenAnswers | None]], kinds: Sequence[Kind], questions: Questions, seed: int
) -> dict[str, Any] | None:
    """Accuracies of all ways over the kinds that every one of them was asked, their differences, and a verdict.

    Args:
        asked: models' answers, closed-book and maybe with passages.

    Returns:
        None where there is one way alone, else {"kinds", "items", "ways": [{"way", "accuracy"}], "differences": of each
        pair, the later way less the earlier one: [{"way", "less", "difference", "better" and "worse": documents with
        more and with fewer right answers, "sure"}], "documents": [{"source", "document", "items", "right": how many,
        in the order of the ways}], "verdict"}, figures as {"value", "low", "high"}.
    """
    items = [item for kind in kinds for item in questions.items[kind]]
    ways = [way for closed, opened in asked for way in _ways(closed, opened, kinds, questions)]
    if len(ways) < 2:
        return None
    sums = _by_document(items, ways)
    differences = {
        (ours, theirs): _difference(items, ways[ours], ways[theirs], sums, (ours, theirs), seed)
        for theirs, ours in itertools.combinations(range(len(ways)), 2)
    }
    accuracies = [accuracy(items, way.right, seed) for way in ways]
    return {
        "kinds": list(kinds),
        "items": len(items),
        "ways": [{"way": way.name, "accuracy": as_json(each)} for way, each in zip(ways, accuracies, strict=True)],
        "differences": list(differences.values()),
        "documents": [
            {"source": source, "document": document, "items": count, "right": right}
            for (source, document), (count, right) in sums.items()
        ],
        "verdict": verdict([way.name for way in ways], accuracies, differences),
    }


def _ways(closed: Answers, opened: OpenAnswers | None, kinds: Sequence[Kind], questions: Questions) -> list[Way]:
    found = {CLOSED: closed.nats} | ({OPEN: opened.nats} if opened else {})
    return [
        Way(
            f"{closed.model.name}, {how}",
            [right for kind in kinds for right in item_credits(questions.items[kind], nats[kind])],
        )
        for how, nats in found.items()
    ]


Sums = Mapping[tuple[str, str], tuple[int, list[float]]]
"""By source and document: questions, and how many of them each way has right."""


def _by_document(items: Sequence[Item], ways: Sequence[Way]) -> Sums:
    sums: dict[tuple[str, str], tuple[int, list[float]]] = {}
    for item, *right in zip(items, *(way.right for way in ways), strict=True):
        count, before = sums.get((item.source, item.document), (0, [0.0] * len(ways)))
        sums[item.source, item.document] = count + 1, [one + more for one, more in zip(before, right, strict=True)]
    return sums


def _difference(
    items: Sequence[Item], ours: Way, theirs: Way, sums: Sums, places: tuple[int, int], seed: int
) -> dict[str, Any]:
    """One way less another; sure where the interval and an exact sign test over documents both say so."""
    change = difference(items, ours.right, theirs.right, seed)
    gains = [right[places[0]] - right[places[1]] for _, right in sums.values()]
    better, worse = (sum(sign * gain > EQUAL for gain in gains) for sign in (1, -1))
    parted = change.low is not None and change.high is not None and change.low * change.high > 0
    return {
        "way": ours.name,
        "less": theirs.name,
        "difference": as_json(change),
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
