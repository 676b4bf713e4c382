"""The kernels that attention can run on, and the one place where one is chosen.

| where                                    | ALiBi                               | RoPE, or no positions          |
| ---------------------------------------- | ----------------------------------- | ------------------------------ |
| CPU; one document a row                  | SDPA with a bias shared by all rows | SDPA, causal                   |
| CPU; packed rows, masked                 | SDPA for each document              | SDPA for each document, causal |
| GPU, training; one document a row        | FlexAttention                       | SDPA, causal                   |
| GPU, training; packed rows, masked       | FlexAttention                       | FlexAttention                  |
| GPU, evaluation, generation, or dropout  | SDPA with a bias                    | SDPA with a mask where needed  |

Layers that slide over rows or documents longer than their window take a mask with SDPA, and in training on a GPU
FlexAttention. Behind a cache they are given no more keys than the window reaches; a single query then needs no mask.

SDPA is torch's `scaled_dot_product_attention`. All of them keep logits and softmax in float32 (or wider) for inputs in
bfloat16. FlexAttention computes bias and mask where it needs them, so that neither is ever in memory, and leaves out
the blocks that the mask empties; it has no dropout, and its backward pass runs on GPUs only.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

from model.config import ModelConfig
from model.positions import alibi_mask, alibi_slopes, document_starts

Kernel: TypeAlias = Callable[[Tensor, Tensor, Tensor, int], Tensor]
"""From queries (batch, heads, time, head_width), keys and values (batch, key_value_heads, past + time, head_width) and
a factor to softmax(factor * q k / sqrt(head_width) + bias) v, of the shape of the queries."""

FLEX_LEAST_HEAD_WIDTH = 16
"""Narrower heads do not fill a tile of FlexAttention's GPU kernel, which refuses them."""


@dataclass(frozen=True)
class RowPart:
    """Which slice of each row's positions this process holds, where others hold the rest (Ulysses: Jacobs et al. 2023,
    arXiv 2309.14509). In attention, where positions meet, it has all of them, and a slice of the heads."""

    number: int
    """Of the slice, from 0."""
    count: int
    """Slices of a row, all of the same length."""
    exchange: Callable[[Tensor], Tensor]
    """What comes of a tensor (count, ...) whose n-th part goes to the process of the n-th slice, and from each of them
    one comes: an all-to-all with a gradient."""

    def positions(self, row: int) -> slice:
        """Where in a row of this length the slice lies."""
        length = row // self.count
        return slice(self.number * length, (self.number + 1) * length)

    def heads(self, heads: int) -> range:
        """Which of so many heads are this process's in attention."""
        own = self.positions(heads)
        return range(own.start, own.stop)


