"""Runs with the real launcher and engine, as tests start, watch, disturb and compare them."""

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

from tests.launched.forks import fork
from train.checkpoints.trained import load_trained
from train.config import CHECKOUT, RunConfig
from train.config_file import load_config
from train.process import free_port
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
    deepspeed = str(Path(sys.executable).with_name("deepspeed"))
    return start_process(deepspeed, "--num_accelerators", "2", "--master_port", str(free_port()), *program, **variables)


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
    config = load_config(file)

    def starts() -> int:
        return sum(event["event"] in ("start", "resume") for event in read_journal(config.run_folder))

    before, process = starts(), start(file, *overrides)
    wait_for(lambda: starts() > before and step in metrics(config), process)
    return process


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
    forked = fork("-m", name, *map(str, words), lines=lines, folder=CHECKOUT, variables=environment() | variables)
    return forked.finish(280)


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
    variables = [environment() | more | of_rank for of_rank in _group(ranks)]
    forked = [fork(*words, lines="", folder=CHECKOUT, variables=of_rank) for of_rank in variables]
    ended = [process.finish(500) for process in forked]
    outputs = "\n".join([process.stdout + process.stderr for process in ended])
    assert all(process.returncode == code for process in ended), outputs
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
    deadline = time.monotonic() + 200
    while not condition():
        assert process.poll() is None, finish(process, code=None)
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
