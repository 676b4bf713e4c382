"""The decoder-only transformer: embedding, pre-norm blocks, final norm, output head."""

from collections.abc import Callable, Sequence
from typing import Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from model.attention import Attention, LayerCache, Positions
from model.config import ModelConfig
from model.layers import FeedForward, make_norm
from model.loss import linear_cross_entropy, token_losses


class Block(nn.Module):
    """x + attention(norm(x)), then x + feed_forward(norm(x)): the residual stream itself is never normalised."""

    def __init__(self, config: ModelConfig, positions: Positions) -> None:
        super().__init__()
        self.dropout = config.dropout
        self.attention_norm = make_norm(config, config.width)
        self.attention = Attention(config, positions)
        self.feed_forward_norm = make_norm(config, config.width)
        self.feed_forward = FeedForward(config)

    def forward(self, hidden: Tensor, cache: LayerCache | None = None) -> Tensor:
        """(batch, time, width) -> (batch, time, width)."""
        mixed = self.attention(self.attention_norm(hidden), cache)
        hidden = hidden + F.dropout(mixed, self.dropout, self.training)
        transformed = self.feed_forward(self.feed_forward_norm(hidden))
        return hidden + F.dropout(transformed, self.dropout, self.training)


class OutputHead(nn.Module):
    """The product with the vocabulary, and the loss on top of it, which never holds all logits at once.

    The weight is registered and used here even when it is the embedding's, so that whatever gathers the parameters of
    the module that runs (ZeRO stage 3) finds it.
    """

    def __init__(self, config: ModelConfig, tied_weight: Tensor | None) -> None:
        super().__init__()
        self.z_loss = config.z_loss
        self.weight = (
            nn.Parameter(torch.zeros(config.vocabulary_size, config.width)) if tied_weight is None else tied_weight
        )

    def forward(
        self, hidden: Tensor, targets: Tensor | None = None, reduction: Literal["mean", "none"] = "mean"
    ) -> Tensor:
        """Logits or losses of hidden (batch, time, width), as `Transformer.forward` describes them."""
        if targets is None:
            logits = F.linear(hidden, self.weight)
            return logits.to(torch.promote_types(logits.dtype, torch.float32))
        hidden, rows = hidden.flatten(0, 1), targets.flatten()
        if reduction == "mean":
            return linear_cross_entropy(hidden, self.weight, rows, self.z_loss)
        return token_losses(hidden, self.weight, rows).view_as(targets)


class Transformer(nn.Module):
    """A decoder-only language model.

    It can be built on the meta device and materialised with `to_empty`; `model.initialise.initialise` sets its weights.

    Attributes:
        activation_checkpointing: keep only the input of each block in training and recompute the rest in backward.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.activation_checkpointing = False
        positions = Positions(config)
        self.embedding = nn.Embedding(config.vocabulary_size, config.width)
        self.embedding_norm = make_norm(config, config.width) if config.embedding_norm else nn.Identity()
        self.blocks = nn.ModuleList(Block(config, positions) for _ in range(config.layers))
        self.final_norm = make_norm(config, config.width)
        self.head = OutputHead(config, self.embedding.weight if config.tied else None)

    def forward(
        self,
        tokens: Tensor,
        targets: Tensor | None = None,
        reduction: Literal["mean", "none"] = "mean",
        cache: Sequence[LayerCache] | None = None,
    ) -> Tensor:
        """Predict the token after each of `tokens`, int64 (batch, time).

        Args:
            targets: the tokens to predict, int64 (batch, time); those equal to `loss.IGNORE` do not count.
            reduction: "mean" for training; "none" for evaluation (carries no gradient).
            cache: one LayerCache a layer, extended in place; `tokens` are then those that follow its contents.

        Returns:
            Without targets, logits float32 (batch, time, vocabulary). With "mean", the scalar mean loss over counted
            targets in nats, z-loss included. With "none", each target's loss in nats, float32 (batch, time), z-loss
            left out and 0 where ignored.
        """
        logits_or_loss: Tensor = self.head(self.hidden_states(tokens, cache), targets, reduction)
        return logits_or_loss

    def hidden_states(self, tokens: Tensor, cache: Sequence[LayerCache] | None = None) -> Tensor:
        """What the output head reads: (batch, time, width) after the final norm. Arguments as in `forward`."""
        hidden = F.dropout(self.embedding_norm(self.embedding(tokens)), self.config.dropout, self.training)
        recompute = self.activation_checkpointing and torch.is_grad_enabled() and cache is None
        for layer, block in enumerate(self.blocks):
            if recompute:
                hidden = checkpoint(block, hidden, use_reentrant=False)
            else:
                hidden = block(hidden, cache[layer] if cache else None)
        normalised: Tensor = self.final_norm(hidden)
        return normalised

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # `to_empty` and `to` from the meta device replace parameters module by module, which would untie the head.
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if self.config.tied:
            self.head.weight = self.embedding.weight
        return self
