"""Small models of the two families, as settings; tests give them the sizes that they need."""

from typing import Any

BLOOM: dict[str, Any] = {
    "positions": "alibi",
    "norm": "layernorm",
    "activation": "gelu",
    "embedding_norm": True,
    "bias": True,
    "tied": True,
    "query_key_norm": False,
}
LLAMA: dict[str, Any] = {
    "positions": "rope",
    "norm": "rmsnorm",
    "activation": "swiglu",
    "embedding_norm": False,
    "bias": False,
    "tied": False,
    "query_key_norm": False,
}
QWEN3 = LLAMA | {"query_key_norm": True}


def shape(layers: int, width: int, heads: int, vocabulary_size: int, sequence_length: int) -> dict[str, Any]:
    """The sizes that every model has."""
    return {
        "layers": layers,
        "width": width,
        "heads": heads,
        "vocabulary_size": vocabulary_size,
        "sequence_length": sequence_length,
    }
