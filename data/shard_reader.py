"""Tokens of shards by file and position, and shards' names; without Arrow, so that a stream starts fast."""

import contextlib
import functools
import mmap
import os
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from data.errors import DataError

Tokens = npt.NDArray[np.unsignedinteger[Any]]

SOURCE_NAME = re.compile(r"[A-Za-z0-9_-]+")
DTYPES: dict[str, np.dtype[Any]] = {"uint16": np.dtype("<u2"), "uint32": np.dtype("<u4")}
OPEN_FILES = 256  # a process may often have no more than 1,024


@functools.lru_cache(4096)
def shard_name(split: str, source: str, number: int) -> str:
    """Name of a shard's files below the folder, without their endings."""
    return f"{split}/{source}-{number:05d}"


class OpenFiles:
    """Files read at any place, by name below a folder; those used last stay mapped into memory.

    A mapped page is the operating system's copy of the file, shared by all processes and given up when room is needed.
    """

    def __init__(self, find: Callable[[str], str]) -> None:
        """`find` gives the place of a file that is opened, and may have to fetch it first."""
        self._open = functools.lru_cache(OPEN_FILES)(functools.partial(_map, find))

    def read(self, name: str, offset: int, size: int) -> bytes:
        """Raises DataError when the file cannot be read or ends before offset + size."""
        content = self._open(name)[offset : offset + size]
        if len(content) != size:
            raise DataError(f"{name} ends before byte {offset + size:,}: restore it, or make the shards again")
        return content

    def read_tokens(self, name: str, dtype: np.dtype[Any], first: int, count: int) -> Tokens:
        """Tokens first..first+count-1 of one file, read-only."""
        return np.frombuffer(self.read(name, first * dtype.itemsize, count * dtype.itemsize), dtype)


def _map(find: Callable[[str], str], name: str) -> mmap.mmap | bytes:
    try:
        return _map_file(find(name))
    except FileNotFoundError:
        with contextlib.suppress(OSError):  # where files are fetched, another process may have made room just now
            return _map_file(find(name))
        raise DataError(f"{find(name)} is missing: restore it, or make the shards again") from None
    except OSError as error:
        raise DataError(f"{name} cannot be read ({error}): restore it, or make the shards again") from None


def _map_file(path: str) -> mmap.mmap | bytes:
    number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:  # a map keeps a descriptor of its own; an empty file cannot be mapped
        return mmap.mmap(number, 0, access=mmap.ACCESS_READ) if os.fstat(number).st_size else b""
    finally:
        os.close(number)
