"""Checks of the machine: nvidia-smi's answers as drivers give them, limits, signals that are really blocked."""

import resource
import subprocess
import sys

import pytest

from domainlm.doctor.machine_checks import (
    check_files,
    check_memory,
    check_shared_memory,
    check_signals,
    check_software,
    judge_gpus,
)
from train.config import CHECKOUT

HEALTHY = "NVIDIA A100-SXM4-40GB, 4, 40960, 31, 0\nNVIDIA A100-SXM4-40GB, 4, 40960, 33, 0\n"


def test_this_environment_has_what_is_needed() -> None:
    findings = check_software()
    assert {finding.name for finding in findings} == {"python", "torch", "deepspeed", "tokenizers", "numpy", "pydantic"}
    assert all(finding.verdict == "ok" for finding in findings), findings


def test_healthy_gpus() -> None:
    (finding,) = judge_gpus(HEALTHY, ranks=2, seen_by_torch=2)
    assert (finding.verdict, finding.seen) == ("ok", "2 (NVIDIA A100-SXM4-40GB), torch sees 2")


def test_gpus_that_are_not_fit() -> None:
    table = HEALTHY + (
        "NVIDIA A100-SXM4-40GB, 20480, 40960, 33, 0\n"
        "NVIDIA A100-SXM4-40GB, 4, 40960, 33, 7\n"
        "NVIDIA A100-SXM4-40GB, 4, 40960, 85, [N/A]\n"
    )
    findings = {finding.name: finding for finding in judge_gpus(table, ranks=8, seen_by_torch=5)}
    assert {name: finding.verdict for name, finding in findings.items()} == {
        "GPUs": "fail",
        "GPU 2": "fail",
        "GPU 3": "fail",
        "GPU 4": "warn",
    }
    assert "20480 of 40960 MiB in use" in findings["GPU 2"].seen
    assert "7 memory errors" in findings["GPU 3"].seen
    assert "85 °C" in findings["GPU 4"].seen


def test_signals_that_a_parent_has_blocked_are_found() -> None:
    assert check_signals().verdict == "ok"
    script = (
        "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1});"
        "from domainlm.doctor.machine_checks import check_signals; print(check_signals())"
    )
    shown = subprocess.run([sys.executable, "-c", script], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert "verdict='fail', seen='SIGUSR1 do not arrive'" in shown.stdout


def test_limits() -> None:
    assert [check_files(limit).verdict for limit in (256, 1024, 65_536, resource.RLIM_INFINITY)] == [
        *("fail", "warn", "ok", "ok")
    ]
    assert [check_shared_memory(size).verdict for size in (64 << 20, 512 << 20, 8 << 30)] == ["fail", "warn", "ok"]


@pytest.mark.parametrize(("host_bytes", "verdict"), [(0, "ok"), (1 << 20, "ok"), (1 << 60, "fail")])
def test_offload_needs_memory(host_bytes: int, verdict: str) -> None:
    assert check_memory(host_bytes).verdict == verdict
