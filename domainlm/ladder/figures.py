"""From the scores of a ladder's rungs to what is predicted of the planned run, as ladder.json has it."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from domainlm.ladder.law import (
    CONSTANTS,
    Backtest,
    Floats,
    Name,
    backtests,
    candidates,
    fit,
    predict,
)
from evaluation.bits_per_byte import DocumentScore
from evaluation.intervals import FEWEST, MOST, RESAMPLES

IN_WORDS: dict[Name, str] = {
    "power": "y = K x^-γ",
    "saturating": "y = E + K x^-0.154",
    "offset": "y = E + K x^-γ",
}


class Point(NamedTuple):
    """A rung: its computation as a share of the planned run's, and what it needs for each held-out document."""

    x: float
    documents: Sequence[DocumentScore]
    checkpoint: str


Cells = dict[tuple[str, str], list[int]]
"""(source, split) → indices of its documents."""


def ladder_figures(points: Sequence[Point], seed: int) -> dict[str, Any]:
    """The law and the prediction.

    Args:
        points: the smallest first, scored on the same documents in the same order.

    Returns:
        {"measured": {SOURCE: {SPLIT: bits per byte}} of each rung, "x": of each, "laws": [{"name", "formula",
        "constants", "backtest"}] the best first, "law": the name of the first, "degrees_of_freedom", "sources":
        {SOURCE: {SPLIT: {"bits_per_byte", "low", "high", "documents", "floor", "scale", "exponent", "error",
        "backtest", "doubts": {NAME: {"low", "high"}}, "laws": {NAME: bits per byte}}}}, "notes"}.
    """
    cells: Cells = {}
    for index, document in enumerate(points[0].documents):
        cells.setdefault((document.source, document.split), []).append(index)
    x = np.array([point.x for point in points])
    bits = np.array([[each.score.nats / math.log(2) for each in point.documents] for point in points]).T
    sizes = np.array([each.score.bytes for each in points[0].documents], np.float64)
    y = np.array([bits[indices].sum(axis=0) / sizes[indices].sum() for indices in cells.values()])
    tests = backtests(x, y)
    laws = candidates(tests)
    sources: dict[str, Any] = {}
    for row, ((source, split), indices) in enumerate(cells.items()):
        drawn = resampled(bits[indices], sizes[indices], seed)
        sources.setdefault(source, {})[split] = _figure(laws, tests[0], x, y[row], drawn, row) | {
            "documents": len(indices)
        }
    freedom = len(points) - CONSTANTS[laws[0]]
    return {
        "measured": [
            {
                source: {split: float(y[list(cells).index((source, split)), rung]) for split in splits}
                for source, splits in sources.items()
            }
            for rung in range(len(points))
        ],
        "x": x.tolist(),
        "laws": [
            {
                "name": test.name,
                "formula": IN_WORDS[test.name],
                "constants": CONSTANTS[test.name],
                "backtest": test.size,
                "shown_wrong": test.name not in laws,
            }
            for test in tests
        ],
        "law": laws[0],
        "degrees_of_freedom": freedom,
        "sources": sources,
        "notes": _notes(tests, laws, x, freedom),
    }


def _figure(
    laws: Sequence[Name], test: Backtest, x: Floats, y: Floats, drawn: Floats | None, row: int
) -> dict[str, Any]:
    error = float(test.errors[row])
    found = predict(laws, x, y, drawn, max(abs(error), test.size))
    return {
        "bits_per_byte": found.value,
        "low": found.low,
        "high": found.high,
        **{key: float(getattr(found.fitted, key)[0]) for key in ("floor", "scale", "exponent", "error")},
        "backtest": error,
        "doubts": {name: {"low": low, "high": high} for name, (low, high) in found.doubts.items()},
        "laws": {name: float(fit(name, x, y[None]).at(1.0)[0]) for name in laws},
    }


def resampled(bits: Floats, sizes: Floats, seed: int) -> Floats | None:
    """Bits per byte (RESAMPLES, R) of documents drawn anew, the same ones for all rungs; None of too few documents.

    Args:
        bits: (documents, R); sizes: (documents,), bytes.
    """
    if len(bits) < FEWEST:
        return None
    random = np.random.default_rng(seed)
    if len(bits) > MOST:  # summed in random groups, which have the same variance
        group = random.permutation(len(bits)) % MOST
        bits = np.stack([np.bincount(group, column, MOST) for column in bits.T], axis=1, dtype=np.float64)
        sizes = np.bincount(group, sizes, MOST).astype(np.float64)
    counts = random.multinomial(len(bits), np.full(len(bits), 1 / len(bits)), RESAMPLES).astype(np.float64)
    return np.asarray((counts @ bits) / (counts @ sizes)[:, None], np.float64)


def _notes(tests: Sequence[Backtest], laws: Sequence[Name], x: Floats, freedom: int) -> list[str]:
    first = tests[0]
    times = 1 / float(x[-1])
    notes = [
        f"law: {IN_WORDS[first.name]}, x the share of the planned run's computation; {CONSTANTS[first.name]} constants "
        f"from {len(x)} rungs, {freedom} degree{'s' * (freedom != 1)} of freedom for each text",
        f"test: the rungs below the largest predict that one, {x[-1] / x[-2]:.1f} times the next one's computation, "
        f"within {first.size:.1%}; the planned run has {times:.0f} times the largest rung's",
    ]
    if others := laws[1:]:
        said = " and ".join(IN_WORDS[name] for name in others)
        notes.append(f"not told from it by these rungs, and within the interval: {said}")
    return notes
