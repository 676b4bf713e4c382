"""Whether a run's folder is there to be trained in: by one process, whose rank 0 holds its lock, and by its names."""

import fcntl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from train.checkpoints.folders import CheckpointError

NAME = ".lock"
FILES = (
    *(NAME, "STOP", "DONE", "config.yaml", "environment.json", "journal.jsonl", "metrics.jsonl", "diagnostics.jsonl"),
    *("checkpoints/latest", "wandb_id"),
)
"""What a run reads and writes there."""


def check_names(run_folder: Path) -> None:
    """Raise CheckpointError where a folder lies in the place of one of the run's files."""
    if folders := [name for name in FILES if (run_folder / name).is_dir()]:
        raise CheckpointError(
            f"{', '.join(str(run_folder / name) for name in folders)}: there is a folder in the place of a file of the "
            "run: move it away"
        )


def check_writable(folder: Path) -> None:
    """Make the folder. Raises CheckpointError where it cannot be made, or no file can be made in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise CheckpointError(
            f"{folder} cannot be written to ({error.strerror}): change its permissions, or set another `folder`"
        ) from None


@contextmanager
def only_trainer(run_folder: Path) -> Iterator[None]:
    """Hold the run's lock, so that a requeued job never writes beside one that still runs.

    Raises:
        CheckpointError: another process holds it.
    """
    with (run_folder / NAME).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _in_use(run_folder) from None
        yield


def check_unlocked(run_folder: Path) -> None:
    """Raise CheckpointError where another process trains there already."""
    if is_locked(run_folder):
        raise _in_use(run_folder)


def is_locked(run_folder: Path) -> bool:
    """Whether a process of this machine trains there; on another machine's files this cannot be seen everywhere."""
    try:
        with (run_folder / NAME).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _in_use(run_folder: Path) -> CheckpointError:
    return CheckpointError(
        f"{run_folder}: another process is training there: let it run, or `touch {run_folder / 'STOP'}` and wait"
    )
