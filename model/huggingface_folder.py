"""A Hugging Face folder of a model, which transformers, vLLM and llama.cpp load without code of ours."""

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from model.config import ModelConfig
from model.huggingface import hugging_face_config, hugging_face_state
from model.weight_files import write_weights

GENERATION = "generation_config.json"
RECORD = "domainlm.json"
"""In a folder that `domainlm export` made: what it was made from."""
OF_TOKENIZER = ("tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja")
"""What describes a tokenizer beside tokenizer.json."""


def export_folder(
    state_dict: Mapping[str, Tensor],
    config: ModelConfig,
    folder: Path,
    tokenizer: Path | None,
    end_of_text: str,
    dtype: torch.dtype = torch.float32,
    max_file_bytes: int = 5_000_000_000,
    texts: Mapping[str, str] | None = None,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> None:
    """Write a folder that `AutoModelForCausalLM.from_pretrained` and `AutoTokenizer.from_pretrained` load.

    It is written beside `folder` and renamed when whole; an earlier export there is replaced. There is never half of
    one at `folder`: a process that dies leaves the earlier export, or for an instant none.

    Args:
        state_dict: weights of a `Transformer`.
        tokenizer: the folder of tokenizer.json; the other files of a tokenizer are taken from there too, or made. None
            leaves the tokenizer out.
        end_of_text: the piece that separates documents; it becomes the begin, end and padding token.
        dtype: of the weights in the export.
        max_file_bytes: weight files grow no larger than this, unless one tensor alone does.
        texts: further files of the folder: name → content.
        progress: is told the bytes of weights that are written, and of all.

    Raises:
        ValueError: the architecture has no counterpart, or weights, tokenizer and config do not belong together.
        FileExistsError: `folder` holds something that is not an export.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / GENERATION).exists():
        raise FileExistsError(f"{folder} is not empty and is no earlier export: choose another folder, or remove it")
    weights = hugging_face_state(state_dict, config)
    settings = hugging_face_config(config, str(dtype).removeprefix("torch."))
    files: dict[str, Any] = {"config.json": settings, GENERATION: {}}
    if tokenizer is not None:
        token, described = _describe_tokenizer(tokenizer, end_of_text, config)
        settings |= {"bos_token_id": token, "eos_token_id": token}
        files |= {GENERATION: {"bos_token_id": token, "eos_token_id": token, "pad_token_id": token}, **described}

    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    write_weights(weights, partial, dtype, max_file_bytes, progress)
    if tokenizer is not None:
        for name in ("tokenizer.json", *OF_TOKENIZER):
            if (tokenizer / name).exists():
                shutil.copyfile(tokenizer / name, partial / name)
    for name, content in files.items():
        (partial / name).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    for name, text in (texts or {}).items():
        (partial / name).write_text(text, encoding="utf-8")
    _publish(partial, folder)


def _publish(partial: Path, folder: Path) -> None:
    """Put the finished folder in its place; what stood there goes in one piece too."""
    for path in partial.iterdir():
        shutil.copymode(partial / "config.json", path)  # safetensors lets nobody else read what it writes
        with path.open("rb") as file:
            os.fsync(file.fileno())
    replaced = folder.with_name(f".{folder.name}.replaced")
    shutil.rmtree(replaced, ignore_errors=True)
    if folder.exists():
        folder.rename(replaced)
    partial.rename(folder)
    shutil.rmtree(replaced, ignore_errors=True)


def _describe_tokenizer(folder: Path, end_of_text: str, config: ModelConfig) -> tuple[int, dict[str, Any]]:
    """The id of the end of text, and the files that describe the tokenizer where `folder` has none of its own."""
    from tokenizers import Tokenizer

    file = folder / "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(file))
    token: int | None = tokenizer.token_to_id(end_of_text)
    if token is None:
        raise ValueError(f"{file} has no piece {end_of_text!r}: it is not the tokenizer of this model")
    pieces = tokenizer.get_vocab_size(with_added_tokens=True)
    if pieces > config.vocabulary_size:
        raise ValueError(f"{file} has {pieces:,} pieces, the model only {config.vocabulary_size:,}")
    if (folder / OF_TOKENIZER[0]).exists():
        return token, {}
    special: dict[str, Any] = dict.fromkeys(("bos_token", "eos_token", "pad_token"), end_of_text)
    added = [piece.content for _, piece in sorted(tokenizer.get_added_tokens_decoder().items()) if piece.special]
    if others := [piece for piece in added if piece != end_of_text]:
        special |= {"additional_special_tokens": others}
    return token, {
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            **special,
            "model_max_length": config.sequence_length,
            "clean_up_tokenization_spaces": False,
        },
        "special_tokens_map.json": special,
    }
