"""An HTTP response as it was recorded: its status, its headers, and its body without chunks and compression."""

import re
import zlib
from collections.abc import Callable
from typing import NamedTuple

import zstandard

from data.errors import DataError
from data.readers.rows import MalformedError

STATUS = re.compile(rb"HTTP/\d(?:\.\d)? +(\d{3})(?: |$)")
CHUNK = re.compile(rb"[ \t]*([0-9a-fA-F]{1,8})[ \t]*(?:;[^\n]*)?\r?\n")
END_OF_HEADERS = re.compile(rb"\r?\n\r?\n")


class Response(NamedTuple):
    """A response; the names of its headers are in small letters, and of one that is repeated the first counts."""

    status: int
    headers: dict[str, str]
    body: bytes


def response_of(message: bytes, longest: int) -> Response:
    """A recorded response whose body has at most `longest` bytes.

    Raises:
        MalformedError: it is no response, or its body cannot be unpacked or is longer.
        DataError: the library that unpacks it is not installed.
    """
    end = END_OF_HEADERS.search(message)
    head, body = (message[: end.start()], message[end.end() :]) if end else (message, b"")
    first, _, rest = head.partition(b"\n")
    found = STATUS.match(first.rstrip())
    if not found:
        raise MalformedError("broken HTTP: no line of status")
    headers = headers_of(rest)
    if headers.get("transfer-encoding", "").lower().endswith("chunked"):
        body = _without_chunks(body)
    for coding in reversed(headers.get("content-encoding", "").lower().split(",")):
        body = _unpacked(body, coding.strip(), longest)
    if len(body) > longest:
        raise MalformedError(f"record too long: above {longest:,} bytes", len(body))
    return Response(int(found[1]), headers, body)


def headers_of(lines: bytes) -> dict[str, str]:
    """Headers by their names in small letters; of a repeated one the first."""
    headers: dict[str, str] = {}
    name = ""
    for line in lines.decode("utf-8", "replace").splitlines():
        if line[:1] in (" ", "\t") and name:
            headers[name] += f" {line.strip()}"
        elif ":" in line:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            headers.setdefault(name, value.strip())
    return headers


def _without_chunks(body: bytes) -> bytes:
    """The content of chunks; from where there is none on, what stands there, as archives may have undone chunks."""
    pieces: list[bytes] = []
    place = 0
    while found := CHUNK.match(body, place):
        size = int(found[1], 16)
        if not size:
            return b"".join(pieces)
        end = found.end() + size
        follows = body[end : end + 2]
        if follows and not follows.startswith((b"\r\n", b"\n")):
            break
        pieces.append(body[found.end() : end])
        place = end + (2 if follows == b"\r\n" else 1)
    return b"".join([*pieces, body[place:]])


def _unpacked(body: bytes, coding: str, longest: int) -> bytes:
    """A body without one compression. Archives may have undone it and left the header, which the bytes tell."""
    unpack: Callable[[], bytes]
    if coding in ("gzip", "x-gzip") and body.startswith(b"\x1f\x8b"):
        unpack = lambda: zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(body, longest + 1)  # noqa: E731
    elif coding == "deflate":
        unpack = lambda: _deflated(body, longest)  # noqa: E731
    elif coding == "zstd" and body.startswith(b"\x28\xb5\x2f\xfd"):
        unpack = lambda: zstandard.ZstdDecompressor().stream_reader(body).read(longest + 1)  # noqa: E731
    elif coding == "br" and body and body.lstrip()[:1] != b"<":
        unpack = lambda: _brotli(body, longest)  # noqa: E731
    else:
        return body
    try:
        return unpack()
    except (zlib.error, zstandard.ZstdError, MemoryError) as error:
        raise MalformedError(f"broken HTTP: its {coding} cannot be unpacked: {error}", len(body)) from None


def _deflated(body: bytes, longest: int) -> bytes:
    try:  # with zlib's header, as it should be, or bare
        return zlib.decompressobj().decompress(body, longest + 1)
    except zlib.error:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(body, longest + 1)


def _brotli(body: bytes, longest: int) -> bytes:
    try:
        import brotli
    except ImportError:
        raise DataError("Brotli's pages need the package brotli: pip install 'domainlm[documents]'") from None
    try:
        stream = brotli.Decompressor()
        pieces = [stream.process(body, output_buffer_limit=longest + 1)]
        while not stream.can_accept_more_data() and sum(map(len, pieces)) <= longest:
            pieces.append(stream.process(b"", output_buffer_limit=longest + 1))
        return b"".join(pieces)
    except brotli.error as error:
        raise MalformedError(f"broken HTTP: its br cannot be unpacked: {error}", len(body)) from None
