"""Initial weights, the same for any order, sharding or number of processes."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from math import sqrt
from typing import TypeAlias

import torch
from torch import Tensor, nn

from model.config import ModelConfig
from model.transformer import Transformer

Gather: TypeAlias = Callable[[list[nn.Parameter]], AbstractContextManager[object]]
"""Makes a context in which the given parameters are whole and may be written, for sharded models."""

Spelled: TypeAlias = Mapping[int, Sequence[int]]
"""Id of a new piece → the ids that it was spelled with before, in order; one that stands there twice counts twice."""

RESIDUAL_OUTPUTS = ("attention.output.weight", "feed_forward.output.weight")
"""Endings of the names of the matrices that write into the residual stream."""


def initial_std(config: ModelConfig, name: str) -> float:
    """Standard deviation of the initial values of the matrix called `name` (see `initialise`)."""
    std = 1 / sqrt(3 * config.width)
    return std / sqrt(2 * config.layers) if name.endswith(RESIDUAL_OUTPUTS) else std


def initialise(
    model: Transformer, seed: int, gather: Gather = nullcontext, factor: Callable[[str], float] = lambda name: 1.0
) -> None:
    """Set every parameter as BloombergGPT did (appendix A.4), in place.

    | parameter                               | initial value                                              |
    | --------------------------------------- | ---------------------------------------------------------- |
    | attention.output, feed_forward.output   | normal, standard deviation 1 / sqrt(3 width) / sqrt(2 layers) |
    | every other matrix, embedding included  | normal, standard deviation 1 / sqrt(3 width)               |
    | norm gains                              | 1                                                          |
    | biases                                  | 0                                                          |

    Each tensor is drawn in float32 on the CPU from a generator of its own, seeded by `seed` and its name.

    Args:
        factor: by a parameter's name what these deviations and gains are times.
    """
    for name, parameter in model.named_parameters():
        with gather([parameter]), torch.no_grad():
            if parameter.ndim >= 2:
                values = seeded_normal(f"{seed}:{name}", parameter.shape)
                parameter.copy_(values.mul_(initial_std(model.config, name) * factor(name)))
            else:
                parameter.fill_(0.0 if name.endswith("bias") else factor(name))


def seeded_normal(key: str, shape: torch.Size) -> Tensor:
    """Float32 numbers of the standard normal distribution, on the CPU: a function of `key` alone."""
    digest = hashlib.blake2b(key.encode(), digest_size=8).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest, "little"))
    return torch.randn(shape, generator=generator, dtype=torch.float32)


def mean_row(weight: Tensor, ids: Sequence[int]) -> Tensor:
    """The mean of these rows (width,), in float32: sum over i of weight[ids[i]] / len(ids)."""
    return weight[torch.tensor(ids, device=weight.device)].float().mean(dim=0)


def mean_rows(weight: Tensor, spelled: Spelled) -> Tensor:
    """The first row of each new piece (pieces, width), in float32, in the order of `spelled`.

    Raises:
        ValueError: a piece was spelled with one that has no row.
    """
    if (last := max((number for ids in spelled.values() for number in ids), default=-1)) >= len(weight):
        raise ValueError(f"the tokenizer has the id {last}, and the vocabulary only {len(weight)} rows")
    return torch.stack([mean_row(weight, ids) for ids in spelled.values()])
