"""Training documents that use words which came up long after their date: a test for leaks that does not believe dates.

A word has come up by a day if the documents of before it use it about as often as the later ones. It had not where
nearly none do, though by its share in all documents many should, which chance explains in less than UNLIKELY of cases.
A document that uses several words that had not come up MARGIN_DAYS after its last day has a wrong date, or text of
later: a page that was brought up to date, a paper's revised version, a record with the day of its form.

What a word is says `data.corpus.shingles`. Ratios, not first uses, because one wrong date would be a first use.
"""

import datetime
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from data.corpus.shingles import shingle

PERIODS = 255
"""Into which the corpus is cut by date, each of about as many documents."""
LEAST_DOCUMENTS = 4
"""That use a word of which anything is said."""
EARLY_SHARE = 0.05
"""Of the documents that would use a word if it had been there, those that may have it before it came up."""
UNLIKELY = 1e-3
MARGIN_DAYS, MARGIN_DOCUMENTS = 730, 50
"""For so long after a document's date, and in so many documents, a word must be absent that speaks against the date."""
LEAST_WORDS, LEAST_SHARE, ADDED_WORDS = 3, 0.008, 50
"""Words that had not come up, of a suspected document: so many, and this share of its different words and some."""
MOST_COUNTS = 50_000_000
"""Of words by periods, that are held; of more text than that, every second word is looked at, or every fourth."""
SHOWN = 5
_PERIOD_BITS = np.uint64(8)
_PERIOD = np.uint64((1 << 8) - 1)

Keys = npt.NDArray[np.uint64]
Days = npt.NDArray[np.int64]


class Counts(NamedTuple):
    """In how many documents of each period a word is; a key is a word's hash with the period as its low byte."""

    keys: Keys  # ascending
    documents: npt.NDArray[np.int64]
    halvings: int = 0
    """How often every second word was left out."""


class Calendar(NamedTuple):
    """When the documents of a corpus are of, in days of `datetime.date.toordinal`."""

    days: Days
    """On which any may first have become public, ascending."""
    until: Days
    """Documents of each of these days and of all before it."""
    ends: Days
    """The last day of each period, of at most PERIODS."""


class Births(NamedTuple):
    """Words, by hash ascending, and the last day on which each had not come up."""

    words: Keys
    absent_until: Days


@dataclass(frozen=True)
class Suspect:
    """A document that uses words which had not come up.

    Attributes:
        row: in its file.
        words: how many of them, of `of` different ones.
        shown: some, with the last day on which each had not come up, the latest first.
    """

    row: int
    words: int
    of: int
    shown: tuple[tuple[str, datetime.date], ...]


def make_calendar(first_days: Iterable[pa.ChunkedArray]) -> Calendar:
    """The calendar of the documents of these columns of dates, date32; null for an unknown beginning."""
    found = [(np.empty(0, np.int64), np.empty(0, np.int64))]
    found += [np.unique(_ordinals(column.drop_null()), return_counts=True) for column in first_days]
    days, places = np.unique(np.concatenate([days for days, _ in found]), return_inverse=True)
    documents = np.zeros(len(days), np.int64)
    np.add.at(documents, places, np.concatenate([counts for _, counts in found]))
    until = np.cumsum(documents)
    if not len(days):
        return Calendar(days, until, days)
    wanted = np.linspace(0, until[-1], PERIODS + 1)[1:]
    return Calendar(days, until, np.unique(days[np.searchsorted(until, wanted)]))


def _ordinals(dates: Any) -> Days:
    """Of date32 without nulls, in days of `datetime.date.toordinal`."""
    since_1970: Days = dates.cast(pa.int32()).to_numpy().astype(np.int64)
    return since_1970 + datetime.date(1970, 1, 1).toordinal()


def count_words(file: Path, calendar: Calendar) -> Counts:
    """Count the words of the dated documents of a staged file."""
    parts = []
    for rows in _batches(file, ["first_date", "text"]):
        dated = rows.filter(rows["first_date"].is_valid())
        periods = np.searchsorted(calendar.ends, _ordinals(dated["first_date"])).astype(np.uint64)
        words = [word for word, _ in _distinct_words(dated["text"].to_pylist())]
        keys = [(of_one & ~_PERIOD) | period for of_one, period in zip(words, periods, strict=True)]
        if keys:
            parts.append(Counts(*np.unique(np.concatenate(keys), return_counts=True)))
    return merge(parts)


def merge(parts: Iterable[Counts]) -> Counts:
    """Sum counts, a part at a time; of more than MOST_COUNTS, every second word stays."""
    whole = Counts(np.empty(0, np.uint64), np.empty(0, np.int64))
    for part in parts:
        keys, places = np.unique(np.concatenate([whole.keys, part.keys]), return_inverse=True)
        documents = np.zeros(len(keys), np.int64)
        np.add.at(documents, places, np.concatenate([whole.documents, part.documents]))
        halvings = max(whole.halvings, part.halvings)
        whole = _left(Counts(keys, documents, halvings))
        while len(whole.keys) > MOST_COUNTS:
            whole = _left(whole._replace(halvings=whole.halvings + 1))
    return whole


def _left(counts: Counts) -> Counts:
    """Without the words whose hash has one of the bits, as many as there were halvings, above those of the period."""
    mask = np.uint64(((1 << counts.halvings) - 1) << 8)
    stay = (counts.keys & mask) == 0
    return counts if stay.all() else Counts(counts.keys[stay], counts.documents[stay], counts.halvings)


