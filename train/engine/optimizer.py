"""AdamW, with weight decay decided by shape.

Decay on a norm's gain is what made BloombergGPT's first run diverge (arXiv 2303.17564, appendix C): only tensors of two
dimensions or more are decayed, and the groups are printed and tested.
"""

from collections.abc import Iterable
from typing import Any, TypedDict

import torch
from torch import nn

from train.config import TrainingConfig


class ParameterGroup(TypedDict):
    """One of the optimizer's parameter groups."""

    params: list[nn.Parameter]
    weight_decay: float


def decays(shape: Iterable[int]) -> bool:
    """Whether a parameter of this (whole, unpartitioned) shape is decayed: matrices are, biases and gains are not."""
    return len(tuple(shape)) >= 2


def parameter_groups(model: nn.Module, weight_decay: float) -> list[ParameterGroup]:
    """The model's parameters in two groups, decayed and not; a tied parameter appears once."""
    decayed: list[nn.Parameter] = []
    kept: list[nn.Parameter] = []
    for parameter in model.parameters():
        # Under ZeRO-3 a parameter is partitioned and empty; DeepSpeed keeps its whole shape in ds_shape.
        (decayed if decays(getattr(parameter, "ds_shape", parameter.shape)) else kept).append(parameter)
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": kept, "weight_decay": 0.0}]


def build_optimizer(model: nn.Module, training: TrainingConfig) -> torch.optim.AdamW:
    """Fused AdamW over the parameter groups; the loop sets the learning rate before every step."""
    groups: list[Any] = list(parameter_groups(model, training.weight_decay))
    return torch.optim.AdamW(groups, lr=training.learning_rate, betas=training.betas, eps=training.epsilon, fused=True)


def set_hyperparameters(optimizer: torch.optim.Optimizer, training: TrainingConfig, learning_rate: float) -> None:
    """Write the configuration's values over those that a loaded checkpoint brought along."""
    for group, weight_decay in zip(optimizer.param_groups, (training.weight_decay, 0.0), strict=True):
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
