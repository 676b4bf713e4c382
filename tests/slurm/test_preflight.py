"""slurm/preflight.sh: what a node is called bad for. The GPUs are nvidia-smi's lines, as its manual shows them."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from train.config import CHECKOUT

GOOD_GPUS = "0, 4, 31, 0\n1, 4, 33, 0\n"


def preflight(folder: Path, gpus: str = "", **variables: str) -> tuple[int, str]:
    """Exit code and line of the check, on a node whose nvidia-smi prints `gpus`."""
    tools = folder.parent / "tools"
    tools.mkdir(exist_ok=True)
    (tools / "lines").write_text(gpus)
    (tools / "nvidia-smi").write_text(f"#!/bin/sh\ncat {tools}/lines\n")
    (tools / "nvidia-smi").chmod(0o755)
    settings = {"PYTHON": sys.executable, "MINIMUM_FREE_GB": "0", "MINIMUM_SHM_MB": "1", "SLURMD_NODENAME": "n1"}
    done = subprocess.run(
        [str(CHECKOUT / "slurm" / "preflight.sh"), str(folder)],
        env=os.environ | {"PATH": f"{tools}:{os.environ['PATH']}"} | settings | variables,
        text=True,
        capture_output=True,
    )
    assert len(done.stdout.splitlines()) == 1, done.stdout + done.stderr
    return done.returncode, done.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "run"
    made.mkdir()
    (made / ".preflight").write_text("7.0\n")
    return made


def test_a_good_node_passes_every_check_and_leaves_nothing(folder: Path) -> None:
    checks = {"MASTER_ADDR": "localhost", "PREFLIGHT_MARK": "7.0", "PREFLIGHT_CLOCK": str(int(time.time()))}
    code, line = preflight(folder, GOOD_GPUS, PREFLIGHT_GPUS="2", **checks)
    assert code == 0
    assert line.startswith("OK n1 2 GPUs, ")
    assert [path.name for path in folder.iterdir()] == [".preflight"]


@pytest.mark.parametrize(
    ("gpus", "variables", "reason"),
    [
        ("0, 4, 31, 0\n", {"PREFLIGHT_GPUS": "2"}, "1 GPUs instead of 2"),
        ("0, 4, 31, 0\n1, 4, 33, 2\n", {"SLURM_GPUS_ON_NODE": "2"}, "GPU 1 has 2 uncorrected memory errors"),
        ("0, 20480, 31, 0\n", {"PREFLIGHT_GPUS": "1"}, "GPU 0 has 20480 MB in use before the start"),
        ("0, 4, 91, [N/A]\n", {"PREFLIGHT_GPUS": "1"}, "GPU 0 is at 91 °C before the start"),
        ("", {"MINIMUM_FREE_GB": "99999999"}, "GB free at "),
        ("", {"MINIMUM_SHM_MB": "99999999"}, "MB free in /dev/shm"),
        ("", {"MASTER_ADDR": "no-such-node.invalid"}, "cannot resolve no-such-node.invalid"),
        ("", {"PREFLIGHT_CLOCK": "1000000000"}, "its clock is off by "),
        ("", {"PYTHON": "/bin/false"}, "cannot import torch"),
        ("", {"PYTHON": "/nowhere/python"}, "cannot import torch"),
    ],
)
def test_a_bad_node_is_named_with_the_reason(folder: Path, gpus: str, variables: dict[str, str], reason: str) -> None:
    code, line = preflight(folder, gpus, **variables)
    assert code == 1
    assert line.startswith("BAD n1 ")
    assert reason in line


def test_a_folder_that_is_not_there_or_not_the_same(folder: Path, tmp_path: Path) -> None:
    assert "cannot write 1 MB" in preflight(tmp_path / "nowhere")[1]
    assert "is not the folder that the batch host has" in preflight(folder, PREFLIGHT_MARK="8.0", PATIENCE="1")[1]
