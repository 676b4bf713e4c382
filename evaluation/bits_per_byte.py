"""Bits per byte of held-out documents under a language model: by source, split and period of time.

A figure in bits per byte of text does not depend on the tokenizer, so models of any vocabulary, n-grams and
compressors can be compared. Documents are scored as in arXiv 2303.17564 §5.1: in windows with half a window of context,
each token once.
"""

import datetime
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from data.interval import Interval
from data.progress import progress
from data.shards.documents import held_out_documents
from data.shards.format import END_OF_TEXT_ID, EncodedDocument, read_manifest

Tokens = npt.NDArray[np.int64]
TokenLosses = Callable[[Tokens, Tokens], npt.NDArray[np.floating[Any]]]
"""From inputs and targets (batch, time), NOT_SCORED where no loss is wanted, to losses in nats (batch, time)."""
Period = Literal["year", "quarter", "month"]
Rule = Literal["half", "disjoint"]

HELD_OUT_SPLITS = ("past", "future")
NOT_SCORED = -100


@dataclass(frozen=True)
class Score:
    """Summed loss in nats of some tokens, and the bytes of the text that they spell."""

    nats: float
    tokens: int
    bytes: int

    @property
    def bits_per_byte(self) -> float:
        return self.nats / math.log(2) / self.bytes

    def __add__(self, other: "Score") -> "Score":
        return Score(self.nats + other.nats, self.tokens + other.tokens, self.bytes + other.bytes)


NOTHING = Score(0.0, 0, 0)
BySplit = dict[str, dict[str, Score]]
"""{source: {split: Score}}."""
Figures = Mapping[str, Mapping[str, Mapping[str, float]]]
"""{source: {split: {"bits_per_byte", "bytes", "tokens"}}}, as reports/evaluate.json has them."""


@dataclass(frozen=True)
class DocumentScore:
    """What one rank has scored of a document: sum over ranks for the whole."""

    source: str
    split: str
    date: Interval | None
    score: Score


class HeldOut(NamedTuple):
    """A document that is scored, and where it is from."""

    source: str
    split: str
    document: EncodedDocument


class Window(NamedTuple):
    """The model reads inputs `start` to `end` and is scored on the targets `scored` to `end` (ends excluded)."""

    start: int
    scored: int
    end: int


def windows(length: int, window: int, rule: Rule = "half") -> Iterator[Window]:
    """Cut a document of `length` tokens so that every token is scored once, in a context of at most `window` inputs.

    Input 0 is the end-of-text token that precedes the document, input i its token i - 1, target i its token i. The
    first window scores all its targets. By "half", each later one reads half a window again as context and scores the
    rest; by "disjoint", as lm-eval's loglikelihood_rolling has it, it scores the next `window` targets with one token
    of context, and the last is filled up with old context.
    """
    yield from [Window(0, 0, min(window, length))] if length else []
    step = window - window // 2 if rule == "half" else window
    for scored in range(window, length, step):
        end = min(scored + step, length)
        yield Window(scored - window // 2 if rule == "half" else end - window, scored, end)


def choose_evenly(lengths: Sequence[int], maximum: int | None) -> list[int]:
    """Indices, in order, of documents spread evenly over all of them, of at most `maximum` tokens together.

    Documents are taken in bit-reversed order of their index (van der Corput's sequence), any beginning of which is
    evenly spread, up to the first that does not fit; one is always taken. Lengths may be in another unit than tokens.
    """
    if maximum is None:
        return list(range(len(lengths)))
    bits = len(lengths).bit_length()
    chosen: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda index: f"{index:0{bits}b}"[::-1]):
        if chosen and lengths[index] > maximum:
            break
        chosen.append(index)
        maximum -= lengths[index]
    return sorted(chosen)


def score_documents(
    token_losses: TokenLosses,
    shards: Path,
    *,
    sequence_length: int,
    batch_size: int,
    splits: Sequence[str] = HELD_OUT_SPLITS,
    maximum_tokens: int | None = None,
    rank: int = 0,
    world_size: int = 1,
) -> list[DocumentScore]:
    """Score held-out documents; every rank gets the same list of documents, with the sums of its own batches.

    Args:
        sequence_length: the window, in tokens.
        batch_size: whole windows in a call of one rank; of shorter ones as many more as have as many tokens.
        maximum_tokens: of each source and split: whole documents, evenly spread over it; None for all.

    Raises:
        DataError: the shards are missing or damaged.
    """
    found = read_held_out(shards, splits, maximum_tokens)
    scores = score_encoded(
        token_losses,
        [each.document for each in found],
        window=sequence_length,
        batch_tokens=batch_size * sequence_length,
        rank=rank,
        world_size=world_size,
    )
    return [
        DocumentScore(each.source, each.split, each.document.date, score)
        for each, score in zip(found, scores, strict=True)
    ]


