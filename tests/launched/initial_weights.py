"""One rank that builds the engine at several ZeRO stages and writes the weights it begins with to safetensors files.

RANK=0 WORLD_SIZE=2 ... python tests/launched/initial_weights.py FOLDER CONFIG:STAGE [...]
"""

import sys
from pathlib import Path

from safetensors.torch import save_file

from tests.launched.rank import connect, whole_weight, zero_stage
from train.config_file import load_config
from train.engine import engine


def write_weights(config_file: str, stage: str, folder: Path) -> None:
    config = load_config(config_file, [zero_stage(stage)])
    rank, device = connect()
    started = engine.build_engine(config, device, rank.world_size)
    weights = {name: whole_weight(value).clone().contiguous() for name, value in started.module.named_parameters()}
    if rank.is_first:
        save_file(weights, folder / f"{Path(config_file).stem}-{stage}.safetensors")
    started.destroy()


if __name__ == "__main__":
    for case in sys.argv[2:]:
        write_weights(*case.split(":"), Path(sys.argv[1]))
    engine.disconnect()
