"""The files of a checkpoint: each rank's parts of the parameters, and the index by which any rank finds any part.

rank_00000.safetensors   tensors KIND.NAME, one-dimensional fp32: elements start to stop of the flattened parameter
rank_00000.json          what is in it, while the save is under way; merged into the index when all ranks are done
index.json               parameter → shape, kinds, and which rank's file has which elements

Nothing in them depends on how many ranks there were or how DeepSpeed divided the parameters, so that a run goes on at
any number of ranks and any ZeRO stage.
"""

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xxhash
from safetensors import SafetensorError, safe_open

from data.files import naming, write_atomically
from train.checkpoints.folders import CheckpointError

WEIGHT = "weight"
"""The fp32 master weight, which is kept of each parameter."""
ADAMW_STATE = ("exp_avg", "exp_avg_sq")
"""What is kept beside it of one that AdamW trains: two moments, 12 bytes an element in all."""
MUON_STATE = ("momentum",)
"""What is kept beside it of one that Muon trains: 8 bytes an element in all."""
INDEX = "index.json"
BLOCK_BYTES = 1 << 24


class Fragment(NamedTuple):
    """Elements `start` to `stop` of a flattened parameter."""

    name: str
    shape: tuple[int, ...]
    """Of the whole parameter."""
    start: int
    stop: int
    kinds: tuple[str, ...] = (WEIGHT, *ADAMW_STATE)
    """What is kept of these elements."""


def rank_file(rank: int) -> str:
    return f"rank_{rank:05d}.safetensors"


def record_file(rank: int) -> str:
    return f"rank_{rank:05d}.json"


def write_rank(
    folder: Path, rank: int, fragments: Sequence[Fragment], arrays: Iterable[np.ndarray], optimizer_step: int
) -> None:
    """Write a rank's file, synced to disk, and then its record, by which the others know that it is whole.

    The digest is taken of what is written, not of what can be read back: it tells damage by the disk too.

    Args:
        fragments: what this rank writes, at most one of each parameter.
        arrays: float32, one-dimensional, in the order of `in_file`.
        optimizer_step: how many steps AdamW has applied: what its bias correction depends on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / rank_file(rank)
    digest = xxhash.xxh3_128()
    with naming(path), path.open("wb") as file:
        for block in _blocks(fragments, arrays):
            digest.update(block)
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    record = {
        "bytes": path.stat().st_size,
        "digest": digest.hexdigest(),
        "optimizer_step": optimizer_step,
        "fragments": fragments,
    }
    write_atomically(folder / record_file(rank), json.dumps(record))


def in_file(fragments: Sequence[Fragment]) -> list[tuple[int, str]]:
    """Number of the fragment and kind of each tensor of a rank's file, in its order: one kind after another."""
    kinds = dict.fromkeys(kind for fragment in fragments for kind in fragment.kinds)
    return [(number, kind) for kind in kinds for number, held in enumerate(fragments) if kind in held.kinds]


def _blocks(fragments: Sequence[Fragment], arrays: Iterable[np.ndarray]) -> Iterable[memoryview | bytes]:
    """The bytes of a safetensors file: the header's length in 8 bytes, the header, the tensors back to back."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    sizes, end = [], 0
    for number, kind in in_file(fragments):
        held = fragments[number]
        sizes.append(held.stop - held.start)
        header[f"{kind}.{held.name}"] = {
            "dtype": "F32",
            "shape": [sizes[-1]],
            "data_offsets": [end, end + 4 * sizes[-1]],
        }
        end += 4 * sizes[-1]
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % 8)
    yield len(encoded).to_bytes(8, "little") + encoded
    for size, array in zip(sizes, arrays, strict=True):
        if array.shape != (size,):
            raise ValueError(f"an array of shape {array.shape} stands for {size} elements")
        content = np.ascontiguousarray(array, "<f4").data.cast("B")
        for first in range(0, len(content), BLOCK_BYTES):
            yield content[first : first + BLOCK_BYTES]


def all_written(folder: Path, world_size: int) -> bool:
    """Whether every rank's file is whole."""
    return all((folder / record_file(rank)).exists() for rank in range(world_size))


