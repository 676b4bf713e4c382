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


YARN = {"kind": "yarn", "factor": 4.0, "original_length": 16}
_MODERN = shape(layers=4, width=48, heads=6, vocabulary_size=61, sequence_length=64) | LLAMA
_MODERN |= {"norm_epsilon": 1e-3, "feed_forward_width": 88, "rope_theta": 1000.0, "tied": True, "key_value_heads": 2}
_OLMO = _MODERN | {"norm_placement": "after", "query_key_norm": "all_heads", "tied": False}
PUBLISHED: dict[str, dict[str, Any]] = {
    "llama-3": _MODERN | {"rope_scaling": {"kind": "llama3", "factor": 8.0, "original_length": 32}, "head_width": 16},
    "llama-linear": _MODERN | {"rope_scaling": {"kind": "linear", "factor": 4.0}},
    "qwen2.5": _MODERN | {"bias": "query_key_value", "rope_scaling": YARN},
    "qwen2-window": _MODERN
    | {"bias": "query_key_value", "sliding_window": 5, "layer_pattern": ["full", "sliding", "sliding", "sliding"]},
    "qwen3-wide-heads": _MODERN | QWEN3 | {"head_width": 16, "tied": True, "rope_scaling": YARN | {"truncate": False}},
    "mistral": _MODERN | {"head_width": 12, "exported_class": "MistralForCausalLM"},
    "mistral-window": _MODERN | {"sliding_window": 7, "tied": False},
    "ministral": _MODERN
    | {"sliding_window": 7, "layer_pattern": ["full", "sliding", "sliding", "sliding"], "head_width": 16},
    "smollm3": _MODERN | {"layer_pattern": ["full", "full", "unrotated"]},
    "olmo2": _OLMO | {"head_width": 8},
    "olmo3": _OLMO
    | {"sliding_window": 6, "layer_pattern": ["sliding", "sliding", "sliding", "full"], "rope_scaling": YARN},
}
"""Small models with the switches of published ones, each of a class of its own or with one more switch."""
