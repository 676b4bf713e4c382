"""The ranks that share each row, and the all-to-all between them.

It is not DeepSpeed's: what 0.19 has of Ulysses is made for the attention modules of Hugging Face, without ALiBi and
document masks, and its own groups would have to be told to ZeRO, for which every rank is a rank here (decision 22).
"""

from datetime import timedelta
from typing import Any

import torch.distributed as dist
from torch import Tensor, autograd
from torch.autograd.function import once_differentiable

from model.kernels import RowPart
from train.config import TrainingConfig


def own_part(training: TrainingConfig) -> RowPart | None:
    """This rank's slice of rows that `sequence_ranks` consecutive ranks share; None where rows are whole.

    All ranks call this, once they are connected.
    """
    count = training.sequence_ranks
    if count == 1:
        return None
    timeout = timedelta(seconds=2 * training.hang_timeout)
    group, _ = dist.new_subgroups(count, timeout=timeout)  # type: ignore[no-untyped-call]

    def exchange(parts: Tensor) -> Tensor:
        exchanged: Tensor = _AllToAll.apply(parts, group)  # type: ignore[no-untyped-call]
        return exchanged

    return RowPart(dist.get_rank() % count, count, exchange)


class _AllToAll(autograd.Function):
    """Part n of a tensor's first dimension goes to the n-th rank of a group, as does the gradient of what came from it:
    an all-to-all is its own transpose."""

    @staticmethod
    def forward(ctx: Any, parts: Tensor, group: dist.ProcessGroup) -> Tensor:
        ctx.group = group
        return _all_to_all(parts, group)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _all_to_all(gradient, ctx.group), None


def _all_to_all(parts: Tensor, group: dist.ProcessGroup) -> Tensor:
    parts = parts.contiguous()
    received = parts.new_empty(parts.shape)
    dist.all_to_all_single(received, parts, group=group)
    return received
