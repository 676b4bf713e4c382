"""Causal self-attention: grouped key-value heads, ALiBi or rotary positions, and the key-value cache of generation."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.config import ModelConfig
from model.layers import make_norm


def alibi_slopes(heads: int) -> list[float]:
    """Slope of each head's linear bias (Press et al. 2022; BloombergGPT, appendix A).

    With b the largest power of two up to `heads`, the first b slopes are 2^(-8/b), 2^(-16/b), ..., 2^-8; any further
    heads take the geometric midpoints between them, from the steepest on.
    """
    base = 2 ** (heads.bit_length() - 1)
    return [2.0 ** (-8 / base * (1 + head % base - 0.5 * (head // base))) for head in range(heads)]


def alibi_mask(heads: int, past: int, time: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Bias on the attention logits: slope * (key - query) up to the query, minus infinity after it.

    Queries stand at positions past ... past + time - 1, keys at 0 ... past + time - 1. The products are made in float32
    (or wider) and rounded once to `dtype`. Shape (1, heads, time, past + time).
    """
    precise = torch.promote_types(dtype, torch.float32)
    keys = torch.arange(past + time, device=device, dtype=precise)
    distance = keys - keys[past:, None]  # (time, past + time)
    slopes = torch.tensor(alibi_slopes(heads), device=device, dtype=precise)
    bias = slopes[:, None, None] * distance
    return bias.masked_fill_(distance > 0, -torch.inf).to(dtype)[None]


def rotary_angles(
    head_width: int, theta: float, past: int, time: int, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Cosine and sine of position * theta^(-2i / head_width) (Su et al. 2021), angles in float32 or wider.

    For positions past ... past + time - 1; both have shape (time, 1, head_width / 2).
    """
    precise = torch.promote_types(dtype, torch.float32)
    exponents = torch.arange(0, head_width, 2, device=device, dtype=precise) / head_width
    positions = torch.arange(past, past + time, device=device, dtype=precise)
    angles = torch.outer(positions, 1.0 / theta**exponents)[:, None, :]
    return angles.cos().to(dtype), angles.sin().to(dtype)


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotate the pairs (x_i, x_(i + head_width/2)) of x (batch, time, heads, head_width): Hugging Face's layout."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cosine - second * sine, second * cosine + first * sine), dim=-1)


class Positions:
    """Where tokens stand, in the form that attention needs; one object is shared by all layers of a model.

    The latest answer is kept, so training computes it once. It follows length, dtype and device instead of being
    sized in advance, so that a context longer than in training works. It is no part of the state dict.
    """

    def __init__(self, config: ModelConfig) -> None:
        self.config = config
        self._latest: tuple[object, tuple[Tensor | None, tuple[Tensor, Tensor] | None]] | None = None

    def __call__(
        self, past: int, time: int, dtype: torch.dtype, device: torch.device
    ) -> tuple[Tensor | None, tuple[Tensor, Tensor] | None]:
        """Attention mask and rotation for `time` queries after `past` cached tokens; None where not needed.

        A mask of None stands for plain causal attention, which needs no mask tensor.
        """
        question = (past, time, dtype, device)
        if self._latest is None or self._latest[0] != question:
            # Kept across calls: must serve training even when first asked for in inference mode.
            with torch.inference_mode(False):
                self._latest = question, self._compute(past, time, dtype, device)
        return self._latest[1]

    def _compute(
        self, past: int, time: int, dtype: torch.dtype, device: torch.device
    ) -> tuple[Tensor | None, tuple[Tensor, Tensor] | None]:
        config = self.config
        if config.positions == "alibi":
            return alibi_mask(config.heads, past, time, dtype, device), None
        rotation = rotary_angles(config.head_width, config.rope_theta, past, time, dtype, device)
        if past == 0 or time == 1:
            return None, rotation
        # Several queries after a cache: the kernel's own causal mask would start at the wrong key.
        return torch.ones(time, past + time, device=device, dtype=torch.bool).tril_(past), rotation


class LayerCache:
    """Keys and values of the tokens that one layer has seen, (batch, key_value_heads, time, head_width) each.

    They lie in memory made for `capacity` tokens, and for twice as many whenever it is full: a new token is written
    into its place, and those before it are not copied.
    """

    def __init__(self, capacity: int = 0) -> None:
        self.capacity = capacity
        self.length = 0
        self._keys: Tensor | None = None
        self._values: Tensor | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of memory taken, room for further tokens included."""
        return 0 if self._keys is None or self._values is None else self._keys.nbytes + self._values.nbytes

    def extend(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Append the newest tokens and return all keys and values, views of this cache."""
        end = self.length + keys.shape[2]
        if self._keys is None or end > self.capacity:
            self.capacity = max(end, self.capacity if self._keys is None else 2 * self.capacity)
            self._keys, self._values = self._moved(self._keys, keys), self._moved(self._values, values)
        assert self._values is not None
        self._keys[:, :, self.length : end] = keys
        self._values[:, :, self.length : end] = values
        self.length = end
        return self._keys[:, :, :end], self._values[:, :, :end]

    def _moved(self, held: Tensor | None, new: Tensor) -> Tensor:
        """What is held, in memory for `capacity` tokens like `new`."""
        batch, heads, _, width = new.shape
        room = new.new_empty(batch, heads, self.capacity, width)
        if held is not None:
            room[:, :, : self.length] = held[:, :, : self.length]
        return room


class Attention(nn.Module):
    """Multi-head causal attention; one product makes queries, keys and values, packed in this order."""

    def __init__(self, config: ModelConfig, positions: Positions) -> None:
        super().__init__()
        self.config = config
        self.positions = positions
        self.split_heads = (config.heads, config.key_value_heads, config.key_value_heads)
        self.query_key_value = nn.Linear(config.width, sum(self.split_heads) * config.head_width, bias=config.bias)
        self.output = nn.Linear(config.width, config.width, bias=config.bias)
        self.query_norm = make_norm(config, config.head_width) if config.query_key_norm else nn.Identity()
        self.key_norm = make_norm(config, config.head_width) if config.query_key_norm else nn.Identity()

    def forward(self, hidden: Tensor, cache: LayerCache | None = None) -> Tensor:
        """(batch, time, width) -> (batch, time, width); with a cache, `hidden` holds only the tokens new to it."""
        config = self.config
        time = hidden.shape[1]
        packed = self.query_key_value(hidden).unflatten(-1, (-1, config.head_width))
        q, k, v = packed.split(self.split_heads, dim=2)  # (batch, time, heads, head_width)
        q, k = self.query_norm(q), self.key_norm(k)
        mask, rotation = self.positions(cache.length if cache else 0, time, q.dtype, q.device)
        if rotation is not None:
            q, k = rotate(q, *rotation), rotate(k, *rotation)
        q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
        if cache is not None:
            k, v = cache.extend(k, v)
        mixed = F.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=mask,
            dropout_p=config.dropout if self.training else 0.0,
            is_causal=mask is None and time > 1,
            enable_gqa=config.key_value_heads < config.heads,
        )
        output: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return output
