"""Compares gradients as the doctor's ranks do, of the engine as it is, and with faults in its real reductions.

    RANK=0 WORLD_SIZE=2 ... python tests/launched/wrong_gradients.py OUT CONFIG ...

Faults of ZeRO 1 and 2: a bucket is scaled by what a forgotten division by the ranks would leave; a micro-batch that
comes after the first is dropped, as in DeepSpeed 0.17.6 to 0.18.2 (its issue 7718). Of ZeRO-3: the gradient of one
parameter is scaled on its way into its partition.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from deepspeed.runtime.zero.stage3 import DeepSpeedZeroOptimizer_Stage3 as Stage3
from deepspeed.runtime.zero.stage_1_and_2 import DeepSpeedZeroOptimizer as Stage12

from domainlm.doctor.steps import compare
from tests.launched.rank import connect, finish
from train.config_file import load_config


@contextmanager
def replaced(owner: type, name: str, make: Callable[[Any], Any]) -> Iterator[None]:
    original = getattr(owner, name)
    setattr(owner, name, make(original))
    try:
        yield
    finally:
        setattr(owner, name, original)


def scaled_bucket(original: Any) -> Any:
    def average(self: Any, tensor: Any, *rest: Any) -> Any:
        return original(self, tensor.mul_(2.0), *rest)

    return average


def scaled_partition(original: Any) -> Any:
    def partition(self: Any, parameters: Any, gradients: Any) -> Any:
        return original(self, parameters, [gradients[0] * 2.0, *gradients[1:]])

    return partition


def forgotten_micro_batches(original: Any) -> Any:
    def average(self: Any, tensor: Any, *rest: Any) -> Any:
        return original(self, tensor if self.micro_step_id == 0 else tensor.zero_(), *rest)

    return average


if __name__ == "__main__":
    out, *files = sys.argv[1:]
    rank, device = connect()
    configs = [load_config(file) for file in files]
    by_stage = {stage: [config for config in configs if config.training.zero_stage == stage] for stage in range(4)}
    seen = {"none": [compare(config, rank, device) for config in configs]}
    with replaced(Stage12, "average_tensor", scaled_bucket):
        seen["scaled bucket"] = [compare(config, rank, device) for config in by_stage[2]]
    with replaced(Stage12, "average_tensor", forgotten_micro_batches):
        seen["forgotten"] = [compare(config, rank, device) for config in by_stage[2]]
    with replaced(Stage3, "partition_grads", scaled_partition):
        seen["scaled partition"] = [compare(config, rank, device) for config in by_stage[3]]
    finish(out, seen)
