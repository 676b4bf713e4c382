"""Ranks of which one flips a bit of its weights; writes what the comparison of copies says, by ZeRO stage.

RANK=0 WORLD_SIZE=3 ... python tests/launched/flipped_bit.py CONFIG OUT
"""

import sys

import torch

from tests.launched.rank import begin, finish, zero_stage
from train.config_file import load_config
from train.diagnostics import ReplicaError, check_replicas
from train.run import Run

FLIPPED = "blocks.1.attention.output.weight"


def compare(config_file: str, stage: int) -> list[str]:
    run = begin(load_config(config_file, [zero_stage(stage)]))
    said = [outcome(run)]
    weight = dict(run.engine.module.named_parameters())[FLIPPED]
    if run.rank.rank == 1 and weight.numel():
        with torch.no_grad():
            weight.view(-1)[:1].view(torch.int32).bitwise_xor_(1)
    said.append(outcome(run))
    run.engine.destroy()
    return said


def outcome(run: Run) -> str:
    try:
        check_replicas(run)
    except ReplicaError as error:
        return str(error)
    return "alike"


if __name__ == "__main__":
    config_file, out = sys.argv[1:]
    finish(out, {str(stage): compare(config_file, stage) for stage in (0, 3)})
