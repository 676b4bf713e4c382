"""How well each model of a series of cutoffs knows each period of time: a matrix of bits per byte, and what age costs.

All models are scored on the same documents, which none of them was trained on, of all periods. A model has read text of
a period if its cutoff is later than every document of it.
"""

import datetime
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.compute as pc

from data.corpus.files import corpus_batches, corpus_files
from data.date_columns import intervals_of
from data.files import stage_digest
from data.shards.format import EncodedDocument
from evaluation.bits_per_byte import NO_PERIOD, DocumentScore, HeldOut, Period, Score, choose_evenly, period_of
from evaluation.figures import as_json
from evaluation.intervals import bits_per_byte_interval, difference_interval
from evaluation.scores import Text

SPLIT = "past"
"""Of a corpus without a cutoff: what is drawn by chance of all times."""
Cells = dict[str, list[int]]
"""Period → indices of its documents; periods in order of time."""


class Member(NamedTuple):
    """A model of the series: the day before which its text ends, and what it needs for each document."""

    cutoff: datetime.date
    documents: Sequence[DocumentScore]


def whole_text(corpus: Path, maximum_bytes: int | None) -> Text:
    """The documents of a corpus that are held out of all models, to be encoded by each with its own tokenizer.

    Args:
        maximum_bytes: of each source: whole documents, evenly spread over it; None for all.

    Raises:
        DataError: there is no finished corpus.
    """
    digest = stage_digest(corpus)
    documents = []
    for source, files in corpus_files(corpus, SPLIT).items():
        found = [
            EncodedDocument(id_, date, np.empty(0, np.int64), size)
            for batch in corpus_batches(files, ["id", "first_date", "last_date", "text"])
            for id_, date, size in zip(
                batch["id"].to_pylist(),
                intervals_of(batch),
                pc.binary_length(batch["text"]).to_pylist(),
                strict=True,
            )
        ]
        chosen = choose_evenly([document.bytes for document in found], maximum_bytes)
        documents += [HeldOut(source, SPLIT, found[index]) for index in chosen]
    return Text(digest, "", corpus, documents)


def series_figures(members: Sequence[Member], *, period: Period, domain: Collection[str], seed: int) -> dict[str, Any]:
    """The matrix of a series and its summary, as series.json has them.

    Args:
        members: by cutoff, ascending, scored on the same documents in the same order.
        domain: names of the sources that count; all do where it is empty.

    Returns:
        {"cutoffs", "periods", "documents": of each period, "of_no_period": documents, "bits_per_byte", "low", "high":
        [[of each period] of each cutoff], "read": likewise, true, false, or None where the cutoff lies within a period,
        "sources": {SOURCE: [[bits per byte or None]]}, "ageing": as `_ageing`}.
    """
    first = members[0].documents
    counted = [index for index, each in enumerate(first) if not domain or each.source in domain]
    cells = _cells(first, counted, period)
    intervals = [
        [bits_per_byte_interval(_scores(member, indices), seed) for indices in cells.values()] for member in members
    ]
    return {
        "cutoffs": [member.cutoff.isoformat() for member in members],
        "periods": list(cells),
        "documents": [len(indices) for indices in cells.values()],
        "of_no_period": len(counted) - sum(map(len, cells.values())),
        "bits_per_byte": [[each.value for each in row] for row in intervals],
        "low": [[each.low for each in row] for row in intervals],
        "high": [[each.high for each in row] for row in intervals],
        "read": [[has_read(member, indices) for indices in cells.values()] for member in members],
        "sources": {
            source: _of_source(members, cells, source)
            for source in dict.fromkeys(first[index].source for index in counted)
        },
        "ageing": _ageing(members, cells, seed),
    }


def has_read(member: Member, indices: Sequence[int]) -> bool | None:
    """Whether these documents are all of before the model's cutoff; None where only some are."""
    dates = [date for index in indices if (date := member.documents[index].date)]
    if all(date.lies_before(member.cutoff) for date in dates):
        return True
    return False if all(date.lies_from(member.cutoff) for date in dates) else None


def _cells(documents: Sequence[DocumentScore], counted: Sequence[int], period: Period) -> Cells:
    cells: Cells = {}
    for index in counted:
        date = documents[index].date
        if date and (name := period_of(date, period)) != NO_PERIOD:
            cells.setdefault(name, []).append(index)
    return dict(sorted(cells.items()))


def _scores(member: Member, indices: Sequence[int]) -> list[Score]:
    return [member.documents[index].score for index in indices]


def _of_source(members: Sequence[Member], cells: Cells, source: str) -> list[list[float | None]]:
    def value(member: Member, indices: Sequence[int]) -> float | None:
        own = [index for index in indices if member.documents[index].source == source]
        return bits_per_byte_interval(_scores(member, own)).value if own else None

    return [[value(member, indices) for indices in cells.values()] for member in members]


def _ageing(members: Sequence[Member], cells: Cells, seed: int) -> list[dict[str, Any]]:
    """What a model needs more for the n-th period after its cutoff than the first model that has read that period.

    Returns:
        For each n from 1 on: {"periods": n, "value", "low", "high", "documents"}, bits per byte over all models that
        have such a period, with its 95 % interval over documents.
    """
    pairs: dict[int, tuple[list[Score], list[Score]]] = {}
    for place, member in enumerate(members):
        later = [indices for indices in cells.values() if has_read(member, indices) is False]
        for distance, indices in enumerate(later, start=1):
            knowing = next((other for other in members[place + 1 :] if has_read(other, indices)), None)
            if knowing is not None:
                own, theirs = pairs.setdefault(distance, ([], []))
                own += _scores(member, indices)
                theirs += _scores(knowing, indices)
    return [
        {
            "periods": distance,
            **as_json(difference_interval(own, theirs, seed)),
            "documents": len(own),
        }
        for distance, (own, theirs) in sorted(pairs.items())
    ]


def verdict(figures: dict[str, Any]) -> str:
    """What the matrix says of age, in a sentence or two; of what cannot be told, that."""
    if not figures["periods"]:
        return "No document with a date is held out (data.past_fraction): nothing can be said of any period."
    if not figures["ageing"]:
        return "No period that one of the models has read is later than the cutoff of another: nothing is said of age."
    first = figures["ageing"][0]
    needs = "Of the first period after its cutoff, a model needs {} bits per byte {} than the first that has read it"
    size = f"{abs(first['value']):.3f}"
    if first["low"] is None:
        said = needs.format(size, "more" if first["value"] > 0 else "less")
        return f"{said}, of {first['documents']} documents: too few for an interval, hold out more."
    span = f"{size} ({first['low']:+.3f} to {first['high']:+.3f})"
    if first["low"] > 0:
        last = figures["ageing"][-1]
        further = f"; of the {_ordinal(last['periods'])}, {last['value']:.3f}" if last["periods"] > 1 else ""
        return f"{needs.format(span, 'more')}{further}: what happens in a period is learnt from its text alone."
    if first["high"] < 0:
        return (
            f"{needs.format(span, 'less')}: later text helps less than it costs, or text of then lies in the corpus "
            "under an earlier date."
        )
    return f"{needs.format(span, 'more')}: whether text ages here cannot be told, hold out more."


def _ordinal(number: int) -> str:
    names = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
    return names[number - 1] if number <= len(names) else f"{number}th"
