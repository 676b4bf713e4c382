"""The laws: known constants are found again, the test on the largest rung is one, and intervals hold the truth."""

import numpy as np
import pytest

from domainlm.ladder.law import (
    CONSTANTS,
    PUBLISHED_EXPONENT,
    Fit,
    Floats,
    Name,
    backtests,
    candidates,
    fit,
    predict,
    reach,
)

X = np.array([0.002, 0.006, 0.018, 0.05])


def law(floor: float, scale: float, exponent: float, x: Floats = X) -> Floats:
    return np.asarray(floor + scale * x**-exponent, np.float64)


@pytest.mark.parametrize(
    ("name", "floor", "scale", "exponent"),
    [
        ("power", 0.0, 1.3, 0.07),
        ("power", 0.0, 0.4, 0.2),
        ("saturating", 0.6, 0.7, PUBLISHED_EXPONENT),
        ("offset", 0.5, 0.8, 0.15),
        ("offset", 0.9, 0.4, 0.3),
        ("offset", 0.2, 1.0, 0.1),
    ],
)
def test_a_law_is_found_again(name: Name, floor: float, scale: float, exponent: float) -> None:
    found = fit(name, X, law(floor, scale, exponent)[None])
    assert found.error[0] < 2e-5
    assert found.at(1.0)[0] == pytest.approx(floor + scale, rel=3e-5)
    assert found.exponent[0] == pytest.approx(exponent, rel=0.02)


def test_the_power_law_is_the_straight_line_of_logarithms() -> None:
    y = law(0.4, 0.9, 0.2) * np.array([1.01, 0.99, 1.002, 1.0])
    slope, intercept = np.polyfit(np.log(X), np.log(y), 1)
    found = fit("power", X, y[None])
    assert (found.exponent[0], found.scale[0]) == pytest.approx((-slope, np.exp(intercept)), rel=1e-12)


def test_no_other_constants_fit_better() -> None:
    """Least squares of noisy points, beside a hundred thousand other choices of the constants."""
    random = np.random.default_rng(3)
    y = law(0.5, 0.8, 0.15) * np.exp(random.normal(0, 0.01, (3, len(X))))
    found = fit("offset", X, y)
    share, exponent = random.uniform(0, 0.99, 100_000), np.exp(random.uniform(np.log(0.01), 0, 100_000))
    shape = np.log((share / (1 - share))[:, None] + X ** -exponent[:, None])
    for curve, error in zip(y, found.error, strict=True):
        left = np.log(curve) - shape
        assert error <= left.std(axis=1).min() + 1e-9


def test_curves_of_a_batch_do_not_know_of_each_other() -> None:
    y = np.stack([law(0.5, 0.8, 0.15), law(0.0, 1.3, 0.07), law(0.9, 0.4, 0.3)])
    for name in CONSTANTS:
        together = fit(name, X, y).at(1.0)
        alone = [fit(name, X, curve[None]).at(1.0)[0] for curve in y]
        assert together == pytest.approx(alone, rel=1e-9)


def test_fewer_points_than_constants_are_refused() -> None:
    with pytest.raises(ValueError, match="offset has 3 constants, and there are 2 points"):
        fit("offset", X[:2], law(0.5, 0.8, 0.15)[None, :2])


def test_the_largest_rung_is_predicted_without_it() -> None:
    y = law(0.5, 0.8, PUBLISHED_EXPONENT)[None]
    tests = {test.name: test for test in backtests(X, y)}
    assert list(tests)[-1] == "power"
    assert tests["saturating"].size == pytest.approx(0, abs=1e-6)
    line = np.polyfit(np.log(X[:3]), np.log(y[0, :3]), 1)
    assert tests["power"].errors[0] == pytest.approx(np.exp(np.polyval(line, np.log(X[3]))) / y[0, 3] - 1, rel=1e-9)
    assert tests["power"].errors[0] < 0, "a straight line takes no notice of what cannot be learnt"
    three = [test.name for test in backtests(X[1:], y[:, 1:])]
    assert sorted(three) == ["power", "saturating"], "two points carry no three constants"


