"""Weights on disk as safetensors: one file, or several with an index, as Hugging Face lays them out."""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
import xxhash
from torch import Tensor

SINGLE_FILE = "model.safetensors"
INDEX = "model.safetensors.index.json"
READ_BYTES = 1 << 24
SHARD = r"model-\d{5,}-of-\d{5,}\.safetensors"
"""The names of several files, as a regular expression."""


@dataclass(frozen=True)
class WeightFiles:
    """Which file of a folder holds which tensor; a tensor is read when it is asked for."""

    folder: Path
    files: Mapping[str, str]

    def read(self, name: str) -> Tensor:
        """One tensor on the CPU, in the dtype of the file."""
        from safetensors import safe_open

        with safe_open(self.folder / self.files[name], "pt") as file:
            tensor: Tensor = file.get_tensor(name)
        return tensor


def open_weights(folder: Path) -> WeightFiles:
    """The weights of a Hugging Face folder.

    Raises:
        ValueError: there are none in safetensors, the index cannot be read, or a file that it names is missing.
    """
    from safetensors import SafetensorError, safe_open

    index = folder / INDEX
    try:
        if index.exists():
            files = dict(json.loads(index.read_bytes())["weight_map"])
        else:
            with safe_open(folder / SINGLE_FILE, "pt") as file:
                files = dict.fromkeys(file.keys(), SINGLE_FILE)
    except FileNotFoundError:
        raise ValueError(
            f"{folder} has neither {SINGLE_FILE} nor {INDEX}: weights are read from safetensors only, so that no code"
            " comes with them; save the model with `save_pretrained(folder)`"
        ) from None
    except (ValueError, KeyError, TypeError, SafetensorError) as error:
        raise ValueError(f"{folder}: its weights cannot be read ({error}): fetch them again") from None
    missing = sorted({name for name in files.values() if not (folder / name).is_file()})
    if missing:
        raise ValueError(f"{folder}: {INDEX} names {', '.join(missing)}, which is not there: fetch it again")
    return WeightFiles(folder, files)


def weights_digest(folder: Path) -> str:
    """What identifies the weights of a Hugging Face folder: XXH3 of 128 bits of its files, in hexadecimal.

    Raises:
        ValueError: as of `open_weights`.
    """
    digest = xxhash.xxh3_128()
    for name in sorted(set(open_weights(folder).files.values())):
        with (folder / name).open("rb") as content:
            while block := content.read(READ_BYTES):
                digest.update(block)
    return digest.hexdigest()


def write_weights(
    weights: Mapping[str, Tensor],
    folder: Path,
    dtype: torch.dtype,
    max_file_bytes: int,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> None:
    """Write tensors, converted to `dtype`, into `folder`.

    Args:
        max_file_bytes: no file is larger, unless one tensor alone is.
        progress: is told behind each file how many bytes are written, and of how many.

    Raises:
        OSError: a file cannot be written.
    """
    files = list(_files(weights, dtype, max_file_bytes))
    names = [f"model-{number:05d}-of-{len(files):05d}.safetensors" for number in range(1, len(files) + 1)]
    if len(files) == 1:
        names = [SINGLE_FILE]
    done, total = 0, sum(tensor.numel() for tensor in weights.values()) * dtype.itemsize
    for name, keys in zip(names, files, strict=True):
        done += write_file({key: weights[key] for key in keys}, folder / name, dtype)
        progress(done, total)
    if len(files) > 1:
        weight_map = {key: name for name, keys in zip(names, files, strict=True) for key in keys}
        index = {"metadata": {"total_size": total}, "weight_map": weight_map}
        (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def write_file(weights: Mapping[str, Tensor], file: Path, dtype: torch.dtype) -> int:
    """Write tensors, converted to `dtype`, into one file; returns their bytes. Raises OSError: it cannot be written."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    # Copies: parts of one fused matrix share memory, which safetensors refuses.
    content = {
        key: tensor.detach().to("cpu", dtype, copy=True, memory_format=torch.contiguous_format)
        for key, tensor in weights.items()
    }
    try:
        save_file(content, file, metadata={"format": "pt"})
    except SafetensorError as error:  # the library hides the system's error in its text
        if (number := re.search(r"\(os error (\d+)\)", str(error))) is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(file)) from error
    return sum(tensor.nbytes for tensor in content.values())


def _files(weights: Mapping[str, Tensor], dtype: torch.dtype, max_file_bytes: int) -> Iterator[list[str]]:
    """Names in their order, cut wherever a file would grow beyond `max_file_bytes`."""
    keys: list[str] = []
    size = 0
    for key, tensor in weights.items():
        bytes_of_tensor = tensor.numel() * dtype.itemsize
        if keys and size + bytes_of_tensor > max_file_bytes:
            yield keys
            keys, size = [], 0
        keys.append(key)
        size += bytes_of_tensor
    yield keys
