"""Export to Hugging Face transformers: BLOOM, Llama or Qwen3, whichever the architecture is."""

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from model.config import ModelConfig
from model.sizes import parameter_count

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


def hugging_face_class(config: ModelConfig) -> str:
    """Name of the transformers class that computes exactly this architecture.

    Raises:
        ValueError: none does; the message names the settings in the way.
    """
    if config.positions == "alibi":
        name = "BloomForCausalLM"
        needed: dict[str, object] = {"norm": "layernorm", "activation": "gelu", "embedding_norm": True, "bias": True}
        needed |= {"query_key_norm": False, "key_value_heads": config.heads, "feed_forward_width": 4 * config.width}
    else:
        name = "Qwen3ForCausalLM" if config.query_key_norm else "LlamaForCausalLM"
        needed = {"norm": "rmsnorm", "activation": "swiglu", "embedding_norm": False, "bias": False}
    settings = config.model_dump()
    in_the_way = [f"{key}={settings[key]} (must be {value})" for key, value in needed.items() if settings[key] != value]
    if in_the_way:
        raise ValueError(
            f"transformers has no such model: with positions={config.positions} the nearest is {name}, and in the way"
            f" are {', '.join(in_the_way)}"
        )
    return name


def hugging_face_state(state_dict: Mapping[str, Tensor], config: ModelConfig) -> dict[str, Tensor]:
    """The weights of a `Transformer` under the names and in the layout of `hugging_face_class(config)`.

    Raises:
        ValueError: the architecture has no counterpart, or the weights are not those of `config`.
    """
    is_bloom = hugging_face_class(config) == "BloomForCausalLM"
    modules = _BLOOM_MODULES if is_bloom else _LLAMA_MODULES
    exported: dict[str, Tensor] = {}
    for name, tensor in state_dict.items():
        if name == "head.weight" and config.tied:
            continue
        layer, module, kind = _split_name(name)
        if module == "attention.query_key_value" and is_bloom:
            # BLOOM keeps the query, key and value of one head together.
            by_head = tensor.view(3, config.heads, config.head_width, -1).transpose(0, 1)
            tensor = by_head.reshape(tensor.shape)
        if module not in modules:
            raise ValueError(f"the weights hold {name}, which a model of this config does not have")
        targets = [target.format(layer) for target in modules[module]]
        for target, rows in zip(targets, torch.split(tensor, _rows(module, len(tensor), config)), strict=True):
            exported[f"{target}.{kind}"] = rows
    held, expected = sum(tensor.numel() for tensor in exported.values()), parameter_count(config)
    if held != expected:
        raise ValueError(f"the weights hold {held:,} parameters, but a model of this config has {expected:,}")
    return exported


def _split_name(name: str) -> tuple[str, str, str]:
    """blocks.3.attention.output.weight -> ("3", "attention.output", "weight"); outside the blocks the first is ""."""
    module, _, kind = name.rpartition(".")
    match = re.fullmatch(r"blocks\.(\d+)\.(.+)", module)
    return (match[1], match[2], kind) if match else ("", module, kind)


