"""How large the gradient of each single micro-batch is, before ranks and micro-batches are added up."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from train.engine.layout import trained_parameters

F64 = torch.float64
PIECE = {False: 1 << 20, True: 1 << 24}
"""Elements; more where each piece costs the launch of a kernel, on CUDA."""


@contextmanager
def watched_norms(model: nn.Module) -> Iterator[list[Tensor]]:
    """Norms, float64 () each, of what every backward pass within the block gives each trained tensor on this rank.

    They are taken as a gradient leaves the backward pass, whole on its rank at every ZeRO stage, and not yet added to
    that of other micro-batches.
    """
    norms: list[Tensor] = []

    def watch(gradient: Tensor) -> None:
        # Copied to float64 in pieces: activations are still there, and an embedding may be as large as they are.
        pieces = gradient.flatten().split(PIECE[gradient.is_cuda])  # type: ignore[no-untyped-call]
        norms.append(torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(x, dtype=F64) for x in pieces])))

    hooks = [
        parameter.register_hook(watch)  # type: ignore[no-untyped-call]
        for parameter in trained_parameters(model).values()
    ]
    try:
        yield norms
    finally:
        for hook in hooks:
            hook.remove()
