"""What a run may spend: counted over its sessions, met in good order, refused when it is spent."""

import json
import os
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from domainlm import commands, stages
from domainlm.arguments import parse
from domainlm.status.read import read_status
from tests.launched.runs import losses, run_train
from train.checkpoints.folders import newest_checkpoint
from train.config import RunConfig
from train.config_file import ConfigError, load_config
from train.records.budget import check_budget, open_budget
from train.records.journal import read_journal

MakeConfig = Callable[..., RunConfig]
T0 = 1_800_000_000


def hardware(**budget: float) -> dict[str, Any]:
    return {"gpu": "A100-80GB", "price_per_gpu_hour": 2.5, "watts_per_gpu": 500, "budget": budget}


def write_sessions(config: RunConfig, *events: dict[str, Any]) -> None:
    config.run_folder.mkdir(parents=True, exist_ok=True)
    times = {"time": "%Y-%m-%dT%H:%M:%S%z"}
    lines = [event | {"time": time.strftime(times["time"], time.localtime(T0 + event["at"]))} for event in events]
    (config.run_folder / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


TWO_SESSIONS = (
    {"event": "start", "at": 0, "step": 0, "ranks": 8, "began": T0},
    {"event": "stop", "at": 1800, "step": 5, "reason": "SIGTERM"},  # 4 device-hours
    {"event": "resume", "at": 9000, "step": 5, "ranks": 4, "began": T0 + 9000},
    {"event": "stop", "at": 12600, "step": 9, "reason": "SIGTERM"},  # 4 more
)


@pytest.mark.parametrize(
    ("budget", "device_hours", "said"),
    [
        ({"money": 25}, 10, "$ 25"),
        ({"kilowatt_hours": 6}, 12, "6 kWh"),
        ({"gpu_hours": 1_250_000}, 1_250_000, "1,250,000 GPU-hours"),
        ({"money": 2500, "kilowatt_hours": 6, "gpu_hours": 11}, 11, "11 GPU-hours"),
    ],
)
def test_a_budget_ends_when_its_device_hours_do(
    make_config: MakeConfig, budget: dict[str, float], device_hours: float, said: str
) -> None:
    """Whatever other sessions took, on as many ranks as they had, is spent; pauses between them cost nothing."""
    config = make_config(hardware=hardware(**budget))
    write_sessions(config, *TWO_SESSIONS)
    opened = open_budget(config, ranks=2, began=T0 + 20_000)
    assert opened is not None
    assert (opened.device_hours, opened.said) == (device_hours, said)
    assert opened.end == pytest.approx(T0 + 20_000 + 3600 * (device_hours - 8) / 2)


@pytest.mark.parametrize(("noted", "file_time"), [({}, T0 + 900), ({"time": T0 + 900}, T0 + 800_000)])
def test_a_process_that_was_killed_has_spent_what_its_last_line_says(
    make_config: MakeConfig, noted: dict[str, float], file_time: float
) -> None:
    """The line's own time, which a copy of the file keeps; the file's where an older version did not note it."""
    config = make_config(hardware=hardware(gpu_hours=100))
    write_sessions(config, TWO_SESSIONS[0], {"event": "refused", "at": 900_000, "error": "a damaged shard"})
    config.metrics.write_text(json.dumps({"step": 1, "loss": 3.0, "seconds": 1.0} | noted) + "\n")
    os.utime(config.metrics, (file_time, file_time))
    found = check_budget(config)
    assert found is not None
    assert found[2] == pytest.approx(8 * 900 / 3600)


def test_what_is_spent_is_refused_and_what_was_raised_goes_on(make_config: MakeConfig) -> None:
    config = make_config(hardware=hardware(gpu_hours=8))
    write_sessions(config, *TWO_SESSIONS)
    with pytest.raises(ConfigError, match=r"the budget of 8 GPU-hours is spent: .* has taken 8 of 8 device-hours"):
        check_budget(config)
    stopped = TWO_SESSIONS[3] | {"reason": "the budget of 9 GPU-hours is spent", "budget_device_hours": 9.0}
    write_sessions(config, *TWO_SESSIONS[:3], stopped)
    for hours, goes_on in ((8.5, False), (9, False), (10, True)):
        raised = make_config(hardware=hardware(gpu_hours=hours))
        if goes_on:
            assert check_budget(raised) == (10, "10 GPU-hours", 8.0)
            continue
        with pytest.raises(ConfigError, match=r"Raise hardware\.budget to go on"):
            check_budget(raised)
    assert check_budget(make_config()) is None
    assert check_budget(make_config(hardware={"gpu": "A100-80GB"})) is None


def spend(file: Path, rest: Sequence[str], money: float) -> tuple[str, RunConfig]:
    """Train until so much is spent; what was said, and the configuration."""
    words = [*rest, f"hardware.budget.money={money}"]
    done = run_train(file, *words)
    assert done.returncode == 0, done.stderr
    return done.stderr, load_config(file, words)


def test_a_run_stops_when_its_budget_is_spent(small_run: Callable[..., Path]) -> None:
    """One real rank: its last step is saved, the same command is refused, submit too, and a larger budget goes on."""
    file = small_run("bounded", steps=100_000, save_every=100_000)
    rest = ("evaluation.every=100000", "hardware.gpu=A100-80GB", "hardware.price_per_gpu_hour=360")
    money = 0.5  # 5 s, which a busy machine may need for the start alone
    done, config = spend(file, rest, money)
    while not losses(config):
        money *= 4
        done, config = spend(file, rest, money)
    budget, step = f"hardware.budget.money={money}", newest_checkpoint(config).step
    assert step == len(losses(config))
    said = f"the budget of $ {money:g} is spent"
    assert f"stopped after step {step} ({said}); with a larger hardware.budget the same command goes on" in done
    stop = read_journal(config.run_folder)[-1]
    assert (stop["event"], stop["step"], stop["budget_device_hours"]) == ("stop", step, money / 360)
    status = read_status(config)
    assert (status.state, status.why.split("; ")[1]) == (
        "stopped",
        "with a larger hardware.budget the same command goes on from there",
    )
    assert status.ledger.money is not None
    assert sum(status.ledger.money.values()) > 0.5 * money

    refused = run_train(file, *rest, budget)
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"error: {said}: ")
    assert "Raise hardware.budget to go on" in refused.stderr
    with pytest.raises(ConfigError, match=re.escape(said)):
        stages.train(config, file, [*rest, budget])
    with pytest.raises(ConfigError, match=re.escape(said)):
        commands.submit(parse(["submit", str(file), "--nodes", "1", "--gpus-per-node", "0", "--time", "60"]), config)
    assert read_journal(config.run_folder)[-1] == stop
    raised = run_train(file, *rest, "hardware.budget.money=20000", f"training.steps={step + 2}")
    assert raised.returncode == 0, raised.stderr
    assert newest_checkpoint(config).step == step + 2
