"""The law of mixtures against laws that are known, and the best mixture against a search of all."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domainlm.mixture.law import Law, best_shares, fit
from domainlm.mixture.swarm import swarm

CONFIGURED = {"filings": 0.8, "factbook": 0.05, "wikipedia": 0.15}
TRUE = Law(np.array([1.2, 0.9]), np.array([[-1.2, -0.2, 0.1], [-0.1, -0.2, -1.0]]))


def tried(runs: int = 9, seed: int = 1) -> np.ndarray:
    return np.array([list(mixture.values()) for mixture in swarm(CONFIGURED, runs, seed)])


def test_the_law_that_made_the_values_is_found() -> None:
    law, missed = fit(tried(), TRUE.predict(tried()))
    assert law.floors == pytest.approx(TRUE.floors, abs=0.02)
    assert law.slopes == pytest.approx(TRUE.slopes, abs=0.03)
    assert np.abs(missed).max() < 2e-3


def test_a_run_is_missed_as_by_the_law_of_the_others() -> None:
    """The formula of left-out runs against fits that leave each out in turn, with the floor that was found."""
    shares = tried()
    values = TRUE.predict(shares) + np.random.default_rng(0).normal(0, 0.01, (2, len(shares)))
    law, missed = fit(shares, values)
    for run in range(len(shares)):
        kept = np.arange(len(shares)) != run
        above = np.log(values[:, kept] - law.floors[:, None])
        slopes = np.linalg.lstsq(shares[kept], above.T, rcond=None)[0].T
        predicted = law.floors + np.exp(slopes @ shares[run])
        assert values[:, run] - predicted == pytest.approx(missed[:, run], abs=1e-9)


def test_the_gradient_is_the_predictions() -> None:
    at, step = np.array([0.5, 0.2, 0.3]), 1e-6
    for source in range(3):
        moved = at.copy()
        moved[source] += step
        rise = (TRUE.predict(moved[None]) - TRUE.predict(at[None]))[:, 0] / step
        assert TRUE.gradient(at)[:, source] == pytest.approx(rise, rel=1e-4)


@settings(max_examples=25, deadline=None)
@given(
    slopes=st.lists(st.lists(st.floats(-2, 1), min_size=3, max_size=3), min_size=1, max_size=2),
    high=st.lists(st.floats(0.4, 1), min_size=3, max_size=3),
)
def test_no_allowed_mixture_is_better_than_the_best(slopes: list[list[float]], high: list[float]) -> None:
    law = Law(np.zeros(len(slopes)), np.array(slopes))
    low, importance = np.full(3, 0.01), np.full(len(slopes), 1 / len(slopes))
    best = best_shares(law, importance, low, np.array(high))
    assert best.sum() == pytest.approx(1)
    assert (best >= low - 1e-9).all()
    assert (best <= np.array(high) + 1e-9).all()
    first, second = np.meshgrid(np.arange(0.01, 1, 0.01), np.arange(0.01, 1, 0.01))
    grid = np.stack([first, second, 1 - first - second], axis=-1).reshape(-1, 3)
    grid = grid[(grid >= low).all(1) & (grid <= high).all(1)]
    least = (importance @ law.predict(grid)).min()
    assert importance @ law.predict(best[None])[:, 0] <= least + 1e-5


def test_several_resamples_are_solved_as_each_alone() -> None:
    slopes = TRUE.slopes + np.random.default_rng(0).normal(0, 0.3, (5, 2, 3))
    importance, low, high = np.array([0.5, 0.5]), np.full(3, 0.01), np.ones(3)
    together = best_shares(Law(np.broadcast_to(TRUE.floors, (5, 2)), slopes), importance, low, high)
    for number in range(5):
        alone = best_shares(Law(TRUE.floors, slopes[number]), importance, low, high)
        assert together[number] == pytest.approx(alone, abs=1e-4)
