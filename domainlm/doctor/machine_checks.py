"""Checks of the machine: software, GPUs, memory, limits, signals."""

import os
import platform
import resource
import shutil
import signal
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from types import FrameType

import psutil

from domainlm.doctor.findings import Finding
from train.stop import SIGNALS

NEEDED = {"torch": (2, 8), "deepspeed": (0, 19, 8), "tokenizers": (0, 23), "numpy": (2,), "pydantic": (2, 10)}
"""Packages and the oldest versions that the project takes (pyproject.toml)."""

GPU_QUERY = "name,memory.used,memory.total,temperature.gpu,ecc.errors.uncorrected.volatile.total"
GPU_MEMORY_IN_USE = 1000
"""MiB that a GPU may have in use before the start."""


def check_machine(ranks: int, host_bytes: int) -> list[Finding]:
    """All checks of the machine.

    Args:
        ranks: that the run starts here.
        host_bytes: of this machine's memory that the run will take: offload, copies for saves, on a CPU its steps.
    """
    return [
        *check_software(),
        *check_gpus(ranks),
        check_memory(host_bytes),
        check_shared_memory(shutil.disk_usage("/dev/shm").free),
        check_files(resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
        check_signals(),
    ]


def check_software() -> list[Finding]:
    findings = [Finding("python", "ok", f"{platform.python_version()}, {sys.executable}")]
    for package, oldest in NEEDED.items():
        wanted = ".".join(map(str, oldest))
        try:
            found = version(package)
        except PackageNotFoundError:
            findings.append(Finding(package, "fail", "not installed", f"pip install '{package}>={wanted}'"))
            continue
        numbers = tuple(int(part) for part in found.split("+")[0].split(".")[:3] if part.isdigit())
        if numbers < oldest:
            findings.append(
                Finding(package, "fail", f"{found} is older than {wanted}", f"upgrade to {wanted} or newer")
            )
        else:
            findings.append(Finding(package, "ok", found))
    return findings


def check_gpus(ranks: int) -> list[Finding]:
    """What nvidia-smi says of this machine's GPUs, and whether torch sees as many."""
    import torch

    if shutil.which("nvidia-smi") is None:
        return [Finding("GPUs", "ok", f"none: {ranks} rank{'s' * (ranks > 1)} on {len(os.sched_getaffinity(0))} cores")]
    try:
        asked = subprocess.run(
            ["nvidia-smi", f"--query-gpu={GPU_QUERY}", "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    except (subprocess.SubprocessError, OSError) as error:
        return [Finding("GPUs", "fail", f"nvidia-smi: {error}", "the driver hangs or is broken: drain the machine")]
    return judge_gpus(asked.stdout, ranks, torch.cuda.device_count())


def judge_gpus(table: str, ranks: int, seen_by_torch: int) -> list[Finding]:
    """Findings from the answer to GPU_QUERY, a line for each GPU."""
    rows = [[cell.strip() for cell in line.split(",")] for line in table.splitlines() if line.strip()]
    findings = []
    count = f"{len(rows)} ({', '.join(sorted({row[0] for row in rows}))}), torch sees {seen_by_torch}"
    if seen_by_torch < ranks:
        to_do = f"{ranks} ranks need as many GPUs: free them, or install a torch that is built for their driver"
        findings.append(Finding("GPUs", "fail", count, to_do))
    else:
        findings.append(Finding("GPUs", "ok", count))
    for index, (_, used, total, celsius, errors) in enumerate(rows):
        if errors.isdigit() and int(errors):
            seen = f"{errors} memory errors that could not be corrected"
            findings.append(Finding(f"GPU {index}", "fail", seen, "reset it, or drain the machine"))
        elif used.isdigit() and int(used) > GPU_MEMORY_IN_USE:
            seen = f"{used} of {total} MiB in use"
            findings.append(Finding(f"GPU {index}", "fail", seen, "another process is on it: nvidia-smi names it"))
        elif celsius.isdigit() and int(celsius) > 80:
            findings.append(Finding(f"GPU {index}", "warn", f"{celsius} °C before the start", "look at its cooling"))
    return findings


def check_memory(host_bytes: int) -> Finding:
    available = psutil.virtual_memory().available
    seen = f"{available / 1e9:,.1f} GB available"
    if host_bytes:
        seen += f", the run takes {host_bytes / 1e9:,.1f} GB"
    if available < host_bytes:
        return Finding("memory", "fail", seen, "`domainlm plan` shows what for: offload, or copies for saves")
    return Finding("memory", "ok", seen)


def check_shared_memory(free: int) -> Finding:
    seen = f"{free / 1e9:,.2f} GB free in /dev/shm"
    if free < 256 << 20:
        return Finding(
            "/dev/shm", "fail", seen, "NCCL and workers need it: docker run --shm-size=8g, or remount it larger"
        )
    if free < 1 << 30:
        return Finding("/dev/shm", "warn", seen, "make it 1 GB or larger")
    return Finding("/dev/shm", "ok", seen)


def check_files(limit: int) -> Finding:
    if limit < 1024 and limit != resource.RLIM_INFINITY:
        return Finding("open files", "fail", f"{limit} at most", "ulimit -n 65536 in the job's script")
    if limit < 4096 and limit != resource.RLIM_INFINITY:
        return Finding("open files", "warn", f"{limit} at most", "ulimit -n 65536 in the job's script")
    return Finding("open files", "ok", f"{'no limit' if limit == resource.RLIM_INFINITY else limit}")


def check_signals() -> Finding:
    """Whether the signals that ask a run to stop arrive: whoever started this process may have blocked them."""
    received: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        received.append(number)

    for number in SIGNALS:
        previous = signal.signal(number, note)
        try:
            os.kill(os.getpid(), number)
        finally:
            signal.signal(number, previous)
    lost = [signal.Signals(number).name for number in SIGNALS if number not in received]
    if lost:
        to_do = "a run could not be asked to stop: do not start it from a shell or job that blocks them"
        return Finding("signals", "fail", f"{', '.join(lost)} do not arrive", to_do)
    return Finding("signals", "ok", "SIGTERM, SIGUSR1, SIGINT and SIGHUP arrive")
