"""What needs no model: lengths, places, and counting. A set of items that these solve says nothing of a model.

Each is scored as a model is, with the same interval: the longest and the shortest choice, the place that is right most
often, the choice that shares most words with its prompt, and a byte n-gram model of the training text. What the last
two, which count what a text says, have right above chance is thinned out; a set that any of them solves is refused.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from random import Random

import numpy as np

from evaluation.ngram import ORDER, probabilities
from evaluation.questions.items import Item
from evaluation.questions.score import costs, credit

COUNTING = ("shared_words", "ngram")
"""Heuristics that are thinned out."""
NgramNats = Mapping[str, Mapping[str, float]]
"""By the id of an item, nats of each of its choices."""
ABOVE_CHANCE = 0.1
"""A heuristic solves a set when the lower end of its interval is this far above chance, or further."""
CONTENT_WORD = re.compile(r"[^\W\d_]{4,}")


def chance(items: Sequence[Item]) -> float:
    """What is right by drawing lots."""
    return sum(1 / len(item.choices) for item in items) / len(items)


def heuristic_credits(items: Sequence[Item], ngram: NgramNats) -> dict[str, list[float]]:
    """How far each heuristic is right, on each item; the n-gram model where there is one."""
    found = {name: [credit(item.answer, rule(item)) for item in items] for name, rule in _RULES.items()}
    commonest = Counter(item.answer for item in items).most_common(1)
    found["place"] = [float(item.answer == commonest[0][0]) for item in items]
    if ngram:
        nats = [[ngram[item.id][choice] for choice in item.choices] for item in items]
        found["ngram"] = [credit(item.answer, costs(item, each)) for item, each in zip(items, nats, strict=True)]
    return found


def thin(items: Sequence[Item], right: Sequence[float], random: Random) -> list[Item]:
    """The items without as many of those that a heuristic has right, at random, as it has right above chance."""
    levels = [1 / len(item.choices) for item in items]
    excess = sum(right) - sum(levels)
    dropped = set()
    for index in random.sample(range(len(items)), len(items)):
        if excess <= 0:
            break
        if right[index] > levels[index]:
            dropped.add(index)
            excess -= right[index] - levels[index]
    return [item for index, item in enumerate(items) if index not in dropped]


def solving(heuristics: Mapping[str, Mapping[str, float | None]], chance: float) -> list[str]:
    """The heuristics that solve items, by their figures: those surely more than ABOVE_CHANCE above chance."""
    return [
        name for name, each in heuristics.items() if (low := each["low"]) is not None and low > chance + ABOVE_CHANCE
    ]


def _shared_words(item: Item) -> list[float]:
    """The share of a choice's longer words that its prompt has, negative."""
    prompt = {word.lower() for word in CONTENT_WORD.findall(item.prompt)}
    words = [[word.lower() for word in CONTENT_WORD.findall(choice)] for choice in item.choices]
    return [-sum(word in prompt for word in each) / max(len(each), 1) for each in words]


_RULES: Mapping[str, Callable[[Item], list[float]]] = {
    "longest": lambda item: [-float(len(choice.encode())) for choice in item.choices],
    "shortest": lambda item: [float(len(choice.encode())) for choice in item.choices],
    "shared_words": _shared_words,
}


def ngram_nats(items: Sequence[Item], training: Sequence[bytes]) -> NgramNats:
    """How likely a byte n-gram model of training text finds the choices behind their prompts; empty without any."""
    if not (items and any(training)):
        return {}
    contexts = [item.prompt.encode()[-(ORDER - 1) :] for item in items]
    texts = [
        context + choice.encode() for item, context in zip(items, contexts, strict=True) for choice in item.choices
    ]
    scored = iter(probabilities(training, texts))
    return {
        item.id: {choice: -float(np.log(next(scored)[len(context) :]).sum()) for choice in item.choices}
        for item, context in zip(items, contexts, strict=True)
    }
