"""From the scores of documents to figures with intervals: by source, split, period, and domain or general."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from evaluation.bits_per_byte import DocumentScore, Period, Score, period_of
from evaluation.intervals import Interval, bits_per_byte_interval, difference_interval
from evaluation.scores import Scored

Path = tuple[str, ...]
"""Keys of a figure, from outside to inside: (source, split), (source, split, period) or (group, split)."""


def figures(
    scored: Scored, beside: Scored | None, *, period: Period, domain: Collection[str], seed: int
) -> dict[str, Any]:
    """All figures of a model, and its differences from another one on the same documents.

    Args:
        beside: the model that this one is compared with, document by document; None for none.
        domain: names of the sources of the domain.

    Returns:
        {"sources": {SOURCE: {SPLIT: figure}}, "periods": {SOURCE: {SPLIT: {PERIOD: figure}}}, "groups": {"domain" and
        "general": {SPLIT: figure}}}, a figure being {"bits_per_byte", "low", "high", "documents", "bytes", "tokens"},
        with "difference": {"value", "low", "high"} where there is another model. Ends are None for few documents.
    """
    others = beside.documents if beside else None

    def by(key: Callable[[DocumentScore], Path | None]) -> dict[str, Any]:
        return _nested(scored.documents, others, key, seed)

    return {
        "sources": by(lambda document: (document.source, document.split)),
        "periods": by(
            lambda document: (
                (document.source, document.split, period_of(document.date, period)) if document.date else None
            )
        ),
        "groups": by(lambda document: ("domain" if document.source in domain else "general", document.split)),
    }


def _nested(
    documents: Sequence[DocumentScore],
    others: Sequence[DocumentScore] | None,
    key: Callable[[DocumentScore], Path | None],
    seed: int,
) -> dict[str, Any]:
    """A figure for each path of keys that `key` gives to any document, periods in order of time."""
    cells: dict[Path, list[int]] = {}
    for index, document in enumerate(documents):
        if (path := key(document)) is not None:
            cells.setdefault(path, []).append(index)
    nested: dict[str, Any] = {}
    for path in sorted(cells, key=lambda path: path[2:]):
        place = nested
        for name in path[:-1]:
            place = place.setdefault(name, {})
        indices = cells[path]
        place[path[-1]] = _figure(
            [documents[index].score for index in indices],
            [others[index].score for index in indices] if others else None,
            seed,
        )
    return nested


def _figure(scores: Sequence[Score], others: Sequence[Score] | None, seed: int) -> dict[str, Any]:
    interval = bits_per_byte_interval(scores, seed)
    figure: dict[str, Any] = {
        "bits_per_byte": interval.value,
        "low": interval.low,
        "high": interval.high,
        "documents": len(scores),
        "bytes": sum(score.bytes for score in scores),
        "tokens": sum(score.tokens for score in scores),
    }
    if others is not None:
        figure["difference"] = as_json(difference_interval(scores, others, seed))
    return figure


def as_json(interval: Interval) -> dict[str, float | None]:
    return {"value": interval.value, "low": interval.low, "high": interval.high}


def spans(figure: Mapping[str, Any]) -> str:
    """A figure's interval as a console shows it, and its difference from another model where it has one."""
    own = "–" if figure["low"] is None else f"{figure['low']:.3f} to {figure['high']:.3f}"
    difference = figure.get("difference")
    if difference is None:
        return own
    ends = "" if difference["low"] is None else f" ({difference['low']:+.3f} to {difference['high']:+.3f})"
    return f"{own:<16}    {difference['value']:+.3f}{ends}"
