"""One rank that meets a gradient that is not a number at every ZeRO stage; writes what became of the weights.

RANK=0 WORLD_SIZE=1 ... python tests/launched/gradient_not_finite.py CONFIG OUT
"""

import json
import math
import os
import sys
from pathlib import Path

import torch
from compare_stages import digest

from train import engine
from train.config_file import load_config
from train.plan import open_stream
from train.process import find_rank, use_machine


def meet(config_file: str, stage: int, precision: str) -> dict[str, bool]:
    overrides = [f"training.deepspeed={{zero_optimization: {{stage: {stage}}}}}", f"training.precision={precision}"]
    config = load_config(config_file, overrides)
    rank, _ = find_rank(os.environ)
    device = use_machine(rank)
    engine.connect(device)
    started = engine.build_engine(config, device, rank.world_size)
    tokens = torch.from_numpy(open_stream(config).batch(0, config.training.micro_batch).tokens)
    weights, norms, finite = [digest(started)], [], (1.0, math.nan, 1.0)
    for step, factor in enumerate(finite, start=1):
        for _ in range(engine.set_step(started, config.training, step, 1e-3)):
            norm = engine.backward_and_step(started, started(tokens[:, :-1], tokens[:, 1:]) * factor)
        norms.append(norm)
        weights.append(digest(started))
    started.destroy()
    return {
        "first step trained": weights[1] != weights[0],
        "norm says so": not math.isfinite(norms[1]),
        "step not applied": weights[2] == weights[1],
        "next step trained": weights[3] != weights[2] and math.isfinite(norms[2]),
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    cases = [(stage, "fp32") for stage in range(4)] + [(stage, "bf16") for stage in range(1, 4)]
    found = {f"ZeRO-{stage} {precision}": meet(sys.argv[1], stage, precision) for stage, precision in cases}
    Path(sys.argv[2]).write_text(json.dumps(found))
    engine.disconnect()
