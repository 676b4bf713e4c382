"""A Hugging Face folder of a model, which transformers, vLLM and llama.cpp load without code of ours."""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import xxhash
from torch import Tensor

from model.config import ModelConfig
from model.exported_tokenizer import CHAT, DESCRIPTION, MARKS, end_of_text_id, write_tokenizer
from model.huggingface import hugging_face_state
from model.huggingface_config import hugging_face_config
from model.weight_files import INDEX, SHARD, SINGLE_FILE, write_file, write_weights

CONFIG, GENERATION, CARD = "config.json", "generation_config.json", "README.md"
ADAPTER_SETTINGS, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
RECORD = "domainlm.json"
"""In a folder that `domainlm export` made, and in no other: what it was made from."""
WRITTEN = (CONFIG, GENERATION, CARD, RECORD, "tokenizer.json", DESCRIPTION, MARKS, CHAT, SINGLE_FILE, INDEX)
"""All that an export of a model can hold, beside the files of SHARD."""
OF_ADAPTER = (ADAPTER_SETTINGS, ADAPTER_WEIGHTS, CARD, RECORD, "tokenizer.json", DESCRIPTION, MARKS, CHAT)
"""All that an export of an adapter can hold."""
READ_BYTES = 1 << 24


def export_folder(
    state_dict: Mapping[str, Tensor],
    config: ModelConfig,
    folder: Path,
    tokenizer: Path | None,
    end_of_text: str,
    dtype: torch.dtype = torch.float32,
    max_file_bytes: int = 5_000_000_000,
    card: str = "",
    record: Mapping[str, Any] | None = None,
    end_of_turn: int | None = None,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> bool:
    """Write a folder that `AutoModelForCausalLM.from_pretrained` and `AutoTokenizer.from_pretrained` load.

    It is written beside `folder` and renamed when whole; an earlier export there is replaced. There is never half of
    one at `folder`: a process that dies leaves the earlier export, or for an instant none. Before the weights are
    written, the ids that AutoTokenizer gives are compared with those of tokenizer.json.

    Args:
        state_dict: weights of a `Transformer`.
        tokenizer: the folder of tokenizer.json and the files that describe it; None leaves the tokenizer out.
        end_of_text: the piece that separates documents; it becomes the begin, end and padding token.
        dtype: of the weights in the export.
        max_file_bytes: weight files grow no larger than this, unless one tensor alone does.
        card: content of README.md; none is written without.
        record: what the export is made from, for domainlm.json; "files" is added to it: size and digest of each.
        end_of_turn: the token that ends a response, at which generation stops too.
        progress: is told the bytes of weights that are written, and of all.

    Returns:
        Whether the ids were compared: False without a tokenizer, and where transformers is not installed.

    Raises:
        ValueError: the architecture has no counterpart, weights, tokenizer and config do not belong together, or
            AutoTokenizer does not obey the tokenizer.
        FileExistsError: `folder` holds something that is not of an export.
    """
    check_replaceable(folder)
    weights = hugging_face_state(state_dict, config)
    settings = hugging_face_config(config, str(dtype).removeprefix("torch."))
    files: dict[str, Any] = {CONFIG: settings, GENERATION: {}}
    if tokenizer is not None:
        token = end_of_text_id(tokenizer / "tokenizer.json", end_of_text, config)
        settings |= {"bos_token_id": token, "eos_token_id": token}
        files[GENERATION] = _generation(token, end_of_turn)

    with _written_beside(folder, record or {}) as partial:
        _write_texts(partial, files, card)
        compared = False
        if tokenizer is not None:
            compared = write_tokenizer(tokenizer / "tokenizer.json", partial, end_of_text, config.sequence_length)
        write_weights(weights, partial, dtype, max_file_bytes, progress)
    return compared


def export_adapter(
    tensors: Mapping[str, Tensor],
    settings: Mapping[str, Any],
    folder: Path,
    tokenizer: Path,
    end_of_text: str,
    window: int,
    card: str,
    record: Mapping[str, Any],
) -> None:
    """Write an adapter's folder, which peft loads, in fp32 and otherwise as `export_folder` does.

    Args:
        tensors, settings: as of `model.lora.folder.to_peft`.
        window: tokens of context, for the tokenizer's description.

    Raises:
        ValueError: AutoTokenizer does not obey the tokenizer.
        FileExistsError: `folder` holds something that is not of an export of an adapter.
    """
    check_replaceable(folder, OF_ADAPTER)
    with _written_beside(folder, record) as partial:
        _write_texts(partial, {ADAPTER_SETTINGS: settings}, card)
        write_tokenizer(tokenizer / "tokenizer.json", partial, end_of_text, window)
        write_file(tensors, partial / ADAPTER_WEIGHTS, torch.float32)


@contextmanager
def _written_beside(folder: Path, record: Mapping[str, Any]) -> Iterator[Path]:
    """A new folder beside `folder`, which takes its place, with a record in it, when the block has filled it."""
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
    except ValueError:
        shutil.rmtree(partial)
        raise
    _write_record(partial, record)
    _publish(partial, folder)


def _generation(end_of_text: int, end_of_turn: int | None) -> dict[str, Any]:
    stops = end_of_text if end_of_turn in (None, end_of_text) else [end_of_turn, end_of_text]
    return {"bos_token_id": end_of_text, "eos_token_id": stops, "pad_token_id": end_of_text}


def _write_texts(folder: Path, files: Mapping[str, Any], card: str) -> None:
    made = {name: json.dumps(content, indent=2) + "\n" for name, content in files.items()}
    for name, text in (made | ({CARD: card} if card else {})).items():
        (folder / name).write_text(text, encoding="utf-8")


def _write_record(folder: Path, record: Mapping[str, Any]) -> None:
    described = {path.name: _describe(path) for path in sorted(folder.iterdir()) if path.name != CARD}
    card = {"card": _describe(folder / CARD)["digest"]} if (folder / CARD).exists() else {}
    (folder / RECORD).write_text(json.dumps({**record, **card, "files": described}, indent=1), encoding="utf-8")


def keep_edited_card(folder: Path, record: Mapping[str, Any]) -> Path | None:
    """Copy the card of an export that is to be replaced beside its folder, if it is not as it was written.

    Returns:
        The copy; None where nothing was edited, or the record does not say what was written.
    """
    card = folder / CARD
    if "card" not in record or not card.exists() or (digest := _describe(card)["digest"]) == record["card"]:
        return None
    kept = folder.with_name(f"{folder.name}-README-{digest[:8]}.md")
    shutil.copyfile(card, kept)
    return kept


def read_record(folder: Path) -> dict[str, Any]:
    """What the export in `folder` was made from; nothing where there is none, or its record cannot be read."""
    try:
        return dict(json.loads((folder / RECORD).read_bytes()))
    except (OSError, ValueError, TypeError):
        return {}


def damaged_files(folder: Path, record: Mapping[str, Any]) -> list[str]:
    """Names of what an export lacks or has otherwise than its record says, sizes first; a card may be edited."""
    described: dict[str, Any] = record["files"]
    sizes = {name: (folder / name).stat().st_size if (folder / name).is_file() else None for name in described}
    wrong = [name for name, size in sizes.items() if size != described[name]["bytes"]]
    return wrong or [name for name in described if _describe(folder / name) != described[name]]


def check_weights_as_written(folder: Path) -> None:
    """Raise ValueError where weights, or what they are read with, are not as the record of an export says.

    Reads all of them. A folder without a record, of another program, says nothing of its own.
    """
    files, decisive = read_record(folder).get("files", {}), (CONFIG, ADAPTER_SETTINGS, "tokenizer.json", INDEX)
    described = {name: about for name, about in files.items() if name.endswith(".safetensors") or name in decisive}
    if wrong := damaged_files(folder, {"files": described}):
        raise ValueError(
            f"{folder}: missing, or not as {RECORD} says that it was written: {', '.join(wrong)}: export it again; "
            f"or, if you have changed it yourself, remove {RECORD}, and with it what is known of the text that was read"
        )


def _describe(file: Path) -> dict[str, Any]:
    """Size in bytes, and XXH3 of 128 bits in hexadecimal: it tells damage and costs little beside the reading."""
    digest = xxhash.xxh3_128()
    with file.open("rb") as content:
        while block := content.read(READ_BYTES):
            digest.update(block)
    return {"bytes": file.stat().st_size, "digest": digest.hexdigest()}


def check_replaceable(folder: Path, written: Sequence[str] = WRITTEN) -> None:
    """Raise FileExistsError where replacing `folder` would delete what no export of its kind has written."""
    names = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
    if names and RECORD not in names:
        raise FileExistsError(
            f"{folder} is not empty and is no earlier export (it has no {RECORD}): choose another folder, or remove it"
        )
    if foreign := [name for name in names if name not in written and not re.fullmatch(SHARD, name)]:
        raise FileExistsError(
            f"{folder} holds what no export has written ({', '.join(foreign)}), and would be replaced: choose another "
            "folder, or move that out of it"
        )


def _publish(partial: Path, folder: Path) -> None:
    """Put the finished folder in its place; what stood there goes in one piece too."""
    for path in partial.iterdir():
        shutil.copymode(partial / RECORD, path)  # safetensors lets nobody else read what it writes
        with path.open("rb") as file:
            os.fsync(file.fileno())
    replaced = folder.with_name(f".{folder.name}.replaced")
    shutil.rmtree(replaced, ignore_errors=True)
    if folder.exists():
        folder.rename(replaced)
    partial.rename(folder)
    shutil.rmtree(replaced, ignore_errors=True)
