"""Runs with the real launcher and engine, as tests start, watch, disturb and compare them."""

import base64
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from tests.launched.forks import Forked, fork
from train.checkpoints.trained import load_trained
from train.config import CHECKOUT, RunConfig
from train.config_file import load_config
from train.engine.machine import free_port
from train.records.journal import read_journal

SCRIPTS = Path(__file__).parent


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE", "LOCAL_RANK")}
    return kept | {"PYTHONPATH": str(CHECKOUT), "DS_ACCELERATOR": "cpu", "OMP_NUM_THREADS": "1"}


def start(config_file: Path, *overrides: str, **variables: str) -> subprocess.Popen[str]:
    """`deepspeed --module train CONFIG` on two ranks, with additional environment variables."""
    return _launch("--module", "train", str(config_file), *overrides, **variables)


def start_faulty(config_file: Path, fault: str, *overrides: str) -> subprocess.Popen[str]:
    """The same with a fault as in tests/launched/faulty_rank.py."""
    return _launch(str(SCRIPTS / "faulty_rank.py"), str(config_file), *overrides, FAULT=fault)


def _launch(*program: str, **variables: str) -> subprocess.Popen[str]:
    """What `deepspeed --num_accelerators 2` itself starts, once it has loaded torch for seconds."""
    machine = base64.urlsafe_b64encode(json.dumps({"localhost": [0, 1]}).encode()).decode()
    address = (f"--world_info={machine}", f"--master_port={free_port()}")
    return start_process(sys.executable, "-u", "-m", "deepspeed.launcher.launch", *address, *program, **variables)


