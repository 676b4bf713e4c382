"""One block of the decoder, and the ways in which its halves before and after attention run in training."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias, TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint, create_selective_checkpoint_contexts

from model.attention import Attention, LayerCache
from model.config import ModelConfig
from model.kernels import Kernel
from model.layers import FeedForward, make_norm
from model.positions import Rotation

QueriesKeysValues: TypeAlias = tuple[Tensor, Tensor, Tensor]
Halves: TypeAlias = tuple[Callable[..., QueriesKeysValues], Callable[..., Tensor]]
"""`Block.before_attention` and `Block.after_attention`, or functions that compute the same."""
Half = TypeVar("Half", bound=Callable[..., Any])


@dataclass(frozen=True)
class ForwardPass:
    """What all blocks of a kind share in one forward pass."""

    kernel: Kernel
    rotation: Rotation | None
    """Of rotary positions, in layers that have them."""
    dropout: float
    """Probability of dropping an element of a residual branch; 0 outside training."""


class Block(nn.Module):
    """x + attention(norm(x)), then x + feed_forward(norm(x)): the residual stream itself is never normalised.

    With `norm_placement` after, x + norm(attention(x)), then x + norm(feed_forward(x)).

    The attention kernel stands between two halves that hold all parameters and everything else.

    Attributes:
        training_halves: what computes the halves in training (see `halves`).
    """

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.training_halves = halves()
        self.norms_before = config.norm_placement == "before"
        self.attention_norm = make_norm(config, config.width)
        self.attention = Attention(config, layer)
        self.feed_forward_norm = make_norm(config, config.width)
        self.feed_forward = FeedForward(config)

    def before_attention(self, hidden: Tensor, rotation: Rotation | None) -> QueriesKeysValues:
        """(batch, time, width) -> queries, keys and values (batch, heads, time, head_width)."""
        return self.attention.project(self.attention_norm(hidden) if self.norms_before else hidden, rotation)

    def after_attention(self, hidden: Tensor, mixed: Tensor, dropout: float) -> Tensor:
        """Both residual branches, from the block's input and what attention made of it: (batch, time, width)."""
        attended = self.attention.output(mixed)
        hidden = hidden + F.dropout(attended if self.norms_before else self.attention_norm(attended), dropout)
        if self.norms_before:
            fed = self.feed_forward(self.feed_forward_norm(hidden))
        else:
            fed = self.feed_forward_norm(self.feed_forward(hidden))
        return hidden + F.dropout(fed, dropout)

    def forward(self, hidden: Tensor, shared: ForwardPass, cache: LayerCache | None = None) -> Tensor:
        """(batch, time, width) -> (batch, time, width); with a cache, `hidden` holds only the tokens new to it."""
        before, after = self.training_halves if self.training else halves()
        q, k, v = before(self, hidden, shared.rotation)
        mixed = self.attention.mix(q, k, v, shared.kernel, cache)
        return after(self, hidden, mixed, shared.dropout)


def halves(selective: bool = False, compiled: bool = False) -> Halves:
    """The halves of a block; in training all blocks of a model take the same, so that each is compiled once.

    Args:
        selective: keep for the backward pass what matrix products and attention have computed, and compute the cheap
            rest (norms, activation, residual sums) again.
        compiled: with torch.compile. Under ZeRO-3 a block's parameters must be gathered as a whole.
    """
    return _run(Block.before_attention, selective, compiled), _run(Block.after_attention, selective, compiled)


def _run(half: Half, selective: bool, compiled: bool) -> Half:
    if selective:
        half = cast(Half, partial(_keep_products, half))
    return cast(Half, torch.compile(half, fullgraph=True)) if compiled else half


def _keep_products(half: Half, *inputs: object) -> Any:
    products = [torch.ops.aten.mm.default, torch.ops.aten.addmm.default]
    contexts = partial(create_selective_checkpoint_contexts, products)
    return checkpoint(half, *inputs, use_reentrant=False, context_fn=contexts)
