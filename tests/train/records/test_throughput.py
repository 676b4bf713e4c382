"""A step's line of metrics.jsonl from a real run, and the ranks that hold others up."""

import json
import math
import random
import statistics
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from model.sizes import flop_per_token
from tests.launched.runs import lines
from train.config import RunConfig
from train.gradient import Gradient
from train.process import Rank
from train.records.throughput import Stragglers, describe_stragglers
from train.step import StepResult, step_metrics


def test_lines_of_a_real_run_of_two_ranks(undisturbed: RunConfig) -> None:
    steps = lines(undisturbed, "loss")
    assert len(steps) == undisturbed.training.steps
    for line in steps:
        assert line.keys().isdisjoint({"mfu", "hfu"}), "a share of what? no data sheet says what a CPU can reach"
        assert 0 <= line["data_wait"] < line["seconds"]
        assert line["rank_seconds"] <= line["slowest_rank_seconds"] < line["seconds"]
        assert line["slowest_rank"] in (0, 1)
        assert 50e6 < line["memory"] < 20e9


@pytest.mark.parametrize("recompute", [False, True])
def test_mfu_is_a_share_of_the_data_sheet(make_config: Callable[..., RunConfig], recompute: bool) -> None:
    """At 1,000 tokens a second on each of two devices; with recomputation the hardware does more."""
    config = make_config(training={"activation_checkpointing": True} if recompute else {})
    figures = Gradient(4.0, 1.0, 1.0, (), 4.0, False, 0.0, (0.1, 0.1))
    run: Any = SimpleNamespace(config=config, rank=Rank(0, 0, 2), device=torch.device("cpu"), part=None)
    line = step_metrics(run, StepResult(1, figures, 8 * 32 / 2000, "applied", ""), 1e12)
    assert line["tokens_per_second"] == pytest.approx(2000)
    assert line["mfu"] == pytest.approx(1000 * flop_per_token(config.model) / 1e12)
    assert (line["hfu"] > line["mfu"]) == recompute
    assert "mfu" not in step_metrics(run, StepResult(1, figures, 1.0, "applied", ""), None)


def named(steps: Iterable[Sequence[float]]) -> list[tuple[int, dict[int, float]]]:
    """The steps, from 1, at which there was news, and the news."""
    watch = Stragglers()
    return [(step, news) for step, seconds in enumerate(steps, 1) if (news := watch.news(seconds)) is not None]


def recorded(name: str) -> list[tuple[float, float]]:
    """Seconds of two ranks in each step of a run of the demo, on two cores with about five times as much to do."""
    steps = json.loads(Path(__file__).with_name("rank_seconds.json").read_text())[name]
    return [(first, second) for first, second in steps]


def test_on_a_busy_machine_nobody_is_named_though_any_rank_is_slow_now_and_then() -> None:
    steps = recorded("undisturbed")
    ratios = [max(pair) / min(pair) for pair in steps]
    assert statistics.median(ratios) > 1.15, "in most steps one rank waits for the other"
    assert named(steps) == []


def test_a_rank_that_is_really_slow_is_named_there_too() -> None:
    """Rank 1 was stopped and continued by signals, half of the time, from the first step on."""
    (step, news), *later = named(recorded("rank 1 stopped half of the time"))
    assert later == []
    assert step == 100
    assert news.keys() == {1}
    assert news[1] > 1.5


@pytest.mark.parametrize("ranks", [2, 8, 512])
@pytest.mark.parametrize("slowness", [1.2, 1.5])
def test_on_devices_of_ones_own_a_straggler_is_found_once_and_as_slow_as_it_is(ranks: int, slowness: float) -> None:
    """2 % of noise, as on GPUs; well for 140 steps, slow for 140, well for 140, slow again."""
    chance = random.Random(ranks)
    healthy = [[chance.gauss(1.0, 0.02) for _ in range(ranks)] for _ in range(560)]
    slow = [step // 140 % 2 * (slowness - 1) + 1 for step in range(560)]
    found = named([*seconds[:-1], seconds[-1] * factor] for seconds, factor in zip(healthy, slow, strict=True))
    assert [(step, list(news)) for step, news in found] == [
        (240, [ranks - 1]),
        (380, []),
        (520, [ranks - 1]),
    ]
    assert found[0][1][ranks - 1] == pytest.approx(slowness, abs=0.04)
    assert describe_stragglers(380, {}) == "step 380  no rank is slower than the others any more"
    assert describe_stragglers(160, {3: 1.2, 1: 1.5}) == (
        "step 160  slower than the other ranks: 1 (1.50 ×), 3 (1.20 ×); the whole run waits for them"
    )


@pytest.mark.parametrize("ranks", [2, 8, 64])
@pytest.mark.parametrize("spread", [0.02, 0.3, 0.8])
def test_chance_names_nobody(ranks: int, spread: float) -> None:
    """2,000 steps in which any rank is slow at times, for many steps on end too."""
    chance = random.Random(ranks)
    load = [0.0] * ranks
    steps = []
    for _ in range(2000):
        load = [0.9 * before + chance.gauss(0, spread * 0.19**0.5) for before in load]
        steps.append([math.exp(own + chance.gauss(0, 0.02)) for own in load])
    assert sum(bool(news) for _, news in named(steps)) <= 2


def test_one_slow_step_of_all_ranks_is_no_straggler() -> None:
    assert named([(9.0, 9.0), (1.0, 1.0)] * 100) == []
    assert named([(1.0,)] * 100) == [], "a rank alone holds nobody up"
