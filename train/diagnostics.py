"""How large each tensor and its gradient are, in diagnostics.jsonl, and whether the ranks still have the same weights.

Watching ‖w‖/√numel tensor by tensor is what found BloombergGPT's first divergence (arXiv 2303.17564, appendix C.1).
"""

import json
import math
from collections import Counter
from typing import Any

import torch
import torch.distributed as dist

from data.files import append
from train.engine import engine
from train.engine.layout import trained_parameters
from train.gradient import Gradient
from train.run import Run

FILE = "diagnostics.jsonl"


class ReplicaError(Exception):
    """Ranks that should hold the same weights do not."""


def diagnose(run: Run, step: int, gradient: Gradient) -> None:
    """Write a line for `step`, before its update, and compare the copies of the weights; all ranks call this.

    A line has `step`, and by tensor `weight_rms` (‖w‖/√numel) and `gradient_norm` (before clipping). No rank ever holds
    more than its own part of a tensor for it.

    Raises:
        ReplicaError: the copies differ.
    """
    check_replicas(run)
    squares = engine.weight_squares(run.engine)
    dist.all_reduce(squares)
    if run.monitor is None:
        return
    weights, gradients = {}, {}
    for (name, parameter), square, norm in zip(
        trained_parameters(run.engine.module).items(), squares.tolist(), gradient.tensor_norms, strict=True
    ):
        weights[name] = math.sqrt(square / getattr(parameter, "ds_numel", parameter.numel()))
        gradients[name] = norm
    record = {"step": step, "weight_rms": weights, "gradient_norm": gradients}
    with (run.config.run_folder / FILE).open("ab", buffering=0) as file:
        append(file.fileno(), json.dumps(record).encode() + b"\n", run.config.run_folder / FILE)
    largest = {"largest_weight_rms": max(weights.values()), "largest_gradient": max(gradients.values())}
    run.monitor.mirror(step, "diagnostics", largest)


def check_replicas(run: Run) -> None:
    """Compare a checksum of every tensor that each rank holds whole: all of them under ZeRO 0 to 2, none under 3.

    Frozen ones too: a device that flips one of their bits changes the model no less.

    Raises:
        ReplicaError: names the ranks in the minority and the first tensor that differs.
    """
    held = [(name, tensor) for name, tensor in run.engine.module.named_parameters() if not hasattr(tensor, "ds_id")]
    if not held or run.rank.world_size == 1:
        return
    sums = torch.stack([checksum(tensor.detach()) for _, tensor in held])
    bounds = torch.cat([sums, ~sums])  # ~x = -x - 1 turns the order round: one maximum gives both ends
    dist.all_reduce(bounds, op=dist.ReduceOp.MAX)
    most, least = bounds.chunk(2)
    if torch.equal(most, ~least):
        return
    everyone = [torch.empty_like(sums) for _ in range(run.rank.world_size)]
    dist.all_gather(everyone, sums)
    raise ReplicaError(_name_the_odd([tuple(of_rank.tolist()) for of_rank in everyone], [name for name, _ in held]))


def checksum(tensor: torch.Tensor) -> torch.Tensor:
    """Sum of the bits of a tensor's elements as integers, int64 (): any one flipped bit changes it."""
    integers: Any = {2: torch.int16, 4: torch.int32, 8: torch.int64}[tensor.element_size()]
    return tensor.contiguous().view(integers).sum(dtype=torch.int64)


def _name_the_odd(sums: list[tuple[int, ...]], names: list[str]) -> str:
    common, count = Counter(sums).most_common(1)[0]
    odd = [rank for rank, of_rank in enumerate(sums) if of_rank != common]
    tensor = next(name for number, name in enumerate(names) if len({of_rank[number] for of_rank in sums}) > 1)
    who = f"rank {', '.join(map(str, odd))} differs" if count > 1 else "the ranks differ"
    return f"the ranks' copies of the weights are not the same: {who}, first in {tensor}; a device or a link is faulty"
