"""Packed files (.gz, .zst, .bz2, .xz) as the bytes that were packed, of all their streams; damage is an error."""

import bz2
import functools
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Any

import zstandard

# What `zstd --long=31` writes, the widest there is. Memory is taken as text fills it: 2 GiB for each file being read.
WIDEST_WINDOW = 1 << 31
# Taken at a time of a packed file. Smaller pieces take up to a third more time; one unpacks to 512 MiB at the most, as
# 4 bytes can stand for a block of 128 KiB in Zstandard's format.
PACKED_BYTES = 1 << 14
# What the piece that shows damage unpacks to is lost with it: a damaged file is read again in small ones.
DAMAGED_PACKED_BYTES = 1 << 11
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
    return io.BufferedReader(_Unpacked(_contents(file, make)), UNPACKED_BYTES)


def _contents(file: "io.BufferedReader[Any]", make: Callable[[], Any]) -> Iterator[bytes]:
    """All that a file at its begin holds; of a damaged one as much as can be had before the error."""
    done = 0
    try:
        for content in _streams(file, make, PACKED_BYTES):
            yield content
            done += len(content)
    except EOFError:  # what is cut off has been read to its end
        raise
    except (OSError, *DAMAGE):
        file.seek(0)
        for content in _streams(file, make, DAMAGED_PACKED_BYTES):
            yield content[done:]
            done = max(0, done - len(content))


def _streams(file: "io.BufferedReader[Any]", make: Callable[[], Any], size: int) -> Iterator[bytes]:
    """All streams of a packed file, with the zeros that may stand between and after them, in pieces of this size.

    Others' readers take a damaged second stream, or a cut, for the end.
    """
    stream = make()
    while packed := file.read(size):
        while packed:
            if stream.eof:
                packed = packed.lstrip(b"\0")
                if not packed:
                    break
                stream = make()
            yield stream.decompress(packed)
            packed = stream.unused_data if stream.eof else b""
    if not stream.eof:
        raise EOFError("it is cut off")


class _Unpacked(io.RawIOBase):
    """Pieces of bytes as a file."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._content = pieces, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._content:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._content = memoryview(piece)
        size = min(len(buffer), len(self._content))
        buffer[:size] = self._content[:size]
        self._content = self._content[size:]
        return size