def _rows(module: str, rows: int, config: ModelConfig) -> list[int]:
    """How many rows of a tensor go to each of its targets."""
    if config.positions == "alibi":
        return [rows]
    if module == "attention.query_key_value":
        key_value_rows = config.key_value_heads * config.head_width
        return [config.width, key_value_rows, key_value_rows]
    return [rows // 2, rows // 2] if module == "feed_forward.expand" else [rows]


def hugging_face_config(config: ModelConfig, dtype: str) -> dict[str, Any]:
    """Contents of config.json for weights of `dtype` ("float32", "bfloat16"); token ids are left unset."""
    name = hugging_face_class(config)
    shared = {
        "architectures": [name],
        "model_type": name.removesuffix("ForCausalLM").lower(),
        "torch_dtype": dtype,
        "vocab_size": config.vocabulary_size,
        "hidden_size": config.width,
        "tie_word_embeddings": config.tied,
        "bos_token_id": None,
        "eos_token_id": None,
        # Set, it would freeze the padding token's embedding in fine-tuning; generation_config.json has it instead.
        "pad_token_id": None,
    }
    if name == "BloomForCausalLM":
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


def export_folder(
    state_dict: Mapping[str, Tensor],
    config: ModelConfig,
    folder: Path,
    tokenizer_json: Path | None,
    end_of_text: str,
    max_shard_bytes: int = 5_000_000_000,
) -> None:
    """Write a folder that `AutoModelForCausalLM.from_pretrained` and `AutoTokenizer.from_pretrained` load.

    It is written beside `folder` and renamed when whole; an earlier export there is replaced.

    Args:
        state_dict: weights of a `Transformer`, all of one dtype, which the export keeps.
        tokenizer_json: file of the tokenizers library; None leaves the tokenizer out.
        end_of_text: the piece that separates documents; it becomes the begin, end and padding token.
        max_shard_bytes: weight files grow no larger than this, unless one tensor alone does.

    Raises:
        ValueError: the architecture has no counterpart, or weights, tokenizer and config do not belong together.
        FileExistsError: `folder` holds something that is not an export.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / "generation_config.json").exists():
        raise FileExistsError(f"{folder} is not empty and is no earlier export: choose another folder, or remove it")
    weights = hugging_face_state(state_dict, config)
    dtypes = {str(tensor.dtype).removeprefix("torch.") for tensor in weights.values()}
    if len(dtypes) > 1:
        raise ValueError(f"the weights have several dtypes, {', '.join(sorted(dtypes))}: convert them to one")
    settings = hugging_face_config(config, dtypes.pop())
    generation: dict[str, Any] = {}
    if tokenizer_json is not None:
        token = _end_of_text_id(tokenizer_json, end_of_text, config)
        settings |= {"bos_token_id": token, "eos_token_id": token}
        generation = {"bos_token_id": token, "eos_token_id": token, "pad_token_id": token}

    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    _write_weights(weights, partial, max_shard_bytes)
    if tokenizer_json is not None:
        shutil.copyfile(tokenizer_json, partial / "tokenizer.json")
        _write_json(partial / "tokenizer_config.json", _tokenizer_config(end_of_text, config))
    _write_json(partial / "config.json", settings)
    _write_json(partial / "generation_config.json", generation)
    for path in partial.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    shutil.rmtree(folder, ignore_errors=True)
    partial.replace(folder)


def _end_of_text_id(tokenizer_json: Path, end_of_text: str, config: ModelConfig) -> int:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(tokenizer_json))
    token: int | None = tokenizer.token_to_id(end_of_text)
    if token is None:
        raise ValueError(f"{tokenizer_json} has no piece {end_of_text!r}: it is not the tokenizer of this model")
    pieces = tokenizer.get_vocab_size(with_added_tokens=True)
    if pieces > config.vocabulary_size:
        raise ValueError(f"{tokenizer_json} has {pieces:,} pieces, the model only {config.vocabulary_size:,}")
    return token


def _tokenizer_config(end_of_text: str, config: ModelConfig) -> dict[str, Any]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": end_of_text,
        "eos_token": end_of_text,
        "pad_token": end_of_text,
        "model_max_length": config.sequence_length,
        "clean_up_tokenization_spaces": False,
    }


def _write_weights(weights: Mapping[str, Tensor], folder: Path, max_shard_bytes: int) -> None:
    from safetensors.torch import save_file

    shards = list(_shards(weights, max_shard_bytes))
    names = [f"model-{number:05d}-of-{len(shards):05d}.safetensors" for number in range(1, len(shards) + 1)]
    if len(shards) == 1:
        names = ["model.safetensors"]
    else:
        weight_map = {key: name for name, keys in zip(names, shards, strict=True) for key in keys}
        total_size = sum(tensor.nbytes for tensor in weights.values())
        index = {"metadata": {"total_size": total_size}, "weight_map": weight_map}
        _write_json(folder / "model.safetensors.index.json", index)
    for name, keys in zip(names, shards, strict=True):
        # A clone: parts of one fused matrix share memory, which safetensors refuses.
        shard = {key: weights[key].detach().cpu().clone(memory_format=torch.contiguous_format) for key in keys}
        save_file(shard, folder / name, metadata={"format": "pt"})


def _shards(weights: Mapping[str, Tensor], max_shard_bytes: int) -> Iterator[list[str]]:
    """Names in their order, cut wherever a shard would grow beyond `max_shard_bytes`."""
    keys: list[str] = []
    size = 0
    for key, tensor in weights.items():
        if keys and size + tensor.nbytes > max_shard_bytes:
            yield keys
            keys, size = [], 0
        keys.append(key)
        size += tensor.nbytes
    yield keys


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
