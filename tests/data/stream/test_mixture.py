"""The mixture never strays a whole sample from its shares, and samples and ordinals are inverse to each other."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.stream.mixture import MAXIMUM_PERIOD, build_mixture, mixture_shares


def test_shares_are_the_written_decimals() -> None:
    assert mixture_shares({"a": 0.7, "b": 0.2, "c": 0.1}) == {"a": 7, "b": 2, "c": 1}
    assert mixture_shares({"a": 1, "b": 1, "c": 1.0}) == {"a": 1, "b": 1, "c": 1}
    assert mixture_shares({"only": 0.3}) == {"only": 1}
    assert mixture_shares({"tiny": 1e-05, "rest": 0.5}) == {"tiny": 1, "rest": 50_000}


def test_a_fine_mixture_is_rounded_by_largest_remainder() -> None:
    weights = {"a": 138.123457e9, "b": 23.7e9, "c": 297.8e9}
    shares = mixture_shares(weights)
    assert sum(shares.values()) == MAXIMUM_PERIOD
    total = sum(weights.values())
    assert all(abs(shares[name] - weight / total * MAXIMUM_PERIOD) < 1 for name, weight in weights.items())


@pytest.mark.parametrize("weight", [0.0, -1.0, math.nan, math.inf])
def test_an_impossible_weight_is_refused(weight: float) -> None:
    with pytest.raises(ValueError, match="source 'b'"):
        mixture_shares({"a": 1.0, "b": weight})


def test_a_source_is_never_rounded_away() -> None:
    with pytest.raises(ValueError, match="'crumb' would be 1e-07 of the mixture"):
        mixture_shares({"whole": 1.0, "crumb": 1e-7})


MIXTURES = st.lists(st.integers(1, 300), min_size=1, max_size=12)


@settings(max_examples=200, deadline=None)
@given(shares=MIXTURES)
def test_every_prefix_is_within_one_of_exact(shares: list[int]) -> None:
    mixture = build_mixture(shares)
    period = sum(shares)
    chosen = mixture.pattern[:, None] == np.arange(len(shares))  # (period, sources)
    exact_times_period = np.arange(1, period + 1)[:, None] * np.array(shares)
    assert (np.abs(chosen.cumsum(axis=0) * period - exact_times_period) < period).all()
    assert np.bincount(mixture.pattern).tolist() == shares


@settings(deadline=None)
@given(weights=st.lists(st.floats(0.01, 100), min_size=1, max_size=12))
def test_random_weights_make_a_schedule_that_meets_them(weights: list[float]) -> None:
    named = {str(place): weight for place, weight in enumerate(weights)}
    shares = mixture_shares(named)
    period, total = sum(shares.values()), sum(Fraction(str(weight)) for weight in weights)
    assert period <= MAXIMUM_PERIOD
    assert all(abs(shares[name] - Fraction(str(weight)) / total * period) < 1 for name, weight in named.items())


@settings(deadline=None)
@given(shares=MIXTURES, first=st.integers(0, 2**45))
def test_samples_and_ordinals_are_inverse_to_each_other(shares: list[int], first: int) -> None:
    mixture = build_mixture(shares)
    samples = np.arange(first, first + 2 * mixture.period)
    sources, ordinals = mixture.locate(samples)
    for source in range(len(shares)):
        mine = sources == source
        assert np.array_equal(mixture.samples(source, ordinals[mine]), samples[mine])
        before, after = mixture.counts(first)[source], mixture.counts(first + len(samples))[source]
        assert np.array_equal(ordinals[mine], np.arange(before, after))


def test_the_finest_mixture_keeps_the_bound() -> None:
    shares = list(mixture_shares({"a": 0.420101, "b": 0.1948, "c": 0.259, "d": 0.0531, "e": 0.00073}).values())
    mixture = build_mixture(shares)
    chosen = mixture.pattern[:, None] == np.arange(5)
    exact_times_period = np.arange(1, mixture.period + 1)[:, None] * np.array(shares)
    assert (np.abs(chosen.cumsum(axis=0) * mixture.period - exact_times_period) < mixture.period).all()
