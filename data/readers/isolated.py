"""Calls into libraries that a bad document may crash or hold up, made in a process of their own with bounds.

Each worker process has one such child, which does one call after another and is begun anew when a document ends it.
"""

import atexit
import functools
import io
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from data.errors import DataError
from data.readers.rows import LONGEST_RECORD, MalformedError

CPU_SECONDS = 60  # of a call: of the processor, as a clock on the wall would let a busy machine decide what is read
MEMORY = 4 << 30  # bytes of address space of the child
STARTS = "import sys; from data.readers.isolated import serve; serve(int(sys.argv[1]))"

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
Config = TypeVar("Config")


def isolated(
    function: Callable[Arguments, Result], *arguments: Arguments.args, **named: Arguments.kwargs
) -> Result | MalformedError:
    """What a function of a module gives, called in the child; a MalformedError is returned, as a row's content is.

    Raises:
        DataError: the function's library is not there. Other errors of the function are a MalformedError.
    """
    child, connection = _child()
    try:
        connection.send((function, arguments, named))
        found = connection.recv()
    except (EOFError, OSError):
        child.wait()
        _child.cache_clear()
        connection.close()
        return MalformedError(_ending(child.returncode))
    if isinstance(found, ImportError):
        raise DataError(f"files of this format are read with {found.name}: pip install 'domainlm[documents]'")
    return found  # type: ignore[no-any-return]


def isolated_whole(
    function: Callable[[bytes, Config], Result], file: "io.BufferedReader[Any]", config: Config
) -> Result | MalformedError:
    """The same of the whole of a file, of at most LONGEST_RECORD bytes; what cannot be read counts by its bytes."""
    content = file.read(LONGEST_RECORD + 1)
    if len(content) > LONGEST_RECORD:
        return MalformedError(f"record too long: above {LONGEST_RECORD:,} bytes", len(content))
    found = isolated(function, content, config)
    if isinstance(found, MalformedError):
        found.size = len(content)
    return found


def _ending(status: int) -> str:
    if status == -signal.SIGXCPU:
        return f"too slow: it takes its reader more than {CPU_SECONDS} seconds of a processor"
    name = signal.Signals(-status).name if status < 0 else f"status {status}"
    return f"crashes its reader: {name}"


@functools.cache
def _child() -> tuple["subprocess.Popen[bytes]", Connection]:
    here, there = Pipe()
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)}
    child = subprocess.Popen(
        [sys.executable, "-P", "-c", STARTS, str(there.fileno())],
        pass_fds=[there.fileno()],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,  # libraries' remarks on single documents
    )
    there.close()
    atexit.register(_stop, child, here)
    try:
        here.recv()
    except (EOFError, OSError):
        raise DataError(
            f"the process that reads documents did not start (status {child.wait()}): see what "
            f"`{sys.executable} -c 'import data.readers.isolated'` says"
        ) from None
    return child, here


def _stop(child: "subprocess.Popen[bytes]", connection: Connection) -> None:
    connection.close()  # at which the child ends
    child.wait()


def serve(descriptor: int) -> None:
    """Do what is asked for on a connection until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent's to answer
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with Connection(descriptor) as connection:
        connection.send(None)  # it has started: what ends it from now on is a document
        while True:
            try:
                function, arguments, named = connection.recv()
            except EOFError:
                return
            connection.send(_called(functools.partial(function, *arguments, **named)))


def _called(function: Callable[[], object]) -> object:
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit = int(used.ru_utime + used.ru_stime) + CPU_SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))
    try:
        return function()
    except (MalformedError, ImportError) as error:
        return error
    except MemoryError:
        return MalformedError(f"too large: its reader needs more than {MEMORY >> 30} GiB")
    except RecursionError:
        return MalformedError("nested too deep")
    except Exception as error:  # whatever a library says of a document that it cannot read
        return MalformedError(f"unreadable document: {type(error).__name__}: {' '.join(str(error).split()):.200}")
