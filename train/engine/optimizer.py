"""The optimizer of a run, AdamW or Muon beside it, with weight decay decided by shape.

Decay on a norm's gain is what made BloombergGPT's first run diverge (arXiv 2303.17564, appendix C): only tensors of two
dimensions or more are decayed, and the groups are printed and tested.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from train.config import TrainingConfig
from train.engine.eager import EagerAdamW
from train.engine.hidden_matrices import is_hidden
from train.engine.layout import trained_parameters, whole_shape
from train.engine.muon import MOMENTUM, Muon


def decays(shape: Iterable[int]) -> bool:
    """Whether a parameter of this (whole, unpartitioned) shape is decayed: matrices are, biases and gains are not."""
    return len(tuple(shape)) >= 2


def parameter_groups(model: nn.Module, training: TrainingConfig) -> list[dict[str, Any]]:
    """What of a model is trained, in groups that are decayed, not decayed and moved by Muon; a tied parameter appears
    once, a group of none not at all (an adapter has matrices alone)."""
    decayed: list[nn.Parameter] = []
    kept: list[nn.Parameter] = []
    hidden: list[nn.Parameter] = []
    for name, parameter in trained_parameters(model).items():
        shape = whole_shape(parameter)
        if training.optimizer == "muon" and is_hidden(name, shape):
            hidden.append(parameter)
        else:
            (decayed if decays(shape) else kept).append(parameter)
    groups: list[dict[str, Any]] = [
        {"params": decayed, "weight_decay": training.weight_decay},
        {"params": kept, "weight_decay": 0.0},
        {"params": hidden, "weight_decay": training.weight_decay, MOMENTUM: training.muon.momentum},
    ]
    return [group for group in groups if group["params"]]


def build_optimizer(model: nn.Module, training: TrainingConfig) -> EagerAdamW:
    """Fused AdamW over the parameter groups, Muon over that of the hidden matrices; the loop sets rates every step."""
    kind = Muon if training.optimizer == "muon" else EagerAdamW
    groups: list[Any] = parameter_groups(model, training)
    return kind(groups, lr=training.learning_rate, betas=training.betas, eps=training.epsilon, fused=True)


def set_hyperparameters(optimizer: torch.optim.Optimizer, training: TrainingConfig, learning_rate: float) -> None:
    """Write the configuration's values over those that a loaded checkpoint brought along.

    Muon's rate is the same share of its highest as `learning_rate` is of AdamW's.
    """
    decay = iter((training.weight_decay, 0.0))  # the decayed group is always there, and the first of AdamW's
    for group in optimizer.param_groups:
        if MOMENTUM in group:
            group["lr"] = training.muon.learning_rate * (learning_rate / training.learning_rate)
            group[MOMENTUM] = training.muon.momentum
            group["weight_decay"] = training.weight_decay
        else:
            group["lr"] = learning_rate
            group["betas"] = training.betas
            group["eps"] = training.epsilon
            group["weight_decay"] = next(decay)


def describe_groups(model: nn.Module, training: TrainingConfig) -> str:
    """One line for people: how many tensors and elements are decayed, how many are not, which ones Muon moves."""
    parts = []
    for group in parameter_groups(model, training):
        elements = sum(getattr(parameter, "ds_numel", parameter.numel()) for parameter in group["params"])
        what = f"{len(group['params'])} tensors ({elements:,} elements) at {group['weight_decay']}"
        parts.append(what + (f", moved by Muon at a rate of {training.muon.learning_rate:g}" * (MOMENTUM in group)))
    return "weight decay: " + ", ".join(parts)
