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
from train.rates.carry_over import Factors, FactorsOf, as_given

FACTORS, DECAYED = "factors", "decayed"
"""Of a parameter group: what its settings are times, and whether it is decayed at all."""


def decays(shape: Iterable[int]) -> bool:
    """Whether a parameter of this (whole, unpartitioned) shape is decayed: matrices are, biases and gains are not."""
    return len(tuple(shape)) >= 2


def parameter_groups(model: nn.Module, training: TrainingConfig, factors: FactorsOf = as_given) -> list[dict[str, Any]]:
    """What of a model is trained, in groups that are decayed, not decayed and moved by Muon, each of equal factors; a
    tied parameter appears once, a group of none not at all (an adapter has matrices alone)."""
    hidden: dict[Factors, list[nn.Parameter]] = {}
    decayed: dict[Factors, list[nn.Parameter]] = {}
    kept: dict[Factors, list[nn.Parameter]] = {}
    for name, parameter in trained_parameters(model).items():
        shape = whole_shape(parameter)
        if training.optimizer == "muon" and is_hidden(name, shape):
            alike = hidden
        else:
            alike = decayed if decays(shape) else kept
        alike.setdefault(factors(name)._replace(initial=1.0), []).append(parameter)
    groups = [
        {"params": parameters, FACTORS: by, DECAYED: alike is not kept} | ({MOMENTUM: 0.0} if alike is hidden else {})
        for alike in (decayed, kept, hidden)
        for by, parameters in alike.items()
    ]
    for group in groups:
        _set_group(group, training, training.learning_rate)
    return groups


def build_optimizer(model: nn.Module, training: TrainingConfig, factors: FactorsOf = as_given) -> EagerAdamW:
    """Fused AdamW over the parameter groups, Muon over those of the hidden matrices; the loop sets rates every step."""
    kind = Muon if training.optimizer == "muon" else EagerAdamW
    return kind(parameter_groups(model, training, factors), fused=True)


def set_hyperparameters(optimizer: torch.optim.Optimizer, training: TrainingConfig, learning_rate: float) -> None:
    """Write the configuration's values over those that a loaded checkpoint brought along.

    Muon's rate is the same share of its highest as `learning_rate` is of AdamW's.
    """
    for group in optimizer.param_groups:
        _set_group(group, training, learning_rate)


def _set_group(group: dict[str, Any], training: TrainingConfig, learning_rate: float) -> None:
    by: Factors = group[FACTORS]
    group["weight_decay"] = training.weight_decay * by.decay if group[DECAYED] else 0.0
    group["lr"] = learning_rate * by.rate
    if MOMENTUM in group:
        group["lr"] = training.muon.learning_rate * (learning_rate / training.learning_rate) * by.rate
        group[MOMENTUM] = training.muon.momentum
    else:
        group["betas"] = training.betas
        group["eps"] = training.epsilon * by.epsilon


def describe_groups(model: nn.Module, training: TrainingConfig, factors: FactorsOf = as_given) -> str:
    """One line for people: how many tensors and elements are decayed, how many are not, which ones Muon moves, and
    what their rates are times."""
    parts = []
    for group in parameter_groups(model, training, factors):
        elements = sum(getattr(parameter, "ds_numel", parameter.numel()) for parameter in group["params"])
        decay = training.weight_decay if group[DECAYED] else 0.0
        what = f"{len(group['params'])} tensors ({elements:,} elements) at {decay}"
        what += f", moved by Muon at a rate of {training.muon.learning_rate:g}" * (MOMENTUM in group)
        by: Factors = group[FACTORS]
        what += f", rate × {by.rate:.3g}" * (by.rate != 1) + f", decay × {by.decay:.3g}" * (by.decay != 1)
        parts.append(what)
    return "weight decay: " + ", ".join(parts)
