"""Starts the ranks of a run on this machine with DeepSpeed's launcher, and passes a request to stop on to them."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

import torch

from data.progress import say
from train.checkpoints.folders import finished_step
from train.config import CHECKOUT, RunConfig
from train.process import free_port, name_accelerator
from train.records.journal import read_journal


def launch(config: RunConfig, config_file: Path, overrides: Sequence[str]) -> int:
    """Run `deepspeed --module train CONFIG` with the configured number of ranks.

    The ranks are in a session of their own: Ctrl-C, SIGTERM and SIGUSR1 reach this process only, which asks the run to
    stop by its STOP file, so that all ranks agree on a step and save it. A second signal kills them.

    Returns:
        0 when the run is done or was stopped on request, which the journal says: the launcher itself returns 0 when its
        child was killed by a signal, and leaves the ranks behind.
    """
    events_before = len(read_journal(config.run_folder))
    ranks = start_ranks(config, config_file, overrides)
    asked = False

    def pass_on(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            os.killpg(ranks.pid, signal.SIGKILL)
        asked = True
        (config.run_folder / "STOP").touch()

    previous = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)}
    try:
        code = ranks.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    events = read_journal(config.run_folder)[events_before:]
    ended_well = finished_step(config.run_folder) >= config.training.steps or (events and events[-1]["event"] == "stop")
    if code == 0 and not ended_well:
        say("training: the launcher was killed; the same command goes on from the newest checkpoint")
        with suppress(ProcessLookupError):
            os.killpg(ranks.pid, signal.SIGKILL)
        return 1
    return code


def start_ranks(config: RunConfig, config_file: Path, overrides: Sequence[str]) -> "subprocess.Popen[bytes]":
    """The launcher's process, in a session of its own."""
    command, environment = deepspeed_command(local_ranks(config), "train", str(config_file), *overrides)
    return subprocess.Popen(command, env=environment, start_new_session=True)


def deepspeed_command(ranks: int, module: str, *words: str) -> tuple[list[str], dict[str, str]]:
    """The launcher's command line for so many ranks of a module on this machine, and the environment it needs."""
    name_accelerator()
    environment = dict(os.environ)
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(CHECKOUT), environment.get("PYTHONPATH", "")]))
    options = ("--num_gpus", str(ranks), "--master_port", str(free_port()), "--log_level", "error")
    return [sys.executable, "-m", "deepspeed.launcher.runner", *options, "--module", module, *words], environment


def local_ranks(config: RunConfig) -> int:
    """Ranks on this machine: as configured, or one a GPU, or one."""
    return config.training.local_ranks or max(1, torch.cuda.device_count())
