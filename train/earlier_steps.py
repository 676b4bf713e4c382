"""What a run knows of the steps before: their figures, the skips, the second computings, as its files tell them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Figures(NamedTuple):
    """What tells whether a step is a spike."""

    loss: float
    gradient_norm: float


class Skip(NamedTuple):
    """Steps whose batches are passed over, both ends included."""

    first: int
    last: int


@dataclass(frozen=True)
class Past:
    """What a run's files say about the steps up to its checkpoint; the same on every rank."""

    history: list[Figures]
    """Figures of the newest applied steps, to which the run's own are added; skipped ones never are."""
    skips: list[Skip]
    """Steps to pass over, before and after the checkpoint."""
    evaluated: bool
    """Whether the checkpoint's step has been evaluated, where it is one that should be."""
    examined: list[int] = field(default_factory=list)
    """Steps that were computed a second time, to which the run's own are added."""


def read_history(lines: Iterable[Mapping[str, Any]], step: int, window: int) -> list[Figures]:
    """The figures of the last `window` applied steps up to `step`, from the lines of metrics.jsonl."""
    found = [
        Figures(line["loss"], line["gradient_norm"])
        for line in lines
        if line["step"] <= step and None not in (line.get("loss"), line.get("gradient_norm"))
    ]
    return found[-window:]


def read_skips(events: Iterable[Mapping[str, Any]]) -> list[Skip]:
    """The skips of a run, from its journal."""
    return [Skip(event["first"], event["last"]) for event in events if event["event"] == "skip"]


def read_examined(events: Iterable[Mapping[str, Any]], step: int) -> list[int]:
    """The steps up to `step` that a run has computed a second time, from its journal."""
    return [event["step"] for event in events if event["event"] == "spike" and event["step"] <= step]
