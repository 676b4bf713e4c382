"""The test for leaks: words that had not come up are found, those that rise slowly are not, nor what is only first."""

import datetime
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.corpus import leaks
from data.corpus.leaks import births, count_words, make_calendar, merge, suspects

FIRST = datetime.date(1990, 1, 1)
COMMON = [f"common{number}" for number in range(300)]


def of_era(year: int, chance: random.Random) -> list[str]:
    """Words of before and of each five years since 1990: those of an era are used from it on."""
    eras = range(1 + (year - 1990) // 5)
    return [f"era{chance.choice(eras)}word{chance.randrange(40)}" for _ in range(20)]


def document(day: datetime.date, chance: random.Random) -> str:
    words = chance.choices(COMMON, k=30) + of_era(day.year, chance)
    chance.shuffle(words)
    return " ".join(words)


def staged(file: Path, days: list[datetime.date | None], texts: list[str], split: int = 0) -> Path:
    dates = pa.array(days, pa.date32())
    splits = pa.array([split] * len(texts), pa.uint8())
    pq.write_table(pa.table({"first_date": dates, "last_date": dates, "text": texts, "split": splits}), file)
    return file


def corpus(count: int = 8_000) -> tuple[list[datetime.date], list[str]]:
    chance = random.Random(1)
    days = [FIRST + datetime.timedelta(days=chance.randrange(30 * 365)) for _ in range(count)]
    return days, [document(day, chance) for day in days]


def found(file: Path) -> tuple[int, list[leaks.Suspect]]:
    calendar = make_calendar([pq.read_table(file)["first_date"]])
    return suspects(file, births(merge([count_words(file, calendar)]), calendar), calendar, 0)


def test_fifty_documents_with_wrong_dates_are_found_among_those_with_right_ones(tmp_path: Path) -> None:
    days, texts = corpus()
    late = [place for place, day in enumerate(days) if day.year >= 2012][:50]
    moved = {place: days[place].replace(year=days[place].year - 12, day=1) for place in late}
    judged, suspected = found(staged(tmp_path / "staged", [moved.get(n, day) for n, day in enumerate(days)], texts))
    rows = {each.row for each in suspected}
    assert judged == len(days)
    assert len(rows & moved.keys()) >= 48
    assert not rows - moved.keys()
    shown = suspected[0].shown
    assert shown
    assert all(word.startswith("era") for word, _ in shown)
    assert all(until > moved[suspected[0].row] for _, until in shown)


def test_right_dates_give_no_alarm(tmp_path: Path) -> None:
    days, texts = corpus()
    assert found(staged(tmp_path / "staged", list(days), texts)) == (len(days), [])


def test_a_word_has_come_up_when_some_of_the_earlier_documents_have_it() -> None:
    """Used ever more, but from the beginning: that says nothing against a date."""
    calendar = leaks.Calendar(np.arange(100), np.arange(1, 101) * 10, np.arange(9, 100, 10))
    rising, new, rare = (np.uint64(number << 8) for number in (1, 2, 3))
    keys = [rising | np.uint64(period) for period in range(10)] + [new | np.uint64(period) for period in (6, 7, 8, 9)]
    counts = [*range(2, 40, 4), 30, 30, 30, 30]
    keys, counts = [*keys, rare | np.uint64(9)], [*counts, 3]
    made = births(leaks.Counts(np.array(keys), np.array(counts)), calendar)
    assert made.words.tolist() == [new]
    assert made.absent_until.tolist() == [59]


def test_one_early_use_does_not_make_a_word_old() -> None:
    """Else the first misdated document would hide all others."""
    calendar = leaks.Calendar(np.arange(100), np.arange(1, 101) * 10, np.arange(9, 100, 10))
    keys = [np.uint64((2 << 8) | period) for period in (1, 6, 7, 8, 9)]
    made = births(leaks.Counts(np.array(keys), np.array([1, 30, 30, 30, 30])), calendar)
    assert made.absent_until.tolist() == [59]


def test_a_document_just_ahead_of_the_others_is_not_suspected(tmp_path: Path) -> None:
    days, texts = corpus()
    early = datetime.date(2014, 12, 1)  # a month before its words
    texts.append(document(datetime.date(2015, 6, 1), random.Random(2)))
    _, suspected = found(staged(tmp_path / "staged", [*days, early], texts))
    assert suspected == []


def test_undated_documents_and_other_splits_are_not_judged(tmp_path: Path) -> None:
    days, texts = corpus(200)
    assert found(staged(tmp_path / "undated", [None] * 200, texts)) == (0, [])
    assert found(staged(tmp_path / "held_out", list(days), texts, split=2)) == (0, [])


def test_counts_do_not_depend_on_how_the_text_is_cut_and_stay_within_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    days, texts = corpus(400)
    whole = staged(tmp_path / "whole", list(days), texts)
    calendar = make_calendar([pq.read_table(whole)["first_date"]])
    halves = [
        staged(tmp_path / f"half{place}", days[200 * place : 200 * (place + 1)], texts[200 * place : 200 * (place + 1)])
        for place in (0, 1)
    ]
    together = count_words(whole, calendar)
    apart = merge(count_words(half, calendar) for half in halves)
    assert np.array_equal(together.keys, apart.keys)
    assert np.array_equal(together.documents, apart.documents)
    monkeypatch.setattr(leaks, "MOST_COUNTS", len(together.keys) // 3)
    sampled = merge(count_words(half, calendar) for half in halves)
    assert len(sampled.keys) <= len(together.keys) // 3
    assert sampled.halvings >= 2
    kept = np.isin(together.keys, sampled.keys)
    assert np.array_equal(together.documents[kept], sampled.documents)