def merge_records(folder: Path, world_size: int) -> tuple[dict[str, dict[str, Any]], int]:
    """Put the ranks' records into the index, when all are written (one rank calls this).

    Returns:
        Size and digest of each rank's file, by its name; and the optimizer's step.

    Raises:
        CheckpointError: the parts do not make whole parameters, or are not of one step.
    """
    records = [json.loads((folder / record_file(rank)).read_bytes()) for rank in range(world_size)]
    parameters: dict[str, Any] = {}
    for rank, record in enumerate(records):
        for name, shape, start, stop, kinds in record["fragments"]:
            parameter = parameters.setdefault(name, {"shape": shape, "kinds": kinds, "fragments": []})
            parameter["fragments"].append((start, stop, rank))
    for name, parameter in parameters.items():
        parameter["fragments"].sort()
        _check_whole(folder, name, parameter)
    steps = {record["optimizer_step"] for record in records}
    if len(steps) != 1:
        raise CheckpointError(f"{folder}: the ranks' optimizers are at different steps: {sorted(steps)}")
    write_atomically(folder / INDEX, json.dumps({"parameters": parameters}))
    for rank in range(world_size):
        (folder / record_file(rank)).unlink()
    files = {
        rank_file(rank): {"bytes": record["bytes"], "digest": record["digest"]} for rank, record in enumerate(records)
    }
    return files, steps.pop()


def _check_whole(folder: Path, name: str, parameter: dict[str, Any]) -> None:
    """Every element exactly once."""
    end = 0
    for start, stop, _ in parameter["fragments"]:
        if start != end:
            break
        end = stop
    elements = int(np.prod(parameter["shape"], dtype=np.int64))
    if end != elements:
        raise CheckpointError(
            f"{folder}: of the {elements} elements of {name} the ranks wrote {parameter['fragments']} "
            "(first, end, rank): this is a fault of the program, please report it"
        )


class Reader:
    """Finds any part of any parameter of a checkpoint, and reads no more than that."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            parameters = json.loads((folder / INDEX).read_bytes())["parameters"]
            self.shapes = {name: tuple(parameter["shape"]) for name, parameter in parameters.items()}
            self._fragments = {name: parameter["fragments"] for name, parameter in parameters.items()}
            self.kinds = {
                name: parameter.get("kinds", (WEIGHT, *ADAMW_STATE)) for name, parameter in parameters.items()
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(
                f"{folder}: {INDEX} cannot be read ({error}): the checkpoint is damaged or was made by another version"
            ) from None
        self._open: dict[int, Any] = {}

    def read(self, kind: str, fragment: Fragment) -> np.ndarray:
        """Elements of a parameter as float32, one-dimensional, from however many files hold them.

        Raises:
            CheckpointError: the checkpoint has no such parameter, has it in another shape, or a file is damaged.
        """
        name, shape, first, end, _ = fragment
        if self.shapes.get(name) != shape:
            found = f"has shape {list(self.shapes[name])}" if name in self.shapes else "is missing"
            raise CheckpointError(f"{self._folder}: parameter {name} {found}, the model wants {list(shape)}")
        out = np.empty(end - first, np.float32)
        for start, stop, rank in self._fragments[name]:
            low, high = max(first, start), min(end, stop)
            if low < high:
                out[low - first : high - first] = self._slice(rank, f"{kind}.{name}", low - start, high - start)
        return out

    def _slice(self, rank: int, key: str, start: int, stop: int) -> np.ndarray:
        path = self._folder / rank_file(rank)
        try:
            if rank not in self._open:
                self._open[rank] = safe_open(path, framework="numpy")
            values: np.ndarray = self._open[rank].get_slice(key)[start:stop]
        except (OSError, SafetensorError) as error:
            raise CheckpointError(f"{path} cannot be read ({error}): the checkpoint is damaged") from None
        return values
