import datetime
import json
import math
from pathlib import Path
from typing import Any

import pytest

from data.corpus.build import prepare_corpus
from data.interval import Interval
from evaluation.bits_per_byte import DocumentScore, Score
from evaluation.series import Member, has_read, series_figures, verdict, whole_text
from tests.data.corpus.test_build import config_of, record, write_jsonl


def day(year: int, month: int = 7) -> datetime.date:
    return datetime.date(year, month, 1)


def on(date: datetime.date) -> Interval:
    return Interval.of_day(date)


def scored(needs: dict[int, float], source: str = "bank", each: int = 8) -> list[DocumentScore]:
    """Documents of 100 bytes; of each year some, which need about so many bits per byte."""
    return [
        DocumentScore(source, "past", on(day(year)), Score((bits + number / 1000) * 100 * math.log(2), 30, 100))
        for year, bits in needs.items()
        for number in range(each)
    ]


def three() -> list[Member]:
    """Models of 2011, 2012 and 2013 that need 1 for what they have read, and 0.2 more for each year of age."""
    return [
        Member(day(cutoff, 1), scored({year: 1 + 0.2 * max(0, year - cutoff + 1) for year in (2010, 2011, 2012, 2013)}))
        for cutoff in (2011, 2012, 2013)
    ]


def figures(members: list[Member], **changes: Any) -> dict[str, Any]:
    return series_figures(members, **({"period": "year", "domain": {"bank"}, "seed": 1} | changes))


def test_the_matrix_has_a_row_for_each_model_and_a_column_for_each_period() -> None:
    found = figures(three())
    assert found["cutoffs"] == ["2011-01-01", "2012-01-01", "2013-01-01"]
    assert found["periods"] == ["2010", "2011", "2012", "2013"]
    assert found["documents"] == [8, 8, 8, 8]
    expected = [[1.0, 1.2, 1.4, 1.6], [1.0, 1.0, 1.2, 1.4], [1.0, 1.0, 1.0, 1.2]]
    for row, values in zip(found["bits_per_byte"], expected, strict=True):
        assert row == pytest.approx([value + 0.0035 for value in values], abs=1e-9)
    assert found["read"] == [
        [True, False, False, False],
        [True, True, False, False],
        [True, True, True, False],
    ]
    assert found["sources"] == {"bank": found["bits_per_byte"]}


def test_age_is_what_a_model_needs_more_than_the_first_that_has_read_the_period() -> None:
    """Of 2013 no model has read, so that it says nothing."""
    ageing = figures(three())["ageing"]
    assert [(each["periods"], each["documents"]) for each in ageing] == [(1, 16), (2, 8)]
    assert [each["value"] for each in ageing] == pytest.approx([0.2, 0.4])
    assert ageing[0]["low"] == pytest.approx(0.2)  # the same for every document


def test_a_cutoff_within_a_period_has_read_some_of_it() -> None:
    documents = [DocumentScore("bank", "past", on(day(2011, month)), Score(1.0, 1, 1)) for month in (2, 9)]
    member = Member(day(2011, 6), documents)
    assert has_read(member, [0, 1]) is None
    assert figures([member])["read"] == [[None]]


def test_sources_outside_the_domain_and_documents_without_a_date_do_not_count() -> None:
    undated = DocumentScore("bank", "past", None, Score(1.0, 1, 1))
    two_years = DocumentScore("bank", "past", Interval(day(2009), day(2010)), Score(1.0, 1, 1))
    found = figures([Member(day(2011, 1), [*scored({2010: 1.0}), *scored({2010: 9.0}, "wiki"), undated, two_years])])
    assert (found["documents"], found["of_no_period"], list(found["sources"])) == ([8], 2, ["bank"])
    assert found["bits_per_byte"][0][0] == pytest.approx(1.0035)
    every = figures([Member(day(2011, 1), [*scored({2010: 1.0}), *scored({2010: 9.0}, "wiki")])], domain=set())
    assert every["documents"] == [16]
    assert every["sources"]["wiki"][0][0] == pytest.approx(9.0035)


def test_the_verdict_says_what_can_be_told() -> None:
    assert "0.200 (+0.200 to +0.200) bits per byte more" in verdict(figures(three()))
    assert "of the second, 0.400" in verdict(figures(three()))
    assert "nothing is said of age" in verdict(figures(three()[:1]))
    swapped = [Member(ours.cutoff, theirs.documents) for ours, theirs in zip(three(), three()[::-1], strict=True)]
    assert "under an earlier date" in verdict(figures(swapped))
    few = [Member(member.cutoff, member.documents[::8]) for member in three()[:2]]
    assert "too few for an interval" in verdict(figures(few))
    assert "No document with a date" in verdict(figures([Member(day(2011, 1), [])]))


def test_the_text_is_what_a_corpus_without_a_cutoff_holds_out(tmp_path: Path) -> None:
    file = write_jsonl(tmp_path / "bank.jsonl", [record(index) for index in range(60)])
    prepare_corpus(config_of(file, past_fraction=0.3), tmp_path / "corpus", seed=1)
    text = whole_text(tmp_path / "corpus", None)
    kept = [json.loads(line) for line in file.read_text().splitlines()]
    held_out = {each.document.id: each.document for each in text.documents}
    assert 5 < len(held_out) < 40
    for one in kept:
        if (document := held_out.get(one["id"])) is not None:
            assert document.bytes == len(one["text"].encode())
            assert str(document.date) == one["date"]
    few = whole_text(tmp_path / "corpus", 1_000)
    assert 0 < len(few.documents) < len(text.documents)
