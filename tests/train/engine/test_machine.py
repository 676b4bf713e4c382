"""What ranks are started on is found out without torch where there is no GPU."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.launched.runs import environment
from train.engine import machine
from train.engine.machine import free_port, gpus


def test_free_port_can_be_listened_on() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", free_port()))


def test_torch_is_asked_for_gpus_where_there_is_a_driver(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machine, "DEVICES", (str(tmp_path / "none"), str(tmp_path)))
    assert gpus() == torch.cuda.device_count()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    assert gpus() == 8
    monkeypatch.setattr(machine, "DEVICES", ())
    assert gpus() == 0


def test_whoever_starts_ranks_needs_no_torch() -> None:
    program = "import sys, domainlm.launcher, domainlm.stages, train.engine.machine; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], env=environment(), check=True)