def of_part(q: Tensor, k: Tensor, v: Tensor, factor: int, *, kernel: Kernel, part: RowPart) -> Tensor:
    """A kernel of whole rows and the part's heads, from and to all heads of the part's slice of them.

    Key-value heads that are fewer than the parts go to as many as attend to them.
    """
    if k.shape[1] < part.count:
        k, v = (x.repeat_interleave(part.count // x.shape[1], dim=1) for x in (k, v))
    # Of each part its heads: (parts, batch, heads, slice, head_width).
    dealt = [torch.unflatten(x, 1, (part.count, -1)).movedim(1, 0) for x in (q, k, v)]
    whole = part.exchange(torch.cat(dealt, dim=2)).permute(1, 2, 0, 3, 4).flatten(2, 3)
    q, k, v = torch.split(whole, [x.shape[2] for x in dealt], dim=1)
    slices = part.exchange(torch.unflatten(kernel(q, k, v, factor), 2, (part.count, -1)).movedim(2, 0))
    return slices.movedim(0, 1).flatten(1, 2)


def choose_kernel(
    config: ModelConfig,
    hidden: Tensor,
    past: int = 0,
    documents: Tensor | None = None,
    training: bool = False,
    dropout: float = 0.0,
    window: int | None = None,
    part: RowPart | None = None,
) -> Kernel:
    """The kernel for one forward pass; all its blocks of a kind share it, and with it masks that are made once.

    Args:
        hidden: any tensor of the pass, (batch, time, ...): its shape, dtype and device decide.
        past: tokens in the key-value cache.
        documents: integers (batch, time), to keep attention within each run of equal ones; needs an empty cache.
        training: whether there will be a backward pass.
        dropout: probability of dropping an attention weight.
        window: tokens that each sees, itself included; None: all before it.
        part: `hidden` is this slice of its rows (`documents` are of whole ones); None: rows are whole.
    """
    time, at = hidden.shape[1], (hidden.dtype, hidden.device)
    if part is None:
        return _of_rows(config, time, *at, past, documents, training, dropout, window)
    time, own = time * part.count, part.heads(config.heads)
    kernel = _of_rows(config, time, *at, past, documents, training, dropout, window, own)
    return partial(of_part, kernel=kernel, part=part)


def _of_rows(
    config: ModelConfig,
    time: int,
    dtype: torch.dtype,
    device: torch.device,
    past: int,
    documents: Tensor | None,
    training: bool,
    dropout: float,
    window: int | None,
    own: range | None = None,
) -> Kernel:
    """The kernel for whole rows of `time` tokens, of all heads or some `own`; the rest as in `choose_kernel`."""
    starts = None if documents is None else document_starts(documents)
    if window is not None and window >= past + time:
        window = None
    masked = starts is not None or window is not None
    if device.type == "cuda" and training and not past and flex_pays(config, masked, dropout):
        return flex_kernel(config, time, device, starts, window, own)
    out_of_reach = 0 if window is None else max(0, past + 1 - window)
    past -= out_of_reach
    mask = alibi_mask(config.heads, past, time, dtype, device, own) if config.positions == "alibi" else None
    if time > 1 and (window is not None or (past and mask is None)):
        # Several queries after a cache: the kernel's own causal mask would start at the wrong key.
        band = _band(past, time, window, device)
        mask = band if mask is None else mask.masked_fill(~band, -torch.inf)
    if starts is not None and device.type == "cpu":
        unmasked = window if window is not None and config.positions == "rope" else 0
        lengths = _document_lengths(starts)
        return partial(_each_document, lengths=lengths, mask=mask, unmasked=unmasked, dropout=dropout)
    if starts is not None:
        mask = _within_documents(starts, mask)
    kernel = partial(_sdpa, mask=mask, causal=mask is None and time > 1, dropout=dropout)
    return partial(_of_later_keys, kernel=kernel, first=out_of_reach) if out_of_reach else kernel


def flex_pays(config: ModelConfig, masked: bool, dropout: float) -> bool:
    """Whether training on a GPU goes by FlexAttention: it can, and SDPA would need a mask in memory.

    Args:
        masked: attention keeps within documents or within a window.
    """
    return (config.positions == "alibi" or masked) and not dropout and config.head_width >= FLEX_LEAST_HEAD_WIDTH


def _sdpa(q: Tensor, k: Tensor, v: Tensor, factor: int, *, mask: Tensor | None, causal: bool, dropout: float) -> Tensor:
    return F.scaled_dot_product_attention(
        q,
        k,
        v,
        attn_mask=mask,
        dropout_p=dropout,
        is_causal=causal,
        scale=factor * q.shape[-1] ** -0.5,
        enable_gqa=k.shape[1] < q.shape[1],
    )


def _of_later_keys(q: Tensor, k: Tensor, v: Tensor, factor: int, *, kernel: Kernel, first: int) -> Tensor:
    return kernel(q, k[:, :, first:], v[:, :, first:], factor)


@lru_cache(maxsize=2)
@torch.inference_mode(False)
def _band(past: int, time: int, window: int | None, device: torch.device) -> Tensor:
    """Which keys a query sees that stands behind `past` of them: bool (time, past + time)."""
    seen = torch.ones(time, past + time, device=device, dtype=torch.bool).tril_(past)
    return seen if window is None else seen.triu_(past - window + 1)


def _within_documents(starts: Tensor, mask: Tensor | None) -> Tensor:
    """Mask or bias, (batch, 1 or heads, time, time), under which no token sees another document or the future."""
    places = torch.arange(starts.shape[1], device=starts.device)
    seen = ((places >= starts[:, :, None]) & (places <= places[:, None]))[:, None]
    if mask is None or mask.dtype == torch.bool:
        return seen if mask is None else seen & mask
    return mask.masked_fill(~seen, -torch.inf)


def _document_lengths(starts: Tensor) -> list[int]:
    """Tokens of each document of the rows behind one another."""
    begins = torch.nonzero((starts == torch.arange(starts.shape[1])).flatten()).flatten()
    return begins.diff(append=begins.new_tensor([starts.numel()])).tolist()


def _each_document(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    factor: int,
    *,
    lengths: list[int],
    mask: Tensor | None,
    unmasked: int,
    dropout: float,
) -> Tensor:
    """Attention of one document after another: a third of the time of masked rows or less, as little is masked.

    Args:
        unmasked: documents up to this length need nothing of the mask but that it is causal.
    """
    parts = []
    behind_one_another = (torch.split(x.transpose(1, 2).flatten(0, 1), lengths) for x in (q, k, v))
    for document in zip(*behind_one_another, strict=True):
        time = len(document[0])
        of_document = None if mask is None or time <= unmasked else mask[..., :time, :time]
        query, key, value = (x.transpose(0, 1)[None] for x in document)
        mixed = _sdpa(query, key, value, factor, mask=of_document, causal=of_document is None, dropout=dropout)
        parts.append(mixed[0].transpose(0, 1))
    return torch.cat(parts).view(q.shape[0], -1, *q.shape[1::2]).transpose(1, 2)


def flex_kernel(
    config: ModelConfig,
    time: int,
    device: torch.device,
    starts: Tensor | None,
    window: int | None = None,
    own: range | None = None,
) -> Kernel:
    """FlexAttention over whole rows, with ALiBi's bias, and the borders of documents and windows where there are any.

    Args:
        starts: where each token's document begins, (batch, time), or None.
        window: tokens that each sees, itself included, or None.
        own: the heads that it is given; None: all.
    """
    if starts is None:
        block_mask = _causal_blocks(time, window, device)
    else:

        def sees(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
            seen = (key <= query) & (key >= starts[batch, query])
            return seen if window is None else seen & (key > query - window)

        block_mask = create_block_mask(sees, len(starts), None, time, time, device)
    slopes = _slopes(config.heads, device, own) if config.positions == "alibi" else None
    factors = torch.arange(config.layers + 1, device=device) if config.query_key_layer_scaling else None
    return partial(_flex, block_mask=block_mask, slopes=slopes, factors=factors)


@lru_cache(maxsize=2)
def _slopes(heads: int, device: torch.device, own: range | None) -> Tensor:
    # Kept, because a copy from the host would hold up every step.
    return torch.tensor(alibi_slopes(heads, own), device=device)


@lru_cache(maxsize=2)
def _causal_blocks(time: int, window: int | None, device: torch.device) -> BlockMask:
    def sees(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return key <= query if window is None else (key <= query) & (key > query - window)

    return create_block_mask(sees, None, None, time, time, device)


def _flex(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    factor: int,
    *,
    block_mask: BlockMask,
    slopes: Tensor | None,
    factors: Tensor | None,
) -> Tensor:
    # As a number, every factor would be compiled into a kernel of its own.
    times = None if factors is None else factors[factor]

    def modify(score: Tensor, batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        score = score if times is None else score * times
        return score if slopes is None else score + slopes[head] * (key - query)

    mixed: Tensor = _compiled_flex()(q, k, v, modify, block_mask, enable_gqa=k.shape[1] < q.shape[1])
    return mixed


@lru_cache(maxsize=1)
def _compiled_flex() -> Callable[..., Any]:
    return torch.compile(flex_attention, fullgraph=True)