def test_a_law_that_is_shown_wrong_is_none_of_the_candidates() -> None:
    steep = np.stack([law(0.0, 1.3, 0.3), law(0.0, 1.0, 0.4)])
    assert candidates(backtests(X, steep))[0] in ("power", "offset")
    assert "saturating" not in candidates(backtests(X, steep))
    gentle = law(0.2, 1.1, 0.07)[None]
    assert "power" in candidates(backtests(X, gentle)), "off by less than a seed is"


def test_what_a_line_leaves_over_of_a_parabola_is_within_reach() -> None:
    """A line through the ends of three points: its error at x = 1 by that of one through the lower two at the third."""
    x = np.array([0.003, 0.014, 0.037])
    z = np.log(x)
    curve = np.poly1d([0.01, -0.07, 0.3])
    lower = np.polyfit(z[[0, 1]], curve(z[[0, 1]]), 1)
    ends = np.polyfit(z[[0, 2]], curve(z[[0, 2]]), 1)
    error = np.polyval(lower, z[2]) - curve(z[2])
    assert (np.polyval(ends, 0.0) - curve(0.0)) / error == pytest.approx(reach(x), rel=1e-9)


def test_intervals_hold_the_truth() -> None:
    """Of ladders with a law of two terms, as Hoffmann et al. have it, and runs that differ by 0.3 % by chance."""
    random = np.random.default_rng(1)
    held = wide = 0
    for _ in range(60):
        a, b = random.uniform(0.2, 0.5, 2)
        truth = 0.4 + a * X ** (-0.34 / 2) + b * X ** (-0.28 / 2)
        y = truth * np.exp(random.normal(0, 0.003, len(X)))
        tests = backtests(X, y[None])
        found = predict(candidates(tests), X, y, None, tests[0].size)
        assert found.low <= found.value <= found.high
        held += found.low <= 0.4 + a + b <= found.high
        wide += found.high - found.low
    assert held >= 57
    assert wide / 60 < 0.13, "bits per byte: an interval that says nothing holds everything"


def test_each_doubt_has_ends_of_its_own() -> None:
    y = law(0.5, 0.8, 0.15) * np.array([1.002, 0.999, 1.001, 0.998])
    drawn = y * np.exp(np.random.default_rng(2).normal(0, 0.01, (200, 1)))
    found = predict(["offset", "power"], X, y, drawn, 0.002)
    assert list(found.doubts) == ["documents", "rungs", "laws", "extrapolation"]
    fits = {name: float(fit(name, X, y[None]).at(1.0)[0]) for name in ("offset", "power")}
    assert found.value == fits["offset"]
    assert found.doubts["laws"] == (min(fits.values()), max(fits.values()))
    middle = np.quantile(fit("offset", X, drawn).at(1.0), [0.025, 0.975])
    assert found.doubts["documents"] == pytest.approx(middle)
    without = [float(fit("offset", np.delete(X, k), np.delete(y, k)[None]).at(1.0)[0]) for k in range(4)]
    assert found.doubts["rungs"] == (min(without), max(without))
    share = 0.003 * reach(X)  # the backtest's 0.002 may be chance
    assert found.doubts["extrapolation"] == pytest.approx(
        (found.doubts["laws"][0] * (1 - share), found.doubts["laws"][1] * (1 + share))
    )
    low, high = predict(["power"], X, y, None, 0.02).doubts["extrapolation"]
    assert (high - low) / 2 == pytest.approx(fits["power"] * 0.02 * reach(X))
    assert predict(["power"], X, y, None, 0.0).doubts.keys() == {"rungs", "laws", "extrapolation"}


def test_a_fit_is_asked_anywhere() -> None:
    found = Fit(np.array([0.5]), np.array([0.8]), np.array([0.15]), np.zeros(1))
    assert found.at(0.01)[0] == 0.5 + 0.8 * 0.01**-0.15
