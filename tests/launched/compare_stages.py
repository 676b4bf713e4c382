"""One rank that trains the same small run at several ZeRO stages and writes what it saw to a JSON file.

    RANK=0 WORLD_SIZE=2 ... python tests/launched/compare_stages.py CONFIG OUT CASE [CASE ...]

A case is STAGE:PRECISION:CLIPPING, with changes of the configuration behind it as further :section.key=value.

Several cases share one start, because most of a small run's time is importing DeepSpeed.
"""

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
from deepspeed.utils import safe_get_full_fp32_param

from train.batches import open_stream
from train.config_file import load_config
from train.engine import engine
from train.past import Past
from train.process import find_rank, use_machine
from train.run import Run
from train.step import take_step
from train.stop import StopRequest


def digest(started: engine.Engine) -> str:
    """SHA-256 over all fp32 (master) parameters, by name, whatever their partitioning."""
    whole = hashlib.sha256()
    for name, parameter in sorted(started.module.named_parameters()):
        value = safe_get_full_fp32_param(parameter)
        whole.update(name.encode())
        whole.update((parameter.detach() if value is None else value).float().cpu().numpy().tobytes())
    return whole.hexdigest()


def train_case(config_file: str, case: str) -> dict[str, Any]:
    stage, precision, clipping, *changes = case.split(":")
    overrides = [
        f"training.deepspeed={{zero_optimization: {{stage: {stage}}}}}",
        f"training.precision={precision}",
        f"training.gradient_clipping={clipping}",
        *changes,
    ]
    config = load_config(config_file, overrides)
    rank, variables = find_rank(os.environ)
    os.environ.update(variables)
    device = use_machine(rank)
    engine.connect(device)
    started = engine.build_engine(config, device, rank.world_size)
    initial = digest(started)
    run = Run(config, rank, device, open_stream(config), started, StopRequest(None), Past([], [], True), None, None)
    steps = [take_step(run, step) for step in range(1, config.training.steps + 1)]
    result = {
        "initial": initial,
        "final": digest(started),
        "losses": [step.loss for step in steps],
        "norms": [step.gradient_norm for step in steps],
    }
    started.destroy()
    return result


if __name__ == "__main__":
    torch.set_num_threads(1)
    results = {case: train_case(sys.argv[1], case) for case in sys.argv[3:]}
    if os.environ["RANK"] == "0":
        Path(sys.argv[2]).write_text(json.dumps(results))
    engine.disconnect()
