"""Starts the ranks of a run on this machine with DeepSpeed's launcher, and passes a request to stop on to them."""

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import psutil

from data.progress import say
from train.checkpoints.folders import describe_finished
from train.checkpoints.lock import check_unlocked
from train.config import CHECKOUT, RunConfig
from train.engine.machine import free_port, gpus, name_accelerator
from train.records.journal import read_journal
from train.stop import REQUEST, catchable_signals

SECONDS_TO_DIE = 10.0
"""That a killed process may take before nobody waits for it any more: its file system hangs."""


def launch(config: RunConfig, config_file: Path, overrides: Sequence[str]) -> int:
    """Run `deepspeed --module train CONFIG` with the configured number of ranks.

    The ranks are in a session of their own: Ctrl-C, SIGTERM, SIGUSR1 and SIGHUP reach this process only, which asks the
    ranks to stop by a file that only they know, so that they agree on a step and save it, and no other ranks that may
    train in the folder do. The same one again kills them, but for SIGHUP: of a terminal that closes, kernel and shell
    send one each.

    Returns:
        0 when the run is done or was stopped on request, which the journal says: a launcher that is killed leaves the
        ranks behind.

    Raises:
        CheckpointError: another process trains there.
    """
    check_unlocked(config.run_folder)
    earlier = read_journal(config.run_folder)
    request = (config.run_folder / f".stop-{socket.gethostname()}-{os.getpid()}").absolute()
    request.unlink(missing_ok=True)
    command, environment = training_command(config, config_file, overrides)
    asked: set[int] = set()
    ranks: subprocess.Popen[str] | None = None

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
        with started(command, environment | {REQUEST: str(request)}) as ranks:
            code = ranks.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        request.unlink(missing_ok=True)  # met, or the ranks are dead
    events = read_journal(config.run_folder)[len(earlier) :]
    ended_well = describe_finished(config) or (events and events[-1]["event"] == "stop")
    if code <= 0 and not ended_well:
        say("training: the launcher was killed; the same command goes on from the newest checkpoint")
        _end_session(ranks.pid)
        return 1
    if code > 128:  # what is left of a negative code, which DeepSpeed's launcher takes for its own
        killer = signal.Signals(256 - code).name if 256 - code in set(signal.Signals) else f"signal {256 - code}"
        say(f"training: a rank was ended by {killer}; the same command goes on from the newest checkpoint")
    return code


@contextmanager
def started(
    command: Sequence[str], environment: Mapping[str, str], output: int | None = None
) -> Iterator["subprocess.Popen[str]"]:
    """A launcher in a session of its own; an error that leaves the block, a signal's too, ends it and all of its ranks.

    Args:
        output: where its output and errors go, as for subprocess.Popen; None: where this process's go.
    """
    options: dict[str, Any] = {"stdout": output, "stderr": output, "text": True, "start_new_session": True}
    launcher = subprocess.Popen(command, env=environment, **options)
    try:
        yield launcher
    except BaseException:
        _end_session(launcher.pid)
        launcher.wait()
        raise


def _end_session(session: int) -> None:
    """Kill all processes of a session that are left, and wait until they have let go of their files."""
    left = []
    for process in psutil.process_iter():
        with suppress(OSError):
            if os.getsid(process.pid) == session:
                os.kill(process.pid, signal.SIGKILL)
                left.append(process)
    deadline = time.monotonic() + SECONDS_TO_DIE
    for process in left:
        with suppress(psutil.NoSuchProcess):
            while process.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
                time.sleep(0.005)


def training_command(
    config: RunConfig, config_file: Path, overrides: Sequence[str]
) -> tuple[list[str], dict[str, str]]:
    """The launcher's command line for the ranks of a run on this machine, and the environment it needs."""
    return deepspeed_command(local_ranks(config), "train", str(config_file), *overrides)


def deepspeed_command(ranks: int, module: str, *words: str) -> tuple[list[str], dict[str, str]]:
    """The launcher's command line for so many ranks of a module on this machine, and the environment it needs."""
    name_accelerator()
    environment = dict(os.environ)
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(CHECKOUT), environment.get("PYTHONPATH", "")]))
    # What `deepspeed --num_gpus RANKS` runs on a single machine, without the seconds that it loads torch for itself.
    machine = base64.urlsafe_b64encode(json.dumps({"localhost": _devices(ranks)}).encode()).decode()
    address = (f"--world_info={machine}", "--master_addr=127.0.0.1", f"--master_port={free_port()}")
    # A rank says itself why it ends, and `launch` what ended it.
    options = (*address, "--log_level=critical", "--module")
    return [sys.executable, "-u", "-m", "deepspeed.launcher.launch", *options, module, *words], environment


def _devices(ranks: int) -> list[str]:
    """The device of each rank: the first that CUDA_VISIBLE_DEVICES names, which the launcher sets anew, or that are."""
    named = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return named[:ranks] if len(named) >= ranks else [str(number) for number in range(ranks)]


def local_ranks(config: RunConfig) -> int:
    """Ranks on this machine: as configured, or one a GPU, or one."""
    return config.training.local_ranks or max(1, gpus())
