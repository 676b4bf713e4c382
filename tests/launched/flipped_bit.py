"""Ranks of which one flips a bit of its weights; writes what the comparison of copies says, by ZeRO stage.

RANK=0 WORLD_SIZE=3 ... python tests/launched/flipped_bit.py CONFIG OUT
"""

import json
import os
import sys
from pathlib import Path

import torch

from train.batches import open_stream
from train.config_file import load_config
from train.diagnostics import ReplicaError, check_replicas
from train.engine import engine
from train.past import Past
from train.process import find_rank, use_machine
from train.run import Run
from train.stop import StopRequest

FLIPPED = "blocks.1.attention.output.weight"


def compare(config_file: str, stage: int) -> list[str]:
    config = load_config(config_file, [f"training.deepspeed={{zero_optimization: {{stage: {stage}}}}}"])
    rank, _ = find_rank(os.environ)
    device = use_machine(rank)
    engine.connect(device)
    started = engine.build_engine(config, device, rank.world_size)
    past = Past([], [], True)
    run = Run(config, rank, device, open_stream(config), started, StopRequest(None), past, None, None)
    said = [outcome(run)]
    weight = dict(started.module.named_parameters())[FLIPPED]
    if rank.rank == 1 and weight.numel():
        with torch.no_grad():
            weight.view(-1)[:1].view(torch.int32).bitwise_xor_(1)
    said.append(outcome(run))
    started.destroy()
    return said


def outcome(run: Run) -> str:
    try:
        check_replicas(run)
    except ReplicaError as error:
        return str(error)
    return "alike"


if __name__ == "__main__":
    torch.set_num_threads(1)
    found = {str(stage): compare(sys.argv[1], stage) for stage in (0, 3)}
    if os.environ["RANK"] == "0":
        Path(sys.argv[2]).write_text(json.dumps(found))
    engine.disconnect()
