"""From the values of items to figures with intervals: of a model, of its difference from another, and of some items."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from evaluation.intervals import FEWEST, LEVEL, RESAMPLES
from evaluation.tasks.harness import Aggregate, Answered

Values = Sequence[Any]


def task_figures(
    answered: Answered, beside: Answered | None = None, chosen: Sequence[int] | None = None, seed: int = 0
) -> dict[str, Any]:
    """{metric: {"value", "low", "high", "items"}}, with "difference" where another model has answered the same items.

    The ends are those of the percentile bootstrap over items (Efron and Tibshirani 1993, §13.3), 95 %; None for few
    items. Both models are drawn alike, so that their difference is paired.

    Args:
        chosen: places of the items that count; None for all.
    """
    figures = {}
    for name, aggregate in _aggregates(answered).items():
        values = _values(answered, name, chosen)
        if not values:
            continue
        drawn = _resampled(values, aggregate, seed)
        figure: dict[str, Any] = _ends(aggregate(values), drawn) | {"items": len(values)}
        others = _values(beside, name, chosen) if beside else []
        if beside and len(others) == len(values):
            both = _resampled(others, aggregate, seed)
            difference = aggregate(values) - aggregate(others)
            figure["difference"] = _ends(difference, None if drawn is None or both is None else drawn - both)
        figures[name] = figure
    return figures


def _aggregates(answered: Answered) -> dict[str, Aggregate]:
    """By the name of the values of items; a metric behind a filter is named METRIC,FILTER."""
    known = answered.task.aggregates
    names = dict.fromkeys(name for item in answered.answers for name in item["values"])
    return {name: known[name.split(",")[0]] for name in names if name.split(",")[0] in known}


def _values(answered: Answered, name: str, chosen: Sequence[int] | None) -> list[Any]:
    items = answered.answers if chosen is None else [answered.answers[place] for place in chosen]
    return [item["values"][name] for item in items]


def _resampled(values: Values, aggregate: Aggregate, seed: int) -> np.ndarray | None:
    """The figure of each of RESAMPLES draws with replacement; None for too few items."""
    if len(values) < FEWEST:
        return None
    random = np.random.default_rng(seed)
    places = random.integers(0, len(values), (RESAMPLES, len(values)), dtype=np.int32)
    numbers = np.array(values, np.float64) if all(isinstance(value, int | float) for value in values) else None
    if numbers is not None and aggregate.__name__ == "mean":
        means: np.ndarray = numbers[places].mean(axis=1)
        return means
    return np.array([_draw(aggregate, [values[place] for place in row]) for row in places], np.float64)


def _draw(aggregate: Aggregate, values: Values) -> float:
    try:
        return aggregate(values)
    except (ValueError, ZeroDivisionError):  # of a draw that lacks a class
        return float("nan")


def _ends(value: float, drawn: np.ndarray | None) -> dict[str, float | None]:
    if drawn is None:
        return {"value": float(value), "low": None, "high": None}
    low, high = np.nanquantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return {"value": float(value), "low": float(low), "high": float(high)}
