"""Classification by a model that was fine-tuned to answer with a label: the likeliest one, accuracy and macro F1."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from data.examples.build import EXAMPLES
from data.examples.chat import encode, encode_prompt, load_chat
from data.examples.records import Turn
from data.files import finished_inputs
from data.readers.rows import MalformedError
from evaluation.continuations import ContinuationLosses, Request
from evaluation.intervals import FEWEST, LEVEL, RESAMPLES

Integers = npt.NDArray[np.int64]


class Labelled(NamedTuple):
    """A held-out example: ids of what is asked, and of each label with the mark that ends it."""

    source: str
    prefix: list[int]
    labels: list[list[int]]
    right: int


def held_out_labels(folder: Path, tokenizer: Path) -> list[Labelled]:
    """The held-out examples of a fine-tuning that have labels, from folder/examples; none where nothing was made there.

    Args:
        tokenizer: the folder of the chat's tokenizer.
    """
    inputs = finished_inputs(folder / "examples")
    labels = {key.removeprefix("examples."): one["labels"] for key, one in inputs.items() if _has_labels(one)}
    if not labels:
        return []
    chat = load_chat(tokenizer)
    found = []
    with (folder / "examples" / EXAMPLES).open("rb") as lines:
        for example in map(json.loads, lines):
            if example["split"] == "train" or example["source"] not in labels:
                continue
            *asked, answer = (Turn(**turn) for turn in example["messages"])
            own = labels[example["source"]]
            encoded = encode(chat, [(*asked, Turn("assistant", label)) for label in own])
            prefix = encode_prompt(chat, asked)
            ids = [_answer(one, prefix) for one in encoded]
            found.append(Labelled(example["source"], prefix, ids, own.index(answer.content)))
    return found


def _has_labels(settings: object) -> bool:
    return isinstance(settings, dict) and bool(settings.get("labels"))


def _answer(encoded: Any, prefix: Sequence[int]) -> list[int]:
    """The label's ids up to the mark that ends it: behind that, a template may write more."""
    if isinstance(encoded, MalformedError):
        raise encoded
    ids = encoded.ids.tolist()[len(prefix) - 1 :]  # without the end of text, which the prefix has
    counted = encoded.counted[len(prefix) - 1 :]
    return list(ids[: int(np.flatnonzero(counted)[-1]) + 1])


def score_labels(items: Sequence[Labelled], losses: ContinuationLosses, seed: int = 0) -> dict[str, dict[str, Any]]:
    """{source: {"accuracy", "macro_f1": {"value", "low", "high"}, "items"}} of the likeliest label of each item.

    A label's likelihood is that of all of its tokens and of the mark that ends it, so that no label is the beginning of
    another. Macro F1 is the mean over the labels that occur, as right ones or as answers. The ends are those of the
    percentile bootstrap over items (Efron and Tibshirani 1993, §13.3), 95 %; None for few items.
    """
    scored = iter(losses([Request(item.prefix, label) for item in items for label in item.labels]))
    answers = [int(np.argmin([next(scored).nats for _ in item.labels])) for item in items]
    figures = {}
    for source in dict.fromkeys(item.source for item in items):
        own = [place for place, item in enumerate(items) if item.source == source]
        right = np.array([items[place].right for place in own])
        figures[source] = label_figures(right, np.array([answers[place] for place in own]), seed)
    return figures


def label_figures(right: Integers, answers: Integers, seed: int = 0) -> dict[str, Any]:
    """Accuracy and macro F1 with intervals, from the right label and the answer of each item, int64 (items,)."""
    whole = np.arange(len(right))[None]
    drawn = np.random.default_rng(seed).integers(0, len(right), (RESAMPLES, len(right)))
    figures: dict[str, Any] = {"items": len(right)}
    for name, figure in (("accuracy", _accuracy), ("macro_f1", _macro_f1)):
        ends = [None, None]
        if len(right) >= FEWEST:
            values = figure(right[drawn], answers[drawn])
            ends = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()
        value = float(figure(right[whole], answers[whole])[0])
        figures[name] = {"value": value, "low": ends[0], "high": ends[1]}
    return figures


def _accuracy(right: Integers, answers: Integers) -> npt.NDArray[np.float64]:
    """Of each row of (draws, items)."""
    accuracy: npt.NDArray[np.float64] = (right == answers).mean(axis=1)
    return accuracy


def _macro_f1(right: Integers, answers: Integers) -> npt.NDArray[np.float64]:
    """Of each row of (draws, items), over the labels that occur in it: 2 hits / (times right + times answered)."""
    sums, occur = np.zeros(len(right)), np.zeros(len(right))
    for label in range(int(max(right.max(), answers.max())) + 1):
        is_right, is_answer = right == label, answers == label
        times = is_right.sum(axis=1) + is_answer.sum(axis=1)
        sums += 2 * (is_right & is_answer).sum(axis=1) / np.maximum(times, 1)
        occur += times > 0
    return sums / occur
