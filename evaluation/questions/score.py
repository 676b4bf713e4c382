"""How often the likeliest choice is the right one, for any language model, with intervals over documents."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from evaluation.bits_per_byte import NOT_SCORED, windows
from evaluation.continuations import Request
from evaluation.figures import as_json
from evaluation.intervals import Interval, ratio_interval
from evaluation.language_model import LanguageModel
from evaluation.questions.items import Item, Kind

PER_BYTE: frozenset[Kind] = frozenset({"next_sentence"})
"""Kinds whose choices are of several lengths: their nats per byte are compared, as lm-eval's acc_norm does. The others'
differ in a few characters or in their order, and sums are compared, as by acc: the likelier text as a whole wins."""
ALL_RIGHT = 0.025
"""What lies beyond one end of a 95 % interval."""

Costs = Sequence[float]
"""Of the choices of an item, in their order: the lowest is taken."""


def choice_nats(model: LanguageModel, questions: Sequence[tuple[str, Sequence[str]]]) -> list[list[float]]:
    """Negative log-likelihood of each choice of each question behind its prompt, in nats.

    Prompt and choice are encoded as one text, and what it has beyond the ids of the prompt alone is scored: from the
    same id on for all choices of a question. What these share is read once, where all fit into the model's window. A
    text longer than that loses its beginning; a choice longer than it is read in windows with half a window of context.

    Args:
        questions: prompts and their choices.
    """
    nats = [[0.0] * len(choices) for _, choices in questions]
    rows: list[_Row] = []
    behind: dict[tuple[int, int], Request] = {}
    for number, question in enumerate(questions):
        texts, same = _encoded(model, *question)
        if model.continuation_losses and max(map(len, texts)) <= model.window + 1:
            behind |= {
                (number, choice): Request(text[:same].tolist(), text[same:].tolist())
                for choice, text in enumerate(texts)
                if len(text) > same
            }
        else:
            rows += _rows(model, number, texts, same)
    _score_rows(model, rows, nats)
    if behind and model.continuation_losses:
        for (number, choice), scored in zip(behind, model.continuation_losses([*behind.values()]), strict=True):
            nats[number][choice] = scored.nats
    return nats


def _encoded(model: LanguageModel, prompt: str, choices: Sequence[str]) -> tuple[list[npt.NDArray[np.int64]], int]:
    """The ids of a prompt with each of its choices, and how many of them all begin with, and the prompt alone too."""
    alone = np.asarray(model.encode(prompt), np.int64)
    texts = [np.asarray(model.encode(prompt + choice), np.int64) for choice in choices]
    return texts, min(_same(alone, text) for text in texts)


class _Row(NamedTuple):
    """A window of a question's text with one of its choices; targets from the input `scored` on."""

    question: int
    choice: int
    inputs: npt.NDArray[np.int64]
    scored: int
    targets: npt.NDArray[np.int64]


def _score_rows(model: LanguageModel, rows: list[_Row], nats: list[list[float]]) -> None:
    """Add what windows cost to the nats of their choices."""
    rows.sort(key=lambda row: -len(row.inputs))  # what is too large for the memory fails at once
    first = 0
    while first < len(rows):
        batch = rows[first : first + max(1, model.batch_tokens // len(rows[first].inputs))]
        first += len(batch)
        shape = (len(batch), len(batch[0].inputs))
        inputs, targets = np.zeros(shape, np.int64), np.full(shape, NOT_SCORED, np.int64)
        for line, row in enumerate(batch):
            inputs[line, : len(row.inputs)] = row.inputs
            targets[line, row.scored : len(row.inputs)] = row.targets
        losses = np.where(targets == NOT_SCORED, 0.0, model.token_losses(inputs, targets).astype(np.float64))
        for row, loss in zip(batch, losses.sum(axis=1).tolist(), strict=True):
            nats[row.question][row.choice] += loss


def _rows(model: LanguageModel, question: int, texts: Sequence[npt.NDArray[np.int64]], same: int) -> Iterator[_Row]:
    """The windows in which what the texts have beyond the ids that are the same is read."""
    for choice, text in enumerate(texts):
        begin = max(0, min(same - 1, len(text) - 1 - model.window))
        inputs, targets = text[begin:-1], text[begin + 1 :]
        for start, scored, end in windows(len(inputs), model.window):
            scored = max(scored, same - 1 - begin)
            if scored < end:
                yield _Row(question, choice, inputs[start:end], scored - start, targets[scored:end])


def _same(ids: npt.NDArray[np.int64], others: npt.NDArray[np.int64]) -> int:
    """How many ids both begin with."""
    least = min(len(ids), len(others))
    unequal = np.flatnonzero(ids[:least] != others[:least])
    return int(unequal[0]) if len(unequal) else least


def costs(item: Item, nats: Sequence[float], per_byte: bool | None = None) -> list[float]:
    """What is compared of an item's choices: nats, or nats per byte of text.

    Args:
        per_byte: None for what is reported of the item's kind.
    """
    if not (item.kind in PER_BYTE if per_byte is None else per_byte):
        return list(nats)
    return [value / len(choice.encode()) for value, choice in zip(nats, item.choices, strict=True)]


def credit(answer: int, costs: Costs) -> float:
    """1 where the answer costs least, 0 where another choice does, a share where several cost the same."""
    least = min(costs)
    return (costs[answer] == least) / sum(cost == least for cost in costs)


def accuracy(items: Sequence[Item], right: Sequence[float], seed: int) -> Interval:
    """Mean credit of items with its interval over their documents."""
    return _interval(items, right, (0.0, 1.0), seed)


def difference(items: Sequence[Item], right: Sequence[float], others: Sequence[float], seed: int) -> Interval:
    """Mean credit of one model less that of another on the same items, with its interval over their documents."""
    return _interval(items, [own - other for own, other in zip(right, others, strict=True)], (-1.0, 1.0), seed)


def _interval(items: Sequence[Item], values: Sequence[float], ends: tuple[float, float], seed: int) -> Interval:
    """Documents differ in how many items they have, so that the mean is a ratio of sums over documents."""
    sums: dict[tuple[str, str], list[float]] = {}
    for item, value in zip(items, values, strict=True):
        of_document = sums.setdefault((item.source, item.document), [0.0, 0.0])
        of_document[0] += value
        of_document[1] += 1
    interval = ratio_interval([value for value, _ in sums.values()], [count for _, count in sums.values()], seed)
    if interval.low is None or interval.high is None:
        return interval
    least, most = ends
    # Where all are right, no document differs from another: of n, so many are all right at 97.5 % (Clopper–Pearson).
    slack = (1 - ALL_RIGHT ** (1 / len(sums))) * (most - least) if interval.low == interval.high else 0.0
    return Interval(interval.value, max(least, interval.low - slack), min(most, interval.high + slack))


def figure(items: Sequence[Item], right: Sequence[float], seed: int) -> dict[str, float | None]:
    """{"value", "low", "high"} of an accuracy."""
    return as_json(accuracy(items, right, seed))


def count_documents(items: Sequence[Item]) -> int:
    return len({(item.source, item.document) for item in items})
