"""The norms of single backward passes; at every ZeRO stage, compiled and recomputed: tests/train/test_training.py."""

import pytest
import torch
from torch import nn
from torch._dynamo.testing import CompileCounter

from train.engine.micro_gradients import PIECE, watched_norms


class Tied(nn.Module):
    """A weight that is used twice, and a bias that is not trained."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
        self.frozen = nn.Parameter(torch.ones(2), requires_grad=False)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return ((rows @ self.weight) @ self.weight.t() + self.frozen).sum()


def test_each_pass_counts_alone_and_a_shared_weight_once() -> None:
    model, rows = Tied(), torch.randn(3, 2, generator=torch.Generator().manual_seed(0))
    alone = [torch.autograd.grad(model(row), model.weight)[0].norm().item() for row in rows]
    with watched_norms(model) as norms:
        for row in rows:
            model(row).backward()
    assert [norm.item() for norm in norms] == pytest.approx(alone, rel=1e-6)
    assert model.weight.grad is not None
    assert model.weight.grad.norm().item() != pytest.approx(alone[-1]), "what has accumulated is another matter"
    model(rows[0]).backward()
    assert len(norms) == 3, "afterwards nothing is watched"


def test_a_large_gradient_is_measured_in_pieces_and_loses_nothing() -> None:
    model = nn.Linear(PIECE[False] // 512 + 1, 1024, bias=False)
    row = torch.randn(1, model.in_features, generator=torch.Generator().manual_seed(0))
    with watched_norms(model) as norms:
        model(row).sum().backward()
    assert model.weight.grad is not None
    assert norms[0].item() == pytest.approx(model.weight.grad.double().norm().item(), rel=1e-12)


def test_a_compiled_model_is_compiled_once_for_all_steps() -> None:
    """Hooks are anew in every step, and no guard of a compiled graph may ask for the last one's."""
    torch.compiler.reset()
    compiler, model = CompileCounter(), Tied()
    compiled = torch.compile(model, backend=compiler, fullgraph=True)
    for _ in range(3):
        with watched_norms(model) as norms:
            compiled(torch.randn(3, 2)).backward()
    assert len(norms) == 1
    assert compiler.frame_count == 1
