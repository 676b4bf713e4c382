"""A step's line of metrics.jsonl from a real run, and the ranks that hold others up."""

import json

import pytest

from model.sizes import flop_per_token
from train.config import RunConfig
from train.throughput import Stragglers, describe_stragglers


def test_lines_of_a_real_run_of_two_ranks(undisturbed: RunConfig) -> None:
    lines = [json.loads(line) for line in (undisturbed.run_folder / "metrics.jsonl").read_text().splitlines()]
    steps = [line for line in lines if "loss" in line]
    assert len(steps) == undisturbed.training.steps
    for line in steps:
        assert 0 < line["mfu"] < 1
        assert line["hfu"] == line["mfu"], "nothing is recomputed"
        assert 0 <= line["data_wait"] < line["seconds"]
        assert line["rank_seconds"] <= line["slowest_rank_seconds"] < line["seconds"]
        assert line["slowest_rank"] in (0, 1)
        assert 50e6 < line["memory"] < 20e9
    peaks = [flop_per_token(undisturbed.model) * line["tokens_per_second"] / line["mfu"] for line in steps]
    assert peaks == pytest.approx([peaks[0]] * len(peaks)), "a share of one and the same peak"


def test_a_rank_that_is_slow_for_a_while_is_named_once() -> None:
    watch = Stragglers(window=5)
    usual, slow = (1.0, 1.02, 0.98, 1.01), (1.0, 1.02, 1.3, 1.01)
    assert [watch.news(usual) for _ in range(5)] == [{}] * 5
    news = [watch.news(slow) for _ in range(8)]
    assert [bool(found) for found in news] == [False, False, True, *[False] * 5], "by the median of the window"
    assert news[2] == {2: pytest.approx(1.3, abs=0.02)}
    assert describe_stragglers(7, news[2]) == (
        "step 7  slower than the other ranks: 2 (1.29 ×); the whole run waits for them"
    )
    for _ in range(5):
        assert watch.news(usual) == {}
    assert any(watch.news(slow) for _ in range(5)), "named again when it has been well meanwhile"


def test_one_slow_step_of_all_ranks_is_no_straggler() -> None:
    watch = Stragglers(window=5)
    assert not any(watch.news((9.0, 9.0)) or watch.news((1.0, 1.0)) for _ in range(10))
    assert not any(watch.news((1.0,)) for _ in range(10)), "a rank alone holds nobody up"
