"""The permutation is a bijection without visible bias; the order shows every row once a pass, and can be inverted."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.stream.mixture import build_mixture
from data.stream.order import Order, Stage, derive_key, permute, unpermute

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


@st.composite
def orders(draw: st.DrawFn) -> Order:
    """One to four sources, one to three stages that may leave some out, up to three reshuffles."""
    sources = draw(st.integers(1, 4))
    rows = draw(st.lists(st.integers(1, 40), min_size=sources, max_size=sources))
    firsts = [0, *sorted(draw(st.sets(st.integers(1, 150), max_size=2)))]
    shares = st.lists(st.integers(0, 9), min_size=sources, max_size=sources).filter(any)
    stages = [Stage(first, build_mixture(draw(shares))) for first in firsts]
    reshuffles = draw(st.dictionaries(st.integers(0, 150), st.integers(0, 9), max_size=3))
    return Order([f"s{number}" for number in range(sources)], rows, stages, reshuffles, draw(st.integers(0, 99)))


@settings(max_examples=150, deadline=None)
@given(order=orders(), end=st.integers(0, 250))
def test_every_row_comes_once_in_every_pass(order: Order, end: int) -> None:
    sources, rows = order.locate(np.arange(end))
    counts = order.counts(end)
    for source, total in enumerate(order.rows.tolist()):
        shown = rows[sources == source]
        assert len(shown) == counts[source]
        for begin in range(0, len(shown), total):
            a_pass = shown[begin : begin + total]
            assert len(np.unique(a_pass)) == len(a_pass)
            assert ((a_pass >= 0) & (a_pass < total)).all()


@settings(max_examples=150, deadline=None)
@given(order=orders(), end=st.integers(0, 250))
def test_samples_of_rows_are_those_that_a_search_finds(order: Order, end: int) -> None:
    sources, rows = order.locate(np.arange(end))
    for source, total in enumerate(order.rows.tolist()):
        for wanted in (np.array([total - 1]), np.arange(0, total, 3)):
            found = np.flatnonzero((sources == source) & np.isin(rows, wanted))
            assert order.samples(source, wanted, end).tolist() == found.tolist()


@settings(max_examples=80, deadline=None)
@given(order=orders(), sample=st.integers(0, 200), seed=st.integers(0, 99))
def test_a_reshuffle_changes_only_what_the_passes_have_not_shown(order: Order, sample: int, seed: int) -> None:
    reshuffles = {sample: seed}
    before = Order(order.names, order.rows, order.stages, {}, order.seed)
    after = Order(order.names, order.rows, order.stages, reshuffles, order.seed)
    samples = np.arange(sample + 400)
    sources, old = before.locate(samples)
    new_sources, new = after.locate(samples)
    assert np.array_equal(sources, new_sources)
    assert np.array_equal(old[:sample], new[:sample])
    for source, (shown, total) in enumerate(zip(before.counts(sample).tolist(), order.rows.tolist(), strict=True)):
        mine = sources == source
        rest = slice(shown, shown - shown % total + total)
        assert np.array_equal(np.sort(old[mine][rest]), np.sort(new[mine][rest])) or mine.sum() < rest.stop
        assert np.array_equal(old[mine][rest.stop :], new[mine][rest.stop :])


def test_a_reshuffle_brings_another_order() -> None:
    stages = [Stage(0, build_mixture([1]))]
    orders = [Order(["s"], [100], stages, {50: seed} if seed else {}, 0).locate(np.arange(100))[1] for seed in range(3)]
    assert len({tuple(order[50:]) for order in orders}) == 3
    twice = Order(["s"], [100], stages, {50: 1, 70: 1}, 0).locate(np.arange(100))[1]
    assert np.array_equal(twice[:70], orders[1][:70])
    assert not np.array_equal(twice[70:], orders[1][70:])


def test_a_stage_goes_on_where_the_pass_was() -> None:
    stages = [Stage(0, build_mixture([1, 1])), Stage(10, build_mixture([0, 1]))]
    order = Order(["a", "b"], [20, 20], stages, {}, 0)
    sources, rows = order.locate(np.arange(25))
    assert sources[10:].tolist() == [1] * 15
    assert sorted(rows[sources == 1].tolist()) == list(range(20))
    assert order.counts(25).tolist() == [5, 20]


def test_the_order_of_a_run_never_changes_between_versions() -> None:
    stages = [Stage(0, build_mixture([3, 2])), Stage(6, build_mixture([1, 4]))]
    sources, rows = Order(["a", "b"], [11, 1000], stages, {4: 9}, 7).locate(np.arange(12))
    assert sources.tolist() == [0, 1, 0, 0, 1, 0, 1, 1, 1, 0, 1, 1]
    assert rows.tolist() == [6, 392, 10, 3, 152, 5, 582, 219, 377, 0, 844, 680]
