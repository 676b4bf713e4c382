"""What a model answers, kept kind by kind as it is scored, and its accuracies beside those of another model."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.files import value_digest, write_atomically
from data.progress import progress
from evaluation.figures import as_json
from evaluation.language_model import LanguageModel
from evaluation.questions.build import Questions
from evaluation.questions.items import Item, Kind
from evaluation.questions.score import PER_BYTE, accuracy, choice_nats, costs, credit, difference, figure

AT_ONCE = 50
"""Items of a group, which are kept together."""


@dataclass(frozen=True)
class Answers:
    """Nats of every choice of every item, by kind, in the order of the items."""

    model: LanguageModel
    nats: Mapping[Kind, Sequence[Sequence[float]]]


def answer(model: LanguageModel, questions: Questions, folder: Path) -> Answers:
    """Score all choices of all items, but those that the folder has from before.

    Args:
        folder: where the answers of all models are kept.
    """
    place = folder_of(model, questions, folder)
    return Answers(
        model, {kind: _answer(model, items, place / f"{kind}.json") for kind, items in questions.items.items()}
    )


def folder_of(model: LanguageModel, questions: Questions, folder: Path, **more: str) -> Path:
    """Where the answers of a model lie, by all that decides them.

    Args:
        more: what else does.
    """
    inputs = {"model": model.digest, "window": model.window, "device": model.device, "questions": questions.digest}
    return folder / f"{model.name}-{value_digest(inputs | more)[:8]}"


def _answer(model: LanguageModel, items: Sequence[Item], file: Path) -> list[list[float]]:
    def ask(part: Sequence[Item]) -> Values:
        return {"nats": choice_nats(model, [(item.prompt, item.choices) for item in part])}

    return in_groups(file, items, f"{file.stem}, {model.name}", lambda first, end: ask(items[first:end]))["nats"]


Values = dict[str, list[Any]]
"""By name, one for each item."""


def in_groups(file: Path, items: Sequence[Item], said: str, ask: Callable[[int, int], Values]) -> Values:
    """What is asked of items, kept group by group: the same call goes on behind what the file has from before.

    Args:
        said: of what progress is shown.
        ask: the values of the items from one number to another.
    """
    values = _kept(file, items)
    for first in progress(range(len(values.pop("items", ())), len(items), AT_ONCE), said, unit="groups"):
        end = min(first + AT_ONCE, len(items))
        for name, each in ask(first, end).items():
            values[name] = [*values.get(name, ()), *each]
        write_atomically(file, json.dumps({"items": [item.id for item in items[:end]], **values}))
    return values


def _kept(file: Path, items: Sequence[Item]) -> Values:
    """What the file has of the first of these items, their ids as "items"; nothing where it is torn or of others."""
    try:
        content = dict(json.loads(file.read_bytes()))
        count = len(content["items"])
        whole = {len(each) for each in content.values()} == {count} and len(content) > 1
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return content if whole and content["items"] == [item.id for item in items[:count]] else {}


def tasks(answers: Answers, beside: Answers | None, questions: Questions, seed: int) -> dict[str, Any]:
    """Accuracies of a model by task, `questions/KIND`, and its differences from another on the same items.

    Returns:
        {task: {"accuracy": {"value", "low", "high"}, "items", "documents", "chance", "by_nats" and "by_nats_per_byte":
        the accuracy of both ways to compare choices, "sources": {SOURCE: accuracy} where there are several,
        "difference" from the other model}}.
    """
    return {f"questions/{kind}": _task(kind, answers, beside, questions, seed) for kind in questions.items}


def _task(kind: Kind, answers: Answers, beside: Answers | None, questions: Questions, seed: int) -> dict[str, Any]:
    items, about = questions.items[kind], questions.summary["kinds"][kind]
    right = item_credits(items, answers.nats[kind])
    others = [
        credit(item.answer, costs(item, each, per_byte=kind not in PER_BYTE))
        for item, each in zip(items, answers.nats[kind], strict=True)
    ]
    both = [as_json(accuracy(items, each, seed)) for each in (right, others)]
    by_nats, by_byte = reversed(both) if kind in PER_BYTE else both
    found = {
        "accuracy": both[0],
        "by_nats": by_nats,
        "by_nats_per_byte": by_byte,
        **{key: about[key] for key in ("items", "documents", "chance")},
    }
    sources = sorted({item.source for item in items})
    if len(sources) > 1:
        found["sources"] = {source: _of_source(source, items, right, seed) for source in sources}
    if beside is not None:
        found["difference"] = as_json(difference(items, right, item_credits(items, beside.nats[kind]), seed))
    return found


def item_credits(items: Sequence[Item], nats: Sequence[Sequence[float]]) -> list[float]:
    """How far each item is answered right."""
    return [credit(item.answer, costs(item, each)) for item, each in zip(items, nats, strict=True)]


def _of_source(source: str, items: Sequence[Item], right: Sequence[float], seed: int) -> dict[str, float | None]:
    chosen = [index for index, item in enumerate(items) if item.source == source]
    return figure([items[index] for index in chosen], [right[index] for index in chosen], seed)
