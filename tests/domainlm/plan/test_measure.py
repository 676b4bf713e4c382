"""The time of a step as the plan measures it: of the model's own shape, on a busy machine too."""

import os
import subprocess
import sys
import time
from collections.abc import Callable

import pytest
import torch

from data.parallel import available_cpus
from domainlm.plan.build import plan
from domainlm.plan.measure import measured_flops
from domainlm.plan.text import describe
from model.initialise import initialise
from model.transformer import Transformer
from train.config import CHECKOUT, RunConfig
from train.config_file import load_config

Make = Callable[..., RunConfig]


def demo(*changes: str) -> RunConfig:
    """As it is before it has run: from then on its own steps are taken, and none is timed."""
    return load_config(CHECKOUT / "configs" / "demo.yaml", [*changes, "folder=/none"])


def test_a_step_is_timed_at_the_models_own_shape() -> None:
    """Held against the passes that a rank makes: twice two micro-batches of a batch of 16 rows on two ranks."""
    shape = ["training.batch_size=16", "training.micro_batch=4", "model.layers=2", "model.sequence_length=128"]
    config = demo(*shape)
    model = Transformer(config.model)
    initialise(model, seed=0)
    tokens = torch.randint(4096, (4, 128))
    seconds = []
    for _ in range(4):
        begin = time.thread_time()
        model(tokens, tokens).backward()
        seconds.append(time.thread_time() - begin)
    planned = plan(config)
    assert planned.costs.seconds_per_step == pytest.approx(2 * min(seconds), rel=0.5)
    assert "tokens/s timed on this machine" in describe(planned)


def test_an_update_by_muon_is_timed_with_its_products_of_matrices() -> None:
    """Many blocks and few tokens, so that the update is most of a step."""
    shape = ["training.batch_size=1", "training.micro_batch=1", "model.sequence_length=16"]
    by = {name: demo(*shape, f"training.optimizer={name}") for name in ("adamw", "muon")}
    seconds = {name: plan(config).costs.seconds_per_step for name, config in by.items()}
    assert seconds["muon"] > 1.5 * seconds["adamw"]


def test_a_busy_machine_is_not_taken_for_a_slow_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    config = demo("model.sequence_length=128", "model.layers=2")
    alone = plan(config).costs.seconds_per_step
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2 * (os.cpu_count() or 1))]
    try:
        beside = plan(config).costs.seconds_per_step
    finally:
        for other in others:
            other.kill()
            other.wait()
    assert beside < 2.5 * alone


def test_more_ranks_than_processors_are_no_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    config = demo("model.sequence_length=128", "model.layers=1")
    few, many = available_cpus(), 4 * available_cpus()
    speeds = {ranks: measured_flops(config, ranks) for ranks in (few, many)}
    assert many * (speeds[many] or 0) < 2 * few * (speeds[few] or 0)


def test_a_model_too_large_to_be_timed_is_reckoned_at_an_assumed_share(make_config: Make) -> None:
    large = {"width": 2048, "heads": 16, "sequence_length": 2048, "vocabulary_size": 400}
    planned = plan(make_config(model=large))
    assert planned.machine.step_flops is None
    assert planned.costs.mfu == 0.4
    assert "at an assumed MFU 40.0%" in describe(planned)
