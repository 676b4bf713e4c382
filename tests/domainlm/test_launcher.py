"""A request to stop is met at whatever moment it comes, a reader of the output that goes away is none."""

import fcntl
import os
import signal
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path

import psutil

from tests.launched.runs import environment, finish, metrics, rank_processes, run_domainlm, start_process, wait_for
from train.checkpoints.folders import newest_checkpoint
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
    process = start_process(*TRAIN, str(file))
    wait_for(lambda: bool(psutil.Process(process.pid).children()), process, pause=0.002)
    process.send_signal(signal.SIGTERM)
    output = finish(process)
    assert "stopped after step 0" in output
    assert last_event(load_config(file)) == ("stop", 0)
    assert not load_config(file).stop_file.exists(), "whoever passed it on takes it back"


def test_a_stop_file_while_ranks_start_is_met_once_and_a_closed_pipe_is_no_request(small_run: SmallRun) -> None:
    file = small_run("once")
    config = load_config(file)
    stop_file = config.run_folder / "STOP"
    process = start_process(*TRAIN, str(file))
    wait_for(lambda: bool(rank_processes(file)), process, pause=0.002)
    stop_file.touch()
    assert "stopped after step 0" in finish(process)
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
