"""Trains one rank that is killed at random again and again, and writes what was left after each kill to a JSON file.

    python tests/launched/kill_training.py CONFIG KILLS OUT

Every attempt is a fork of this process, which has loaded torch and DeepSpeed once. It lives up to twice as long as the
first one took for its first step, so that kills fall into the start, into steps and into saves.
"""

import json
import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path

from train.config import RunConfig
from train.engine.machine import name_accelerator

name_accelerator()
from train.checkpoints.folders import find_latest  # noqa: E402
from train.config_file import load_config  # noqa: E402
from train.loop import train  # noqa: E402
from train.records.journal import read_journal  # noqa: E402
from train.records.metrics import read_metrics  # noqa: E402
from train.stop import StopRequest  # noqa: E402


def start(config: RunConfig) -> int:
    """Begin to train, or go on, in a process of its own; returns its number."""
    child = os.fork()
    if child:
        return child
    try:
        train(config, StopRequest(config.run_folder / "STOP"))
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def steps_done(config: RunConfig) -> int:
    """The last step of metrics.jsonl, whose last line a kill may have cut short."""
    return max((line["step"] for line in read_metrics(config.metrics)), default=0)


def what_is_left(config: RunConfig) -> dict[str, int]:
    """The newest whole checkpoint, the newest that the journal calls saved, and the steps done."""
    found = find_latest(config.checkpoints)
    saves = [event["step"] for event in read_journal(config.run_folder) if event["event"] == "save"]
    return {"checkpoint": found.step if found else 0, "saved": max(saves, default=0), "steps": steps_done(config)}


def train_to(config: RunConfig, step: int) -> int:
    """Train undisturbed until `step` is done, then stop as a user would; returns the exit code."""
    child = start(config)
    while steps_done(config) < step:
        time.sleep(0.2)
    os.kill(child, signal.SIGTERM)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> None:
    config, kills = load_config(sys.argv[1]), int(sys.argv[2])
    undisturbed = load_config(sys.argv[1], [f"folder={config.run_folder}-undisturbed"])
    begin = time.monotonic()
    codes = [train_to(undisturbed, 1)]
    longest, chance, left = 2 * (time.monotonic() - begin), random.Random(1), []
    for _ in range(kills):
        child = start(config)
        time.sleep(chance.uniform(0, longest))
        os.kill(child, signal.SIGKILL)
        codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        left.append(what_is_left(config))
    end = left[-1]["steps"] + 2
    codes += [train_to(config, end), train_to(undisturbed, end)]
    Path(sys.argv[3]).write_text(json.dumps({"left": left, "codes": codes, "end": end}))


if __name__ == "__main__":
    main()
