"""A folder that only one process writes to: the others are refused in one line, before they have touched anything."""

import fcntl
import glob
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from data.errors import DataError
from data.progress import say


@contextmanager
def only_writer(folder: Path, shard: tuple[int, int] | None = None) -> Iterator[None]:
    """Hold a folder for this process alone, by a lock on .NAME.lock beside it, which goes with it.

    Args:
        shard: (i, n): others that write other shards may do so at the same time.

    Raises:
        DataError: another process writes to the folder, or to a share of another n.
    """
    place = folder.resolve()
    place.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        stack.enter_context(_locked(folder, place.with_name(f".{place.name}.lock"), shared=shard is not None))
        if shard is not None:
            own = place.with_name(f".{place.name}.{shard[0]}-of-{shard[1]}.lock")
            stack.enter_context(_locked(folder, own, shared=False))
            _check_shares(folder, place, shard[1])
        yield


def _check_shares(folder: Path, place: Path, count: int) -> None:
    """Raise DataError while a process writes a share of another number of shares, and so some of the same files."""
    for path in place.parent.glob(f".{glob.escape(place.name)}.*-of-*.lock"):
        other = path.name.removesuffix(".lock").rpartition("-of-")[2]
        if other != str(count):
            with suppress(FileNotFoundError), path.open() as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_NB | fcntl.LOCK_SH)
                except BlockingIOError:
                    raise DataError(
                        f"{folder}: a process writes a share of {other} there ({file.read()}), and this is one of "
                        f"{count}: all --shard I/N of a folder have one N; wait until it is done, or stop it"
                    ) from None
                except OSError:  # without locks, which is said already
                    return


@contextmanager
def _locked(folder: Path, path: Path, shared: bool) -> Iterator[None]:
    """Hold the lock of `path`; a process that dies lets it go, whatever becomes of the file."""
    with ExitStack() as stack:
        while True:
            file = stack.enter_context(path.open("a+"))
            try:
                fcntl.flock(file, fcntl.LOCK_NB | (fcntl.LOCK_SH if shared else fcntl.LOCK_EX))
            except BlockingIOError:
                file.seek(0)
                raise DataError(
                    f"{folder}: another process writes there ({file.read() or 'shards'}): wait until it is done, or "
                    "stop it, and run the same command again"
                ) from None
            except OSError as error:
                say(f"{path}: this file system has no locks ({error.strerror}): let no other process write to {folder}")
            # One that has just ended may have taken the file away between the opening and the lock.
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                    break
        if shared:
            yield
            return
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
