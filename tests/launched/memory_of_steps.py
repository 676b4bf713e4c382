"""One rank that trains two steps of a small model and writes the memory that they took and should take.

    ... python tests/launched/memory_of_steps.py OUT PRECISION:RECOMPUTE:LAYERS:WIDTH:ROWS:VOCABULARY:LENGTH

Resident memory says what is allocated because the allocator gives all that is freed back to the kernel: above 64 KiB
it asks for pages of its own, and the process is not told to keep them, as training on a CPU otherwise is.
"""

import ctypes
import json
import os
import sys
from datetime import timedelta
from pathlib import Path

import torch

from domainlm.plan.placement import step_memory
from train.config import CHECKOUT, RunConfig
from train.config_file import load_config
from train.engine import engine
from train.engine.placement import configured_placement
from train.hardware import Machine
from train.process import find_rank
from train.schedule import accumulation, learning_rate

M_MMAP_THRESHOLD = -3
ZERO_3 = "training.deepspeed={zero_optimization: {stage: 3}}"


def resident(name: str) -> int:
    """VmRSS (now) or VmHWM (its maximum), in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    raise KeyError(name)


def train_steps(config: RunConfig, device: torch.device, world_size: int, lengths: list[int]) -> None:
    """One step for each length: its rows have that many tokens."""
    started = engine.build_engine(config, device, world_size)
    model, training = config.model, config.training
    for step, length in enumerate(lengths, 1):
        engine.set_step(started, training, step, learning_rate(training, step))
        for _ in range(accumulation(training, step, world_size)):
            tokens = torch.randint(0, model.vocabulary_size, (training.micro_batch, length + 1))
            loss = started(tokens[:, :-1], tokens[:, 1:])
            engine.backward(started, loss)
        squares = engine.gradient_squares(started)
        torch.distributed.all_reduce(squares)
        engine.apply_step(started, float(squares.sum().sqrt()))
        del loss, squares


def main(out: str, case: str) -> None:
    precision, recompute, layers, width, micro_batch, vocabulary, length = case.split(":")
    config = load_config(
        CHECKOUT / "configs" / "demo.yaml",
        [
            f"model.layers={layers}",
            f"model.width={width}",
            f"model.heads={int(width) // 64}",
            f"model.vocabulary_size={vocabulary}",
            f"tokenizer.vocabulary_size={vocabulary}",
            f"model.sequence_length={length}",
            ZERO_3,
            "training.optimizer=adamw",  # what Muon holds in a step beside its state is not counted
            f"training.precision={precision}",
            f"training.activation_checkpointing={recompute}",
            f"training.batch_size={int(micro_batch) * int(os.environ['WORLD_SIZE'])}",
            f"training.micro_batch={micro_batch}",
        ],
    )
    rank = find_rank(os.environ)
    ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 1 << 16)
    torch.set_num_threads(1)
    device = torch.device("cpu")
    engine.connect(device, timedelta(minutes=5))
    # A small engine first: what libraries load once is no part of the model's memory.
    small = load_config(
        CHECKOUT / "configs" / "demo.yaml",
        [
            "training.batch_size=4",
            "training.micro_batch=2",
            "training.optimizer=adamw",
            ZERO_3,
            f"training.precision={precision}",
        ],
    )
    train_steps(small, device, rank.world_size, [small.model.sequence_length])
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # VmHWM begins anew
    # The optimizer's state is there from the first step on; the second is a whole one.
    train_steps(config, device, rank.world_size, [8, config.model.sequence_length])
    machine = Machine("CPU", 1 << 40, 1e11, 1, rank.world_size, is_cpu=True)
    memory = step_memory(config, machine, configured_placement(config.training), config.training.micro_batch)
    if rank.is_first:
        facts = {"measured": resident("VmHWM") - before, "predicted": memory.total, "memory": vars(memory)}
        Path(out).write_text(json.dumps(facts))
    engine.disconnect()


if __name__ == "__main__":
    main(*sys.argv[1:])
