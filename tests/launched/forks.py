"""`python WORDS` without its start: forked from a process that has loaded torch and DeepSpeed, which takes seconds.

What such a process does from its first line on is the same; only what it imports is there already. A test that looks at
the start itself, stops the process or finds it by its command line starts one of its own, with tests/launched/runs.py.

The process to fork from runs this file. A request is a message with four open files: the new process's input, output
and errors, and where its id and, later, its exit code are written.
"""

import atexit
import functools
import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

LARGEST = 1 << 17
"""Bytes of a request, most of them environment variables."""


@dataclass(frozen=True)
class Forked:
    """A process that was asked for."""

    words: tuple[str, ...]
    output: IO[str]
    errors: IO[str]
    told: int
    heard: bytearray = field(default_factory=bytearray)

    def hear(self, lines: int, timeout: float) -> list[int]:
        """What the server has told within so many seconds: the process's id, and once it has ended its exit code."""
        deadline = time.monotonic() + timeout
        while self.heard.count(b"\n") < lines:
            if not select.select([self.told], [], [], max(0.0, deadline - time.monotonic()))[0]:
                break
            told = os.read(self.told, 64)
            assert told, "the process that others are forked from has died"
            self.heard.extend(told)
        return [int(line) for line in self.heard.splitlines()]

    @property
    def pid(self) -> int:
        return self.hear(1, timeout=60)[0]

    def poll(self) -> int | None:
        """Its exit code, or None while it runs."""
        told = self.hear(2, timeout=0)
        return told[1] if len(told) == 2 else None

    def finish(self, timeout: float) -> subprocess.CompletedProcess[str]:
        """Its exit code and all that it said, once it has ended; it is killed when it does not end."""
        process, *code = self.hear(2, timeout)
        if not code:
            os.kill(process, signal.SIGKILL)
            raise subprocess.TimeoutExpired(self.words, timeout)
        os.close(self.told)
        said = []
        for file in (self.output, self.errors):
            file.seek(0)
            said.append(file.read())
            file.close()
        return subprocess.CompletedProcess(self.words, code[0], *said)


def fork(*words: str, lines: str, folder: Path, variables: Mapping[str, str]) -> Forked:
    """`python WORDS` in this folder with these lines of input and exactly these environment variables."""
    output, errors = (tempfile.TemporaryFile("w+") for _ in range(2))  # noqa: SIM115 - read and closed by `finish`
    told, tell = os.pipe()
    with tempfile.TemporaryFile("w+") as given:
        given.write(lines)
        given.seek(0)
        request = json.dumps([words, str(folder), dict(variables)]).encode()
        socket.send_fds(_server(), [request], [given.fileno(), output.fileno(), errors.fileno(), tell])
    os.close(tell)
    return Forked(words, output, errors, told)


@functools.cache
def _server() -> socket.socket:
    """The way to this process's server, which ends with it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, __file__, str(theirs.fileno())]
    checkout = Path(__file__).parents[2]
    variables = os.environ | {"PYTHONPATH": str(checkout), "DS_ACCELERATOR": "cpu", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, cwd=checkout, pass_fds=[theirs.fileno()], env=variables)
    theirs.close()

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


def serve(requests: socket.socket) -> list[str]:
    """Answer requests to the end; in a process that was asked for, return the words that it is to run."""
    while True:
        content, files, _, _ = socket.recv_fds(requests, LARGEST, 4)
        if not content:
            os._exit(0)
        if os.fork() == 0:
            requests.close()
            tell = files.pop()
            process = os.fork()
            if process == 0:
                os.close(tell)
                return become(*json.loads(content), files)
            os.write(tell, f"{process}\n".encode())
            code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
            os.write(tell, f"{code}\n".encode())
            os._exit(0)
        for file in files:
            os.close(file)


def become(words: list[str], folder: str, variables: dict[str, str], files: list[int]) -> list[str]:
    """Take over what was asked for."""
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variables)
    return words


def run(words: list[str]) -> None:
    """As `python WORDS` would: `-m MODULE ...`, `-c PROGRAM ...` or `FILE ...`."""
    if words[0] == "-c":
        sys.argv = ["-c", *words[2:]]
        exec(words[1], {"__name__": "__main__"})
    elif words[0] == "-m":
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = words
        runpy.run_path(words[0], run_name="__main__")


if __name__ == "__main__":
    import deepspeed.utils  # noqa: F401
    import torch._dynamo  # noqa: F401 - the first optimizer asks for it, which takes a rank two seconds

    import domainlm.commands
    import domainlm.stages  # noqa: F401
    import train.loop  # noqa: F401

    sys.path.remove(str(Path(__file__).parent))
    gc.freeze()  # else each process's own search for garbage would copy every page
    run(serve(socket.socket(fileno=int(sys.argv[1]))))
