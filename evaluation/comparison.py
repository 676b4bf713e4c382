"""Several models on one text: which one is better for it, how sure that is, and what would change it, in words."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

SPLITS = ("future", "past")
"""The first of which there is text decides: what comes after the cutoff is what a model is for."""


@dataclass(frozen=True)
class Compared:
    """A model and what is known of it.

    Attributes:
        figures: as evaluation/figures.py gives them; but for the first model with differences from the first.
        tasks: {task: {metric: {"value", "low", "high"}}}; empty where none were measured.
        open_book: what passages before the questions change, as in questions.json; None where none were.
        cost: of training and of scoring, as `cost` of compare.json.
        memorised: {stratum of passages: {"value", "low", "high", "of"}}; empty where it was not audited.
        gained: of another checkpoint of the first model's run, what the steps between the two gained: {"first_step",
            "last_step", "tokens": {source: n}, "sources": {source: {split: {"value", "low", "high",
            "per_million_tokens": the same of a million tokens of the source, None where none were read}}}}.
        remarks: what a reader has to know before the figures are believed.
        already_read: {split: held-out documents that it was trained on}.
    """

    name: str
    figures: Mapping[str, Any]
    cost: Mapping[str, Any]
    parameters: int
    tasks: Mapping[str, Any] = field(default_factory=dict)
    open_book: Mapping[str, Any] | None = None
    memorised: Mapping[str, Any] = field(default_factory=dict)
    gained: Mapping[str, Any] | None = None
    remarks: tuple[str, ...] = ()
    already_read: Mapping[str, int] = field(default_factory=dict)


def verdict(models: Sequence[Compared]) -> str:
    """What the comparison says of the first model, in sentences, with what would change it."""
    first, *others = models
    if not others:
        return f"Nothing is compared with {first.name}: name a general model, or another run."
    place = _deciding(first.figures["groups"])
    if place is None:
        return "No documents are held out, so that nothing can be said: set data.cutoff or data.past_fraction."
    group, split = place
    text = f"held-out {group} text {'of the cutoff and later' if split == 'future' else 'of the same time'}"
    sentences = [_sentence(first, other, group, split, text) for other in others]
    fair = [model for model in models if not model.already_read.get(split)]
    best = min(fair, key=lambda model: model.figures["groups"][group][split]["bits_per_byte"])
    figure = best.figures["groups"][group][split]
    which = "" if fair == list(models) else ", of the models to which it is new"
    head = f"On {text}, {best.name} needs the fewest bits per byte{which}, {_figure(figure)}."
    return " ".join([head, *sentences])


def _deciding(groups: Mapping[str, Any]) -> tuple[str, str] | None:
    for group in ("domain", "general"):
        for split in SPLITS:
            if split in groups.get(group, {}):
                return group, split
    return None


def _sentence(first: Compared, other: Compared, group: str, split: str, text: str) -> str:
    figure = other.figures["groups"][group][split]
    difference = figure["difference"]
    value, low, high = (difference[end] for end in ("value", "low", "high"))
    size = f"{other.name} ({other.parameters / first.parameters:.3g} times the parameters)"
    if read := other.already_read.get(split):
        return (
            f"{size} was trained on {read:,} of these documents: its figure is not one of new text, and nothing "
            "follows from the difference; compare with a run that holds the same documents out."
        )
    if low is None:
        return (
            f"{size} needs {abs(value):.3f} {'more' if value > 0 else 'less'}, of {figure['documents']} "
            "documents: too few for an interval, hold out more."
        )
    span = f"{abs(value):.3f} (95 % interval {_ends(value, low, high)})"
    if low > 0:
        return f"{size} needs {span} more: {first.name} is better for this text."
    if high < 0:
        return (
            f"{size} needs {span} less: it is better for this text, and {first.name} was not worth it unless size, "
            "price, or where the text may go decide; more domain text, more steps, or going on from that model's "
            "weights (init_from) would change it."
        )
    more = math.ceil(((high - low) / 2 / abs(value)) ** 2) if value else 0
    needed = f"about {more:,} times as many held-out documents would tell them apart" if value else "they are equal"
    return f"{size} cannot be told apart from it: the difference is {value:+.3f} ({low:+.3f} to {high:+.3f}); {needed}."


def _ends(value: float, low: float, high: float) -> str:
    ends = sorted((abs(low), abs(high))) if low * high > 0 else (low, high)
    return f"{ends[0]:.3f} to {ends[1]:.3f}"


def _figure(figure: Mapping[str, Any]) -> str:
    if figure["low"] is None:
        return f"{figure['bits_per_byte']:.3f}"
    return f"{figure['bits_per_byte']:.3f} ({figure['low']:.3f} to {figure['high']:.3f})"


def comparison_json(models: Sequence[Compared]) -> dict[str, Any]:
    """compare.json: {"models": [{"name", "parameters", "bits_per_byte", …}], "verdict"}, of which scripts read."""
    return {
        "models": [
            {
                "name": model.name,
                "parameters": model.parameters,
                "bits_per_byte": _spans(model.figures["sources"]),
                **{key: model.figures[key] for key in ("sources", "periods", "groups")},
                "tasks": model.tasks,
                "open_book": model.open_book,
                "cost": model.cost,
                "memorised": model.memorised,
                "gained": model.gained,
                "remarks": list(model.remarks),
            }
            for model in models
        ],
        "verdict": verdict(models),
    }


def _spans(sources: Mapping[str, Any]) -> dict[str, Any]:
    return {
        source: {
            split: {"value": figure["bits_per_byte"], "low": figure["low"], "high": figure["high"]}
            for split, figure in splits.items()
        }
        for source, splits in sources.items()
    }
