"""Saves of two ranks' files, over and over, in a process that is killed with SIGKILL; counts what was lost.

    python tests/launched/kill_saves.py CONFIG KILLS SEED OUT

First at every single operation on the file system that one save does, then KILLS times at random moments. After each
kill the newest checkpoint must be whole, hold what its step wrote, and be no older than the last one whose save had
ended; the next round goes on from it, as a run does.
"""

import json
import os
import random
import signal
import sys
import time
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from train.checkpoints import fragments, retention
from train.checkpoints.folders import damaged_files, discard_partial, find_latest, partial_folder, publish
from train.config import RunConfig
from train.config_file import load_config

RANKS, ELEMENTS = 2, 50_000
SHAPE = (RANKS, ELEMENTS)


def save(config: RunConfig, step: int) -> None:
    folder = partial_folder(config.checkpoints, step)
    for rank in range(RANKS):
        part = fragments.Fragment("weight", SHAPE, rank * ELEMENTS, (rank + 1) * ELEMENTS)
        fragments.write_rank(folder, rank, [part], [np.full(ELEMENTS, step, np.float32)] * 3, step)
    files, _ = fragments.merge_records(folder, RANKS)
    digests = dict.fromkeys(("tokenizer_digest", "shards_digest", "data_digest"), "")
    publish(config, step, files, samples=step, optimizer_step=step, **digests)
    retention.prune(config)
    with (config.run_folder / "ended").open("a") as ended:
        ended.write(f"{step}\n")


def die_at(number: int) -> None:
    """Kill this process at its `number`-th operation on the file system from now on."""
    seen = count(1)

    def look(event: str, _: tuple[Any, ...]) -> None:
        if (event == "open" or event.startswith(("os.", "shutil."))) and next(seen) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(look)


def in_child(work: Any, seconds: float | None) -> bool:
    """Do `work` in a child process, killed after `seconds`; returns whether it was killed."""
    child = os.fork()
    if not child:
        work()
        os._exit(0)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, status
    return os.WIFSIGNALED(status)


def check(config: RunConfig) -> tuple[int, str]:
    """The newest checkpoint's step, and what is wrong with what the kill has left behind."""
    ended = [0, *map(int, (config.run_folder / "ended").read_text().splitlines())]
    discard_partial(config.checkpoints)
    found = find_latest(config.checkpoints)
    if found is None:
        return 0, f"nothing is left of step {ended[-1]}" if ended[-1] else ""
    whole = fragments.Fragment("weight", SHAPE, 0, RANKS * ELEMENTS)
    values = fragments.Reader(found.folder).read("exp_avg", whole)
    wrong = [
        f"step {found.step} is older than {ended[-1]}, which had been saved" if found.step < ended[-1] else "",
        f"damaged: {damaged_files(found)}" if damaged_files(found) else "",
        "" if (values == found.step).all() else f"step {found.step} holds the values of step {values[0]}",
    ]
    return found.step, "; ".join(filter(None, wrong))


def forever(config: RunConfig, first: int) -> None:
    for step in count(first):
        save(config, step)


def main(config_file: str, kills: int, seed: int, out: Path) -> None:
    config = load_config(config_file)
    config.checkpoints.mkdir(parents=True)
    (config.run_folder / "ended").touch()
    step, wrong, operations = 0, [], 0
    for _ in range(config.training.keep_checkpoints):
        step += 1
        save(config, step)
    begin = time.perf_counter()
    save(config, step + 1)
    seconds = time.perf_counter() - begin
    for operation in count(1):
        step, _ = check(config)
        killed = in_child(lambda: (die_at(operation), save(config, step + 1)), None)  # noqa: B023
        wrong.append(check(config)[1])
        if not killed:
            operations = operation - 1
            break
    chance = random.Random(seed)
    for _ in range(kills):
        step, _ = check(config)
        assert in_child(lambda: forever(config, step + 1), chance.uniform(0, 1.5 * seconds))  # noqa: B023
        wrong.append(check(config)[1])
    step, _ = check(config)
    save(config, step + 1)
    left = sorted(path.name for path in config.checkpoints.iterdir())
    wrong = [fault for fault in wrong if fault]
    out.write_text(json.dumps({"operations": operations, "kills": kills, "wrong": wrong, "step": step, "left": left}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
