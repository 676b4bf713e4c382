import datetime
from collections import Counter
from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from data.corpus.counts import SAMPLES, Counts, by_reason, merged
from data.interval import Interval
from data.sources.documents import BadRecord


def test_reasons_lose_their_details_and_the_first_offenders_are_named() -> None:
    counts = Counts()
    for line in range(5):
        counts.quarantine(BadRecord("a.jsonl", line, "broken JSON: at character 7"))
    counts.quarantine(BadRecord("a.jsonl", 9, "no date: document d"))
    assert counts.quarantined == {"broken JSON": 5, "no date": 1}
    assert counts.malformed == 5
    assert counts.offenders == [f"a.jsonl:{line}: broken JSON: at character 7" for line in range(3)]


def test_lost_files_count_by_their_bytes_and_no_record_of_theirs_counts_twice() -> None:
    counts = Counts(read=100, bytes=1_000, lost=Counter(a=20, b=30), lost_records=2)
    counts.quarantined.update({"damaged file": 1, "broken JSON": 3})
    assert counts.bad_fraction == 0.02 + 0.05
    counts.lost["c"] = 940
    assert counts.bad_fraction == 1.0


def test_the_earliest_days_are_counted_whatever_the_parts() -> None:
    days = [f"{year}-01-0{1 + year % 3}" for year in range(1990, 2010) for _ in range(year % 7)]
    days = days[::3] + days[1::3] + days[2::3]

    def counted(some: list[str]) -> Counts:
        counts = Counts()
        for day in some:
            counts.count_date(Interval.of_day(datetime.date.fromisoformat(day)))
        return counts

    expected = Counter({day: days.count(day) for day in sorted(set(days))[:4]})
    for parts in (1, 2, 5):
        assert merged(counted(days[part::parts]) for part in range(parts)).earliest == expected


def test_samples_are_few_and_made_only_where_they_are_taken() -> None:
    counts = Counts()
    made: list[int] = []
    for index in range(9):
        counts.drop("too long", 7, lambda index=index: made.append(index) or {"id": f"d{index}"})
    assert counts.dropped == {"too long": 9}
    assert counts.dropped_characters == {"too long": 63}
    assert [sample["id"] for sample in counts.samples["too long"]] == ["d0", "d1", "d2"]
    assert made == [0, 1, 2]


@given(st.lists(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5)), max_size=8), max_size=6))
def test_parts_merged_are_the_whole(parts: list[list[tuple[str, int]]]) -> None:
    def count(events: list[tuple[str, int]]) -> Counts:
        counts = Counts()
        for reason, number in events:
            counts.read += 1
            counts.drop(reason, number, partial(dict, id=f"{reason}{number}"))
            counts.boilerplate[f"Page {number}"] += number
            counts.scrubbed["email"] += number
            counts.removed_lines += number
            counts.altered[reason] += number
            counts.days[str(number)] += 1
            counts.find_empty(f"{reason}{number}.txt")
            counts.touch([f"item {number}"], f"news/{reason}")
            counts.quarantine(BadRecord("a.jsonl", number, reason))
        return counts

    whole = merged(count(events) for events in parts)
    assert whole == count([event for events in parts for event in events])
    assert Counts.from_json(whole.as_json()) == whole
    assert all(len(samples) <= SAMPLES for samples in whole.samples.values())


def test_reasons_that_never_came_up_are_not_shown() -> None:
    counts = Counts()
    counts.dropped.update({"too short": 2, "duplicate": 0, "empty": 1})
    assert list(by_reason(counts.dropped).items()) == [("empty", 1), ("too short", 2)]
