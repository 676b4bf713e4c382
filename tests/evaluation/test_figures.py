"""Figures of a comparison: sums by source, split, period and group, with intervals and differences."""

import datetime
import math

import pytest

from data.interval import Interval
from evaluation.bits_per_byte import DocumentScore, Score
from evaluation.figures import figures, spans
from evaluation.scores import Scored


def on(year: int, month: int, day: int) -> Interval:
    return Interval.of_day(datetime.date(year, month, day))


def scored(shift: float) -> Scored:
    bits = math.log(2)
    documents = [
        DocumentScore(
            "bank",
            "future",
            Interval.of_day(datetime.date(2021 + i % 2, 6, 1)),
            Score((8 + i % 3 + shift) * bits, 4, 8),
        )
        for i in range(12)
    ]
    documents.append(DocumentScore("bank", "future", None, Score((9 + shift) * bits, 4, 8)))
    documents.append(DocumentScore("wiki", "past", on(2019, 3, 1), Score((4 + shift) * bits, 2, 8)))
    return Scored({}, documents, 1.0, 1)


def test_sums_are_those_of_the_documents_and_differences_of_the_pairs() -> None:
    found = figures(scored(0.8), scored(0.0), period="year", domain={"bank"}, seed=0)
    future = found["sources"]["bank"]["future"]
    assert future["bits_per_byte"] == pytest.approx((4 * (8 + 9 + 10) + 9 + 13 * 0.8) / 13 / 8)
    assert (future["documents"], future["bytes"], future["tokens"]) == (13, 104, 52)
    assert future["low"] < future["bits_per_byte"] < future["high"]
    for end in ("value", "low", "high"):
        assert future["difference"][end] == pytest.approx(0.1), "each document needs 0.8 bits more of 8 bytes"
    years = found["periods"]["bank"]["future"]
    assert list(years) == ["2021", "2022"]
    assert years["2022"]["bytes"] == 48, "undated documents are of no period"
    assert found["groups"]["domain"]["future"] == future
    wiki = found["groups"]["general"]["past"]
    assert (wiki["bits_per_byte"], wiki["low"], wiki["documents"]) == (pytest.approx(0.6), None, 1)


def test_one_model_alone_has_no_difference() -> None:
    found = figures(scored(0.0), None, period="month", domain={"bank"}, seed=0)
    assert "difference" not in found["sources"]["bank"]["future"]
    assert list(found["periods"]["bank"]["future"]) == ["2021-06", "2022-06"]


def test_an_interval_and_a_difference_are_written_beside_each_other() -> None:
    own = {"low": 0.9, "high": 1.1}
    assert spans(own) == "0.900 to 1.100"
    assert spans(own | {"difference": {"value": 0.1, "low": 0.05, "high": 0.15}}).endswith("+0.100 (+0.050 to +0.150)")
    assert spans({"low": None, "high": None, "difference": {"value": -0.1, "low": None, "high": None}}).endswith(
        "-0.100"
    )
