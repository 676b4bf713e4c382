"""Cross-entropy straight from hidden states: the logits of all tokens are never in memory together."""

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from model.memory import LOSS_CHUNK_TOKENS

IGNORE = -100
"""Target that does not count."""


TrainedRows: TypeAlias = tuple[Tensor, Tensor]
"""Ids, int64 (rows,), and the rows themselves, (rows, width)."""


def linear_cross_entropy(
    hidden: Tensor, weight: Tensor, targets: Tensor, z_loss: float = 0.0, trained: TrainedRows | None = None
) -> Tensor:
    """Mean over counted targets of -log softmax(hidden @ weight.T)[target] + z_loss * log_partition^2, in nats.

    The softmax is in float32, or wider where the input is. Without any counted target the loss is 0.

    Args:
        hidden: (tokens, width).
        weight: (vocabulary, width), of the dtype of `hidden`.
        targets: int64 (tokens,), IGNORE where a token does not count.
        z_loss: weight of the squared log-partition, which keeps the logits from drifting.
        trained: where only some rows of `weight` are trained, which and what they are: no gradient of others is made.
    """
    if torch.is_grad_enabled() and (hidden.requires_grad or weight.requires_grad):
        ids, rows = trained or (None, None)
        weight = weight if rows is None else weight.detach()
        arguments = hidden, weight, targets, z_loss, ids, rows
        loss: Tensor = _LinearCrossEntropy.apply(*arguments)  # type: ignore[no-untyped-call]
        return loss
    return token_losses(hidden, weight, targets, z_loss).sum() / _counted_targets(targets)


@torch.no_grad()
def token_losses(hidden: Tensor, weight: Tensor, targets: Tensor, z_loss: float = 0.0) -> Tensor:
    """The loss of each token, float32 (tokens,) and without gradient: 0 where ignored. Arguments as above."""
    return torch.cat([chunk.losses(z_loss) for chunk in _chunks(hidden, weight, targets)])


@torch.no_grad()
def token_hits(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """Whether each target is the likeliest token, float32 (tokens,): 1, or 0 also where ignored. Arguments as above."""
    return torch.cat([chunk.hits() for chunk in _chunks(hidden, weight, targets)])


class _Chunk(NamedTuple):
    """A stretch of tokens and the pieces of its softmax; columns are (tokens, 1)."""

    rows: slice
    exponentials: Tensor  # exp(logit - largest logit), (tokens, vocabulary); its memory serves the next chunk too
    total: Tensor  # their sum
    log_partition: Tensor
    target: Tensor  # with 0 in the place of IGNORE
    target_logit: Tensor
    largest: Tensor  # logit
    counted: Tensor  # 1 or 0

    def losses(self, z_loss: float) -> Tensor:
        losses = self.log_partition - self.target_logit + z_loss * self.log_partition.square()
        return (losses * self.counted).squeeze(1)

    def hits(self) -> Tensor:
        return ((self.target_logit == self.largest) * self.counted).squeeze(1).float()


def _chunks(hidden: Tensor, weight: Tensor, targets: Tensor) -> Iterator[_Chunk]:
    precise = torch.promote_types(hidden.dtype, torch.float32)
    buffer = hidden.new_empty(min(LOSS_CHUNK_TOKENS, len(hidden)), len(weight))
    for start in range(0, len(hidden), LOSS_CHUNK_TOKENS):
        rows = slice(start, min(start + LOSS_CHUNK_TOKENS, len(hidden)))
        logits = torch.mm(hidden[rows], weight.t(), out=buffer[: rows.stop - start]).to(precise)
        target = targets[rows, None]
        counted = target != IGNORE
        target = target.where(counted, 0)
        target_logit = logits.gather(1, target)
        largest = logits.amax(1, keepdim=True)
        exponentials = logits.sub_(largest).exp_()
        total = exponentials.sum(1, keepdim=True)
        log_partition = largest + total.log()
        yield _Chunk(rows, exponentials, total, log_partition, target, target_logit, largest, counted.to(precise))


def _counted_targets(targets: Tensor) -> Tensor:
    return (targets != IGNORE).sum().clamp(min=1)


class _LinearCrossEntropy(torch.autograd.Function):
    """Makes both gradients while each chunk's logits are at hand; backward only scales them.

    d loss / d logits = softmax * (1 + 2 * z_loss * log_partition) - one_hot(target), over the number of targets.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        targets: Tensor,
        z_loss: float,
        ids: Tensor | None = None,
        rows: Tensor | None = None,
    ) -> Tensor:
        precise = torch.promote_types(hidden.dtype, torch.float32)
        grad_hidden = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        trained = weight if rows is None else rows
        wanted = ctx.needs_input_grad[1] or ctx.needs_input_grad[5]
        grad_weight = torch.zeros_like(trained, dtype=precise) if wanted else None
        loss = hidden.new_zeros((), dtype=precise)
        for chunk in _chunks(hidden, weight, targets):
            loss += chunk.losses(z_loss).sum()
            scale = (1 + 2 * z_loss * chunk.log_partition) / chunk.total * chunk.counted
            grad_logits = chunk.exponentials.mul_(scale).scatter_add_(1, chunk.target, -chunk.counted).to(hidden.dtype)
            if grad_hidden is not None:
                torch.mm(grad_logits, weight, out=grad_hidden[chunk.rows])
            if grad_weight is not None:
                of_trained = grad_logits if ids is None else grad_logits[:, ids]
                _add_product(grad_weight, of_trained.t(), hidden[chunk.rows])
        count = _counted_targets(targets)
        ctx.save_for_backward(grad_hidden, grad_weight, count)
        ctx.weight_dtype, ctx.some_rows = weight.dtype, rows is not None
        return loss / count

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        grad_hidden, grad_weight, count = ctx.saved_tensors
        scale = grad_output / count
        if grad_hidden is not None:
            grad_hidden = grad_hidden * scale
        if grad_weight is not None:
            grad_weight = torch.mul(grad_weight, scale, out=torch.empty_like(grad_weight, dtype=ctx.weight_dtype))
        of_weight, of_rows = (None, grad_weight) if ctx.some_rows else (grad_weight, None)
        return grad_hidden, of_weight, None, None, None, of_rows


def _add_product(total: Tensor, a: Tensor, b: Tensor) -> None:
    """total += a @ b, in the precision of `total` where a and b are narrower."""
    if total.dtype == a.dtype:
        total.addmm_(a, b)
    else:
        total += a @ b
