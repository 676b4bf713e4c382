"""The counterpart of an architecture in Hugging Face transformers: its class, names and layout of weights."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from model.config import HuggingFaceClass, LayerKind, ModelConfig, YarnScaling
from model.sizes import parameter_count

BLOOM: HuggingFaceClass = "BloomForCausalLM"
LLAMA: HuggingFaceClass = "LlamaForCausalLM"
MISTRAL: HuggingFaceClass = "MistralForCausalLM"
MINISTRAL: HuggingFaceClass = "MinistralForCausalLM"
QWEN2: HuggingFaceClass = "Qwen2ForCausalLM"
QWEN3: HuggingFaceClass = "Qwen3ForCausalLM"
SMOLLM3: HuggingFaceClass = "SmolLM3ForCausalLM"
OLMO2: HuggingFaceClass = "Olmo2ForCausalLM"
OLMO3: HuggingFaceClass = "Olmo3ForCausalLM"

# Our module -> the modules of theirs that take its rows, in order.
_BLOOM_MODULES = {
    "embedding": ("transformer.word_embeddings",),
    "embedding_norm": ("transformer.word_embeddings_layernorm",),
    "attention_norm": ("transformer.h.{}.input_layernorm",),
    "attention.query_key_value": ("transformer.h.{}.self_attention.query_key_value",),
    "attention.output": ("transformer.h.{}.self_attention.dense",),
    "feed_forward_norm": ("transformer.h.{}.post_attention_layernorm",),
    "feed_forward.expand": ("transformer.h.{}.mlp.dense_h_to_4h",),
    "feed_forward.output": ("transformer.h.{}.mlp.dense_4h_to_h",),
    "final_norm": ("transformer.ln_f",),
    "head": ("lm_head",),
}
_LLAMA_MODULES = {
    "embedding": ("model.embed_tokens",),
    "attention_norm": ("model.layers.{}.input_layernorm",),
    "attention.query_key_value": tuple(f"model.layers.{{}}.self_attn.{part}_proj" for part in "qkv"),
    "attention.query_norm": ("model.layers.{}.self_attn.q_norm",),
    "attention.key_norm": ("model.layers.{}.self_attn.k_norm",),
    "attention.output": ("model.layers.{}.self_attn.o_proj",),
    "feed_forward_norm": ("model.layers.{}.post_attention_layernorm",),
    "feed_forward.expand": ("model.layers.{}.mlp.gate_proj", "model.layers.{}.mlp.up_proj"),
    "feed_forward.output": ("model.layers.{}.mlp.down_proj",),
    "final_norm": ("model.norm",),
    "head": ("lm_head",),
}
_OLMO_MODULES = _LLAMA_MODULES | {
    "attention_norm": ("model.layers.{}.post_attention_layernorm",),
    "feed_forward_norm": ("model.layers.{}.post_feedforward_layernorm",),
}
_LLAMA_SETTINGS = {
    "positions": "rope",
    "norm": "rmsnorm",
    "norm_placement": "before",
    "activation": "swiglu",
    "embedding_norm": False,
    "bias": False,
    "query_key_norm": False,
}
FAMILIES: dict[HuggingFaceClass, dict[str, Any]] = {
    BLOOM: {
        "positions": "alibi",
        "norm": "layernorm",
        "norm_placement": "before",
        "activation": "gelu",
        "embedding_norm": True,
        "bias": True,
        "query_key_norm": False,
    },
    LLAMA: _LLAMA_SETTINGS,
    MISTRAL: _LLAMA_SETTINGS,
    MINISTRAL: _LLAMA_SETTINGS,
    QWEN2: _LLAMA_SETTINGS | {"bias": "query_key_value"},
    QWEN3: _LLAMA_SETTINGS | {"query_key_norm": True},
    SMOLLM3: _LLAMA_SETTINGS,
    OLMO2: _LLAMA_SETTINGS | {"norm_placement": "after", "query_key_norm": "all_heads"},
    OLMO3: _LLAMA_SETTINGS | {"norm_placement": "after", "query_key_norm": "all_heads"},
}
"""Settings that every model of a class has."""

KINDS: dict[HuggingFaceClass, set[LayerKind]] = {
    BLOOM: {"full"},
    LLAMA: {"full"},
    MISTRAL: {"full", "sliding"},
    MINISTRAL: {"full", "sliding"},
    QWEN2: {"full", "sliding"},
    QWEN3: {"full", "sliding"},
    SMOLLM3: {"full", "unrotated"},
    OLMO2: {"full"},
    OLMO3: {"full", "sliding"},
}
"""Kinds that its layers may have; all those of a Mistral are of one."""


def hugging_face_class(config: ModelConfig) -> HuggingFaceClass:
    """Name of the transformers class that computes exactly this architecture: `exported_class`, or the first.

    Raises:
        ValueError: none does, or not this one; the message names the settings in the way.
    """
    name = config.exported_class or _nearest_class(config)
    needed = dict(FAMILIES[name])
    if name == BLOOM:
        needed |= {"key_value_heads": config.heads, "feed_forward_width": 4 * config.width}
        needed |= {"head_width": config.width // config.heads}
    settings = config.model_dump()
    in_the_way = [f"{key}={settings[key]} (must be {value})" for key, value in needed.items() if settings[key] != value]
    in_the_way += _in_the_way_of_layers(name, config)
    if in_the_way:
        raise ValueError(
            f"transformers has no such model: with positions={config.positions} the nearest is {name}, and in the way"
            f" are {', '.join(in_the_way)}"
        )
    return name


def _nearest_class(config: ModelConfig) -> HuggingFaceClass:
    kinds = set(config.layer_pattern)
    if config.positions == "alibi":
        return BLOOM
    if config.norm_placement == "after":
        return OLMO3 if "sliding" in kinds else OLMO2
    if config.query_key_norm:
        return QWEN3
    if config.bias == "query_key_value":
        return QWEN2
    if "unrotated" in kinds:
        return SMOLLM3
    if "sliding" in kinds:
        return MISTRAL if kinds == {"sliding"} else MINISTRAL
    return MISTRAL if config.width % config.heads else LLAMA  # Llama's config refuses such a width


def _in_the_way_of_layers(name: HuggingFaceClass, config: ModelConfig) -> list[str]:
    kinds, found = set(config.layer_pattern), []
    if not kinds <= KINDS[name] or (name == MISTRAL and len(kinds) > 1):
        found.append(f"layer_pattern={list(config.layer_pattern)} (must be of {' or '.join(sorted(KINDS[name]))})")
    if "sliding" in kinds and config.rope_scaling is not None and name != OLMO3:
        found.append(f"rope_scaling beside layers that slide ({name} scales these too)")
    if isinstance(config.rope_scaling, YarnScaling) and name == OLMO3 and not config.rope_scaling.truncate:
        found.append("rope_scaling.truncate=False (must be True: transformers 5 does not read it in this class)")
    if name == LLAMA and config.width % config.heads:
        found.append(f"heads={config.heads} (must divide width={config.width})")
    return found


def hugging_face_names(name: str, config: ModelConfig) -> list[str]:
    """Names of the tensors that hold the rows of our parameter `name`, in order.

    Raises:
        ValueError: their model has no such parameter.
    """
    module, _, kind = name.rpartition(".")
    match = re.fullmatch(r"blocks\.(\d+)\.(.+)", module)
    layer, module = (match[1], match[2]) if match else ("", module)
    modules: Mapping[str, Sequence[str]] = _OLMO_MODULES if config.norm_placement == "after" else _LLAMA_MODULES
    if config.positions == "alibi":
        modules = _BLOOM_MODULES
    if module not in modules:
        raise ValueError(f"the weights hold {name}, which a model of this config does not have")
    return [f"{theirs.format(layer)}.{kind}" for theirs in modules[module]]


def hugging_face_state(state_dict: Mapping[str, Tensor], config: ModelConfig) -> dict[str, Tensor]:
    """The weights of a `Transformer` under the names and in the layout of `hugging_face_class(config)`.

    Raises:
        ValueError: the architecture has no counterpart, or the weights are not those of `config`.
    """
    hugging_face_class(config)
    exported: dict[str, Tensor] = {}
    for name, tensor in state_dict.items():
        if name != "head.weight" or not config.tied:
            exported |= to_hugging_face(name, tensor, config)
    held, expected = sum(tensor.numel() for tensor in exported.values()), parameter_count(config)
    if held != expected:
        raise ValueError(f"the weights hold {held:,} parameters, but a model of this config has {expected:,}")
    return exported


def to_hugging_face(name: str, tensor: Tensor, config: ModelConfig) -> dict[str, Tensor]:
    """Our parameter `name`, or another tensor with a row for each of its rows, as theirs, in order.

    Raises:
        ValueError: their model has no such parameter.
    """
    if ".query_key_value." in name and config.positions == "alibi":
        # BLOOM keeps the query, key and value of one head together.
        tensor = tensor.view(3, config.heads, config.head_width, -1).transpose(0, 1).reshape(tensor.shape)
    parts = torch.split(tensor, _rows(name, len(tensor), config))
    return dict(zip(hugging_face_names(name, config), parts, strict=True))


def from_hugging_face(name: str, parts: Sequence[Tensor], config: ModelConfig) -> Tensor:
    """Our parameter `name` from the tensors that `hugging_face_names` names: the inverse of `to_hugging_face`."""
    tensor = torch.cat(list(parts)) if len(parts) > 1 else parts[0]
    if ".query_key_value." in name and config.positions == "alibi":
        tensor = tensor.view(config.heads, 3, config.head_width, -1).transpose(0, 1).reshape(tensor.shape)
    return tensor


def _rows(name: str, rows: int, config: ModelConfig) -> list[int]:
    """How many rows of a tensor go to each of its targets."""
    if config.positions == "alibi":
        return [rows]
    if ".query_key_value." in name:
        key_value_rows = config.key_value_heads * config.head_width
        return [config.attention_width, key_value_rows, key_value_rows]
    return [rows // 2, rows // 2] if ".feed_forward.expand." in name else [rows]
