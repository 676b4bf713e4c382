"""The critical batch size, on gradients whose true mean and covariance are known."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from evaluation.gradient_noise import (
    FEWEST,
    NEWEST,
    SQUARE,
    VARIANCE,
    CriticalBatch,
    between,
    critical_batch,
    describe,
    in_rows,
    noise_of_step,
)


def steps(
    count: int, trace: float, square: float = 1.0, *, batch: int = 16, micro_batch: int = 4, seed: int = 0
) -> Iterator[dict[str, Any]]:
    """Steps of gradients (micro-batches, 40) around G, |G|² = `square`, with Σ of one row unequal and of this trace."""
    chance = np.random.default_rng(seed)
    true = chance.normal(size=40)
    true *= np.sqrt(square) / np.linalg.norm(true)
    deviations = chance.uniform(0.1, 2, 40)
    deviations *= np.sqrt(trace / np.sum(deviations**2))
    for step in range(1, count + 1):
        rows = true + chance.normal(size=(batch // micro_batch, micro_batch, 40)) * deviations
        single, whole = rows.mean(1), rows.mean((0, 1))
        squares = float(np.square(single).sum(1).mean()), float(np.square(whole).sum())
        yield {"step": step} | noise_of_step(squares[0], micro_batch, squares[1], batch)


def test_a_batch_of_two_rows_by_hand() -> None:
    """Rows (3, 0) and (1, 0): squares 9 and 1, of their mean 4. Their unbiased variance is 2, and 4 - 2 / 2 is left."""
    assert noise_of_step((9 + 1) / 2, 1, 4.0, 2) == {SQUARE: 3.0, VARIANCE: 2.0}
    assert noise_of_step(4.0, 2, 4.0, 2) == {}, "one micro-batch has nothing beside it"


@pytest.mark.parametrize(("batch", "micro_batch"), [(16, 4), (32, 1), (4, 2)])
def test_both_estimates_are_unbiased_at_any_two_batch_sizes(batch: int, micro_batch: int) -> None:
    lines = list(steps(5_000, trace=30.0, square=2.0, batch=batch, micro_batch=micro_batch))
    assert np.mean([line[SQUARE] for line in lines]) == pytest.approx(2.0, rel=0.1)
    assert np.mean([line[VARIANCE] for line in lines]) == pytest.approx(30.0, rel=0.02)


def test_the_interval_holds_the_truth_in_nineteen_of_twenty_runs() -> None:
    """100 runs of which 100 steps count, whose batch of 16 rows lies below the critical one of 40."""
    found = [critical_batch(list(steps(200, trace=40.0, seed=seed))) for seed in range(100)]
    held = [one.low <= 40 <= one.high for one in found if one.low and one.high]
    assert len(held) == 100
    assert 0.88 <= np.mean(held) <= 0.99
    assert np.median([one.rows for one in found if one.rows]) == pytest.approx(40, rel=0.05)
    spans = [one.high / one.low for one in found if one.low and one.high]
    assert np.median(spans) < 2.5, "and it is no wider than it has to be"


def test_only_the_newest_steps_count_and_the_batch_may_grow() -> None:
    before = list(steps(NEWEST, trace=4_000.0))
    now = [*steps(NEWEST // 2, trace=40.0), *steps(NEWEST // 2, trace=40.0, batch=64, seed=1)]
    found = critical_batch([*before, *now])
    assert found == critical_batch([*before, *before, *now])
    assert found.steps == NEWEST
    assert found.low is not None
    assert found.high is not None
    assert found.low < 40 < found.high


def test_the_steep_beginning_of_a_short_run_is_left_out() -> None:
    """As measured on the demo's model: the gradient's square falls by 30 in 60 steps, the noise stays."""
    steep, level = list(steps(30, trace=40.0, square=30.0)), list(steps(30, trace=40.0, seed=1))
    found = critical_batch([*steep, *level])
    assert found.steps == 30
    assert found.low is not None
    assert found.high is not None
    assert found.low < 40 < found.high


def test_a_gradient_lost_in_its_noise_has_no_upper_end() -> None:
    found = critical_batch(list(steps(100, trace=1e6)))
    assert found.rows is found.high is None
    if found.low is not None:
        assert found.low < 1e6
    truly = critical_batch([{SQUARE: value, VARIANCE: 100.0} for value in (1.0, -0.9) * 40])
    assert (truly.rows, truly.high) == (None, None)
    assert truly.low is not None
    assert describe(truly, 256) == (
        f"{in_rows(truly)}, {float(f'{truly.low * 256:.2g}'):,.0f} tokens: "
        "the gradient does not stand out from its noise over 40 steps"
    )
    assert critical_batch([{SQUARE: value, VARIANCE: 100.0} for value in (-1.0, -0.9) * 40]) == CriticalBatch(
        None, None, None, 40, "the gradient is lost in its noise over 40 steps"
    )


def test_what_is_not_known_says_why() -> None:
    assert describe(critical_batch([]), 256) == (
        "not known: no step that is recorded had two micro-batches of whole rows to compare, on one rank or on two"
    )
    few = list(steps(FEWEST - 1, trace=40.0))
    not_finite = [{"step": 99, SQUARE: None, VARIANCE: None}]
    assert describe(critical_batch(few + not_finite), 256) == "not known: 39 steps are measured, and it takes 40"
    alike = [{SQUARE: 1.0, VARIANCE: 0.0}] * FEWEST
    assert describe(critical_batch(alike), 256) == "not known: the gradients of micro-batches do not differ"


def test_it_is_said_to_two_places() -> None:
    found = CriticalBatch(1234.5, 987.0, 1876.0, 200, "")
    assert (
        describe(found, 256)
        == "about 1,200 rows (990 to 1,900), 320,000 tokens: gradient noise of the newest 200 steps"
    )
    assert in_rows(found) == "about 1,200 rows"
    assert between(CriticalBatch(3.14159, 2.7, 12.6, 200, "")) == "2.7 to 13"
