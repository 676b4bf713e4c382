"""Runs with the real launcher and engine, as tests start, watch, disturb and compare them."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch

from train.checkpoints.trained import load_trained
from train.config import CHECKOUT, RunConfig
from train.config_file import load_config
from train.process import free_port
from train.records.journal import read_journal

DEEPSPEED = Path(sys.executable).with_name("deepspeed")


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE", "LOCAL_RANK")}
    return kept | {"PYTHONPATH": str(CHECKOUT), "DS_ACCELERATOR": "cpu", "OMP_NUM_THREADS": "1"}


def start(config_file: Path, *overrides: str, ranks: int = 2, **variables: str) -> subprocess.Popen[str]:
    """`deepspeed --module train CONFIG` with additional environment variables."""
    return _launch(["--module", "train", str(config_file), *overrides], ranks, variables)


def start_faulty(config_file: Path, fault: str, *overrides: str) -> subprocess.Popen[str]:
    """The same with a fault as in tests/launched/faulty_rank.py, on two ranks."""
    script = CHECKOUT / "tests" / "launched" / "faulty_rank.py"
    return _launch([str(script), str(config_file), *overrides], 2, {"FAULT": fault})


def _launch(program: Sequence[str], ranks: int, variables: Mapping[str, str]) -> subprocess.Popen[str]:
    command = [str(DEEPSPEED), "--num_accelerators", str(ranks), "--master_port", str(free_port())]
    return subprocess.Popen(
        [*command, *program],
        env={**environment(), **variables},
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


def finish(process: subprocess.Popen[str]) -> str:
    """What the process said; it is killed when it does not end."""
    try:
        return process.communicate(timeout=280)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        raise


def run_ranks(script: Path, world_size: int, arguments: Sequence[str]) -> None:
    """Run `script` as `world_size` ranks of one process group."""
    _run_ranks([str(script), *arguments], world_size)


def run_to_the_end(config_file: Path) -> str:
    """What is left of a run, on two ranks as `srun python -m train` starts them, with no launcher; what they said."""
    return _run_ranks(["-m", "train", str(config_file)], 2)


def _run_ranks(program: Sequence[str], world_size: int) -> str:
    port = str(free_port())
    ranks = [
        subprocess.Popen(
            [sys.executable, *program],
            env=environment()
            | {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world_size)}
            | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "LOCAL_WORLD_SIZE": str(world_size)},
            cwd=CHECKOUT,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for rank in range(world_size)
    ]
    outputs = "\n".join([finish(rank) for rank in ranks])
    assert all(rank.returncode == 0 for rank in ranks), outputs
    return outputs


def metrics(config: RunConfig) -> dict[int, dict[str, float]]:
    lines = [json.loads(line) for line in (config.run_folder / "metrics.jsonl").read_text().splitlines()]
    return {line["step"]: line for line in lines if "loss" in line}


def losses(config: RunConfig) -> list[float]:
    by_step = metrics(config)
    return [by_step[step]["loss"] for step in sorted(by_step)]


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
        assert process.poll() is None, finish(process)
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
