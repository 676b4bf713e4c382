"""Wilson's interval, against published values and against the truth."""

import numpy as np
import pytest

from evaluation.audit.rates import rate


@pytest.mark.parametrize(
    ("found", "of", "low", "high"),
    # Newcombe 1998, Statistics in Medicine 17, table I, method 3: the score interval without continuity correction
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_ends_are_the_published_ones(found: int, of: int, low: float, high: float) -> None:
    figure = rate(found, of)
    assert (figure["low"], figure["high"]) == pytest.approx((low, high), abs=5e-5)
    mirrored = rate(of - found, of)
    assert (1 - mirrored["high"], 1 - mirrored["low"]) == pytest.approx((low, high), abs=5e-5)


def test_nothing_asked_for_is_no_rate() -> None:
    assert rate(0, 0) == {"found": 0, "of": 0, "rate": None, "low": None, "high": None}


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    random = np.random.default_rng(0)
    for truth in (0.1, 0.3):
        found = random.binomial(500, truth, 1_000).tolist()
        held = sum(figure["low"] <= truth <= figure["high"] for figure in (rate(count, 500) for count in found))
        assert 0.93 <= held / 1_000 <= 0.97
