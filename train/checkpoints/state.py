"""What an engine has learnt, whatever its ZeRO stage: the parts that this rank holds, saved and loaded by name.

Weights in bf16 are not state: they are the rounded master weights. Neither is what is frozen beside an adapter.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from train.checkpoints.fragments import ADAMW_STATE, MUON_STATE, WEIGHT, Fragment, Reader, in_file
from train.engine.engine import Engine
from train.engine.hidden_matrices import is_hidden
from train.engine.layout import masters, places, torch_optimizer, trained_parameters, whole_shape
from train.engine.muon import Muon


class Part(NamedTuple):
    """Elements of one parameter that this rank holds."""

    fragment: Fragment
    tensors: tuple[Tensor, ...]
    """For each of the fragment's kinds the engine's own memory: fp32, one-dimensional."""


def parts(engine: Engine) -> list[Part]:
    """The engine's state on this rank; at stage 0 every rank has all of it."""
    flats = [{kind: tensor.view(-1) for kind, tensor in _kept(engine, master).items()} for master in masters(engine)]
    found = []
    for name, shape, start, stop, master, offset in places(engine):
        flat = flats[master]
        fragment = Fragment(name, shape, start, stop, tuple(flat))
        found.append(Part(fragment, tuple(tensor.narrow(0, offset, stop - start) for tensor in flat.values())))
    return found


def _kept(engine: Engine, master: Tensor) -> dict[str, Tensor]:
    """By kind a master and what its optimizer keeps of it, which that would otherwise begin, so, at its first step."""
    optimizer = torch_optimizer(engine)
    state: dict[str, Tensor] = optimizer.state[master]
    kinds = MUON_STATE if isinstance(optimizer, Muon) and optimizer.moves(master) else ADAMW_STATE
    if not state:
        state |= {kind: torch.zeros_like(master, memory_format=torch.preserve_format) for kind in kinds}
        if kinds == ADAMW_STATE:
            state["step"] = torch.zeros((), dtype=torch.float32, device=master.device)
    return {WEIGHT: master.detach()} | {kind: state[kind] for kind in kinds}


def _steps_applied(engine: Engine) -> Iterator[Tensor]:
    """AdamW's counts, one of each of its masters; the first master is AdamW's whatever the optimizer."""
    for master in masters(engine):
        _kept(engine, master)
        if "step" in (state := torch_optimizer(engine).state[master]):
            yield state["step"]


def optimizer_step(engine: Engine) -> int:
    """How many steps the optimizer has applied; steps that were skipped do not count."""
    return int(next(_steps_applied(engine)).item())


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
    for number, kind in in_file([part.fragment for part in saved]):
        fragment, tensors = saved[number]
        yield tensors[fragment.kinds.index(kind)].cpu().numpy()


@torch.no_grad()
def load(engine: Engine, folder: Path, optimizer_step: int) -> None:
    """Set the engine's state to a checkpoint's, whatever ranks and ZeRO stage it was saved at (all ranks call this).

    Learning rate, betas, decay and epsilon stay what the configuration says. What the optimizer keeps of a parameter
    and the checkpoint has not, because another one has trained it, begins at zero. `optimizer_step` goes on all the
    same: at its count AdamW's moments of zero make small first steps, at a count of zero they would be full ones.

    Raises:
        CheckpointError: a parameter is missing or of another shape, or a file cannot be read.
    """
    reader, stage, optimizer = Reader(folder), engine.zero_optimization_stage(), engine.optimizer
    if stage == 3:
        optimizer.checkpoint_event_prologue()  # small parameters, otherwise kept whole, go back to their parts
    for fragment, tensors in parts(engine):
        for kind, tensor in zip(fragment.kinds, tensors, strict=True):
            if kind in reader.kinds.get(fragment.name, (kind,)):
                tensor.copy_(torch.from_numpy(reader.read(kind, fragment)))
            else:
                tensor.zero_()
    for applied in _steps_applied(engine):
        applied.fill_(optimizer_step)
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
    muon, size = isinstance(torch_optimizer(engine), Muon), 0
    for name, parameter in trained_parameters(engine.module).items():
        shape = whole_shape(parameter)
        kinds = (WEIGHT, *(MUON_STATE if muon and is_hidden(name, shape) else ADAMW_STATE))
        size += 4 * len(kinds) * math.prod(shape)
    return size
