"""AdamW, with weight decay decided by shape.

Decay on a norm's gain is what made BloombergGPT's first run diverge (arXiv 2303.17564, appendix C): only tensors of two
dimensions or more are decayed, and the groups are printed and tested.
"""

from collections.abc import Iterable
from typing import Any, TypedDict

import torch
from torch import nn

from train.config import TrainingConfig
from train.engine.eager import EagerAdamW


class ParameterGroup(TypedDict):
    """One of the optimizer's parameter groups."""

    params: list[nn.Parameter]
    weight_decay: float


def decays(shape: Iterable[int]) -> bool:
    """Whether a parameter of this (whole, unpartitioned) shape is decayed: matrices are, biases and gains are not."""
    return len(tuple(shape)) >= 2


def trained_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that steps change, by name: all, or beside a frozen base those of an adapter."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def parameter_groups(model: nn.Module, weight_decay: float) -> list[ParameterGroup]:
    """What of a model is trained, in groups that are decayed and not; a tied parameter appears once, a group of none
    not at all (an adapter has matrices alone)."""
    decayed: list[nn.Parameter] = []
    kept: list[nn.Parameter] = []
    for parameter in trained_parameters(model).values():
        # Under ZeRO-3 a parameter is partitioned and empty; DeepSpeed keeps its whole shape in ds_shape.
        (decayed if decays(getattr(parameter, "ds_shape", parameter.shape)) else kept).append(parameter)
    groups: list[ParameterGroup] = [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": kept, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def build_optimizer(model: nn.Module, training: TrainingConfig) -> EagerAdamW:
    """Fused AdamW over the parameter groups; the loop sets the learning rate before every step."""
    groups: list[Any] = list(parameter_groups(model, training.weight_decay))
    return EagerAdamW(groups, lr=training.learning_rate, betas=training.betas, eps=training.epsilon, fused=True)


def set_hyperparameters(optimizer: torch.optim.Optimizer, training: TrainingConfig, learning_rate: float) -> None:
    """Write the configuration's values over those that a loaded checkpoint brought along."""
    # The decayed group is always there, and the first; an adapter has no other.
    for group, weight_decay in zip(optimizer.param_groups, (training.weight_decay, 0.0), strict=False):
        group["lr"] = learning_rate
        group["betas"] = training.betas
        group["eps"] = training.epsilon
        group["weight_decay"] = weight_decay


def describe_groups(model: nn.Module, weight_decay: float) -> str:
    """One line for people: how many tensors and elements are decayed, and how many are not."""
    parts = []
    for group in parameter_groups(model, weight_decay):
        elements = sum(getattr(parameter, "ds_numel", parameter.numel()) for parameter in group["params"])
        parts.append(f"{len(group['params'])} tensors ({elements:,} elements) at {group['weight_decay']}")
    return "weight decay: " + ", ".join(parts)
