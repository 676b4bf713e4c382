"""`make`: what the demo installs and what the tests install besides, as make itself says it would."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from train.config import CHECKOUT


def would_run(target: str) -> str:
    """The commands for a target where nothing is there yet; none of them is run."""
    command = ["make", "--dry-run", "--always-make", target]
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout


def test_the_demo_goes_without_what_only_the_tests_need() -> None:
    assert "--constraint constraints.txt --editable '.[fast,compare]'" in would_run("demo")
    assert "--constraint constraints.txt --editable '.[fast,compare,test]'" in would_run("test")
    for target in ("demo", "test"):
        installs = [line for line in would_run(target).splitlines() if "pip install" in line]
        assert len(installs) == 2, "one for all packages, one for texts whose digests are checked"
        assert all("--no-compile" in line for line in installs)
        assert "env -u PYTHONDONTWRITEBYTECODE" in would_run(target), "or every start would compile what it uses"


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    """A copy of the Makefile in a folder whose .venv has an interpreter that takes its time."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt", "requirements-demo.txt"):
        (tmp_path / name).write_bytes((CHECKOUT / name).read_bytes())
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho $$ >"$PWD/pid"; echo Collecting torch; exec sleep 60\n')
    python.chmod(0o755)
    return tmp_path


def test_installing_is_no_silence_and_ends_with_make(endless: Path) -> None:
    command, quiet = ["make", "demo"], subprocess.DEVNULL
    no_make_around = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL")}
    with subprocess.Popen(
        command,
        cwd=endless,
        env=no_make_around,
        stdout=subprocess.PIPE,
        stderr=quiet,
        text=True,
        process_group=0,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a job in the background ignores it
    ) as make:
        assert make.stdout
        first, second = make.stdout.readline(), make.stdout.readline()
        os.killpg(make.pid, signal.SIGINT)
    assert make.returncode != 0
    assert first.startswith("set-up: Python packages")
    assert second.strip().startswith("10 s: 0 packages are there; pip: Collecting torch")
    pip = int((endless / "pid").read_text())
    for _ in range(50):
        if not Path(f"/proc/{pip}").exists():
            return
        time.sleep(0.1)
    pytest.fail("pip goes on after make has ended")
