"""Intervals over documents: they hold the truth as often as they say, and are those of the formula."""

import math

import numpy as np
import pytest

from evaluation.bits_per_byte import Score
from evaluation.intervals import FEWEST, MOST, Interval, bits_per_byte_interval, difference_interval, ratio_interval


def population(random: np.random.Generator, documents: int) -> tuple[np.ndarray, np.ndarray]:
    """Bits and sizes of documents whose sizes vary as reports' and speeches' do, and whose rate depends on the size."""
    sizes = np.round(random.lognormal(8, 0.5, documents)) + 1
    rates = 0.9 + 40 / np.sqrt(sizes) * 0.1 + random.normal(0, 0.1, documents)
    return rates * sizes, sizes


@pytest.fixture(scope="module")
def truth() -> float:
    bits, sizes = population(np.random.default_rng(0), 3_000_000)
    return float(bits.sum() / sizes.sum())


@pytest.mark.parametrize(("documents", "least"), [(FEWEST, 880), (20, 910), (60, 930)])
def test_95_of_100_intervals_hold_the_truth_and_of_few_documents_90(documents: int, least: int, truth: float) -> None:
    random = np.random.default_rng(documents)
    held = 0
    for draw in range(1_000):
        bits, sizes = population(random, documents)
        found = ratio_interval(bits.tolist(), sizes.tolist(), seed=draw)
        assert found.low is not None
        assert found.high is not None
        held += found.low <= truth <= found.high
    assert least <= held <= 970


def test_the_difference_of_two_models_is_known_far_better_than_either() -> None:
    random = np.random.default_rng(3)
    bits, sizes = population(random, 60)
    first = [Score(x, 1, int(size)) for x, size in zip(bits * math.log(2), sizes, strict=True)]
    second = [
        Score(x + 0.02 * size + random.normal(0, 0.005) * size, 2, int(size))
        for x, size in zip(bits * math.log(2), sizes, strict=True)
    ]
    alone, apart = bits_per_byte_interval(second), difference_interval(second, first)
    assert apart.value == pytest.approx(alone.value - bits_per_byte_interval(first).value, rel=1e-9)
    assert None not in (alone.low, alone.high, apart.low, apart.high)
    assert apart.high - apart.low < (alone.high - alone.low) / 5  # type: ignore[operator]
    assert apart.low <= 0.02 / math.log(2) <= apart.high  # type: ignore[operator]
    turned = difference_interval(first, second)
    assert (turned.value, turned.low, turned.high) == pytest.approx((-apart.value, -apart.high, -apart.low), rel=1e-9)


def test_an_interval_is_of_its_numbers_and_seed_alone() -> None:
    bits, sizes = population(np.random.default_rng(1), 40)
    found = ratio_interval(bits.tolist(), sizes.tolist(), seed=5)
    assert ratio_interval(bits.tolist(), sizes.tolist(), seed=5) == found
    assert ratio_interval(bits.tolist(), sizes.tolist(), seed=6) != found
    doubled = ratio_interval((2 * bits).tolist(), sizes.tolist(), seed=5)
    assert (doubled.value, doubled.low, doubled.high) == pytest.approx(tuple(2 * x for x in _ends(found)), rel=1e-9)


def _ends(interval: Interval) -> tuple[float, float, float]:
    assert interval.low is not None
    assert interval.high is not None
    return interval.value, interval.low, interval.high


def test_it_is_the_bootstrap_t_of_a_ratio() -> None:
    """The same draws, with every resample written out in Python's floats."""
    bits, sizes = population(np.random.default_rng(2), 12)
    value, low, high = _ends(ratio_interval(bits.tolist(), sizes.tolist(), seed=9))

    def ratio_and_error(drawn: list[int]) -> tuple[float, float]:
        drawn_bits = [bits[i] for i in drawn]
        size = math.fsum(sizes[i] for i in drawn)
        ratio = math.fsum(drawn_bits) / size
        rest = math.fsum((x - ratio * sizes[i]) ** 2 for x, i in zip(drawn_bits, drawn, strict=True))
        return ratio, math.sqrt(rest * len(drawn) / (len(drawn) - 1)) / size

    own, error = ratio_and_error(list(range(12)))
    counts = np.random.default_rng(9).multinomial(12, np.full(12, 1 / 12), 1_000)
    resampled = [ratio_and_error([i for i, count in enumerate(row) for _ in range(count)]) for row in counts]
    below, above = np.quantile([(ratio - own) / its for ratio, its in resampled], [0.025, 0.975])
    assert (value, low, high) == pytest.approx((own, own - above * error, own - below * error), rel=1e-9)


def test_few_documents_have_no_interval_and_very_many_are_summed_in_groups() -> None:
    bits, sizes = population(np.random.default_rng(4), FEWEST - 1)
    assert ratio_interval(bits.tolist(), sizes.tolist()).low is None
    bits, sizes = population(np.random.default_rng(4), 4 * MOST)
    value, low, high = _ends(ratio_interval(bits.tolist(), sizes.tolist()))
    spread = np.std(bits - value * sizes) / math.sqrt(4 * MOST) / sizes.mean()
    assert high - low == pytest.approx(2 * 1.96 * spread, rel=0.1)


def test_other_documents_are_no_pair() -> None:
    with pytest.raises(ValueError, match="not scored on the same documents"):
        difference_interval([Score(1.0, 1, 10)], [Score(1.0, 1, 11)])
