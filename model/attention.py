"""Causal self-attention: grouped key-value heads, positions, query-key norm, and the key-value cache of generation."""

from torch import Tensor, nn

from model.config import ModelConfig
from model.kernels import Kernel
from model.layers import make_norm
from model.positions import Rotation, rotate


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

    def shortened(self, length: int) -> None:
        """Forget all tokens but the first `length`."""
        self.length = min(self.length, length)

    def repeated(self, rows: int, room: int) -> "LayerCache":
        """A cache of `rows` rows in which each has seen the tokens of this one's only row; room for `room` more."""
        copy = LayerCache(self.length + room)
        if self._keys is not None and self._values is not None:
            seen = (kept[:, :, : self.length].expand(rows, -1, -1, -1) for kept in (self._keys, self._values))
            copy.extend(*seen)
        return copy

    def _moved(self, held: Tensor | None, new: Tensor) -> Tensor:
        """What is held, in memory for `capacity` tokens like `new`."""
        batch, heads, _, width = new.shape
        room = new.new_empty(batch, heads, self.capacity, width)
        if held is not None:
            room[:, :, : self.length] = held[:, :, : self.length]
        return room


class Attention(nn.Module):
    """Multi-head causal attention in the three steps that `Block` takes: `project`, `mix`, and the product `output`.

    One product makes queries, keys and values, packed in this order.

    Args:
        layer: number of the block, from 1: the divisor of query-key layer scaling.
    """

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.head_width = config.head_width
        self.divisor = layer if config.query_key_layer_scaling else 1
        self.split_heads = (config.heads, config.key_value_heads, config.key_value_heads)
        self.norms_all_heads = config.query_key_norm == "all_heads"
        self.query_key_value = nn.Linear(config.width, config.query_key_value_width, bias=bool(config.bias))
        self.output = nn.Linear(config.attention_width, config.width, bias=config.bias is True)
        self.query_norm, self.key_norm = (
            make_norm(config, config.head_width * (heads if self.norms_all_heads else 1))
            if config.query_key_norm
            else nn.Identity()
            for heads in self.split_heads[:2]
        )

    def project(self, hidden: Tensor, rotation: Rotation | None) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, (batch, heads, time, head_width), of hidden (batch, time, width)."""
        packed = self.query_key_value(hidden).unflatten(-1, (-1, self.head_width))
        q, k, v = packed.split(self.split_heads, dim=2)  # (batch, time, heads, head_width)
        if self.norms_all_heads:
            q, k = self.query_norm(q.flatten(2)).view_as(q), self.key_norm(k.flatten(2)).view_as(k)
        else:
            q, k = self.query_norm(q), self.key_norm(k)
        if rotation is not None:
            q, k = rotate(q, *rotation), rotate(k, *rotation)
        return q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)

    def mix(self, q: Tensor, k: Tensor, v: Tensor, kernel: Kernel, cache: LayerCache | None) -> Tensor:
        """Values mixed by attention, (batch, time, heads * head_width).

        With a cache, q, k and v are only of the tokens new to it.

        Query-key layer scaling divides the queries by the layer's number and multiplies the logits by it inside the
        kernel, before ALiBi's bias is added: softmax(n (q k / n sqrt(d) + bias / n)).
        """
        if cache is not None:
            k, v = cache.extend(k, v)
        if self.divisor > 1:
            q = q / self.divisor
        return kernel(q, k, v, self.divisor).transpose(1, 2).flatten(2)
