"""This process: which rank it is, and how it uses its machine."""

import ctypes
import os
import socket
import sys
import time
from collections.abc import MutableMapping
from dataclasses import dataclass

import psutil
import torch

from train.config_file import ConfigError
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
        ConfigError: under srun, the job script did not export the address of the first rank.
    """
    if "RANK" in environment:
        local_size = environment.get("LOCAL_WORLD_SIZE", environment.get("LOCAL_SIZE", "1"))
        return Rank(
            int(environment["RANK"]),
            int(environment.get("LOCAL_RANK", "0")),
            int(environment.get("WORLD_SIZE", "1")),
            int(local_size),
        )
    if "SLURM_STEP_ID" in environment and int(environment.get("SLURM_STEP_NUM_TASKS", "1")) > 1:
        missing = [name for name in ("MASTER_ADDR", "MASTER_PORT") if name not in environment]
        if missing:
            raise ConfigError(
                f"under srun the job script must export {' and '.join(missing)}: see slurm/pretrain.sbatch"
            )
        tasks_per_node = environment.get("SLURM_STEP_TASKS_PER_NODE", "1")  # such as 8(x64)
        rank = Rank(
            int(environment["SLURM_PROCID"]),
            int(environment["SLURM_LOCALID"]),
            int(environment["SLURM_STEP_NUM_TASKS"]),
            int(tasks_per_node.split("(")[0].split(",")[0]),
        )
    else:
        rank = Rank(0, 0, 1)
        environment.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(free_port()))
    environment.update(RANK=str(rank.rank), LOCAL_RANK=str(rank.local_rank), WORLD_SIZE=str(rank.world_size))
    return rank


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


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


def name_accelerator() -> None:
    """Tell DeepSpeed that a machine without a GPU is meant: it looks when it is imported, and warns when not told."""
    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")


def stated_flops(device: torch.device) -> float | None:
    """Dense bf16 FLOP/s by the vendor's data sheet: what MFU is a share of; None for a CPU and for GPUs not listed.

    What is measured instead is no peak: on a busy machine a run reaches more.
    """
    return bf16_peak(torch.cuda.get_device_name(device)) if device.type == "cuda" else None


def peak_flops(device: torch.device) -> float:
    """FLOP/s to plan with: those of the data sheet, or measured with a product of 1,024 × 1,024 matrices."""
    return stated_flops(device) or _measured_flops(device)


def this_machine(local_ranks: int) -> Machine:
    """The machine that this process runs on; a CPU's speed is measured, in milliseconds."""
    host = psutil.virtual_memory().total
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        peak = peak_flops(torch.device("cuda", 0))
        return Machine(properties.name, properties.total_memory, peak, 1, local_ranks, host_memory=host)
    cores = len(os.sched_getaffinity(0))
    rank_of_peak = min(1.0, cores / (torch.get_num_threads() * local_ranks))
    peak = peak_flops(torch.device("cpu")) * rank_of_peak
    return Machine("CPU", host // local_ranks, peak, 1, local_ranks, is_cpu=True, host_memory=host)


def _measured_flops(device: torch.device) -> float:
    size = 1024
    matrix = torch.randn(size, size, device=device)
    out = torch.empty_like(matrix)
    best = float("inf")
    for _ in range(5):
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        begin = time.perf_counter()
        torch.mm(matrix, matrix, out=out)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - begin)
    return 2 * size**3 / best
