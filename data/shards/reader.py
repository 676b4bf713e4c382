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
RESTORE = "restore it, or make the shards again"
RUN_AGAIN = "run `domainlm tokenize CONFIG` again"


@functools.lru_cache(4096)
def shard_name(split: str, source: str, number: int) -> str:
    """Name of a shard's files below the folder, without their endings."""
    return f"{split}/{source}-{number:05d}"


class OpenFiles:
    """Files read at any place, by name below a folder; those used last stay mapped into memory.

    A mapped page is the operating system's copy of the file, shared by all processes and given up when room is needed.
    """

    def __init__(self, find: Callable[[str], str], keep: int = OPEN_FILES) -> None:
        """`find` gives the place of a file that is opened, and may have to fetch it first; `keep` of them stay open."""
        self._open = functools.lru_cache(keep)(functools.partial(_map, find))

    def content(self, name: str, size: int) -> mmap.mmap:
        """A whole file, of `size` bytes at the least. Raises DataError when it cannot be read or is shorter."""
        mapped = self._open(name)
        # Asked each time: touching what a file has lost since it was opened would end the process without its name
        if len(mapped) < size or mapped.size() < len(mapped):
            raise ends_before(name, max(size, len(mapped)))
        return mapped

    def read(self, name: str, offset: int, size: int) -> bytes:
        """Raises DataError when the file cannot be read or ends before offset + size."""
        return self.content(name, offset + size)[offset : offset + size]

    def read_tokens(self, name: str, dtype: np.dtype[Any], first: int, count: int) -> Tokens:
        """Tokens first..first+count-1 of one file, read-only."""
        return np.frombuffer(self.read(name, first * dtype.itemsize, count * dtype.itemsize), dtype)


def ends_before(name: str, size: int) -> DataError:
    """What is wrong with a file of less than `size` bytes."""
    return DataError(f"{name} ends before byte {size:,}: {RESTORE}")


def _map(find: Callable[[str], str], name: str) -> mmap.mmap:
    try:
        return _map_file(find(name))
    except FileNotFoundError:
        with contextlib.suppress(OSError):  # where files are fetched, another process may have made room just now
            return _map_file(find(name))
        raise DataError(f"{find(name)} is missing: {RESTORE}") from None
    except (OSError, ValueError) as error:  # ValueError: it is empty
        raise DataError(f"{name} cannot be read ({error}): {RESTORE}") from None


def _map_file(path: str) -> mmap.mmap:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:  # the map keeps one of its own
        return mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
    finally:
        os.close(descriptor)
