"""What an engine has learnt, whatever its ZeRO stage: the parts that this rank holds, saved and loaded by name.

DeepSpeed keeps fp32 master weights and AdamW's moments in flat tensors, each rank its part: the parameters themselves
at stage 0, one tensor a parameter group at stages 1 and 2, one a sub-group at stage 3. Weights in bf16 are not state:
they are the rounded master weights. Neither is what is frozen beside an adapter.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from train.checkpoints.fragments import KINDS, Fragment, Reader
from train.engine.engine import Engine
from train.engine.optimizer import trained_parameters


class Part(NamedTuple):
    """Elements of one parameter that this rank holds."""

    fragment: Fragment
    tensors: tuple[Tensor, ...]
    """For each of KINDS the engine's own memory: fp32, one-dimensional."""


def parts(engine: Engine) -> list[Part]:
    """The engine's state on this rank; at stage 0 every rank has all of it."""
    return [
        Part(fragment, tuple(tensor.narrow(0, offset, fragment.stop - fragment.start) for tensor in flat))
        for fragment, flat, offset in _places(engine)
    ]


def _places(engine: Engine) -> Iterator[tuple[Fragment, tuple[Tensor, ...], int]]:
    """Each fragment, the flat tensors of the three kinds that it is in, and where in them it begins."""
    stage, optimizer, module = engine.zero_optimization_stage(), engine.optimizer, engine.module
    parameters: list[tuple[str, Any]] = list(trained_parameters(module).items())
    flats = [_flat_state(engine, master) for master in _masters(engine)]
    for number, (name, parameter) in enumerate(parameters):
        if stage == 0:
            yield Fragment(name, tuple(parameter.shape), 0, parameter.numel()), flats[number], 0
        elif stage < 3:
            place = parameter._hp_mapping
            if place is not None:
                start, size = place.lp_fragment_address.start, place.lp_fragment_address.numel
                fragment = Fragment(name, tuple(parameter.shape), start, start + size)
                yield fragment, flats[place.param_group_index], place.hp_fragment_address.start
        else:
            group, offset, size = optimizer.grad_position[optimizer.get_param_id(parameter)]
            start = optimizer._get_param_partition_rank(parameter) * size
            stop = min(start + size, parameter.ds_numel)  # behind it is padding
            if start < stop:
                yield Fragment(name, tuple(parameter.ds_shape), start, stop), flats[group], offset


def _masters(engine: Engine) -> list[Tensor]:
    """The tensors that AdamW updates."""
    stage, optimizer = engine.zero_optimization_stage(), engine.optimizer
    if stage == 0:
        return list(trained_parameters(engine.module).values())
    if stage == 3:
        return list(optimizer.fp32_partitioned_groups_flat)
    return [group["params"][0] for group in optimizer.optimizer.param_groups]


def _adam_state(engine: Engine, master: Tensor) -> dict[str, Tensor]:
    """AdamW's state of one of its tensors, which it would otherwise begin, just like this, at its first step."""
    adam = engine.optimizer.optimizer if engine.zero_optimization_stage() > 0 else engine.optimizer
    state: dict[str, Tensor] = adam.state[master]
    if not state:
        state["step"] = torch.zeros((), dtype=torch.float32, device=master.device)
        state |= {kind: torch.zeros_like(master, memory_format=torch.preserve_format) for kind in KINDS[1:]}
    return state


def _flat_state(engine: Engine, master: Tensor) -> tuple[Tensor, ...]:
    state = _adam_state(engine, master)
    return tuple(tensor.detach().view(-1) for tensor in (master, *(state[kind] for kind in KINDS[1:])))


def optimizer_step(engine: Engine) -> int:
    """How many steps AdamW has applied; steps that were skipped do not count."""
    return int(_adam_state(engine, _masters(engine)[0])["step"].item())


def own_parts(engine: Engine) -> list[Part]:
    """What this rank is to save: its parts, and of what all ranks hold alike, its share."""
    if engine.zero_optimization_stage() > 0:
        return parts(engine)
    rank, world_size, shares = dist.get_rank(), dist.get_world_size(), []
    for fragment, tensors in parts(engine):
        start, stop = (fragment.stop * number // world_size for number in (rank, rank + 1))
        if start < stop:
            share = fragment._replace(start=start, stop=stop)
            shares.append(Part(share, tuple(tensor[start:stop] for tensor in tensors)))
    return shares


class Snapshot:
    """Copies of an engine's state in host memory, in buffers that are used again by the next copy."""

    def __init__(self) -> None:
        self._buffer = torch.empty(0)

    def take(self, engine: Engine) -> list[Part]:
        """Copy what this rank is to save; the copies are good until the next call."""
        live = own_parts(engine)
        elements = sum(tensor.numel() for part in live for tensor in part.tensors)
        if self._buffer.numel() != elements:
            self._buffer = torch.empty(0)
            self._buffer = torch.empty(elements, pin_memory=engine.device.type == "cuda")
        taken, end = [], 0
        for fragment, tensors in live:
            copies = []
            for tensor in tensors:
                copy = self._buffer.narrow(0, end, tensor.numel())
                if tensor.device.type == "cpu":
                    # In one thread: torch's copy waits for all of its threads, for each of many tensors.
                    np.copyto(copy.numpy(), tensor.numpy())
                else:
                    copy.copy_(tensor, non_blocking=True)
                copies.append(copy)
                end += tensor.numel()
            taken.append(Part(fragment, tuple(copies)))
        if engine.device.type == "cuda":
            torch.cuda.synchronize(engine.device)
        return taken


def arrays(saved: list[Part]) -> Iterator[np.ndarray]:
    """The values of parts in the order of a checkpoint's file, one at a time in host memory."""
    for kind in range(len(KINDS)):
        for part in saved:
            yield part.tensors[kind].cpu().numpy()


@torch.no_grad()
def load(engine: Engine, folder: Path, optimizer_step: int) -> None:
    """Set the engine's state to a checkpoint's, whatever ranks and ZeRO stage it was saved at (all ranks call this).

    Learning rate, betas, decay and epsilon stay what the configuration says.

    Raises:
        CheckpointError: a parameter is missing or of another shape, or a file cannot be read.
    """
    reader, stage, optimizer = Reader(folder), engine.zero_optimization_stage(), engine.optimizer
    if stage == 3:
        optimizer.checkpoint_event_prologue()  # small parameters, otherwise kept whole, go back to their parts
    for fragment, tensors in parts(engine):
        for kind, tensor in zip(KINDS, tensors, strict=True):
            tensor.copy_(torch.from_numpy(reader.read(kind, fragment)))
    for master in _masters(engine):
        _adam_state(engine, master)["step"].fill_(optimizer_step)
    if stage in (1, 2):
        optimizer.update_lp_params()
    elif stage == 3:
        for group in range(len(optimizer.fp16_groups)):
            optimizer._reassign_or_swap_out_partitioned_parameters(group)
        if optimizer.persistent_parameters:
            optimizer.persistent_parameters[0].partition(optimizer.persistent_parameters)
        optimizer.checkpoint_event_epilogue()


def bytes_to_save(engine: Engine) -> int:
    """Size of the whole checkpoint, of all ranks together."""
    shapes: list[tuple[int, ...]] = [
        getattr(p, "ds_shape", p.shape) for p in trained_parameters(engine.module).values()
    ]
    return 4 * len(KINDS) * sum(math.prod(shape) for shape in shapes)
