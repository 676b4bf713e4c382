"""The error of everything that is wrong with the user's data, and a line about files that the system refuses."""

import errno
import os
import re
import shutil
import tempfile
import textwrap
from pathlib import Path

from data.addresses import without_secrets

# What may be done about an error of the operating system that is no fault of this program.
TO_DO = {
    errno.ENOSPC: "make room there, or choose another folder",
    errno.EDQUOT: "make room within your quota, or choose another folder",
    errno.EFBIG: "raise the limit of a file's size (ulimit -f), or choose another folder",
    errno.EROFS: "have it mounted for writing, or choose another folder",
    errno.EACCES: "change its permissions, or choose another folder",
    errno.EPERM: "change its permissions, or choose another folder",
    errno.EISDIR: "there is a folder in the place of a file: move it away",
    errno.ENOTDIR: "there is a file in the place of a folder: move it away",
    errno.EIO: "the disk, or the network to it, is failing: mend it, or choose another folder",
}


class DataError(Exception):
    """Input that cannot be used; the message says what, where and what to do about it, in one line, without secrets."""

    def __init__(self, message: str) -> None:
        super().__init__(without_secrets(message))


class UnreachableError(DataError):
    """Data that is elsewhere and could not be asked for; it may be there all the same."""


def one_line(error: Exception) -> str:
    """What an error says, or its kind, in at most 500 characters; of pydantic's without addresses of documentation."""
    said = re.sub(r"For further information visit \S+", "", str(error))
    return textwrap.shorten(said, 500, placeholder=" …") or type(error).__name__


def refused_file(error: OSError) -> str | None:
    """One line about a file that the system refuses: which, why, what its file system has free, and what to do.

    None for errors that are no such refusal.
    """
    if error.errno not in TO_DO:
        return None
    return f"{_place(error)}: {TO_DO[error.errno]}, and run the same command again; what is finished is kept"


def _place(error: OSError) -> str:
    named = error.filename2 or error.filename  # of a renaming, what was to be replaced
    if named is None:
        others = f"{tempfile.gettempdir()}, or {os.environ['NUMBA_CACHE_DIR']} where compiled functions are kept"
        return f"{error.strerror}, for a file that the system does not name: in the run's folder, {others}"
    file = Path(os.fsdecode(named)).absolute()
    mount = next(folder for folder in (file, *file.parents) if os.path.ismount(folder))
    usage, files = shutil.disk_usage(mount), os.statvfs(mount)
    room = f"{usage.free / 1e9:,.2f} of {usage.total / 1e9:,.2f} GB free"
    if files.f_files and not files.f_favail:
        room += ", and room for no more files"
    return f"{file}: {error.strerror} (its file system, at {mount}, has {room})"
