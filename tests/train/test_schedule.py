"""Schedules against the published recipe (arXiv 2303.17564) and against simple loops."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.config import TrainingConfig
from train.config_file import ConfigError
from train.schedule import (
    accumulation,
    batch_size,
    check_ranks,
    consumed_samples,
    doubtful_rate,
    learning_rate,
    micro_batches,
)


def training(**changes: object) -> TrainingConfig:
    values: dict[str, object] = {
        "steps": 100,
        "batch_size": 8,
        "micro_batch": 2,
        "learning_rate": 1e-3,
        "deepspeed": {"zero_optimization": {"stage": 3}},
    }
    return TrainingConfig.model_validate(values | changes)


BLOOMBERGGPT = training(
    steps=139_200,
    batch_size={0: 1024, 7200: 2048},
    micro_batch=2,
    learning_rate=6e-5,
    minimum_learning_rate=6e-6,
    warmup_steps=1800,
    precision="bf16",
)


def test_consumed_tokens_of_bloomberggpt() -> None:
    assert consumed_samples(BLOOMBERGGPT, 139_200) * 2048 == 568_747_622_400


def test_learning_rate_of_bloomberggpt() -> None:
    assert learning_rate(BLOOMBERGGPT, 900) == pytest.approx(3e-5)
    assert learning_rate(BLOOMBERGGPT, 1800) == pytest.approx(6e-5)
    middle = 1800 + (139_200 - 1800) // 2
    assert learning_rate(BLOOMBERGGPT, middle) == pytest.approx((6e-5 + 6e-6) / 2)
    assert learning_rate(BLOOMBERGGPT, 139_200) == pytest.approx(6e-6)


def test_batch_size_of_bloomberggpt_changes_after_step_7200() -> None:
    assert batch_size(BLOOMBERGGPT, 7200) == 1024
    assert batch_size(BLOOMBERGGPT, 7201) == 2048
    assert accumulation(BLOOMBERGGPT, 7200, 512) == 1
    assert accumulation(BLOOMBERGGPT, 7201, 512) == 2


def test_wsd_is_stable_then_falls_linearly() -> None:
    wsd = training(schedule="wsd", warmup_steps=10, decay_fraction=0.2, minimum_learning_rate=1e-4)
    assert learning_rate(wsd, 5) == pytest.approx(5e-4)
    assert {learning_rate(wsd, step) for step in range(10, 81)} == {1e-3}
    assert learning_rate(wsd, 90) == pytest.approx(5.5e-4)
    assert learning_rate(wsd, 100) == pytest.approx(1e-4)


def test_the_horizon_of_wsd_can_be_extended_until_the_decay() -> None:
    short = training(schedule="wsd", warmup_steps=10, decay_fraction=0.2)
    for steps in (101, 150, 1000):
        longer = training(schedule="wsd", warmup_steps=10, decay_fraction=0.2, steps=steps)
        assert [learning_rate(longer, step) for step in range(1, 81)] == [
            learning_rate(short, step) for step in range(1, 81)
        ]


@given(steps=st.integers(2, 300), data=st.data(), schedule=st.sampled_from(["cosine", "wsd"]))
def test_learning_rate_stays_in_bounds_and_never_rises_after_the_warmup(
    steps: int, data: st.DataObject, schedule: str
) -> None:
    warmup = data.draw(st.integers(0, steps - 1))
    config = training(steps=steps, warmup_steps=warmup, schedule=schedule, minimum_learning_rate=1e-5)
    rates = [learning_rate(config, step) for step in range(1, steps + 1)]
    assert all(0 < rate <= 1e-3 for rate in rates)
    after = rates[warmup:]
    assert all(later <= earlier + 1e-12 for earlier, later in itertools.pairwise(after))
    assert math.isclose(rates[-1], 1e-5) or warmup == steps - 1 or schedule == "wsd"


@pytest.mark.parametrize(
    ("rate", "said"),
    [(6e-5, ""), (2e-2, ""), (1e-6, ""), (30.0, "AdamW diverges"), (3e-9, "AdamW learns next to nothing")],
)
def test_a_rate_that_trains_nothing_is_said(rate: float, said: str) -> None:
    config = training(learning_rate=rate, minimum_learning_rate=0.0)
    assert (said in doubtful_rate(config)) if said else doubtful_rate(config) == ""


@pytest.mark.parametrize(
    ("rate", "said"), [(0.02, ""), (1e-3, ""), (3.0, "Muon diverges"), (1e-6, "Muon learns next to nothing")]
)
def test_muons_rate_is_its_own(rate: float, said: str) -> None:
    assert doubtful_rate(training(muon={"learning_rate": rate})) == "", "AdamW has no use for it"
    config = training(optimizer="muon", muon={"learning_rate": rate})
    assert (said in doubtful_rate(config)) if said else doubtful_rate(config) == ""


@given(
    changes=st.dictionaries(st.integers(1, 60), st.integers(1, 9), max_size=4),
    first=st.integers(1, 9),
    step=st.integers(0, 80),
)
def test_consumed_samples_is_the_sum_of_the_batches(changes: dict[int, int], first: int, step: int) -> None:
    config = training(batch_size={0: first, **changes}, micro_batch=1)
    assert consumed_samples(config, step) == sum(batch_size(config, earlier) for earlier in range(1, step + 1))


def test_accumulation_names_the_numbers_that_do_not_divide() -> None:
    with pytest.raises(ConfigError, match=r"batch_size 8 cannot be divided.*2 × 3 = 6"):
        accumulation(training(), 1, 3)


def test_every_batch_of_a_schedule_is_checked_before_the_run() -> None:
    check_ranks(training(batch_size={0: 8, 50: 16}), 4)
    with pytest.raises(ConfigError, match="batch_size 12 cannot be divided"):
        check_ranks(training(batch_size={0: 8, 50: 12}), 4)


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_the_ranks_of_a_step_take_each_sample_once(ranks: int) -> None:
    config = training(batch_size={0: 8, 2: 16}, micro_batch=2)
    for step in (1, 2, 3, 4):
        firsts = [first for rank in range(ranks) for first in micro_batches(config, step, rank, ranks)]
        taken = sorted(sample for first in firsts for sample in (first, first + 1))
        assert taken == list(range(consumed_samples(config, step - 1), consumed_samples(config, step)))
