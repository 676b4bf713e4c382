"""An HTTP response as it was recorded: its status, its headers, and its body without chunks and compression."""

import re
import zlib
from collections.abc import Callable
from typing import NamedTuple

import zstandard

from data.errors import DataError
from data.readers.rows import MalformedError

STATUS = re.compile(rb"HTTP/\d(?:\.\d)? +(\d{3})(?: |$)")
CHUNK = re.compile(rb"[ \t]*([0-9a-fA-F]{1,8})[ \t]*(?:;[^\n]*)?(?:\r?\n|\Z)")
GZIP = b"\x1f\x8b"
END_OF_HEADERS = re.compile(rb"\r?\n\r?\n")


class Response(NamedTuple):
    """A response; the names of its headers are in small letters, and of one that is repeated the first counts."""

    status: int
    headers: dict[str, str]
    packed: bytes
    """Its body as it was sent."""


def response_of(message: bytes) -> Response:
    """A recorded response. Raises MalformedError where it is none."""
    end = END_OF_HEADERS.search(message)
    head, body = (message[: end.start()], message[end.end() :]) if end else (message, b"")
    first, _, rest = head.partition(b"\n")
    found = STATUS.match(first.rstrip())
    if not found:
        raise MalformedError("broken HTTP: no line of status")
    return Response(int(found[1]), headers_of(rest), body)


def body_of(response: Response, longest: int) -> bytes:
    """The body of a response, of at most `longest` bytes, without chunks and compression.

    Raises:
        MalformedError: it cannot be unpacked, is longer, or was cut off in transfer ("truncated record").
        DataError: the library that unpacks it is not installed.
    """
    body, headers = response.packed, response.headers
    is_chunked = headers.get("transfer-encoding", "").lower().endswith("chunked")
    if is_chunked:
        body = _without_chunks(body)
    codings = [coding.strip() for coding in headers.get("content-encoding", "").lower().split(",")]
    codings = [coding for coding in codings if coding not in ("", "identity")]
    sent = body
    for coding in reversed(codings):
        body = _unpacked(body, coding, longest)
    length = headers.get("content-length", "")
    # Archives may have undone chunks and compression, and left a length that is not of what they keep.
    is_as_sent = not is_chunked and (not codings or body is not sent)
    if is_as_sent and re.fullmatch(r"[0-9]{1,15}", length) and len(sent) < int(length):
        raise MalformedError(f"truncated record: {len(sent):,} of {int(length):,} bytes of its body", len(sent))
    if len(body) > longest:
        raise MalformedError(f"record too long: above {longest:,} bytes", len(body))
    return body


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
    """The content of chunks; a body that does not begin with one as it is, as archives may have undone chunks."""
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
    if pieces:
        raise MalformedError("truncated record: its last chunk is missing", len(body))
    return body


def _unpacked(body: bytes, coding: str, longest: int) -> bytes:
    """A body without one compression. Archives may have undone it and left the header, which the bytes tell."""
    unpack: Callable[[bytes, int], tuple[bytes, bool]]
    if coding in ("gzip", "x-gzip") and body.startswith(GZIP):
        unpack = _gunzipped
    elif coding == "deflate":
        unpack = _deflated
    elif coding == "zstd" and body.startswith(b"\x28\xb5\x2f\xfd"):
        unpack = _of_zstandard
    elif coding == "br" and body and body.lstrip()[:1] != b"<":
        unpack = _of_brotli
    else:
        return body
    try:
        content, is_whole = unpack(body, longest + 1)
    except (zlib.error, zstandard.ZstdError, MemoryError) as error:
        raise MalformedError(f"broken HTTP: its {coding} cannot be unpacked: {error}", len(body)) from None
    if not is_whole and len(content) <= longest:
        raise MalformedError(f"truncated record: its {coding} has no end", len(body))
    return content


# Each gives the first `most` bytes of a content, and whether what packs it comes to its end.
def _gunzipped(body: bytes, most: int) -> tuple[bytes, bool]:
    content = b""
    while body.startswith(GZIP):  # one or more of them behind one another
        stream = zlib.decompressobj(16 + zlib.MAX_WBITS)
        content += stream.decompress(body, most - len(content))
        if not stream.eof or len(content) >= most:
            return content, stream.eof
        body = stream.unused_data
    return content, True


def _deflated(body: bytes, most: int) -> tuple[bytes, bool]:
    try:  # with zlib's header, as it should be, or bare
        stream = zlib.decompressobj()
        return stream.decompress(body, most), stream.eof
    except zlib.error:
        stream = zlib.decompressobj(-zlib.MAX_WBITS)
        return stream.decompress(body, most), stream.eof


def _of_zstandard(body: bytes, most: int) -> tuple[bytes, bool]:
    content = zstandard.ZstdDecompressor().stream_reader(body).read(most)
    if len(content) == most:
        return content, False
    stream = zstandard.ZstdDecompressor().decompressobj()  # which has no bound, and now needs none
    stream.decompress(body)
    return content, stream.eof


def _of_brotli(body: bytes, most: int) -> tuple[bytes, bool]:
    try:
        import brotli
    except ImportError:
        raise DataError("Brotli's pages need the package brotli: pip install 'domainlm[documents]'") from None
    try:
        stream = brotli.Decompressor()
        pieces = [stream.process(body, output_buffer_limit=most)]
        while not stream.can_accept_more_data() and sum(map(len, pieces)) < most:
            pieces.append(stream.process(b"", output_buffer_limit=most))
        return b"".join(pieces), stream.is_finished()
    except brotli.error as error:
        raise MalformedError(f"broken HTTP: its br cannot be unpacked: {error}", len(body)) from None
