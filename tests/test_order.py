"""The permutation is a bijection without visible bias; the mixture never strays a whole sample from its shares."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.order import MAXIMUM_PERIOD, build_mixture, derive_key, mixture_shares, permute, unpermute

KEYS = st.integers(0, 2**64 - 1)


@settings(deadline=None)
@given(n=st.integers(1, 3000), key=KEYS)
def test_permute_is_a_bijection(n: int, key: int) -> None:
    assert np.array_equal(np.sort(permute(np.arange(n), n, key)), np.arange(n))


@settings(deadline=None)
@given(n=st.integers(1, 2**62 - 1), key=KEYS, data=st.data())
def test_unpermute_undoes_permute_at_any_size(n: int, key: int, data: st.DataObject) -> None:
    index = np.array(data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=20)))
    place = permute(index, n, key)
    assert ((place >= 0) & (place < n)).all()
    assert np.array_equal(unpermute(place, n, key), index)
    assert np.array_equal(permute(unpermute(index, n, key), n, key), index)


def test_permute_takes_a_size_and_a_key_for_each_index() -> None:
    sizes, keys = np.array([7, 1000, 2**40]), np.array([1, 2**64 - 1, 5], dtype=np.uint64)
    together = permute(np.array([6, 999, 2**39]), sizes, keys)
    alone = [int(permute(index, n, key)) for index, n, key in ((6, 7, 1), (999, 1000, 2**64 - 1), (2**39, 2**40, 5))]
    assert together.tolist() == alone
    assert together.dtype == np.int64
    assert permute(np.zeros((2, 3), dtype=np.int64), 9, 0).shape == (2, 3)


def test_permute_refuses_an_index_outside() -> None:
    with pytest.raises(AssertionError, match="outside"):
        permute(np.array([3, 10]), 10, 0)


def test_the_order_never_changes_between_versions() -> None:
    assert permute(np.arange(10), 10, 0).tolist() == [3, 5, 7, 0, 2, 4, 6, 9, 8, 1]
    assert derive_key(7, "news", 3) == 11474580897391508728
    places = permute(np.array([0, 1, 2**40 - 1]), 2**40, 11474580897391508728)
    assert places.tolist() == [789338008138, 640363117868, 220898736339]


def test_keys_differ_by_seed_source_and_epoch() -> None:
    keys = {derive_key(seed, source, epoch) for seed in range(5) for source in ("a", "b", "1") for epoch in range(5)}
    assert len(keys) == 75
    orders = {tuple(permute(np.arange(50), 50, key).tolist()) for key in keys}
    assert len(orders) == 75


@pytest.mark.parametrize("n", [8, 13, 31, 100])
def test_every_place_is_equally_likely(n: int) -> None:
    trials = 4000
    keys = np.array([derive_key(0, "bias", trial) for trial in range(trials)], dtype=np.uint64)
    places = permute(np.tile(np.arange(n), (trials, 1)), n, keys[:, None])
    observed = np.array([np.bincount(column, minlength=n) for column in places.T])
    chi_square = ((observed - trials / n) ** 2 / (trials / n)).sum()
    freedom = (n - 1) ** 2
    assert abs(chi_square - freedom) < 5 * math.sqrt(2 * freedom)


@pytest.mark.parametrize("n", [1000, 65_537, 1_000_000])
def test_neighbours_are_scattered(n: int) -> None:
    place = permute(np.arange(n), n, derive_key(1, "scatter", 0))
    # |i - j| of a random permutation has mean (n^2 - 1) / 3n and standard deviation n / sqrt(18) per index
    tolerance = 5 * n / math.sqrt(18 * n)
    assert abs(np.abs(place - np.arange(n)).mean() - n / 3) < tolerance
    assert abs(np.abs(np.diff(place)).mean() - n / 3) < tolerance
    assert abs(np.corrcoef(place[:-1], place[1:])[0, 1]) < 5 / math.sqrt(n)
    assert abs((place % 2 == np.arange(n) % 2).mean() - 0.5) < 5 * 0.5 / math.sqrt(n)


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
