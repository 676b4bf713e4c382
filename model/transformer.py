"""The decoder-only transformer: embedding, blocks, final norm, output head."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Literal, Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from model.attention import LayerCache
from model.block import Block, ForwardPass, halves
from model.config import LayerKind, ModelConfig, RopeScaling
from model.kernels import Kernel, RowPart, choose_kernel
from model.layers import make_norm
from model.loss import TrainedRows, linear_cross_entropy, token_hits, token_losses
from model.positions import Rotation, document_starts, rotary_angles

Reduction = Literal["mean", "none", "hits"]


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

    def matrix(self) -> Tensor:
        """What hidden states are multiplied with, (vocabulary, width)."""
        return self.weight

    def trained_rows(self) -> TrainedRows | None:
        """Where only some rows of the matrix are trained: which, and what they are."""
        return None

    def forward(
        self,
        hidden: Tensor,
        targets: Tensor | None = None,
        reduction: Reduction = "mean",
        counted: Tensor | None = None,
    ) -> Tensor:
        """Logits or losses of hidden (batch, time, width), as `Transformer.forward` describes them."""
        weight = self.matrix()
        if targets is None:
            logits = F.linear(hidden, weight)
            return logits.to(torch.promote_types(logits.dtype, torch.float32))
        hidden, rows = hidden.flatten(0, 1), targets.flatten()
        if reduction == "mean":
            if counted is not None:
                hidden, rows = hidden.index_select(0, counted), rows.index_select(0, counted)
            return linear_cross_entropy(hidden, weight, rows, self.z_loss, self.trained_rows())
        by_token = token_hits if reduction == "hits" else token_losses
        return by_token(hidden, weight, rows).view_as(targets)


class Transformer(nn.Module):
    """A decoder-only language model.

    It can be built on the meta device and materialised with `to_empty`; `model.initialise.initialise` sets its weights.

    Attributes:
        dropout: probability of dropping an element in training; read in every forward pass, so it may be changed
            between steps.
        draws: whether a block draws random numbers in training for other reasons than `dropout`.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.dropout = config.dropout
        self.draws = False
        self.recompute_every = 0
        # nn.Embedding's own draw of what `initialise` replaces would load torch._dynamo on the meta device: a second.
        weight = torch.zeros(config.vocabulary_size, config.width)
        self.embedding = nn.Embedding.from_pretrained(weight, freeze=False)  # type: ignore[no-untyped-call]
        self.embedding_norm = make_norm(config, config.width) if config.embedding_norm else nn.Identity()
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(1, config.layers + 1))
        self.final_norm = make_norm(config, config.width)
        self.head = OutputHead(config, self.embedding.weight if config.tied else None)

    def set_training(
        self, activation_checkpointing: bool | int | Literal["selective"] = False, compiled: bool = False
    ) -> None:
        """Choose how the blocks run in training; neither choice changes what they compute, but for rounding.

        Args:
            activation_checkpointing: False keeps all that the backward pass needs; True keeps only the input of each
                block and runs it again, a number k does so for every k-th block; "selective" keeps what matrix products
                and attention have computed and makes the cheap rest again.
            compiled: run both halves of a block through torch.compile, once for all blocks.
        """
        selective = activation_checkpointing == "selective"
        self.recompute_every = 0 if isinstance(activation_checkpointing, str) else int(activation_checkpointing)
        chosen = halves(selective, compiled)
        for block in self.blocks:
            cast(Block, block).training_halves = chosen

    def forward(
        self,
        tokens: Tensor,
        targets: Tensor | None = None,
        reduction: Reduction = "mean",
        cache: Sequence[LayerCache] | None = None,
        documents: Tensor | None = None,
        counted: Tensor | None = None,
        part: RowPart | None = None,
    ) -> Tensor:
        """Predict the token after each of `tokens`, int64 (batch, time).

        Args:
            targets: the tokens to predict, int64 (batch, time); those equal to `loss.IGNORE` do not count.
            reduction: "mean" for training; "none" and "hits" for evaluation (carry no gradient).
            cache: one LayerCache a layer, extended in place; `tokens` are then those that follow its contents.
            documents: the document of each of `tokens`, integers (batch, time): attention stays within each run of
                equal ones, and positions begin anew in it. None: a row is one document. Not together with a cache.
            counted: where the targets that count lie in the flattened `targets`, int64 (counted,): with "mean" no
                logits of the others are made. None: of all, and those that do not count are left out of the loss.
            part: `tokens` and `targets` are this slice of their rows, of which other processes take the rest through
                the model at the same time; `documents` are of whole rows. None: rows are whole. Without dropout only.

        Returns:
            Without targets, logits float32 (batch, time, vocabulary). With "mean", the scalar mean loss over counted
            targets in nats, z-loss included. With "none", each target's loss in nats, float32 (batch, time), z-loss
            left out and 0 where ignored; with "hits" 1 where the target is the likeliest token, else 0.
        """
        hidden = self.hidden_states(tokens, cache, documents, part)
        logits_or_loss: Tensor = self.head(hidden, targets, reduction, counted)
        return logits_or_loss

    def hidden_states(
        self,
        tokens: Tensor,
        cache: Sequence[LayerCache] | None = None,
        documents: Tensor | None = None,
        part: RowPart | None = None,
    ) -> Tensor:
        """What the output head reads: (batch, time, width) after the final norm. Arguments as in `forward`."""
        hidden = self.embedding_norm(self.embedding(tokens))
        dropout = self.dropout if self.training else 0.0
        passes = self._forward_passes(hidden, cache[0].length if cache else 0, documents, dropout, part)
        hidden = F.dropout(hidden, dropout)
        recompute = self.recompute_every if self.training and torch.is_grad_enabled() and cache is None else 0
        for layer, (block, kind) in enumerate(zip(self.blocks, self.config.layer_kinds, strict=True)):
            shared = passes[kind]
            if recompute and layer % recompute == 0:
                draws = self.draws or dropout > 0
                hidden = checkpoint(block, hidden, shared, use_reentrant=False, preserve_rng_state=draws)
            else:
                hidden = block(hidden, shared, cache[layer] if cache else None)
        normalised: Tensor = self.final_norm(hidden)
        return normalised

    def _forward_passes(
        self, hidden: Tensor, past: int, documents: Tensor | None, dropout: float, part: RowPart | None
    ) -> dict[LayerKind, ForwardPass]:
        """What the blocks of each kind share: made once a pass, without waiting for a GPU."""
        config = self.config
        if past and documents is not None:
            raise ValueError("documents cannot be told apart behind a key-value cache: give one of the two")
        training = self.training and torch.is_grad_enabled()
        places, row = None, hidden.shape[1] * (part.count if part else 1)
        own = part.positions(row) if part else slice(row)
        if documents is not None and config.positions == "rope":
            places = (torch.arange(row, device=hidden.device) - document_starts(documents))[:, own]

        @cache
        def kernel(window: int | None) -> Kernel:
            return choose_kernel(config, hidden, past, documents, training, dropout, window, part)

        @cache
        def rotation(scaling: RopeScaling | None) -> Rotation:
            at = (past, row, hidden.dtype, hidden.device)
            cosine, sine = rotary_angles(config.head_width, config.rope_theta, *at, scaling)
            return (cosine[own], sine[own]) if places is None else (cosine[places], sine[places])

        def of_kind(kind: LayerKind) -> ForwardPass:
            rotated = config.positions == "rope" and kind != "unrotated"
            return ForwardPass(
                kernel(config.sliding_window if kind == "sliding" else None),
                rotation(config.rope_scaling if kind == "full" else None) if rotated else None,
                dropout,
            )

        return {kind: of_kind(kind) for kind in set(config.layer_kinds)}

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # `to_empty` and `to` from the meta device replace parameters module by module, which would untie the head.
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if self.config.tied:
            self.head.weight = self.embedding.weight
        return self
