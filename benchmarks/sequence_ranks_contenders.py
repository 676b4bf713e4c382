"""One rank of a training step's benchmark: steps of random rows, by turns whole and shared, and what they took.

    RANK=0 WORLD_SIZE=4 ... python benchmarks/sequence_ranks_contenders.py SHAPE TURNS ROWS GROUP [GROUP ...]

SHAPE is JSON: settings of the model. Each GROUP is a number of ranks that share a row; every step has ROWS
rows, which a rank, or a group, takes through the model at once. Rank 0 prints a line of JSON: by
group the wall-clock seconds of each step and the CPU seconds of all ranks, and the highest resident memory of a rank.
"""

import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from train.config import RunConfig
from train.config_file import load_config
from train.engine import engine
from train.engine.row_parts import own_part
from train.process import find_rank, use_machine
from train.schedule import accumulation

ZERO_1 = "training.deepspeed={zero_optimization: {stage: 1}}"


def settings(shape: dict[str, Any], ranks: int, rows: int, group: int) -> RunConfig:
    changes = [f"model.{key}={value}" for key, value in shape.items()]
    changes += [f"tokenizer.vocabulary_size={shape['vocabulary_size']}", ZERO_1, "training.precision=fp32"]
    changes += [f"training.batch_size={rows}", f"training.micro_batch={rows * group // ranks}"]
    changes.append(f"training.sequence_ranks={group}")
    return load_config("configs/demo.yaml", changes)


class Contender:
    """An engine, and what its steps took."""

    def __init__(self, config: RunConfig, device: torch.device, ranks: int) -> None:
        self.config, self.ranks, self.device = config, ranks, device
        self.part = own_part(config.training)
        self.engine = engine.build_engine(config, device, ranks)
        self.wall: list[float] = []
        self.cpu: list[float] = []

    def step(self, number: int) -> None:
        training, model = self.config.training, self.config.model
        length = model.sequence_length
        own = self.part.positions(length) if self.part else slice(None)
        chance = torch.Generator().manual_seed(number)
        dist.barrier()
        begin, used = time.perf_counter(), time.process_time()
        engine.set_step(self.engine, training, number, 1e-4)
        for _ in range(accumulation(training, number, self.ranks)):
            rows = torch.randint(
                self.config.model.vocabulary_size, (training.micro_batch, length + 1), generator=chance
            )
            loss = self.engine(rows[:, :-1][:, own], rows[:, 1:][:, own], part=self.part)
            engine.backward(self.engine, loss)
        squares = engine.gradient_squares(self.engine)
        dist.all_reduce(squares)
        engine.apply_step(self.engine, float(squares.sum().sqrt()))
        dist.barrier()
        spent = torch.tensor(time.process_time() - used)
        dist.all_reduce(spent)
        self.wall.append(time.perf_counter() - begin)
        self.cpu.append(float(spent))


def main(shape: str, turns: int, rows: int, groups: list[int]) -> None:
    torch.set_num_threads(1)
    rank = find_rank(os.environ)
    device = use_machine(rank)
    engine.connect(device)
    ranks = rank.world_size
    contenders = {group: Contender(settings(json.loads(shape), ranks, rows, group), device, ranks) for group in groups}
    for turn in range(turns):
        for group in groups if turn % 2 else reversed(groups):
            contenders[group].step(turn + 1)
    peak = torch.tensor(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
    dist.all_reduce(peak, op=dist.ReduceOp.MAX)
    if rank.is_first:
        steps = {group: {"wall": one.wall, "cpu": one.cpu} for group, one in contenders.items()}
        print(json.dumps({"steps": steps, "peak_bytes": int(peak)}))
    engine.disconnect()


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:4]), [int(group) for group in sys.argv[4:]])
