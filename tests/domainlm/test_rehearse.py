"""The rehearsal itself, on the real launcher; and that it says no when losses or batches are not the same."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from domainlm.rehearse import _Trial, describe, other_ranks
from tests.launched.runs import finish_forked, rank_processes, run_domainlm, start_module, wait_for_forked
from train.config import RunConfig
from train.config_file import load_config

Make = Callable[..., RunConfig]


@pytest.mark.slow
def test_a_sound_machine_passes_and_leaves_nothing_behind(small_run: Callable[..., Path]) -> None:
    file = small_run("rehearsed", local_ranks=1)
    before = sorted(path.name for path in file.parent.iterdir())
    done = run_domainlm("rehearse", file, "--steps", "30")
    assert done.returncode == 0, done.stderr + done.stdout
    assert "ok      a killed rank ends the run" in done.stdout
    assert "ok      losses, resumed on 1 ranks                   0.0e+00 apart at most; wanted: equal" in done.stdout
    assert "ok      losses, resumed on 2 ranks" in done.stdout
    assert "ok      batches, 1 ranks beside 2                    the same tokens in all 30 steps" in done.stdout
    assert "rehearsal passed" in done.stdout
    assert sorted(path.name for path in file.parent.iterdir()) == before
    assert not load_config(file).run_folder.exists(), "the run itself has not begun"


def test_a_rehearsal_that_is_ended_takes_its_ranks_and_its_folder_along(small_run: Callable[..., Path]) -> None:
    file = small_run("ended", local_ranks=1)
    before = sorted(path.name for path in file.parent.iterdir())
    process = start_module("domainlm", "rehearse", file)
    wait_for_forked(lambda: bool(rank_processes(file)), [process])
    ranks = rank_processes(file)
    os.kill(process.pid, signal.SIGTERM)
    output = finish_forked([process], code=128 + signal.SIGTERM)
    assert output.splitlines()[-1] == "error: ended by SIGTERM: the same command goes on with what is kept"
    assert "Traceback" not in output
    assert not any(psutil.pid_exists(rank) and psutil.Process(rank).status() != "zombie" for rank in ranks)
    assert sorted(path.name for path in file.parent.iterdir()) == before


def test_the_other_number_of_ranks_divides_the_batch(make_config: Make) -> None:
    assert other_ranks(make_config(), 4) == [2]
    assert other_ranks(make_config(), 1) == [2]
    assert other_ranks(make_config(training={"batch_size": 2}), 1) == []
    assert other_ranks(make_config(training={"batch_size": 6}), 3) == [1]


@pytest.fixture
def trial(make_config: Make, tmp_path: Path) -> _Trial:
    return _Trial(make_config(), tmp_path / "run.yaml", (), tmp_path / "trials", 3)


def write_losses(trial: _Trial, name: str, *losses: float) -> None:
    folder = trial.folder / name
    folder.mkdir(parents=True)
    lines = [
        json.dumps({"step": step, "loss": None if loss != loss else loss}) for step, loss in enumerate(losses, start=1)
    ]
    (folder / "metrics.jsonl").write_text("\n".join(lines))


def test_losses_must_be_equal_on_as_many_ranks_and_near_on_others(trial: _Trial) -> None:
    write_losses(trial, "undisturbed", 5.0, 4.0, 3.0)
    write_losses(trial, "resumed1", 5.0, 4.0, 3.0001)
    write_losses(trial, "resumed2", 5.0, 4.0, 3.0001)
    write_losses(trial, "resumed4", 5.0, 4.0, 3.001)
    write_losses(trial, "resumed8", 5.0, 4.0)
    write_losses(trial, "resumed16", 5.0, 4.0, float("nan"))
    assert not trial.compare(1, 1).passed
    assert trial.compare(1, 2).passed
    assert not trial.compare(1, 4).passed
    assert trial.compare(1, 8).detail == "steps [1, 2] instead of [1, 2, 3]"
    assert not trial.compare(1, 16).passed


def test_a_failed_check_is_the_verdict() -> None:
    checks = [{"name": "losses", "passed": False, "detail": "3.0e-01 apart"}]
    table = describe({"passed": False, "other_ranks": [], "checks": checks})
    assert "FAILED  losses" in table
    assert "another number of ranks was not rehearsed" in table
    assert table.endswith("rehearsal FAILED")
