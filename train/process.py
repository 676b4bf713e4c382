"""This process: which rank it is, and how it uses its machine."""

import ctypes
import os
import re
import sys
import time
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass

import psutil
import torch

from train.config_file import ConfigError
from train.engine.machine import free_port
from train.hardware import Machine, bf16_peak


@dataclass(frozen=True)
class Rank:
    """This process among all that train together."""

    rank: int
    local_rank: int
    world_size: int
    local_size: int = 1
    """Ranks on this machine."""

    @property
    def is_first(self) -> bool:
        """Rank 0 speaks, writes and decides."""
        return self.rank == 0


def find_rank(environment: MutableMapping[str, str]) -> Rank:
    """This process's rank; sets the variables in `environment` that torch.distributed still needs.

    A launcher (deepspeed, torchrun) sets RANK, LOCAL_RANK and WORLD_SIZE. Under Slurm, one `srun` task is one rank, and
    only inside a step: in a bare allocation the same variables stand for tasks that nobody started. Otherwise this
    process is the only rank.

    Raises:
        ConfigError: the address of the first rank is missing, or a variable is not what a launcher would set.
    """
    if "RANK" in environment:
        _check_address(environment, "with RANK set, MASTER_ADDR and MASTER_PORT must be: start ranks with a launcher")
        local_size = "LOCAL_WORLD_SIZE" if "LOCAL_WORLD_SIZE" in environment else "LOCAL_SIZE"
        return _checked(
            Rank(
                _number(environment, "RANK"),
                _number(environment, "LOCAL_RANK", "0"),
                _number(environment, "WORLD_SIZE", "1"),
                _number(environment, local_size, "1"),
            )
        )
    if "SLURM_STEP_ID" in environment and _number(environment, "SLURM_STEP_NUM_TASKS", "1") > 1:
        _check_address(
            environment, "under srun the job script must export MASTER_ADDR and MASTER_PORT: see slurm/pretrain.sbatch"
        )
        tasks_per_node = environment.get("SLURM_STEP_TASKS_PER_NODE", "1")  # such as 8(x64)
        environment_of_step = {**environment, "SLURM_STEP_TASKS_PER_NODE": re.split("[(,]", tasks_per_node)[0]}
        rank = _checked(
            Rank(
                _number(environment, "SLURM_PROCID"),
                _number(environment, "SLURM_LOCALID"),
                _number(environment, "SLURM_STEP_NUM_TASKS"),
                _number(environment_of_step, "SLURM_STEP_TASKS_PER_NODE"),
            )
        )
    else:
        rank = Rank(0, 0, 1)
        environment.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(free_port()))
    environment.update(RANK=str(rank.rank), LOCAL_RANK=str(rank.local_rank), WORLD_SIZE=str(rank.world_size))
    return rank


def _number(environment: Mapping[str, str], name: str, default: str | None = None) -> int:
    value = environment.get(name, default)
    if value is None or not (value.isascii() and value.isdecimal()):
        given = "is not set" if value is None else f"is {value!r}, which is no whole number"
        raise ConfigError(f"the environment's {name} {given}: it is for the launcher to set")
    return int(value)


def _check_address(environment: Mapping[str, str], what_to_do: str) -> None:
    if "MASTER_ADDR" not in environment or "MASTER_PORT" not in environment:
        raise ConfigError(what_to_do)
    if not 0 < _number(environment, "MASTER_PORT") < 1 << 16:
        raise ConfigError(f"the environment's MASTER_PORT is {environment['MASTER_PORT']}, which is no port")


def _checked(rank: Rank) -> Rank:
    if rank.rank >= rank.world_size or rank.local_rank >= rank.local_size > 1:
        raise ConfigError(
            f"the environment names rank {rank.rank} of {rank.world_size}, on its machine {rank.local_rank} of "
            f"{rank.local_size}: start the ranks with one launcher"
        )
    return rank


def use_machine(rank: Rank) -> torch.device:
    """Set this process up for speed; returns the device that it trains on.

    On a CPU the cores are divided over the ranks of the machine, freed memory is kept instead of given back to the
    kernel (a page fault for every activation costs a fifth of a step), and denormal numbers are flushed to zero (ALiBi
    makes them in every softmax).
    """
    if torch.cuda.is_available():
        device = torch.device("cuda", rank.local_rank)
        torch.cuda.set_device(device)
        torch.backends.cuda.matmul.allow_tf32 = True
        return device
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // rank.local_size))
    torch.set_flush_denormal(True)
    if sys.platform == "linux":
        _keep_freed_memory()
    return torch.device("cpu")


def _keep_freed_memory() -> None:
    trim_threshold, top_pad, mmap_max = -1, -2, -4  # glibc's malloc.h
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(mmap_max, 0)
        library.mallopt(trim_threshold, 2**31 - 1)
        library.mallopt(top_pad, 64 << 20)


def stated_flops(device: torch.device) -> float | None:
    """Dense bf16 FLOP/s by the vendor's data sheet: what MFU is a share of; None for a CPU and for GPUs not listed.

    What is measured instead is no peak: on a busy machine a run reaches more.
    """
    return bf16_peak(torch.cuda.get_device_name(device)) if device.type == "cuda" else None


def peak_flops(device: torch.device) -> float:
    """FLOP/s to plan with: those of the data sheet, or measured with a product of 1,024 × 1,024 matrices."""
    return stated_flops(device) or _measured_flops(device)


def device_memory(device: torch.device, local_ranks: int) -> int:
    """Bytes of a rank's device: of a GPU, or a rank's share of the host."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return int(psutil.virtual_memory().total // local_ranks)


def this_machine(local_ranks: int) -> Machine:
    """The machine that this process runs on; a CPU's speed is measured, in milliseconds."""
    host = psutil.virtual_memory().total
    if torch.cuda.is_available():
        devices = [torch.device("cuda", number) for number in range(min(local_ranks, torch.cuda.device_count()))]
        smallest = min(devices, key=lambda device: device_memory(device, local_ranks))
        memory = device_memory(smallest, local_ranks)
        return Machine(
            torch.cuda.get_device_name(smallest), memory, peak_flops(smallest), 1, local_ranks, host_memory=host
        )
    cores = len(os.sched_getaffinity(0))
    rank_of_peak = min(1.0, cores / (torch.get_num_threads() * local_ranks))
    peak = peak_flops(torch.device("cpu")) * rank_of_peak
    memory = device_memory(torch.device("cpu"), local_ranks)
    return Machine("CPU", memory, peak, 1, local_ranks, is_cpu=True, host_memory=host)


def _measured_flops(device: torch.device) -> float:
    size = 1024
    # A CPU's peak is not that of the moment, less what other programs take: this thread's own time counts.
    clock = time.perf_counter if device.type == "cuda" else time.thread_time
    matrix = torch.randn(size, size, device=device)
    out = torch.empty_like(matrix)
    best = float("inf")
    for _ in range(5):
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        begin = clock()
        torch.mm(matrix, matrix, out=out)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, clock() - begin)
    return 2 * size**3 / best
