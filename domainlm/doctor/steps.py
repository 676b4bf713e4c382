"""What each rank does to compare gradients: the steps of a small run in the engine, and in plain torch."""

import math
from typing import Any

import torch
import torch.distributed as dist

from domainlm.doctor.gradients import MICRO_BATCH, MICRO_BATCHES, STEPS, TOKENS, VOCABULARY
from model.transformer import Transformer
from train.checkpoints import state
from train.config import RunConfig
from train.engine import engine
from train.engine.initial_weights import set_initial_weights
from train.process import Rank
from train.schedule import batch_size, micro_batches


def compare(config: RunConfig, rank: Rank, device: torch.device) -> dict[str, Any]:
    """Take the steps of a small run in the engine and in plain torch; all ranks call this and get the same facts.

    The learning rate is 0, so that every step has the same weights and each compares what was reduced and accumulated.
    """
    started = engine.build_engine(config, device, rank.world_size)
    plain = _plain_model(config, device)
    apart: dict[str, float] = {}
    for step in range(1, STEPS + 1):
        engine.set_step(started, config.training, step, learning_rate=0.0)
        for first in micro_batches(config.training, step, rank.rank, rank.world_size):
            tokens = _tokens(first, device)
            engine.backward(started, started(tokens[:, :-1], tokens[:, 1:]))
        squares = engine.gradient_squares(started)
        dist.all_reduce(squares)
        norm = math.sqrt(squares.sum().item())
        engine.apply_step(started, norm)
        wanted = _plain_gradient(config, plain, step, device)
        whole = math.sqrt(sum(gradient.square().sum().item() for gradient in wanted.values()))
        for name, share in {"the global norm": abs(norm - whole) / whole, **_distances(started, wanted)}.items():
            apart[name] = max(share, apart.get(name, 0.0), key=lambda value: (math.isnan(value), value))
    started.destroy()
    tensor = max(apart, key=lambda name: (math.isnan(apart[name]), apart[name]))
    training = config.training
    autocast = training.deepspeed.get("torch_autocast", {}).get("enabled", False)
    return {
        "settings": f"ZeRO-{training.zero_stage}, {training.precision}{', torch_autocast' * autocast}",
        "products": "bf16" if autocast else training.precision,
        "tensor": tensor,
        "apart": apart[tensor],
    }


def _plain_model(config: RunConfig, device: torch.device) -> Transformer:
    with torch.device("meta"):
        model = Transformer(config.model)
    model.to_empty(device=device)
    set_initial_weights(model, config, fresh=True)
    return model.bfloat16() if config.training.precision == "bf16" else model


def _plain_gradient(config: RunConfig, model: Transformer, step: int, device: torch.device) -> dict[str, torch.Tensor]:
    """The mean gradient of a step's micro-batches, those of all ranks, by tensor in float64."""
    firsts = range(
        (step - 1) * batch_size(config.training, step), step * batch_size(config.training, step), MICRO_BATCH
    )
    names, parameters = zip(*model.named_parameters(), strict=True)
    sums = [torch.zeros_like(parameter, dtype=torch.float64) for parameter in parameters]
    for first in firsts:
        tokens = _tokens(first, device)
        # Divided before the backward pass, as DeepSpeed does: in bf16 the products round as theirs do.
        loss = model(tokens[:, :-1], tokens[:, 1:]) / MICRO_BATCHES
        for total, gradient in zip(sums, torch.autograd.grad(loss, parameters), strict=True):
            total += gradient
    ranks = len(firsts) // MICRO_BATCHES
    return {name: total / ranks for name, total in zip(names, sums, strict=True)}


def _tokens(first: int, device: torch.device) -> torch.Tensor:
    """A micro-batch, int64 (MICRO_BATCH, TOKENS + 1), that its first sample decides."""
    chance = torch.Generator().manual_seed(first)
    return torch.randint(VOCABULARY, (MICRO_BATCH, TOKENS + 1), generator=chance).to(device)


def _distances(started: engine.Engine, wanted: dict[str, torch.Tensor]) -> dict[str, float]:
    """How far what the optimizer was given lies from each wanted gradient, as a share of its norm."""
    names = list(wanted)
    squares = torch.zeros(2, len(names), dtype=torch.float64, device=started.device)
    for fragment, tensors in state.parts(started):
        gradient = tensors[1].to(started.device)  # the first moment, or Muon's momentum
        expected = wanted[fragment.name].flatten()[fragment.start : fragment.stop]
        squares[0, names.index(fragment.name)] += (gradient - expected).square().sum()
        squares[1, names.index(fragment.name)] += expected.square().sum()
    dist.all_reduce(squares)
    return dict(zip(names, (squares[0] / squares[1]).sqrt().tolist(), strict=True))
