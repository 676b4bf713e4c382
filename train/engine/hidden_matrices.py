"""Which matrices Muon moves: those of the blocks, where several are packed into one parameter each for itself.

The embedding and the head are matrices too, but each of their rows belongs to a token and is read alone: they stay with
AdamW, as in all published recipes (Jordan et al. 2024; Liu et al. 2025, arXiv 2502.16982).
"""

from collections.abc import Iterable
from typing import NamedTuple

from model.config import ModelConfig

PREFIX = "blocks."


class HiddenMatrix(NamedTuple):
    """Consecutive rows of a parameter, which map one hidden state to another."""

    name: str
    """Of the parameter."""
    start: int
    """Its first element in the flattened parameter."""
    rows: int
    columns: int

    @property
    def elements(self) -> int:
        return self.rows * self.columns


def is_hidden(name: str, shape: Iterable[int]) -> bool:
    """Whether a parameter of this name and (whole, unpartitioned) shape consists of hidden matrices."""
    return name.startswith(PREFIX) and len(tuple(shape)) == 2


def hidden_matrices(config: ModelConfig, name: str, shape: tuple[int, int]) -> list[HiddenMatrix]:
    """Those of one parameter: of packed queries, keys and values three, of SwiGLU's packed gate and up two."""
    rows, columns = shape
    sizes = [rows]
    if name.endswith("attention.query_key_value.weight"):
        sizes = [heads * config.head_width for heads in (config.heads, config.key_value_heads, config.key_value_heads)]
    elif name.endswith("feed_forward.expand.weight") and config.activation == "swiglu":
        sizes = [config.feed_forward_width, config.feed_forward_width]
    if sum(sizes) != rows:
        raise ValueError(f"{name} has {rows} rows, its matrices have {sizes}")
    starts = [columns * sum(sizes[:number]) for number in range(len(sizes))]
    return [HiddenMatrix(name, start, size, columns) for start, size in zip(starts, sizes, strict=True)]
