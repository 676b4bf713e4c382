"""One rank that trains small runs whose rows it shares with others, and writes what it saw to a file.

    RANK=0 WORLD_SIZE=2 ... python tests/launched/shared_rows.py CONFIG OUT CASE [CASE ...]

A case is any changes of the configuration, section.key=value, with | between them.
"""

import sys
from typing import Any

import torch
from deepspeed.utils import safe_get_full_grad

from tests.launched.rank import begin, whole_weight
from train.config_file import load_config
from train.engine import engine
from train.gradient import compute_gradient
from train.spikes.evidence import _sequence_losses
from train.step import take_step


def train_case(config_file: str, case: str) -> dict[str, Any]:
    run = begin(load_config(config_file, case.split("|")))
    first = compute_gradient(run, 1)
    named = dict(run.engine.module.named_parameters())
    gradients = {name: safe_get_full_grad(one) if run.engine.zero_optimization_stage() else one.grad.clone()
                 for name, one in named.items()}  # fmt: skip
    engine.drop_step(run.engine)
    by_sequence = _sequence_losses(run, 1)
    steps = [take_step(run, step).gradient for step in range(1, run.config.training.steps + 1)]
    seen = {
        "gradient": gradients,
        "norm": first.norm,
        "tensor norms": first.tensor_norms,
        "by sequence": by_sequence,
        "losses": [step.loss for step in steps],
        "norms": [step.norm for step in steps],
        "weights": {name: whole_weight(one) for name, one in named.items()},
    }
    run.engine.destroy()
    return seen


if __name__ == "__main__":
    config_file, out, *cases = sys.argv[1:]
    found = {case: train_case(config_file, case) for case in cases}
    if torch.distributed.get_rank() == 0:
        torch.save(found, out)
    engine.disconnect()
