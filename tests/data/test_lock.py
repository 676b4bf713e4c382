"""A folder has one writer: a second is refused in one line, and none is locked out by what a dead one left."""

import os
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from data.errors import DataError
from data.lock import only_writer
from train.config import CHECKOUT


def test_a_second_writer_is_refused_until_the_first_is_done(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "corpus"
    message = (
        rf"^{folder}: another process writes there \(process {os.getpid()} on {socket.gethostname()}\): wait until it "
        "is done, or stop it, and run the same command again$"
    )
    with only_writer(folder):
        with pytest.raises(DataError, match=message), only_writer(folder):
            pass
        with pytest.raises(DataError, match="another process"), only_writer(folder, (0, 2)):
            pass
        with only_writer(folder.with_name("tokenizer")):
            pass
    with only_writer(folder):
        pass
    assert list(folder.parent.iterdir()) == []


def test_shards_are_written_side_by_side_but_each_once(tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    with only_writer(folder, (0, 2)), only_writer(folder, (1, 2)):
        with pytest.raises(DataError, match="another process"), only_writer(folder, (1, 2)):
            pass
        with pytest.raises(DataError, match=r"another process writes there \(shards\)"), only_writer(folder):
            pass
    with only_writer(folder):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_killed_writer_locks_nobody_out(tmp_path: Path) -> None:
    program = f"""
import sys, time
from pathlib import Path
from data.lock import only_writer
with only_writer(Path({str(tmp_path / "corpus")!r})):
    print("held", flush=True)
    time.sleep(60)
"""
    words = [sys.executable, "-c", program]
    with subprocess.Popen(words, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        with pytest.raises(DataError, match=rf"\(process {process.pid} on "), only_writer(tmp_path / "corpus"):
            pass
        process.kill()
    with only_writer(tmp_path / "corpus"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_what_fails_within_lets_go(tmp_path: Path) -> None:
    for _ in range(2):
        with ExitStack() as stack:
            stack.enter_context(only_writer(tmp_path / "corpus"))
            stack.enter_context(pytest.raises(ValueError, match="of its own"))
            raise ValueError("of its own")
