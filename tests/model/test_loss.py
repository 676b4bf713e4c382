"""The chunked cross-entropy against PyTorch's own in float64."""

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck

from model import loss as loss_module
from model.loss import IGNORE, linear_cross_entropy, token_hits, token_losses


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch):
    monkeypatch.setattr(loss_module, "LOSS_CHUNK_TOKENS", 4)


def example(tokens=11, width=6, vocabulary=17, dtype=torch.float64):
    generator = torch.Generator().manual_seed(tokens)
    hidden = torch.randn(tokens, width, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()
    weight = torch.randn(vocabulary, width, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()
    targets = torch.randint(vocabulary, (tokens,), generator=generator)
    targets[::4] = IGNORE
    return hidden, weight, targets


def reference(hidden, weight, targets, z_loss):
    logits = hidden @ weight.T
    z_term = (logits.logsumexp(-1).square() * (targets != IGNORE)).sum() / (targets != IGNORE).sum()
    return F.cross_entropy(logits, targets, ignore_index=IGNORE) + z_loss * z_term


@pytest.mark.parametrize("tokens", [2, 4, 11, 12])
@pytest.mark.parametrize("z_loss", [0.0, 0.3])
def test_loss_and_gradients_equal_the_unchunked_loss(tokens, z_loss):
    hidden, weight, targets = example(tokens)
    ours, theirs = linear_cross_entropy(hidden, weight, targets, z_loss), reference(hidden, weight, targets, z_loss)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-13)
    for a, b in zip(
        torch.autograd.grad(3 * ours, (hidden, weight)), torch.autograd.grad(3 * theirs, (hidden, weight)), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-13)


@pytest.mark.parametrize("z_loss", [0.0, 0.3])
@pytest.mark.parametrize("wanted", [(True, True), (True, False), (False, True)])
def test_gradcheck(z_loss, wanted):
    hidden, weight, targets = example()
    hidden, weight = (x.detach().requires_grad_(w) for x, w in zip((hidden, weight), wanted, strict=True))
    assert gradcheck(lambda h, w: linear_cross_entropy(h, w, targets, z_loss), (hidden, weight))


def test_the_graph_may_be_walked_twice():
    hidden, weight, targets = example()
    loss = linear_cross_entropy(hidden, weight, targets)
    first = torch.autograd.grad(loss, (hidden, weight), retain_graph=True)
    second = torch.autograd.grad(loss, (hidden, weight))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_token_losses_are_zero_where_ignored_and_average_to_the_loss():
    hidden, weight, targets = example()
    losses = token_losses(hidden, weight, targets)
    assert not losses.requires_grad
    assert torch.equal(losses == 0, targets == IGNORE)
    expected = F.cross_entropy(hidden @ weight.T, targets, ignore_index=IGNORE, reduction="none")
    torch.testing.assert_close(losses, expected, rtol=0, atol=1e-13)
    with torch.no_grad():
        torch.testing.assert_close(
            linear_cross_entropy(hidden, weight, targets), losses.sum() / (targets != IGNORE).sum(), rtol=0, atol=1e-14
        )


def test_no_gradient_is_made_without_need(monkeypatch):
    hidden, weight, targets = example()

    class Refuses(torch.autograd.Function):
        @staticmethod
        def forward(*_):
            raise AssertionError("gradients were made although nobody can use them")

    monkeypatch.setattr(loss_module, "_LinearCrossEntropy", Refuses)
    with torch.no_grad():
        assert not linear_cross_entropy(hidden, weight, targets).requires_grad
    assert not linear_cross_entropy(hidden.detach(), weight.detach(), targets).requires_grad
    with pytest.raises(AssertionError, match="nobody"):
        linear_cross_entropy(hidden, weight, targets)


def test_all_targets_ignored_is_no_loss_and_no_gradient():
    hidden, weight, targets = example()
    loss = linear_cross_entropy(hidden, weight, targets.fill_(IGNORE), 0.3)
    assert loss == 0
    assert all(g.abs().sum() == 0 for g in torch.autograd.grad(loss, (hidden, weight)))


def test_large_logits_do_not_overflow():
    hidden = torch.tensor([[1.0, 0.0], [1.0, 0.0]], requires_grad=True)
    weight = torch.tensor([[3000.0, 0.0], [-3000.0, 1.0]], requires_grad=True)
    loss = linear_cross_entropy(hidden, weight, torch.tensor([0, 1]))
    assert loss == 3000
    assert all(torch.isfinite(g).all() for g in torch.autograd.grad(loss, (hidden, weight)))


def test_bfloat16_keeps_a_float32_loss_and_sums_the_weight_gradient_in_float32():
    hidden, weight, targets = example(4001, 32, 50, torch.bfloat16)
    loss = linear_cross_entropy(hidden, weight, targets)
    assert loss.dtype == torch.float32
    ours = torch.autograd.grad(loss, (hidden, weight))
    assert [g.dtype for g in ours] == [torch.bfloat16] * 2
    exact = hidden.detach().double().requires_grad_(), weight.detach().double().requires_grad_()
    theirs = torch.autograd.grad(reference(*exact, targets, 0.0), exact)
    for a, b in zip(ours, theirs, strict=True):
        # Rounded operands, not a rounded running sum over a thousand chunks: that would lose several percent.
        assert (a.double() - b).norm() / b.norm() < 0.01


def test_hits_are_where_the_target_is_the_likeliest_token():
    generator = torch.Generator().manual_seed(0)
    hidden, weight = torch.randn(10, 6, generator=generator), torch.randn(9, 6, generator=generator)
    likeliest = (hidden @ weight.T).argmax(dim=1)
    targets = likeliest.clone()
    targets[::3] = (targets[::3] + 1) % 9
    targets[1] = IGNORE
    assert token_hits(hidden, weight, targets).tolist() == (targets == likeliest).float().tolist()
