"""Starts the ranks of a run on this machine with DeepSpeed's launcher, and passes a request to stop on to them."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

import torch

from data.progress import say
from train.checkpoints.folders import describe_finished
from train.checkpoints.lock import check_unlocked
from train.config import CHECKOUT, RunConfig
from train.process import free_port, name_accelerator
from train.records.journal import read_journal
from train.stop import REQUEST, catchable_signals


def launch(config: RunConfig, config_file: Path, overrides: Sequence[str]) -> int:
    """Run `deepspeed --module train CONFIG` with the configured number of ranks.

    The ranks are in a session of their own: Ctrl-C, SIGTERM, SIGUSR1 and SIGHUP reach this process only, which asks the
    ranks to stop by a file that only they know, so that they agree on a step and save it, and no other ranks that may
    train in the folder do. The same one again kills them, but for SIGHUP: of a terminal that closes, kernel and shell
    send one each.

    Returns:
        0 when the run is done or was stopped on request, which the journal says: the launcher itself returns 0 when its
        child was killed by a signal, and leaves the ranks behind.

    Raises:
        CheckpointError: another process trains there.
    """
    check_unlocked(config.run_folder)
    earlier = read_journal(config.run_folder)
    request = (config.run_folder / f".stop-{socket.gethostname()}-{os.getpid()}").absolute()
    request.unlink(missing_ok=True)
    asked: set[int] = set()
    ranks: subprocess.Popen[bytes] | None = None

    def pass_on(number: int, frame: FrameType | None) -> None:
        if ranks is not None and number in asked and number != signal.SIGHUP:
            with suppress(ProcessLookupError):
                os.killpg(ranks.pid, signal.SIGKILL)
        asked.add(number)
        try:
            request.write_text(signal.Signals(number).name, "utf-8")
        except OSError as error:
            say(f"training: the ranks cannot be asked to stop ({error}); the same signal again kills them")

    # Before the ranks: a request that comes while they are started is theirs.
    previous = {number: signal.signal(number, pass_on) for number in catchable_signals()}
    try:
        ranks = start_ranks(config, config_file, overrides, **{REQUEST: str(request)})
        code = ranks.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        request.unlink(missing_ok=True)  # met, or the ranks are dead
    events = read_journal(config.run_folder)[len(earlier) :]
    ended_well = describe_finished(config) or (events and events[-1]["event"] == "stop")
    if code == 0 and not ended_well:
        say("training: the launcher was killed; the same command goes on from the newest checkpoint")
        with suppress(ProcessLookupError):
            os.killpg(ranks.pid, signal.SIGKILL)
        return 1
    if code > 128:  # what is left of a negative code, which DeepSpeed's launcher takes for its own
        killer = signal.Signals(256 - code).name if 256 - code in set(signal.Signals) else f"signal {256 - code}"
        say(f"training: a rank was ended by {killer}; the same command goes on from the newest checkpoint")
    return code


def start_ranks(
    config: RunConfig, config_file: Path, overrides: Sequence[str], **variables: str
) -> "subprocess.Popen[bytes]":
    """The launcher's process, in a session of its own, with further environment variables."""
    command, environment = deepspeed_command(local_ranks(config), "train", str(config_file), *overrides)
    return subprocess.Popen(command, env=environment | variables, start_new_session=True)


def deepspeed_command(ranks: int, module: str, *words: str) -> tuple[list[str], dict[str, str]]:
    """The launcher's command line for so many ranks of a module on this machine, and the environment it needs."""
    name_accelerator()
    environment = dict(os.environ)
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(CHECKOUT), environment.get("PYTHONPATH", "")]))
    # A rank says itself why it ends, and `launch` what ended it.
    options = ("--num_gpus", str(ranks), "--master_port", str(free_port()), "--log_level", "critical")
    return [sys.executable, "-m", "deepspeed.launcher.runner", *options, "--module", module, *words], environment


def local_ranks(config: RunConfig) -> int:
    """Ranks on this machine: as configured, or one a GPU, or one."""
    return config.training.local_ranks or max(1, torch.cuda.device_count())
