"""WARC and WET: the pages and texts of a crawl, one at a time; all that is none of them is left out by its kind."""

import io
import re
from collections.abc import Iterator
from typing import Any

from data.format_config import HtmlConfig, WarcConfig
from data.interval import Interval
from data.readers.dates import interval_of
from data.readers.encodings import decoded
from data.readers.html import LONGEST_PAGE, page
from data.readers.http_message import body_of, headers_of, response_of
from data.readers.rows import LeftOut, MalformedError, Rows

WITH_TEXT = ("response", "resource", "conversion")
TYPES = (*WITH_TEXT, "warcinfo", "request", "metadata", "revisit", "continuation")
PAGES = ("text/html", "application/xhtml+xml")
BEGINS = re.compile(rb"WARC/\d\.\d\r?\n")
LONGEST_HEADERS = 1 << 16  # bytes
PIECE = 1 << 16  # bytes that are passed over at a time
CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w.:-]+)", re.IGNORECASE)
LOOKS_LIKE_A_PAGE = re.compile(
    rb"\s*(?:<!--.*?-->\s*)*<(?:!doctype html|html|head|body)[\s>]", re.IGNORECASE | re.DOTALL
)
KINDS = ("application", "audio", "font", "image", "message", "model", "multipart", "text", "video")


def read_warc(file: "io.BufferedReader[Any]", name: str, config: WarcConfig) -> Rows:
    """The records of an unpacked WARC file, each with its number in the file.

    Raises:
        EOFError: the file ends within a record.
        DataError: a library that records need is not installed.
    """
    for number, (headers, content) in enumerate(_records(file), start=1):
        if isinstance(content, LeftOut | MalformedError):
            yield number, content
            continue
        try:
            for found in _rows(headers, content, config):
                yield number, found
        except MalformedError as error:
            yield number, error


def _records(file: "io.BufferedReader[Any]") -> Iterator[tuple[dict[str, str], bytes | LeftOut | MalformedError]]:
    """Headers and contents; where no record begins, what stands up to the next is one that is broken."""
    while line := file.readline(PIECE):
        if line.isspace():
            continue
        if not BEGINS.fullmatch(line):
            size = len(line)
            while (line := file.readline(PIECE)) and not BEGINS.fullmatch(line):
                size += len(line)
            yield {}, MalformedError("broken WARC: no record begins where one should", size)
            if not line:
                return
        while (headers := _headers(file)) is None:
            yield {}, MalformedError(f"broken WARC: headers above {LONGEST_HEADERS:,} bytes", LONGEST_HEADERS)
        yield headers, _content(file, headers)


def _headers(file: "io.BufferedReader[Any]") -> dict[str, str] | None:
    """The headers that come next, or None where they are too long."""
    lines: list[bytes] = []
    size = 0
    while (line := file.readline(PIECE)) not in (b"\r\n", b"\n"):
        if not line:
            raise EOFError("it is cut off in the headers of a record")
        lines.append(line)
        size += len(line)
        if size > LONGEST_HEADERS:
            return None
    return headers_of(b"".join(lines))


def _content(file: "io.BufferedReader[Any]", headers: dict[str, str]) -> bytes | LeftOut | MalformedError:
    length = headers.get("content-length", "")
    if not re.fullmatch(r"[0-9]{1,15}", length):
        return MalformedError(f"broken WARC: Content-Length {length!r:.30}")
    size = int(length)
    kind = headers.get("warc-type", "").lower()
    unwanted: LeftOut | MalformedError | None = None
    if kind not in WITH_TEXT:
        unwanted = LeftOut(f"record of type {kind if kind in TYPES else 'unknown'}")
    elif cut := headers.get("warc-truncated"):
        unwanted = MalformedError(f"truncated record: {cut:.40}", size)
    elif "warc-segment-number" in headers:
        unwanted = MalformedError("truncated record: the rest is in other records (WARC-Segment-Number)", size)
    elif size > LONGEST_PAGE:
        unwanted = MalformedError(f"record too long: above {LONGEST_PAGE:,} bytes", size)
    if unwanted is None:
        content = file.read(size)
        size -= len(content)
    while unwanted is not None and size and (piece := file.read(min(size, PIECE))):
        size -= len(piece)
    if size:
        raise EOFError("it is cut off in a record")
    return content if unwanted is None else unwanted


def _rows(headers: dict[str, str], content: bytes, config: WarcConfig) -> Iterator[object]:
    """What is left out of a record's page, and its fields; or why it has none."""
    kind = headers.get("content-type", "")
    if headers["warc-type"].lower() == "response":
        if not kind.lower().startswith("application/http"):
            yield LeftOut("response of another protocol than HTTP")
            return
        response = response_of(content)
        if response.status not in config.statuses:
            yield LeftOut(f"status {response.status}")
            return
        kind, content = response.headers.get("content-type", ""), body_of(response, LONGEST_PAGE)
    media_type = kind.partition(";")[0].strip().lower()
    charset = CHARSET.search(kind)
    encoding = charset[1] if charset else None
    if media_type in PAGES or (not media_type and LOOKS_LIKE_A_PAGE.match(content)):
        extraction = HtmlConfig(text=config.text, date="revised" if config.date == "revised" else "published")
        found = page(content, extraction, encoding)
        if isinstance(found, MalformedError):
            yield found
            return
        fields, left_out = found
        for what, count in left_out.items():
            yield LeftOut(what, count)
    elif media_type == "text/plain":
        fields = {"text": decoded(content, encoding)}
    else:
        first = media_type.partition("/")[0]
        yield LeftOut(f"content of type {first if first in KINDS else 'unknown'}" + ("/…" if first in KINDS else ""))
        return
    yield fields | {
        "id": headers.get("warc-record-id", "").strip("<> ") or None,
        "url": headers.get("warc-target-uri", "").strip("<> ") or None,
        **_dates(fields, headers, config),
    }


def _dates(fields: dict[str, object], headers: dict[str, str], config: WarcConfig) -> dict[str, object]:
    """The page's own date where the crawl does not belie it, else that it was there when it was crawled."""
    crawled = interval_of(headers.get("warc-date", ""))
    own = fields.get("date")
    if crawled is None:
        return {} if config.date != "crawled" else {"date": None, "date_kind": None}
    if config.date != "crawled" and isinstance(own, Interval) and own.first and own.first <= crawled.last:
        return {"date": Interval(own.first, min(own.last, crawled.last))}
    return {"date": Interval(None, crawled.last), "date_kind": "crawled"}
