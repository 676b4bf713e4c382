"""Packed files (.gz, .zst, .bz2, .xz) as the bytes that were packed, of all their streams; damage is an error."""

import bz2
import functools
import io
import lzma
import zlib
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

import zstandard

# What `zstd --long=31` writes, the widest there is. Memory is taken as text fills it: 2 GiB for each file being read.
WIDEST_WINDOW = 1 << 31
# Taken at a time of a packed file. Of a damaged one, what such a piece unpacks to may be lost before the damage: it is
# a few times its size, and 64 MiB at the most, as 4 bytes can stand for a block of 128 KiB in Zstandard's format.
PACKED_BYTES = 1 << 11
UNPACKED_BYTES = 1 << 16
DECOMPRESSORS: dict[str, Callable[[], Any]] = {
    ".gz": functools.partial(zlib.decompressobj, wbits=16 + zlib.MAX_WBITS),
    ".zst": lambda: zstandard.ZstdDecompressor(max_window_size=WIDEST_WINDOW).decompressobj(),
    ".bz2": bz2.BZ2Decompressor,
    ".xz": lzma.LZMADecompressor,
}
DAMAGE = (zlib.error, zstandard.ZstdError, lzma.LZMAError, EOFError)  # bzip2's is an OSError without a number


def unpacked(file: "io.BufferedReader[Any]", name: str) -> "io.BufferedReader[Any]":
    """The content of an open file called `name`: unpacked where its ending says that it is packed, else as it is.

    Reading raises one of DAMAGE, or an OSError without a number, where the file is damaged or cut off.
    """
    make = DECOMPRESSORS.get(PurePosixPath(name).suffix)
    if make is None:
        return file
    if not file.peek(1):
        raise EOFError("it is empty, which no packed file is")
    return io.BufferedReader(_Streams(file, make), UNPACKED_BYTES)


class _Streams(io.RawIOBase):
    """All streams of a packed file, with the zeros that may stand between and after them; others' readers take a
    damaged second stream, or a cut, for the end."""

    def __init__(self, file: "io.BufferedReader[Any]", make: Callable[[], Any]) -> None:
        self._file, self._make, self._stream = file, make, make()
        self._content = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._content:
            packed = self._next_piece()
            if not packed:
                return 0
            self._content = memoryview(self._stream.decompress(packed))
        size = min(len(buffer), len(self._content))
        buffer[:size] = self._content[:size]
        self._content = self._content[size:]
        return size

    def _next_piece(self) -> bytes:
        """What the stream is to unpack next; nothing at the end of the file."""
        if not self._stream.eof:
            if packed := self._file.read(PACKED_BYTES):
                return packed
            raise EOFError("it is cut off")
        packed = self._stream.unused_data.lstrip(b"\0")
        while not packed and (more := self._file.read(PACKED_BYTES)):
            packed = more.lstrip(b"\0")
        if packed:
            self._stream = self._make()
        return packed
