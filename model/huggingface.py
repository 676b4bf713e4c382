"""The counterpart of an architecture in Hugging Face transformers: class, config.json, names and layout of weights."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from model.config import ModelConfig
from model.sizes import parameter_count

BLOOM, LLAMA, QWEN3 = "BloomForCausalLM", "LlamaForCausalLM", "Qwen3ForCausalLM"

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
_FAMILY = {
    BLOOM: {
        "positions": "alibi",
        "norm": "layernorm",
        "activation": "gelu",
        "embedding_norm": True,
        "bias": True,
        "query_key_norm": False,
    },
    LLAMA: {
        "positions": "rope",
        "norm": "rmsnorm",
        "activation": "swiglu",
        "embedding_norm": False,
        "bias": False,
        "query_key_norm": False,
    },
}
_FAMILY[QWEN3] = _FAMILY[LLAMA] | {"query_key_norm": True}


def hugging_face_class(config: ModelConfig) -> str:
    """Name of the transformers class that computes exactly this architecture.

    Raises:
        ValueError: none does; the message names the settings in the way.
    """
    if config.positions == "alibi":
        name = BLOOM
        needed = _FAMILY[name] | {"key_value_heads": config.heads, "feed_forward_width": 4 * config.width}
    else:
        name = QWEN3 if config.query_key_norm else LLAMA
        needed = _FAMILY[name]
    settings = config.model_dump()
    in_the_way = [f"{key}={settings[key]} (must be {value})" for key, value in needed.items() if settings[key] != value]
    if in_the_way:
        raise ValueError(
            f"transformers has no such model: with positions={config.positions} the nearest is {name}, and in the way"
            f" are {', '.join(in_the_way)}"
        )
    return name


def hugging_face_names(name: str, config: ModelConfig) -> list[str]:
    """Names of the tensors that hold the rows of our parameter `name`, in order.

    Raises:
        ValueError: their model has no such parameter.
    """
    module, _, kind = name.rpartition(".")
    match = re.fullmatch(r"blocks\.(\d+)\.(.+)", module)
    layer, module = (match[1], match[2]) if match else ("", module)
    modules: Mapping[str, Sequence[str]] = _BLOOM_MODULES if config.positions == "alibi" else _LLAMA_MODULES
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
        return [config.width, key_value_rows, key_value_rows]
    return [rows // 2, rows // 2] if ".feed_forward.expand." in name else [rows]


def hugging_face_config(config: ModelConfig, dtype: str) -> dict[str, Any]:
    """Contents of config.json for weights of `dtype` ("float32", "bfloat16"); token ids are left unset."""
    name = hugging_face_class(config)
    shared = {
        "architectures": [name],
        "model_type": name.removesuffix("ForCausalLM").lower(),
        # The first is what transformers 4, vLLM and llama.cpp read, the second what transformers 5 does.
        "torch_dtype": dtype,
        "dtype": dtype,
        "vocab_size": config.vocabulary_size,
        "hidden_size": config.width,
        "tie_word_embeddings": config.tied,
        "bos_token_id": None,
        "eos_token_id": None,
        # Set, it would freeze the padding token's embedding in fine-tuning; generation_config.json has it instead.
        "pad_token_id": None,
    }
    if name == BLOOM:
        return shared | {
            "n_layer": config.layers,
            "n_head": config.heads,
            "layer_norm_epsilon": config.norm_epsilon,
            "seq_length": config.sequence_length,
        }
    return shared | {
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.key_value_heads,
        "head_dim": config.head_width,
        "intermediate_size": config.feed_forward_width,
        "hidden_act": "silu",
        "rms_norm_eps": config.norm_epsilon,
        "max_position_embeddings": config.sequence_length,
        # Read by transformers up to 4, and from 5 on.
        "rope_theta": config.rope_theta,
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rope_theta},
    }


def architecture(theirs: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of `ModelConfig` that the contents of a config.json stand for.

    Raises:
        ValueError: it is of another family, something in it changes what the model computes in a way that `Transformer`
            does not, or a setting is missing.
    """
    names = theirs.get("architectures") or [f"no `architectures`, model_type {theirs.get('model_type')}"]
    name = names[0]
    if name not in _FAMILY:
        raise ValueError(f"it is a {name}; only {', '.join(_FAMILY)} can be taken")
    try:
        settings = _bloom_settings(theirs) if name == BLOOM else _llama_settings(theirs, name)
    except KeyError as error:
        raise ValueError(f"it does not say {error}") from None
    return _FAMILY[name] | settings


def _bloom_settings(theirs: Mapping[str, Any]) -> dict[str, Any]:
    _refuse_unless(theirs, {"apply_residual_connection_post_layernorm": (False, False)})
    width, heads = _either(theirs, "hidden_size", "n_embed"), _either(theirs, "n_head", "num_attention_heads")
    return {
        "layers": _either(theirs, "n_layer", "num_hidden_layers"),
        "width": width,
        "heads": heads,
        "key_value_heads": heads,
        "feed_forward_width": 4 * width,
        "vocabulary_size": theirs["vocab_size"],
        "sequence_length": theirs.get("seq_length", 2048),
        "norm_epsilon": theirs.get("layer_norm_epsilon", 1e-5),
        "tied": theirs.get("tie_word_embeddings", True),
    }


def _llama_settings(theirs: Mapping[str, Any], name: str) -> dict[str, Any]:
    rope = theirs.get("rope_parameters") or theirs.get("rope_scaling") or {}
    width, heads = theirs["hidden_size"], theirs["num_attention_heads"]
    found = dict(theirs) | {"rope_type": rope.get("rope_type", rope.get("type", "default"))}
    # What each of these is where config.json does not say it, and what it must be.
    _refuse_unless(
        found,
        {
            "rope_type": ("default", "default"),
            "hidden_act": ("silu", "silu"),
            "attention_bias": (False, False),
            "mlp_bias": (False, False),
            "use_sliding_window": (False, False),
            "head_dim": (128 if name == QWEN3 else width // heads, width // heads),
        },
    )
    return {
        "layers": theirs["num_hidden_layers"],
        "width": width,
        "heads": heads,
        "key_value_heads": theirs.get("num_key_value_heads") or heads,
        "feed_forward_width": theirs["intermediate_size"],
        "vocabulary_size": theirs["vocab_size"],
        "sequence_length": theirs["max_position_embeddings"],
        "rope_theta": rope.get("rope_theta", theirs.get("rope_theta", 10_000.0)),
        "norm_epsilon": theirs.get("rms_norm_eps", 1e-6),
        "tied": theirs.get("tie_word_embeddings", False),
    }


def _either(theirs: Mapping[str, Any], name: str, other: str) -> Any:
    return theirs[name] if name in theirs else theirs[other]


def _refuse_unless(theirs: Mapping[str, Any], needed: Mapping[str, tuple[Any, Any]]) -> None:
    for key, (default, wanted) in needed.items():
        found = theirs.get(key, default)
        if found != wanted:
            raise ValueError(f"its {key} is {found}, and this model computes with {wanted} only")