def score_encoded(
    token_losses: TokenLosses,
    documents: Sequence[EncodedDocument],
    *,
    window: int,
    batch_tokens: int,
    rule: Rule = "half",
    rank: int = 0,
    world_size: int = 1,
    shown: bool = True,
) -> list[Score]:
    """Scores of documents, of each rank the sums of its own batches.

    Every rank calls `token_losses` equally often, on batches of nearly the same length, for the model may gather its
    parameters from all ranks in each call: a rank without a batch left scores one in which every target is ignored.

    Args:
        batch_tokens: inputs in a call of one rank, at most, but for a single window that is longer.
        shown: whether rank 0 shows progress.
    """
    # The longest batches come first, so that a batch too large for the memory fails at once.
    cut = sorted(
        (
            (part, index)
            for index, document in enumerate(documents)
            for part in windows(len(document.tokens), window, rule)
        ),
        key=lambda item: item[0].start - item[0].end,
    )
    batches = list(_batches(cut, batch_tokens))
    rounds = range(rank, rank + math.ceil(len(batches) / world_size) * world_size, world_size)
    scores = [Score(0.0, 0, document.bytes if rank == 0 else 0) for document in documents]
    for number in progress(rounds, "held-out text", unit="batches") if shown and rank == 0 else rounds:
        batch = batches[number] if number < len(batches) else []
        inputs, targets = _fill_batch(batch, documents)
        losses = np.where(targets == NOT_SCORED, 0.0, token_losses(inputs, targets).astype(np.float64))
        for (part, index), nats in zip(batch, losses.sum(axis=1).tolist(), strict=False):
            scores[index] += Score(nats, _scored_tokens(documents[index], part), 0)
    return scores


def _scored_tokens(document: EncodedDocument, part: Window) -> int:
    if document.counted is None:
        return part.end - part.scored
    return int(np.count_nonzero(document.counted[part.scored : part.end]))


_Cut = tuple[Window, int]
"""A window, and the index of the document that it is of."""


def _batches(cut: Sequence[_Cut], batch_tokens: int) -> Iterator[Sequence[_Cut]]:
    """The windows in order, as many together as have `batch_tokens` inputs when padded to the first's length."""
    first = 0
    while first < len(cut):
        window, _ = cut[first]
        rows = max(1, batch_tokens // (window.end - window.start))
        yield cut[first : first + rows]
        first += rows


def read_held_out(shards: Path, splits: Sequence[str], maximum_tokens: int | None) -> list[HeldOut]:
    """The documents to score; their tokens stay mapped files.

    Args:
        maximum_tokens: of each source and split: whole documents, evenly spread over it; None for all.

    Raises:
        DataError: the shards are missing or damaged.
    """
    manifest = read_manifest(shards)
    held_out = []
    for split in splits:
        for source in manifest.splits.get(split, {}):
            found = list(held_out_documents(shards, split, source))
            chosen = choose_evenly([len(document.tokens) for document in found], maximum_tokens)
            held_out += [HeldOut(source, split, found[index]) for index in chosen]
    return held_out


def _fill_batch(batch: Sequence[_Cut], documents: Sequence[EncodedDocument]) -> tuple[Tokens, Tokens]:
    """Inputs and targets (batch, time) of the windows; one row of one ignored target when there are none."""
    time = max((window.end - window.start for window, _ in batch), default=1)
    inputs = np.full((max(len(batch), 1), time), END_OF_TEXT_ID, np.int64)
    targets = np.full_like(inputs, NOT_SCORED)
    for row, (window, index) in enumerate(batch):
        tokens, length = documents[index].tokens, window.end - window.start
        before = max(window.start - 1, 0)
        # In front of the document stands what stands behind it: the end of the text before.
        inputs[row, 0] = documents[index].end_of_text
        inputs[row, before + 1 - window.start : length] = tokens[before : window.end - 1]
        targets[row, window.scored - window.start : length] = tokens[window.scored : window.end]
        if (counted := documents[index].counted) is not None:
            wanted = targets[row, window.scored - window.start : length]
            wanted[counted[window.scored : window.end] == 0] = NOT_SCORED
    return inputs, targets


def by_split(documents: Iterable[DocumentScore]) -> BySplit:
    """Sums of the documents; a source and split that has none is left out."""
    sums: BySplit = {}
    for document in documents:
        splits = sums.setdefault(document.source, {})
        splits[document.split] = splits.get(document.split, NOTHING) + document.score
    return sums


def count_documents(documents: Iterable[DocumentScore]) -> dict[str, dict[str, int]]:
    """How many there are of each source and split."""
    counts: dict[str, dict[str, int]] = {}
    for document in documents:
        splits = counts.setdefault(document.source, {})
        splits[document.split] = splits.get(document.split, 0) + 1
    return counts


NO_PERIOD = "of no single period"


def period_of(date: Interval, period: Period) -> str:
    """The year, quarter or month that all days of a document lie in: 2019, 2019-Q2, 2019-05; else NO_PERIOD.

    Labels of one kind sort as their times do, before NO_PERIOD.
    """
    first, last = (day and _period_of_day(day, period) for day in date)
    return last if last and first == last else NO_PERIOD


def _period_of_day(date: datetime.date, period: Period) -> str:
    match period:
        case "year":
            return f"{date.year:04d}"
        case "quarter":
            return f"{date.year:04d}-Q{(date.month + 2) // 3}"
        case "month":
            return f"{date.year:04d}-{date.month:02d}"
