"""One rank that trains the same small run at several ZeRO stages and writes what it saw to a JSON file.

    RANK=0 WORLD_SIZE=2 ... python tests/launched/compare_stages.py CONFIG OUT CASE [CASE ...]

A case is STAGE:PRECISION:CLIPPING, with changes of the configuration behind it as further :section.key=value.

Several cases share one start, because most of a small run's time is importing DeepSpeed.
"""

import sys
from typing import Any

from tests.launched.rank import begin, digest, finish, zero_stage
from train.config_file import load_config
from train.step import take_step


def train_case(config_file: str, case: str) -> dict[str, Any]:
    stage, precision, clipping, *changes = case.split(":")
    settings = [zero_stage(stage), f"training.precision={precision}", f"training.gradient_clipping={clipping}"]
    run = begin(load_config(config_file, [*settings, *changes]))
    initial = digest(run.engine)
    gradients = [take_step(run, step).gradient for step in range(1, run.config.training.steps + 1)]
    result = {
        "initial": initial,
        "final": digest(run.engine),
        "losses": [gradient.loss for gradient in gradients],
        "norms": [gradient.norm for gradient in gradients],
        "micro_squares": [gradient.micro_square for gradient in gradients],
    }
    run.engine.destroy()
    return result


if __name__ == "__main__":
    config_file, out, *cases = sys.argv[1:]
    finish(out, {case: train_case(config_file, case) for case in cases})
