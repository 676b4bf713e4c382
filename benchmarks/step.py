"""A training step (forward, loss, backward, clipping, AdamW) of ours beside other implementations of equal shape.

    python benchmarks/step.py [--compile] [--threads N] [--width W --layers L ...] [--json]

Every contender is a process of its own; all of a family are alive together and take one step in turn. With one thread
tokens are counted per CPU-second, which holds on a busy machine, otherwise per second of wall clock. The share is what
the model's floating-point operations reach of the rate of a plain matrix product, measured in the same process just
before each step; on a GPU, of the data sheet's bf16 rate (MFU). Ours is the model with a plain optimizer, as the others
are, not the DeepSpeed engine around it; `--compile` compiles whole models.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks.harness import PEERS_PYTHON, ROOT, Row, compare, parser, show
from benchmarks.step_contenders import Shape, model_config
from model.sizes import flop_per_token
from train.process import peak_flops

FAMILIES = {
    "bloom": ("domainlm bloom", "transformers BLOOM"),
    "gpt": ("domainlm gpt", "plain GPT", "transformers GPT-NeoX", "litgpt Pythia"),
    "llama": ("domainlm llama", "transformers Llama", "litgpt Llama"),
}


class Worker:
    """A contender's process."""

    def __init__(self, name: str, shape: Shape, compiled: bool) -> None:
        python = sys.executable if name.startswith("domainlm") else PEERS_PYTHON
        command = [python, "-W", "ignore", "benchmarks/step_contenders.py", name, json.dumps(asdict(shape))]
        command += ["--compile"] if compiled else []
        self.name = name
        self.process = subprocess.Popen(
            [str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        self.description = self.read()

    def read(self) -> dict[str, Any]:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended: exit status {self.process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def step(self) -> dict[str, float]:
        assert self.process.stdin
        self.process.stdin.write("step\n")
        self.process.stdin.flush()
        return self.read()

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


def measure(names: Sequence[str], shape: Shape, repeats: int, compiled: bool) -> dict[str, list[dict[str, float]]]:
    """`repeats` steps of every contender, one each in turn."""
    workers: list[Worker] = []
    try:
        workers.extend(Worker(name, shape, compiled) for name in names)
        rounds = [[worker.step() for worker in workers] for _ in range(repeats)]
    finally:
        for worker in workers:
            worker.close()
    return {name: list(steps) for name, steps in zip(names, zip(*rounds, strict=True), strict=True)}


def rows_of(names: Sequence[str], shape: Shape, repeats: int, compiled: bool, family: str) -> list[Row]:
    """The figures of one family, ours first in each."""
    flop = flop_per_token(model_config(shape, family))
    on_gpu = torch.cuda.is_available()
    clock = "cpu" if shape.threads == 1 and not on_gpu else "wall"
    unit = "tokens per CPU-s" if clock == "cpu" else "tokens per s"
    rates, shares, peaks, faults = [], [], [], []
    for name, steps in measure(names, shape, repeats, compiled).items():
        speeds = [shape.tokens / step[f"{clock}_seconds"] for step in steps]
        tops = [peak_flops(torch.device("cuda", 0)) if on_gpu else step[f"matmul_{clock}"] for step in steps]
        label = f"{name}, compiled" if compiled else name
        rates.append(Row(label, tuple(speeds), unit))
        shares.append(
            Row(
                f"{label}: {'MFU' if on_gpu else 'share of matmul rate'}",
                tuple(flop * speed / top for speed, top in zip(speeds, tops, strict=True)),
                "share",
            )
        )
        peaks.append(Row(f"{label}: peak memory", tuple(step["peak_bytes"] / 1e6 for step in steps), "MB"))
        faults.append(Row(f"{label}: page faults", tuple(step["faults"] for step in steps), "a step"))
    return [row for kind in (rates, shares, peaks, faults) for row in compare(kind)]


def main() -> None:
    options = parser(__doc__ or "")
    options.add_argument("--family", choices=FAMILIES, nargs="+", default=list(FAMILIES))
    options.add_argument("--compile", action="store_true", help="every contender through torch.compile")
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--only", nargs="+", default=[], help="contenders whose names contain one of these words")
    for name, default in {"layers": 6, "width": 384, "heads": 6, "time": 256, "vocabulary": 8192, "batch": 16}.items():
        options.add_argument(f"--{name}", type=int, default=default)
    given = options.parse_args()
    shape = Shape(
        given.layers,
        given.width,
        given.heads,
        given.time,
        given.vocabulary,
        given.batch,
        -(-given.width // 3) * 8,
        given.threads,
    )
    rows = []
    for family in given.family:
        names = [name for name in FAMILIES[family] if not given.only or any(word in name for word in given.only)]
        found = rows_of(names, shape, given.repeats, given.compile, family)
        rows += found
        if not given.json:
            show(f"{family}: {shape}", found, as_json=False)
    if given.json:
        show(f"training step: {shape}", rows, as_json=True)


if __name__ == "__main__":
    main()