def births(counts: Counts, calendar: Calendar) -> Births:
    """The words that had not come up by some day of the corpus, and the last such day.

    Of n documents that use a word, x are of the periods up to one that ends with a share F of all documents. If use did
    not depend on time, x were binomial; P(X ≤ x) is bounded by exp(-n KL(x/n ‖ F)) (Chernoff).
    """
    words, periods = counts.keys & ~_PERIOD, (counts.keys & _PERIOD).astype(np.int64)
    begins = np.flatnonzero(np.append(True, words[1:] != words[:-1])) if len(words) else np.empty(0, np.int64)
    lengths = np.diff(np.append(begins, len(words)))
    word = np.repeat(np.arange(len(begins)), lengths)
    totals = np.add.reduceat(counts.documents, begins) if len(begins) else np.empty(0, np.int64)
    # Between a word's periods nothing is added: the day before each is the one that says most.
    before = np.cumsum(counts.documents) - counts.documents
    used = before - before[begins][word]
    until = periods - 1
    of_period = calendar.until[np.searchsorted(calendar.days, calendar.ends)] / max(calendar.until.max(initial=0), 1)
    share = np.where(until >= 0, np.clip(of_period[until], 1e-12, 1 - 1e-12), 1e-12) if len(word) else np.empty(0)
    n, x = (totals[word] - 1).astype(np.float64), np.maximum(used - 1, 0).astype(np.float64)  # one may be the suspect
    enough = (totals[word] >= LEAST_DOCUMENTS) & (x <= EARLY_SHARE * n * share)
    absent = enough & (n * _divergence(x / np.maximum(n, 1), share) >= -math.log(UNLIKELY))
    last = np.full(len(begins), -1, np.int64)
    np.maximum.at(last, word[absent], until[absent])
    known = last >= 0
    return Births(words[begins][known], calendar.ends[last[known]])


def _divergence(observed: npt.NDArray[np.float64], expected: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """KL(observed ‖ expected) of two Bernoulli shares, in nats; 0 log 0 is 0."""
    rest = 1 - observed
    first = np.where(observed > 0, observed * np.log(np.maximum(observed, 1e-300) / expected), 0.0)
    return first + rest * np.log(np.maximum(rest, 1e-300) / (1 - expected))


def suspects(file: Path, found: Births, calendar: Calendar, split: int) -> tuple[int, list[Suspect]]:
    """How many dated documents of a split a staged file has, and those that use words which had not come up."""
    judged, suspected, first_row = 0, [], 0
    for rows in _batches(file, ["split", "last_date", "text"]):
        wanted = [
            (row, day.toordinal())
            for row, (of, day) in enumerate(zip(rows["split"].to_pylist(), rows["last_date"].to_pylist(), strict=True))
            if of == split and day is not None
        ]
        judged += len(wanted)
        texts = rows["text"].take(pa.array([row for row, _ in wanted], pa.int64())).to_pylist()
        for (row, day), (words, text) in zip(wanted, _distinct_words(texts), strict=True):
            late = found.absent_until[_places(found, words)] > _with_margin(calendar, day)
            number = int(late.sum())
            if number >= LEAST_WORDS and number >= LEAST_SHARE * (len(words) + ADDED_WORDS):
                shown = _shown(text, found, _with_margin(calendar, day))
                suspected.append(Suspect(first_row + row, number, len(words), shown))
        first_row += rows.num_rows
    return judged, suspected


def _with_margin(calendar: Calendar, day: int) -> int:
    """The day up to which a word must be absent to speak against a document of this one."""
    place = int(np.searchsorted(calendar.days, day, side="right"))
    before = int(calendar.until[place - 1]) if place else 0
    later = int(np.searchsorted(calendar.until, before + MARGIN_DOCUMENTS))
    after = int(calendar.days[later]) if later < len(calendar.days) else datetime.date.max.toordinal()
    return max(day + MARGIN_DAYS, after)


def _places(found: Births, words: Keys) -> npt.NDArray[np.int64]:
    """Where those of the words that are there stand."""
    words = words & ~_PERIOD
    places = np.searchsorted(found.words, words)
    words, places = words[places < len(found.words)], places[places < len(found.words)]
    there: npt.NDArray[np.int64] = places[found.words[places] == words].astype(np.int64)
    return there


def _shown(text: str, found: Births, day: int) -> tuple[tuple[str, datetime.date], ...]:
    """Some of a text's words that had not come up on a day."""
    late: dict[str, int] = {}
    words = list(dict.fromkeys(re.findall(r"\w+", text.casefold())))
    for word, (hashes, _) in zip(words, _distinct_words(words), strict=True):
        if len(places := _places(found, hashes)) and found.absent_until[places].max() > day:
            late[word] = int(found.absent_until[places].max())
    latest = sorted(late, key=lambda word: (-late[word], word))[:SHOWN]
    return tuple((word, datetime.date.fromordinal(late[word])) for word in latest)


def _distinct_words(texts: Sequence[str]) -> Iterator[tuple[Keys, str]]:
    """The hashes of each text's different words."""
    if not texts:
        return
    hashed = shingle(texts, 1)
    for text, begin, end in zip(texts, hashed.offsets[:-1], hashed.offsets[1:], strict=True):
        yield np.unique(hashed.hashes[begin:end]), text


def _batches(file: Path, columns: list[str]) -> Iterator[Any]:
    with pq.ParquetFile(file) as staged:
        yield from staged.iter_batches(1_000, columns=columns)
