"""AdamW that loads no compiler moves weights as torch's does, to the bit."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from tests.launched.runs import environment
from train.engine.eager import EagerAdamW

SETTINGS = {"lr": 1e-2, "betas": (0.9, 0.95), "eps": 1e-8}


def trained(kind: type[torch.optim.AdamW], steps: int, *, fused: bool, stopped_at: int = 0) -> list[torch.Tensor]:
    """Weights after some steps; the optimizer may be written down and read between two of them."""
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3))

    def optimizer_of() -> torch.optim.AdamW:
        groups = [
            {"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": 0.1},
            {"params": [p for p in model.parameters() if p.ndim == 1], "weight_decay": 0.0},
        ]
        return kind(groups, fused=fused, **SETTINGS)

    optimizer = optimizer_of()
    for step in range(steps):
        if stopped_at and step == stopped_at:
            kept, optimizer = optimizer.state_dict(), optimizer_of()
            optimizer.load_state_dict(kept)
        optimizer.zero_grad()
        model(torch.randn(4, 5)).square().mean().backward()
        optimizer.step()
    return [parameter.detach() for parameter in model.parameters()]


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("stopped_at", [0, 3])
def test_steps_are_those_of_torch_to_the_bit(fused: bool, stopped_at: int) -> None:
    ours = trained(EagerAdamW, 6, fused=fused, stopped_at=stopped_at)
    theirs = trained(torch.optim.AdamW, 6, fused=fused)
    assert all(torch.equal(own, other) for own, other in zip(ours, theirs, strict=True))


def test_neither_an_optimizer_nor_its_step_records_gradients_of_itself_nor_loads_the_compiler() -> None:
    program = """
import sys, torch
from train.engine.eager import EagerAdamW
weight = torch.nn.Parameter(torch.ones(3))
optimizer = EagerAdamW([weight], lr=0.1, fused=True)
weight.grad = torch.ones(3)
optimizer.step()
optimizer.load_state_dict(optimizer.state_dict())
optimizer.zero_grad()
assert weight.grad is None and weight.is_leaf and weight[0] < 1
assert not any(name in sys.modules for name in ("torch._dynamo", "sympy"))
"""
    subprocess.run([sys.executable, "-c", program], env=environment(), check=True)
