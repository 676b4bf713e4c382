"""What the ranks of a run tell each other beside gradients; all of them call these, and get the same answer."""

from typing import Any, TypeVar

import torch
import torch.distributed as dist

Value = TypeVar("Value")


def any_rank(condition: bool, device: torch.device) -> bool:
    """Whether it holds on any rank."""
    held = torch.tensor(float(condition), device=device)
    dist.all_reduce(held, op=dist.ReduceOp.MAX)
    return bool(held.item())


def of_all_ranks(value: Value) -> list[Value]:
    """Every rank's value, in order of rank."""
    values: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


def of_first_rank(value: Value) -> Value:
    """Rank 0's value; what the others give is not looked at."""
    values = [value]
    dist.broadcast_object_list(values)
    return values[0]
