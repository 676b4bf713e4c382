"""What each rank does when `domainlm doctor` tries the launcher: join, add up numbers, time it, compare gradients.

deepspeed --num_gpus 2 --module domainlm.doctor.collectives OUT [CONFIG ...]
"""

import json
import os
import statistics
import sys
import time
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist

from domainlm.doctor.steps import compare
from train.config_file import load_config
from train.engine import engine
from train.process import Rank, find_rank, use_machine

SIZES = (1 << 20, 16 << 20, 64 << 20)
"""Bytes of the all-reduces."""
REPEATS = 5
PATIENCE = timedelta(seconds=60)


def measure(rank: Rank, device: torch.device, size: int) -> tuple[bool, float]:
    """Whether the sum over all ranks is right, and bytes a second that each rank sends meanwhile.

    An all-reduce of n bytes on R ranks sends 2 (R - 1) / R n bytes from each, which is what nccl-tests call the bus
    bandwidth.
    """
    seconds, right = [], True
    ranks = rank.world_size
    for _ in range(REPEATS):
        values = torch.full((size // 4,), float(rank.rank + 1), device=device)
        dist.barrier()
        begin = time.perf_counter()
        dist.all_reduce(values)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - begin)
        right = right and bool((values == ranks * (ranks + 1) / 2).all())
    return right, 2 * (ranks - 1) / ranks * size / statistics.median(seconds)


def main() -> None:
    """Write what was seen to OUT: of the collectives first, then with the gradient of each small run."""
    out, *configs = [word for word in sys.argv[1:] if not word.startswith("--local_rank")]
    rank = find_rank(os.environ)
    device = use_machine(rank)
    begin = time.perf_counter()
    engine.connect(device, PATIENCE)
    dist.barrier()
    joined = time.perf_counter() - begin
    results = {size: measure(rank, device, size) for size in SIZES}
    facts = {
        "ranks": rank.world_size,
        "backend": dist.get_backend(),
        "seconds_to_join": joined,
        "right": all(right for right, _ in results.values()),
        "bytes_per_second": {size: speed for size, (_, speed) in results.items()},
    }
    if rank.is_first:
        Path(out).write_text(json.dumps(facts))
    facts["gradients"] = [compare(load_config(config), rank, device) for config in configs]
    if rank.is_first:
        Path(out).write_text(json.dumps(facts))
    engine.disconnect()


if __name__ == "__main__":
    main()