def start_process(*command: str, **variables: str) -> subprocess.Popen[str]:
    """A process with additional environment variables; what it writes, errors too, is for `finish`."""
    return subprocess.Popen(
        command,
        env=environment() | variables,
        cwd=CHECKOUT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def start_and_wait(file: Path, step: int, *overrides: str) -> subprocess.Popen[str]:
    """Start the run, or go on with it, and return when this process has done `step`."""
    done = _does(load_config(file), step)
    process = start(file, *overrides)
    wait_for(done, process)
    return process


def start_ranks_and_wait(file: Path, step: int, *overrides: str) -> list[Forked]:
    """The same for its two ranks, without a launcher."""
    done = _does(load_config(file), step)
    ranks = start_ranks("-m", "train", str(file), *overrides, ranks=2)
    wait_for_forked(done, ranks)
    return ranks


def _does(config: RunConfig, step: int) -> Callable[[], bool]:
    """Says whether whoever is started next has done this step."""

    def starts() -> int:
        return sum(event["event"] in ("start", "resume") for event in read_journal(config.run_folder))

    before = starts()
    return lambda: starts() > before and step in metrics(config)


def finish(process: subprocess.Popen[str], code: int | None = 0) -> str:
    """What the process said, which ends with `code` (None: any); it is killed when it does not end."""
    try:
        output = process.communicate(timeout=500)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    assert code is None or process.returncode == code, output
    return output


def run_python(
    *words: str | Path, timeout: float | None = 280, lines: str = "", **variables: str
) -> subprocess.CompletedProcess[str]:
    """`python WORDS` to its end with these lines of input, and with additional environment variables."""
    return subprocess.run(
        [sys.executable, *map(str, words)],
        env=environment() | variables,
        cwd=CHECKOUT,
        text=True,
        input=lines,
        capture_output=True,
        timeout=timeout,
    )


def run_module(name: str, *words: str | Path, lines: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """`python -m NAME WORDS` likewise, in a process that need not load torch and DeepSpeed first."""
    return start_module(name, *words, lines=lines, **variables).finish(280)


def start_module(name: str, *words: str | Path, lines: str = "", **variables: str) -> Forked:
    """The same, while it runs."""
    return fork("-m", name, *map(str, words), lines=lines, folder=CHECKOUT, variables=environment() | variables)


def run_program(program: str, *words: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """`python -c PROGRAM WORDS` likewise."""
    return fork("-c", program, *map(str, words), lines="", folder=CHECKOUT, variables=environment() | variables).finish(
        120
    )


def run_train(*words: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """`python -m train WORDS`: a run of one rank."""
    return run_module("train", *words, **variables)


def run_domainlm(*words: str | Path, lines: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """`domainlm WORDS`."""
    return run_module("domainlm", *words, lines=lines, **variables)


def run_script(name: str, *arguments: str | Path, ranks: int) -> None:
    """Run tests/launched/NAME.py as the ranks of one process group."""
    run_ranks(str(SCRIPTS / f"{name}.py"), *map(str, arguments), ranks=ranks)


def run_fresh_script(name: str, *arguments: str | Path, ranks: int) -> None:
    """The same in processes that nothing was loaded in."""
    words = [sys.executable, str(SCRIPTS / f"{name}.py"), *map(str, arguments)]
    processes = [start_process(*words, **of_rank) for of_rank in _group(ranks)]
    outputs = "\n".join([finish(process, code=None) for process in processes])
    assert all(process.returncode == 0 for process in processes), outputs


def run_to_the_end(config_file: Path, *overrides: str, code: int = 0, **variables: str) -> str:
    """What is left of a run, on two ranks as `srun python -m train` starts them, with no launcher; what they said."""
    return run_ranks("-m", "train", str(config_file), *overrides, ranks=2, code=code, **variables)


def run_ranks(*words: str, ranks: int, code: int = 0, **more: str) -> str:
    """`python WORDS` as the ranks of one process group, which all end with `code`; what they said."""
    return finish_forked(start_ranks(*words, ranks=ranks, **more), code)


def start_ranks(*words: str, ranks: int, **more: str) -> list[Forked]:
    """The same, while they run."""
    variables = [environment() | more | of_rank for of_rank in _group(ranks)]
    return [fork(*words, lines="", folder=CHECKOUT, variables=of_rank) for of_rank in variables]


def finish_forked(processes: list[Forked], code: int | None = 0) -> str:
    """What they said, once all have ended with `code` (None: any)."""
    ended = [process.finish(500) for process in processes]
    outputs = "\n".join([process.stdout + process.stderr for process in ended])
    assert code is None or all(process.returncode == code for process in ended), outputs
    return outputs


def _group(ranks: int) -> list[dict[str, str]]:
    """Environment variables of each of these ranks."""
    group = {"WORLD_SIZE": str(ranks), "LOCAL_WORLD_SIZE": str(ranks)}
    group |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    return [group | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(ranks)]


def lines(config: RunConfig, kind: str) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl that have `kind`: loss, evaluation or save."""
    return [line for line in map(json.loads, config.metrics.read_text().splitlines()) if kind in line]


def metrics(config: RunConfig) -> dict[int, dict[str, float]]:
    """The steps' lines."""
    return {line["step"]: line for line in lines(config, "loss")}


def losses(config: RunConfig) -> list[float]:
    return [line["loss"] for _, line in sorted(metrics(config).items())]


def weights(config: RunConfig) -> dict[str, torch.Tensor]:
    return load_trained(config).model.state_dict()


def assert_same_run(config: RunConfig, reference: RunConfig) -> None:
    """Losses and weights equal to the bit."""
    assert metrics(config).keys() == metrics(reference).keys()
    assert losses(config) == losses(reference)
    ours, theirs = weights(config), weights(reference)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str], pause: float = 0.02) -> None:
    _wait(condition, lambda: process.poll() is None, lambda: finish(process, code=None), pause)


def wait_for_forked(condition: Callable[[], bool], processes: list[Forked], pause: float = 0.02) -> None:
    def runs() -> bool:
        return any(process.poll() is None for process in processes)

    _wait(condition, runs, lambda: finish_forked(processes, None), pause)


def _wait(condition: Callable[[], bool], runs: Callable[[], bool], said: Callable[[], str], pause: float) -> None:
    deadline = time.monotonic() + 200
    while not condition():
        assert runs(), said()
        assert time.monotonic() < deadline, "nothing happened for 200 s"
        time.sleep(pause)


def signal_one_rank(config_file: Path, number: signal.Signals) -> None:
    """Send a signal to one rank of the run, found by its command line as an operator would."""
    os.kill(random.choice(rank_processes(config_file)), number)


def rank_processes(config_file: Path) -> list[int]:
    """Process ids of the ranks of a run that DeepSpeed's launcher started, in order of rank."""
    ranks: dict[str, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue
        local_rank = [word for word in words if word.startswith("--local_rank=")]
        if str(config_file) in words and local_rank:
            ranks[local_rank[0]] = int(folder.name)
    return [ranks[name] for name in sorted(ranks)]


def catches(process: int, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal, from the mask that the kernel shows."""
    status = Path(f"/proc/{process}/status").read_text()
    mask = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(mask, 16) >> (number - 1) & 1)
