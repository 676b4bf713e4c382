"""Rows that ranks share beside whole ones: tokens per second, and the memory of a rank at a long row.

    python benchmarks/sequence_ranks.py [--repeats N] [--ranks N] [--time T] [--json]

Speed: on four gloo ranks two engines of the same small model take steps of the same rows by turns, one with
`sequence_ranks` 2 and one without; both take as many tokens through the model at a time. Memory: the highest resident
memory of a rank, libraries and all, in one step of a row of 8,192 tokens, shared by four ranks or on one alone.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks.harness import ROOT, Row, compare, parser, show
from train.engine.machine import free_port

SHAPE = {
    "layers": 6,
    "width": 384,
    "heads": 8,
    "feed_forward_width": 1024,
    "vocabulary_size": 8192,
    "positions": "rope",
    "norm": "rmsnorm",
    "activation": "swiglu",
    "embedding_norm": False,
    "bias": False,
}
LONG = 8192
WARM = 1
"""Turns that do not count."""


def run(ranks: int, time: int, turns: int, rows: int, *groups: int) -> dict[str, Any]:
    """What rank 0 of the contenders' processes says."""
    group = {"WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    group |= {"LOCAL_WORLD_SIZE": str(ranks), "OMP_NUM_THREADS": "1", "DS_ACCELERATOR": "cpu", "PYTHONPATH": str(ROOT)}
    words = [json.dumps(SHAPE | {"sequence_length": time}), str(turns), str(rows), *map(str, groups)]
    processes = [
        subprocess.Popen(
            [sys.executable, "benchmarks/sequence_ranks_contenders.py", *words],
            env={**os.environ, **group, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for rank in range(ranks)
    ]
    outputs = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        raise RuntimeError(f"exit statuses {[process.returncode for process in processes]}")
    said: dict[str, Any] = json.loads(outputs[0].splitlines()[-1])
    return said


def speeds(ranks: int, time: int, repeats: int) -> list[Row]:
    steps, tokens, rows = run(ranks, time, repeats + WARM, ranks, 1, 2)["steps"], ranks * time, []
    for clock, unit in (("wall", "tokens per s"), ("cpu", "tokens per CPU-s")):
        rows += compare(
            [
                Row(f"{name}: {unit}", tuple(tokens / spent for spent in steps[group][clock][WARM:]), unit)
                for group, name in (("2", "sequence_ranks 2"), ("1", "whole rows"))
            ]
        )
    return rows


def memory(repeats: int) -> list[Row]:
    peaks = {
        f"{LONG:,} tokens, {name}": tuple(run(ranks, LONG, 1, 1, group)["peak_bytes"] / 1e6 for _ in range(repeats))
        for name, ranks, group in (("4 ranks a row", 4, 4), ("2 ranks a row", 2, 2), ("a rank alone", 1, 1))
    }
    return compare([Row(f"{name}: peak memory of a rank", values, "MB") for name, values in peaks.items()])


def main() -> None:
    options = parser(__doc__ or "")
    options.add_argument("--ranks", type=int, default=4)
    options.add_argument("--time", type=int, default=1024, help="tokens of a row where speed is measured")
    options.add_argument("--memory-repeats", type=int, default=1)
    given = options.parse_args()
    rows = speeds(given.ranks, given.time, given.repeats)
    if not given.json:
        show("Speed of shared rows beside whole ones", rows, as_json=False)
    rows += memory(given.memory_repeats)
    show("Shared rows beside whole ones", rows, given.json)


if __name__ == "__main__":
    main()
