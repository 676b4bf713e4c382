"""`training.micro_batch: auto`: which number it is, on which machine, and that a run which has begun keeps it."""

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from domainlm.plan.micro_batch import choose, settle
from domainlm.plan.placement import step_memory
from tests.launched.runs import run_domainlm
from train.config import CHECKOUT, RunConfig
from train.config_file import ConfigError, load_config
from train.engine.placement import configured_placement
from train.hardware import USABLE_MEMORY, Machine

AUTO = "training.micro_batch=auto"


def machine(config: RunConfig, rows: float, ranks: int = 2) -> Machine:
    """Devices that hold a step of so many rows, to the byte."""
    made = Machine("made", 0, 1.0, 1, ranks)
    low, high = (step_memory(config, made, configured_placement(config.training), n).total for n in (1, 2))
    return replace(made, memory=round((low + (rows - 1) * (high - low)) / USABLE_MEMORY) + 1)


def arguments(command: str, file: Path, *overrides: str, **more: Any) -> argparse.Namespace:
    return argparse.Namespace(command=command, config=str(file), overrides=list(overrides), **more)


@pytest.mark.parametrize(("rows", "number"), [(1, 1), (3.9, 3), (5.9, 4), (6, 6), (11, 6), (12, 12), (1e6, 12)])
def test_it_is_the_largest_that_divides_and_fits(
    make_config: Callable[..., RunConfig], rows: float, number: int
) -> None:
    """Batches of 24 and 48 rows over two ranks: of 12 or 24 rows, to the byte of what the plan adds up."""
    config = make_config(training={"batch_size": {0: 24, 6: 48}, "micro_batch": 1})
    found, said = choose(config, machine(config, rows), None)
    assert found == number
    assert said.startswith(f"micro_batch auto: {number} of a rank's 12 or 24 rows at a time; the plan says a step ")
    assert said.endswith(" usable on each of 2 × made")


def test_what_a_run_has_begun_with_is_kept_where_it_fits_and_divides(make_config: Callable[..., RunConfig]) -> None:
    config = make_config(training={"batch_size": 24, "micro_batch": 1})
    assert choose(config, machine(config, 1e6), 2)[0] == 2, "a larger machine goes on with the same micro-batches"
    assert (
        "2 of a rank's 12 rows at a time, with which the run has begun;" in choose(config, machine(config, 1e6), 2)[1]
    )
    number, said = choose(config, machine(config, 2.5), 6)
    assert number == 2
    assert "; the 6 that the run has begun with do not fit here;" in said
    assert choose(config, machine(config, 1e6, ranks=8), 2)[0] == 3, "of 3 rows a rank 2 are no part"


def test_nothing_fits_or_nothing_divides(make_config: Callable[..., RunConfig]) -> None:
    config = make_config(training={"batch_size": 24, "micro_batch": 1})
    with pytest.raises(ConfigError, match=r"auto: not even one row fits 2 × made: a step takes 2.00 GB of 2.00 GB"):
        choose(config, machine(config, 0.9), None)
    with pytest.raises(ConfigError, match=r"auto: training.batch_size 24 cannot be divided over 5 × made"):
        choose(config, machine(config, 1e6, ranks=5), None)


def test_each_command_takes_the_machines_that_its_ranks_are_on() -> None:
    published = CHECKOUT / "configs" / "bloomberggpt-50b.yaml"
    for command, number, devices in (
        (arguments("plan", published, AUTO, gpu=None, gpus=None), 2, "512 × A100-40GB"),
        (arguments("plan", published, AUTO, gpu="H100-80GB", gpus=256), 4, "256 × H100-80GB"),
        (arguments("submit", published, AUTO, nodes=16, gpus_per_node=8, ranks_per_node=None), 4, "128 × A100-40GB"),
    ):
        said = settle(command)
        assert said is not None
        assert said.endswith(devices)
        assert command.overrides == [AUTO, f"training.micro_batch={number}"]
    with pytest.raises(ConfigError, match="not even one row fits"):
        settle(arguments("train", published, AUTO))  # on this machine
    demo = CHECKOUT / "configs" / "demo.yaml"
    with pytest.raises(
        ConfigError, match="which GPUs the job's nodes have is not known here: add a `hardware` section"
    ):
        settle(arguments("submit", demo, AUTO))


def test_trained_shown_recorded_and_kept(
    small_run: Callable[..., Path], command_line: Callable[..., tuple[int, str, str]]
) -> None:
    """As a person does it: the ranks are told a number, and the run's folder has it for whatever comes later."""
    file = small_run("auto", micro_batch="auto", save_every=3, steps=3)
    with pytest.raises(ConfigError, match=r"auto is a number that `domainlm train` and `domainlm submit` find"):
        load_config(file)  # as each rank does that nobody has told it
    assert "micro_batch auto: not settled before a run begins; here it is 1" in "".join(
        command_line("status", file)[1:]
    )
    trained = run_domainlm("train", file, "training.local_ranks=2")
    assert trained.returncode == 0, trained.stdout + trained.stderr
    assert "micro_batch auto: 4 of a rank's 4 rows at a time; the plan says a step takes 0.0" in trained.stderr
    assert load_config(file.parent / "auto" / "config.yaml").training.micro_batch == 4
    again = arguments("train", file, "training.local_ranks=1")
    assert "4 of a rank's 8 rows at a time, with which the run has begun" in str(settle(again))
    _, printed, said = command_line("status", file, "--json")
    assert json.loads(printed.splitlines()[-1])["step"] == 3
    assert "micro_batch auto" not in said, "there is no more to settle"
