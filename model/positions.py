"""Where tokens stand: ALiBi's biases, rotary angles, and the documents inside a packed row."""

import math
from functools import lru_cache
from typing import TypeAlias

import torch
from torch import Tensor

from model.config import Llama3Scaling, RopeScaling, YarnScaling

Rotation: TypeAlias = tuple[Tensor, Tensor]
"""Cosines and sines of rotary angles."""


def alibi_slopes(heads: int, own: range | None = None) -> list[float]:
    """Slope of each head's linear bias, or of those of `own` among them (Press et al. 2022; BloombergGPT, appendix A).

    With b the largest power of two up to `heads`, the first b slopes are 2^(-8/b), 2^(-16/b), ..., 2^-8; any further
    heads take the geometric midpoints between them, from the steepest on.
    """
    base = 2 ** (heads.bit_length() - 1)
    return [2.0 ** (-8 / base * (1 + head % base - 0.5 * (head // base))) for head in own or range(heads)]


# Both tables are kept between calls: training asks for the same one in every step. They follow length, dtype and device
# instead of being sized in advance, so that a context longer than in training works, and are no part of a model's
# state. What inference mode was the first to ask for must serve training too.


@lru_cache(maxsize=2)
@torch.inference_mode(False)
def alibi_mask(
    heads: int, past: int, time: int, dtype: torch.dtype, device: torch.device, own: range | None = None
) -> Tensor:
    """Bias on the attention logits: slope * (key - query) up to the query, minus infinity after it.

    Queries stand at positions past ... past + time - 1, keys at 0 ... past + time - 1. The products are made in float32
    (or wider) and rounded once to `dtype`. Shape (1, heads, time, past + time), where `own` heads alone are asked for
    as many.
    """
    precise = torch.promote_types(dtype, torch.float32)
    keys = torch.arange(past + time, device=device, dtype=precise)
    distance = keys - keys[past:, None]  # (time, past + time)
    slopes = torch.tensor(alibi_slopes(heads, own), device=device, dtype=precise)
    bias = slopes[:, None, None] * distance
    return bias.masked_fill_(distance > 0, -torch.inf).to(dtype)[None]


@lru_cache(maxsize=4)
@torch.inference_mode(False)
def rotary_angles(
    head_width: int,
    theta: float,
    past: int,
    time: int,
    dtype: torch.dtype,
    device: torch.device,
    scaling: RopeScaling | None = None,
) -> Rotation:
    """Cosine and sine of position * theta^(-2i / head_width) (Su et al. 2021), angles in float32 or wider.

    For positions past ... past + time - 1; both have shape (time, 1, head_width / 2). YaRN's are multiplied by its
    attention factor.
    """
    precise = torch.promote_types(dtype, torch.float32)
    exponents = torch.arange(0, head_width, 2, device=device, dtype=precise) / head_width
    positions = torch.arange(past, past + time, device=device, dtype=precise)
    frequencies = 1.0 / theta**exponents
    if scaling is not None:
        frequencies = frequencies * _scale(scaling, theta, frequencies)
    angles = torch.outer(positions, frequencies)[:, None, :]
    cosine, sine = angles.cos(), angles.sin()
    if isinstance(scaling, YarnScaling):
        cosine, sine = cosine * scaling.attention_factor, sine * scaling.attention_factor
    return cosine.to(dtype), sine.to(dtype)


def _scale(scaling: RopeScaling, theta: float, frequencies: Tensor) -> Tensor | float:
    """What each pair's frequency is multiplied by: 1 where it is kept, 1 / factor where it is slow."""
    if isinstance(scaling, Llama3Scaling):
        turns = scaling.original_length / (2 * math.pi) * frequencies
        low, high = scaling.low_frequency_factor, scaling.high_frequency_factor
        kept = ((turns - low) / (high - low)).clamp(0, 1)
    elif isinstance(scaling, YarnScaling):
        first, last = _blended_pairs(scaling, theta, 2 * len(frequencies))
        pairs = torch.arange(len(frequencies), device=frequencies.device, dtype=frequencies.dtype)
        kept = 1 - ((pairs - first) / (last - first)).clamp(0, 1)
    else:
        return 1 / scaling.factor
    return kept + (1 - kept) / scaling.factor


def _blended_pairs(scaling: YarnScaling, theta: float, head_width: int) -> tuple[float, float]:
    """Between which pairs YaRN goes from keeping to dividing (Peng et al. 2023, section 3.2; transformers' bounds)."""

    def pair_of(turns: float) -> float:
        length = scaling.original_length / (2 * math.pi * turns)
        return head_width * math.log(length) / (2 * math.log(theta))

    first, last = pair_of(scaling.beta_fast), pair_of(scaling.beta_slow)
    if scaling.truncate:
        first, last = math.floor(first), math.ceil(last)
    first, last = max(first, 0), min(last, head_width - 1)
    return first, last + 0.001 if first == last else last


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotate the pairs (x_i, x_(i + head_width/2)) of x (batch, time, heads, head_width): Hugging Face's layout."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cosine - second * sine, second * cosine + first * sine), dim=-1)


def document_starts(documents: Tensor) -> Tensor:
    """Where in its row each token's document begins, int64 (batch, time).

    Args:
        documents: integers (batch, time); a run of equal ones is a document.
    """
    places = torch.arange(documents.shape[1], device=documents.device).expand(documents.shape)
    goes_on = documents[:, 1:] == documents[:, :-1]
    begins = torch.cat((places[:, :1], places[:, 1:].masked_fill(goes_on, 0)), dim=1)
    return begins.cummax(dim=1).values
