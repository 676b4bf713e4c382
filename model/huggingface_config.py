"""config.json of Hugging Face transformers: written for an architecture, and read as one.

What is read is what transformers 5 computes with; where an earlier one reads the same file otherwise, both spellings
are written. Every key must be understood, or be known to change nothing that the model computes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from model.config import LayerKind, ModelConfig, YarnScaling, period
from model.huggingface import (
    BLOOM,
    FAMILIES,
    LLAMA,
    MINISTRAL,
    MISTRAL,
    OLMO2,
    OLMO3,
    QWEN2,
    QWEN3,
    SMOLLM3,
    hugging_face_class,
)
from model.huggingface_rotation import read_rotation, rotation_of

_LLAMA_DEFAULTS = {
    "num_key_value_heads": None,
    "head_dim": None,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": False,
    "attention_bias": False,
}
_MISTRAL_DEFAULTS = _LLAMA_DEFAULTS | {"num_key_value_heads": 8, "sliding_window": 4096}
_QWEN2_DEFAULTS = _LLAMA_DEFAULTS | {
    "num_key_value_heads": 32,
    "use_sliding_window": False,
    "sliding_window": 4096,
    "max_window_layers": 28,
    "layer_types": None,
}
DEFAULTS: dict[str, dict[str, Any]] = {
    BLOOM: {
        "seq_length": 2048,
        "layer_norm_epsilon": 1e-5,
        "tie_word_embeddings": True,
        "apply_residual_connection_post_layernorm": False,
    },
    LLAMA: _LLAMA_DEFAULTS | {"mlp_bias": False},
    MISTRAL: _MISTRAL_DEFAULTS,
    MINISTRAL: _MISTRAL_DEFAULTS | {"layer_types": None},
    QWEN2: _QWEN2_DEFAULTS,
    QWEN3: _QWEN2_DEFAULTS | {"head_dim": 128},
    SMOLLM3: _LLAMA_DEFAULTS
    | {
        "num_key_value_heads": 4,
        "tie_word_embeddings": True,
        "mlp_bias": False,
        "use_sliding_window": False,
        "sliding_window": None,
        "layer_types": None,
        "no_rope_layers": None,
        "no_rope_layer_interval": 4,
    },
    OLMO2: _LLAMA_DEFAULTS | {"rms_norm_eps": 1e-5},
    OLMO3: _LLAMA_DEFAULTS | {"rms_norm_eps": 1e-5, "sliding_window": 4096, "layer_types": None},
}
"""What the configuration class has where config.json does not say it: every key that is read and may be missing."""

_NEEDED: dict[str, Any] = {
    "hidden_act": "silu",
    "activation": "swiglu",  # what Falcon 3 calls both
    "attention_bias": False,
    "mlp_bias": False,
    "partial_rotary_factor": 1.0,
    "rope_interleaved": False,
    "use_mrope": False,
    "apply_residual_connection_post_layernorm": False,
}
"""Keys that are read to be refused if they say something else."""

_SIZES = {
    *("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"),
    *("max_position_embeddings", "rope_theta", "rope_scaling", "rope_parameters"),
}
_BLOOM_SIZES = {"vocab_size", "hidden_size", "n_embed", "n_layer", "num_hidden_layers", "n_head", "num_attention_heads"}

_CHANGES_NOTHING = {
    *("architectures", "model_type", "torch_dtype", "dtype", "initializer_range", "use_cache", "pretraining_tp"),
    *("attention_dropout", "hidden_dropout", "is_llama_config", "max_window_layers", "id2label", "label2id"),
    *("bos_token_id", "eos_token_id", "pad_token_id", "unk_token_id", "tokenizer_class", "attn_implementation"),
    *("return_dict", "output_attentions", "output_hidden_states", "torchscript", "use_bfloat16", "pruned_heads"),
    *("is_decoder", "is_encoder_decoder", "add_cross_attention", "tie_encoder_decoder", "chunk_size_feed_forward"),
    *(
        "unsloth_fixed",
        "unsloth_version",
        "neftune_noise_alpha",
        "use_reentrant_checkpointing",
        "remove_invalid_values",
    ),
    *("attention_softmax_in_fp32", "masked_softmax_fusion", "bias_dropout_fusion", "slow_but_exact", "offset_alibi"),
    *("skip_bias_add", "skip_bias_add_qkv"),
    *("max_length", "min_length", "do_sample", "early_stopping", "num_beams", "num_beam_groups", "temperature"),
    *("top_k", "top_p", "typical_p", "repetition_penalty", "length_penalty", "diversity_penalty", "output_scores"),
    *("no_repeat_ngram_size", "encoder_no_repeat_ngram_size", "num_return_sequences", "return_dict_in_generate"),
}
"""Keys of published files that no class here computes with: names, training, generation, speed."""

MOST_LAYERS = 2_000
"""No model has more; a file that says so is damaged."""

_DIFFERENCES = {
    "Gemma3ForCausalLM": "it multiplies embeddings by the root of their width, has norms before and after each"
    " sublayer, GELU in its gates, and for its sliding windows another base of wavelengths",
    "Ministral3ForCausalLM": "its queries grow with their position (llama_4_scaling_beta)",
}
"""Of classes that are asked for."""


def hugging_face_config(config: ModelConfig, dtype: str) -> dict[str, Any]:
    """Contents of config.json for weights of `dtype` ("float32", "bfloat16"); token ids are left unset."""
    name = hugging_face_class(config)
    shared = {
        "architectures": [name],
        "model_type": _model_type(name),
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
    length = config.sequence_length
    if isinstance(config.rope_scaling, YarnScaling):
        # transformers 4 takes the ratio of the two lengths for the factor.
        length = round(config.rope_scaling.factor * config.rope_scaling.original_length)
    sizes = {
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.key_value_heads,
        "head_dim": config.head_width,
        "intermediate_size": config.feed_forward_width,
        "hidden_act": "silu",
        "rms_norm_eps": config.norm_epsilon,
        "max_position_embeddings": length,
    }
    return shared | sizes | _their_layers(config, name) | rotation_of(config, name)


def _model_type(name: str) -> str:
    return name.removesuffix("ForCausalLM").lower()


def _their_layers(config: ModelConfig, name: str) -> dict[str, Any]:
    """What says which layers slide or do not rotate."""
    types = [f"{'sliding' if kind == 'sliding' else 'full'}_attention" for kind in config.layer_kinds]
    window = {"sliding_window": config.sliding_window}
    if name in (LLAMA, OLMO2):
        return {}
    if name == MISTRAL:
        return window
    if name in (MINISTRAL, OLMO3):
        return window | {"layer_types": types}
    switched = window | {"use_sliding_window": config.sliding_window is not None, "layer_types": types}
    if name == SMOLLM3:
        return switched | {"no_rope_layers": [int(kind != "unrotated") for kind in config.layer_kinds]}
    return switched | {"max_window_layers": config.layers if config.sliding_window is None else 0}


def architecture(theirs: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of `ModelConfig` that the contents of a config.json stand for.

    Raises:
        ValueError: it is of another family, something in it changes what the model computes in a way that `Transformer`
            does not, or may do so, or a setting is missing.
    """
    names = theirs.get("architectures")
    name = str(names[0]) if isinstance(names, list) and names else f"no `architectures`, {theirs.get('model_type')}"
    if name not in FAMILIES:
        why = f", but {_DIFFERENCES[name]}" if name in _DIFFERENCES else ""
        raise ValueError(f"it is a {name}{why}; only {', '.join(FAMILIES)} can be taken")
    if theirs.get("model_type", _model_type(name)) != _model_type(name):
        raise ValueError(f"it is a {name} of model_type {theirs['model_type']}, and transformers goes by the latter")
    _refuse_unknown(theirs, name)
    found = DEFAULTS[name] | dict(theirs)
    for key, wanted in _NEEDED.items():
        if found.get(key, wanted) not in (wanted, None):
            raise ValueError(f"its {key} is {found[key]}, and this model computes with {wanted} only")
    try:
        settings = _bloom_settings(found) if name == BLOOM else _llama_settings(found, name)
    except KeyError as error:
        raise ValueError(f"it does not say {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"its rotations: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except (TypeError, AttributeError, ZeroDivisionError) as error:
        raise ValueError(f"it says something that is not possible ({error})") from None
    return FAMILIES[name] | settings


def _refuse_unknown(theirs: Mapping[str, Any], name: str) -> None:
    known = _CHANGES_NOTHING | DEFAULTS[name].keys() | _NEEDED.keys() | (_BLOOM_SIZES if name == BLOOM else _SIZES)
    if name == MISTRAL and theirs.get("layer_types"):
        raise ValueError(
            f"it has layer_types, which transformers ignores in a {MISTRAL}: name {MINISTRAL} in its `architectures`"
            " (and ministral as model_type) if its layers differ, or remove them"
        )
    # Names that begin so say which program wrote the file.
    unknown = [
        key
        for key, value in theirs.items()
        if value is not None and key not in known and not key.startswith(("_", "transformers"))
    ]
    if unknown:
        raise ValueError(
            f"it says {', '.join(f'{key}={theirs[key]!r}'[:60] for key in unknown[:5])}, of which this model does not"
            f" know whether a {name} computes otherwise by it: where it does not, remove it from the file"
        )


def _bloom_settings(theirs: Mapping[str, Any]) -> dict[str, Any]:
    width, heads = _either(theirs, "hidden_size", "n_embed"), _either(theirs, "n_head", "num_attention_heads")
    return {
        "layers": _either(theirs, "n_layer", "num_hidden_layers"),
        "width": width,
        "heads": heads,
        "head_width": width // heads,
        "key_value_heads": heads,
        "feed_forward_width": 4 * width,
        "vocabulary_size": theirs["vocab_size"],
        "sequence_length": theirs["seq_length"],
        "norm_epsilon": theirs["layer_norm_epsilon"],
        "tied": theirs["tie_word_embeddings"],
        "layer_pattern": ("full",),
        "sliding_window": None,
    }


def _llama_settings(theirs: Mapping[str, Any], name: str) -> dict[str, Any]:
    layers, width, heads = theirs["num_hidden_layers"], theirs["hidden_size"], theirs["num_attention_heads"]
    kinds = _kinds(theirs, name, layers)
    settings = {
        "layers": layers,
        "width": width,
        "heads": heads,
        "head_width": theirs["head_dim"] or width // heads,
        "key_value_heads": theirs["num_key_value_heads"] or heads,
        "feed_forward_width": theirs["intermediate_size"],
        "vocabulary_size": theirs["vocab_size"],
        "sequence_length": theirs["max_position_embeddings"],
        "norm_epsilon": theirs["rms_norm_eps"],
        "tied": theirs["tie_word_embeddings"],
        "layer_pattern": period(kinds),
        "sliding_window": theirs["sliding_window"] if "sliding" in kinds else None,
        "exported_class": name if _is_another(name, set(kinds)) else None,
    }
    return settings | read_rotation(theirs, name, kinds)


def _is_another(name: str, kinds: set[LayerKind]) -> bool:
    """Whether a model whose layers are of these kinds would be exported as another class, which computes the same."""
    return (
        (name == MISTRAL and "full" in kinds)
        or (name == MINISTRAL and len(kinds) == 1)
        or (name == SMOLLM3 and "unrotated" not in kinds)
        or (name == OLMO3 and "sliding" not in kinds)
    )


def _kinds(theirs: Mapping[str, Any], name: str, layers: int) -> tuple[LayerKind, ...]:
    """The kind of each layer, as the configuration class makes them out."""
    if not 0 < layers <= MOST_LAYERS:
        raise ValueError(f"its num_hidden_layers is {layers}")
    window = theirs.get("sliding_window")
    if not theirs.get("use_sliding_window", True):
        window = None
    if name == SMOLLM3:
        every = theirs["no_rope_layer_interval"]
        rotated = theirs["no_rope_layers"] or [(layer + 1) % every for layer in range(layers)]
        if window is not None or "sliding_attention" in (theirs["layer_types"] or ()):
            raise ValueError("its unrotated layers slide, and this model computes unrotated layers in full only")
        return tuple("full" if turns else "unrotated" for turns in _of_each(layers, "no_rope_layers", rotated))
    types = theirs.get("layer_types")
    if types is None:
        first = theirs["max_window_layers"] if name in (QWEN2, QWEN3) else 0
        every = 4 if name == OLMO3 else layers + 1
        slides = [window is not None and layer >= first and (layer + 1) % every > 0 for layer in range(layers)]
        types = ["sliding_attention" if one else "full_attention" for one in slides]
    known: dict[str, LayerKind] = {"sliding_attention": "sliding", "full_attention": "full"}
    if other := set(types) - known.keys():
        raise ValueError(f"its layer_types have {', '.join(sorted(other))}, and this model {', '.join(known)} only")
    if "sliding_attention" in types and window is None:
        raise ValueError("its layer_types slide, and its sliding_window is off")
    return tuple(known[one] for one in _of_each(layers, "layer_types", types))


def _of_each(layers: int, key: str, said: Sequence[Any]) -> Sequence[Any]:
    if len(said) != layers:
        raise ValueError(f"its {key} are {len(said)}, and its num_hidden_layers {layers}")
    return said


def _either(theirs: Mapping[str, Any], name: str, other: str) -> Any:
    return theirs[name] if name in theirs else theirs[other]
