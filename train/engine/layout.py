"""Which elements of the parameters this rank holds in fp32, and where, whatever the engine's ZeRO stage.

DeepSpeed keeps fp32 master weights, and the optimizer's state of them, in flat tensors, each rank its part: the
parameters themselves at stage 0, one tensor a parameter group at stages 1 and 2, one a sub-group at stage 3.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


class Place(NamedTuple):
    """Elements `start` to `stop` of a flattened parameter, and where this rank has them."""

    name: str
    shape: tuple[int, ...]
    """Of the whole parameter."""
    start: int
    stop: int
    master: int
    """Number of the tensor in `masters`."""
    offset: int
    """Of the first element in that tensor, flattened."""


def trained_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that steps change, by name: all, or beside a frozen base those of an adapter."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def whole_shape(parameter: nn.Parameter) -> tuple[int, ...]:
    """Under ZeRO-3 a parameter is partitioned and empty; DeepSpeed keeps its whole shape in ds_shape."""
    return tuple(getattr(parameter, "ds_shape", parameter.shape))


def torch_optimizer(engine: Any) -> torch.optim.Optimizer:
    """The optimizer that updates the masters, inside of DeepSpeed's own where there is one."""
    optimizer: torch.optim.Optimizer = engine.optimizer
    return optimizer if engine.zero_optimization_stage() == 0 else engine.optimizer.optimizer


def masters(engine: Any) -> list[Tensor]:
    """The tensors that the optimizer updates; the same number on every rank."""
    stage, optimizer = engine.zero_optimization_stage(), engine.optimizer
    if stage == 0:
        return list(trained_parameters(engine.module).values())
    if stage == 3:
        return list(optimizer.fp32_partitioned_groups_flat)
    return [group["params"][0] for group in optimizer.optimizer.param_groups]


def places(engine: Any) -> Iterator[Place]:
    """What this rank holds of the trained parameters, at most one place of each; at stage 0 every rank holds all."""
    stage, optimizer = engine.zero_optimization_stage(), engine.optimizer
    parameters: list[tuple[str, Any]] = list(trained_parameters(engine.module).items())
    for number, (name, parameter) in enumerate(parameters):
        if stage == 0:
            yield Place(name, tuple(parameter.shape), 0, parameter.numel(), number, 0)
        elif stage < 3:
            found = parameter._hp_mapping
            if found is not None:
                start, size = found.lp_fragment_address.start, found.lp_fragment_address.numel
                master, offset = found.param_group_index, found.hp_fragment_address.start
                yield Place(name, tuple(parameter.shape), start, start + size, master, offset)
        else:
            group, offset, size = optimizer.grad_position[optimizer.get_param_id(parameter)]
            start = optimizer._get_param_partition_rank(parameter) * size
            stop = min(start + size, parameter.ds_numel)  # behind it is padding
            if start < stop:
                yield Place(name, tuple(parameter.ds_shape), start, stop, group, offset)
