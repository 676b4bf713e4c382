"""From scores to ladder.json: sums over documents, one law for all text, and doubts that few documents cannot give."""

import numpy as np
import pytest

from domainlm.ladder.figures import ladder_figures, resampled
from tests.domainlm.ladder.ladders import X, at_one, needs, points


def test_a_known_law_is_carried_to_the_planned_run() -> None:
    found = ladder_figures(points(), seed=1)
    assert found["law"] == "power"
    assert found["x"] == list(X)
    bank = found["sources"]["bank"]["future"]
    assert bank["bits_per_byte"] == pytest.approx(at_one(range(30)), rel=1e-9)
    assert bank["exponent"] == pytest.approx(0.07)
    assert bank["low"] < bank["bits_per_byte"] < bank["high"]
    assert abs(bank["backtest"]) < 1e-9
    assert found["measured"][0]["bank"]["future"] == pytest.approx(np.mean([needs(X[0], place) for place in range(30)]))
    assert [law["name"] for law in found["laws"]] == ["power", "saturating"]
    assert found["degrees_of_freedom"] == 1
    assert "2 constants from 3 rungs, 1 degree of freedom" in found["notes"][0]
    assert "25 times the largest rung's" in found["notes"][1]


def test_few_documents_have_no_interval_over_documents() -> None:
    found = ladder_figures(points(), seed=1)["sources"]
    assert "documents" in found["bank"]["future"]["doubts"]
    assert "documents" not in found["wiki"]["past"]["doubts"]
    assert found["wiki"]["past"]["documents"] == 3


def test_documents_are_drawn_alike_for_all_rungs_and_each_seed() -> None:
    bits = np.random.default_rng(0).uniform(100, 200, (40, 1)) * np.array([[2.0, 1.5, 1.0]])
    drawn = resampled(bits, np.full(40, 100.0), 5)
    assert drawn is not None
    assert drawn.shape == (1000, 3)
    assert np.allclose(drawn[:, 0] / drawn[:, 2], 2), "the same documents for each rung"
    again = resampled(bits, np.full(40, 100.0), 5)
    assert again is not None
    assert (drawn == again).all()
    own = bits[:, 0].sum() / 4000
    standard_error = bits[:, 0].std() / 100 / np.sqrt(40)
    assert drawn[:, 0].mean() == pytest.approx(own, abs=standard_error / 5)
    assert drawn[:, 0].std() == pytest.approx(standard_error, rel=0.15)


def test_many_documents_are_drawn_in_groups_of_the_same_spread() -> None:
    bits = np.random.default_rng(0).uniform(0, 200, (20_000, 1))
    drawn = resampled(bits, np.full(20_000, 100.0), 5)
    assert drawn is not None
    assert drawn.std() == pytest.approx(bits.std() / 100 / np.sqrt(20_000), rel=0.15)
