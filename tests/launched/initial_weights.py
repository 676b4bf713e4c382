"""One rank that builds the engine at several ZeRO stages and writes the weights it begins with to safetensors files.

RANK=0 WORLD_SIZE=2 ... python tests/launched/initial_weights.py FOLDER CONFIG:STAGE [...]
"""

import os
import sys
from pathlib import Path

import torch
from deepspeed.utils import safe_get_full_fp32_param
from safetensors.torch import save_file

from train.config_file import load_config
from train.engine import engine
from train.process import find_rank, use_machine


def write_weights(config_file: str, stage: str, folder: Path) -> None:
    config = load_config(config_file, [f"training.deepspeed={{zero_optimization: {{stage: {stage}}}}}"])
    rank, variables = find_rank(os.environ)
    os.environ.update(variables)
    device = use_machine(rank)
    engine.connect(device)
    started = engine.build_engine(config, device, rank.world_size)
    weights = {}
    for name, parameter in started.module.named_parameters():
        whole = safe_get_full_fp32_param(parameter)
        weights[name] = (parameter.detach() if whole is None else whole).float().clone().contiguous()
    if rank.is_first:
        save_file(weights, folder / f"{Path(config_file).stem}-{stage}.safetensors")
    started.destroy()


if __name__ == "__main__":
    torch.set_num_threads(1)
    for case in sys.argv[2:]:
        write_weights(*case.split(":"), Path(sys.argv[1]))
    engine.disconnect()
