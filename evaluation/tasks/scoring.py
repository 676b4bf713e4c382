"""Three ways to choose among answers, and the F1 scores, with which the finance suite was published."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from lm_eval.api.instance import Instance
from lm_eval.api.task import ConfigurableTask

CALIBRATION = "Answer:"
"""What an answer's probability is compared with (arXiv 2303.17564 §5): its own behind this."""


def weighted_f1(pairs: Sequence[tuple[Any, Any]]) -> float:
    """F1 of each class, weighted by how many items are of it, from pairs of the right class and the chosen one."""
    classes, numbers = np.unique([str(each) for pair in pairs for each in pair], return_inverse=True)
    right, chosen = numbers.reshape(-1, 2).T
    of_class, said, hits = (
        np.bincount(part, minlength=len(classes)) for part in (right, chosen, right[right == chosen])
    )
    return float((of_class * 2 * hits / (of_class + said)).sum() / len(pairs))


def entity_f1(pairs: Sequence[tuple[Sequence[str], Sequence[str]]]) -> float:
    """F1 of named entities of all items together, from the right ones and the found ones of each item."""
    hits = right = found = 0
    for wanted, said in pairs:
        left = list(said)
        right, found = right + len(wanted), found + len(left)
        for entity in wanted:
            if entity in left:
                left.remove(entity)
                hits += 1
    return 2 * hits / (right + found) if right + found else 1.0


class _OwnScores(ConfigurableTask):  # type: ignore[misc]
    """A task whose class has its own `process_results`; without a word of that, metrics would have to be lm-eval's."""

    def __init__(self, config: dict[str, Any]) -> None:
        own = {key: value for key, value in config.items() if key != "class"}
        super().__init__(config=own | {"process_results": "that of the class"})


class ThreeWays(_OwnScores):
    """Multiple choice by the probability of an answer p, by p over that behind "Answer:", and by log p over its length.

    Of the answer's length in UTF-8 bytes, so that models of any tokenizer are scored alike. The published figures are
    those of whichever way was best for a model and task; here each stands by itself.
    """

    def construct_requests(self, doc: dict[str, Any], ctx: str, **settings: Any) -> list[Instance]:
        """Each answer behind the item, and then each behind "Answer:"."""
        requests: list[Instance] = super().construct_requests(doc, ctx, **settings)
        settings = {"metadata": settings["metadata"]}
        return requests + [
            Instance("loglikelihood", doc, (CALIBRATION, request.args[1]), len(requests) + place, **settings)
            for place, request in enumerate(requests)
        ]

    def process_results(self, doc: dict[str, Any], results: Sequence[tuple[float, bool]]) -> dict[str, tuple[int, int]]:
        """The right choice and the chosen one, in each way."""
        choices = self.doc_to_choice(doc)
        behind, alone = np.array([nats for nats, _ in results]).reshape(2, -1)
        right = self.doc_to_target(doc)
        right = choices.index(right) if isinstance(right, str) else right
        lengths = np.array([len(choice.encode()) for choice in choices])
        ways = {"f1_probability": behind, "f1_calibrated": behind - alone, "f1_normalised": behind / lengths}
        return {name: (right, int(scores.argmax())) for name, scores in ways.items()}


def mean_of_groups(triples: Sequence[tuple[Any, Any, str]]) -> float:
    """The mean over groups of the weighted F1 of each, from the right class, the chosen one and the item's group."""
    groups: dict[str, list[tuple[Any, Any]]] = {}
    for right, chosen, group in triples:
        groups.setdefault(group, []).append((right, chosen))
    return float(np.mean([weighted_f1(pairs) for pairs in groups.values()]))


class ThreeWaysByTag(ThreeWays):
    """The same of items that have a `tag`, by whose tags F1 is averaged."""

    def process_results(  # type: ignore[override]
        self, doc: dict[str, Any], results: Sequence[tuple[float, bool]]
    ) -> dict[str, tuple[int, int, str]]:
        """The right choice, the chosen one, and the tag, in each way."""
        return {name: (*pair, doc["tag"]) for name, pair in super().process_results(doc, results).items()}


def entities(doc: dict[str, Any], results: Sequence[str]) -> dict[str, tuple[list[str], list[str]]]:
    """Right and written entities, each as "name (type)"; those of an answer are on its first line."""
    lines = results[0].strip().splitlines()
    written = re.findall(r"[^,()]+ \([^()]+\)", lines[0]) if lines else []
    return {"entity_f1": (list(doc["entities"]), [entity.strip() for entity in written])}


class BehindEach(_OwnScores):
    """Choice of the passage behind which the item's text is the likeliest."""

    def construct_requests(self, doc: dict[str, Any], ctx: str, **settings: Any) -> list[Instance]:
        """The text behind each passage."""
        settings = {"metadata": settings["metadata"]}
        return [
            Instance("loglikelihood", doc, (passage, f"\n{ctx}"), place, **settings)
            for place, passage in enumerate(self.doc_to_choice(doc))
        ]

    def process_results(self, doc: dict[str, Any], results: Sequence[tuple[float, bool]]) -> dict[str, float]:
        """Whether the right passage was chosen."""
        return {"acc": float(np.argmax([nats for nats, _ in results]) == self.doc_to_target(doc))}
