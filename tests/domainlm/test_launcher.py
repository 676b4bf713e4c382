"""A request to stop is met at whatever moment it comes, a reader of the output that goes away is none."""

import base64
import fcntl
import json
import os
import signal
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from domainlm.launcher import deepspeed_command, launch
from tests.launched.runs import (
    environment,
    finish_forked,
    metrics,
    rank_processes,
    run_domainlm,
    start_module,
    start_process,
    wait_for,
    wait_for_forked,
)
from train.checkpoints.folders import CheckpointError, newest_checkpoint
from train.checkpoints.lock import only_trainer
from train.config import CHECKOUT, RunConfig
from train.config_file import load_config
from train.records.journal import read_journal

SmallRun = Callable[..., Path]
TRAIN = (sys.executable, "-m", "domainlm", "train")


def last_event(config: RunConfig) -> tuple[str, int]:
    last = read_journal(config.run_folder)[-1]
    return last["event"], last["step"]


def test_a_signal_while_ranks_start_is_met(small_run: SmallRun) -> None:
    """As soon as their launcher is there, seconds before they are."""
    file = small_run("asked", steps=500)
    process = start_module("domainlm", "train", file)
    wait_for_forked(lambda: bool(psutil.Process(process.pid).children()), [process])
    os.kill(process.pid, signal.SIGTERM)
    output = finish_forked([process])
    assert "stopped after step 0" in output
    config = load_config(file)
    assert last_event(config) == ("stop", 0)
    assert read_journal(config.run_folder)[-1]["reason"] == "SIGTERM"
    assert not config.stop_file.exists(), "other ranks that train there are asked nothing"
    assert not list(config.run_folder.glob(".stop-*")), "whoever passed it on takes it back"


def test_a_second_start_in_a_folder_is_refused_and_touches_nothing_there(
    small_run: SmallRun, command_line: Callable[..., tuple[int, str, str]]
) -> None:
    """Before ranks are started. Where both are started at once, either asks its own ranks: see above."""
    file = small_run("twice")
    config = load_config(file)
    config.run_folder.mkdir(parents=True)
    with only_trainer(config.run_folder):
        code, _, error = command_line("train", file)
        assert code == 2
        assert error.splitlines()[-1].startswith(f"error: {config.run_folder}: another process is training there")
        assert not list(config.run_folder.glob("checkpoints/*")), "no rank was started"
        with pytest.raises(CheckpointError, match="another process is training there"):
            launch(config, file, [])


def test_a_stop_file_while_ranks_start_is_met_once_and_a_closed_pipe_is_no_request(small_run: SmallRun) -> None:
    file = small_run("once")
    config = load_config(file)
    stop_file = config.run_folder / "STOP"
    asked = start_module("domainlm", "train", file)
    wait_for_forked(lambda: bool(rank_processes(file)), [asked])
    stop_file.touch()
    assert "stopped after step 0" in finish_forked([asked])
    assert stop_file.exists(), "no rank deletes a request"

    process = start_process(*TRAIN, str(file))
    assert process.stdout
    process.stdout.close()
    assert process.wait(120) == 0
    assert last_event(config) == ("done", 12)
    assert not stop_file.exists()


def test_a_closed_terminal_asks_to_stop_and_loses_nothing(small_run: SmallRun) -> None:
    file = small_run("hung-up", steps=5000, save_every=5000)
    config = load_config(file)
    terminal, inside = os.openpty()

    def in_the_terminal() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests themselves may run under nohup

    process = subprocess.Popen(
        [*TRAIN, str(file)],
        env=environment(),
        cwd=CHECKOUT,
        text=True,
        stdin=inside,
        stdout=inside,
        stderr=inside,
        start_new_session=True,
        preexec_fn=in_the_terminal,
    )
    os.close(inside)
    wait_for(lambda: config.metrics.exists() and 2 in metrics(config), process)
    os.close(terminal)
    process.send_signal(signal.SIGHUP)  # the shell sends one too
    assert process.wait(120) == 0
    event, step = last_event(config)
    assert event == "stop"
    assert newest_checkpoint(config).step == step >= 2


def test_a_refusal_of_the_ranks_is_one_line(undisturbed: RunConfig) -> None:
    """What only they can find; nothing of the launcher's own is said behind it."""
    ended = run_domainlm("train", undisturbed.run_folder, "training.steps=13", "model.heads=4")
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1].startswith("error: ")
    assert "model.heads was 2, now 4" in ended.stderr.splitlines()[-1]
    assert "sigkill_handler" not in ended.stderr + ended.stdout


@pytest.mark.parametrize(
    ("visible", "expected"),
    [(None, ["0", "1"]), ("2,3", ["2", "3"]), ("3, 1,0", ["3", "1"]), ("GPU-5f,GPU-8a", ["GPU-5f", "GPU-8a"])],
)
def test_ranks_take_the_gpus_that_are_visible(
    visible: str | None, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    command, _ = deepspeed_command(2, "train")
    (machine,) = (word.partition("=")[2] for word in command if word.startswith("--world_info="))
    assert json.loads(base64.urlsafe_b64decode(machine)) == {"localhost": expected}
