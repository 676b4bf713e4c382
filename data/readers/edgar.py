"""Submissions to EDGAR, in the form of its archive (.txt) and of its feed (.nc): a record a document that is text."""

import fnmatch
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from data.format_config import EdgarConfig
from data.readers.edgar_header import Header, read_header
from data.readers.html_text import html_text
from data.readers.rows import LeftOut, MalformedError, Rows

PIECE = 1 << 20  # bytes that are read at a time
LONGEST_HEADER = 1 << 22
LONGEST_DOCUMENT = 1 << 26  # bytes; of a longer one nothing is held
LONGEST_START = 1 << 14  # bytes of what stands before a document's text
# What stands outside of documents beside headers. Behind a privacy-enhanced-message block, lines that begin with a
# hyphen have "- " before it (RFC 1421, section 4.3.2.4), which the archive keeps.
AROUND = re.compile(rb"</(?:SEC|IMS)-DOCUMENT>|</SUBMISSION>|-----END [A-Z -]+-----|\s+")
SUBMISSION = re.compile(rb"<(?:SEC|IMS)-(?:DOCUMENT|HEADER)>|<SUBMISSION>")
BEGIN, END = b"<DOCUMENT>", b"</DOCUMENT>"
ESCAPED = re.compile(r"^- (?=-)", re.M)
SOUND_TYPE = re.compile(r"[\w ./&-]{1,20}")
# Types that are no text whatever they hold, and how what is none begins, by what it is then called.
NO_TEXT_TYPES = re.compile(r"GRAPHIC|ZIP|EXCEL|XML|JSON|EX-10[01]\.\D.*", re.I)
NO_TEXT = {
    "uuencoded": re.compile(r"begin [0-7]{3} \S"),
    "PDF": re.compile(r"<PDF>|%PDF-"),
    "XML": re.compile(r"(?:<XBRL>\s*)?<\?xml(?!.{0,4000}?<(?:\w+:)?html[\s>])|<XML>", re.I | re.S),
    "JSON": re.compile(r"\{\s*\""),
}
HTML = re.compile(r"<(?:!doctype\s+html|html|head|body|div|font|center|p|br)[\s>/]", re.I)
HTML_WITHIN = 5_000  # characters
# Marks of pages and tables in plain text, which say how it is printed.
MARKS = re.compile(r"^[ \t]*(?:</?(?:PAGE|TABLE|CAPTION|S|C|FN|F\d+|TEXT|XBRL|XML)>[ \t]*)+\n?", re.M | re.I)
MARKS_WITHIN = re.compile(r"</?(?:PAGE|TABLE|CAPTION|S|C|FN)>", re.I)


@dataclass(frozen=True)
class _Piece:
    """A document, or what stands outside of documents."""

    is_document: bool
    content: bytes  # its beginning alone where it is too long
    size: int


def read_edgar(file: "io.BufferedReader[Any]", name: str, settings: EdgarConfig) -> Rows:
    """The documents of a file that are wanted and text; the others, and those that cannot be read, say why.

    Raises EOFError for a file that ends within a document, ValueError for one without any.
    """
    header, ids, row = read_header("", name, settings.date), set[str](), 0
    for piece in _pieces(file):
        if piece.is_document:
            row += 1
            try:
                yield row, _record(piece, header, settings, row, ids)
            except MalformedError as error:
                yield row, MalformedError(str(error), piece.size)
            continue
        is_header = row == 0 or bool(SUBMISSION.search(piece.content))
        if is_header:
            header, ids = read_header(_decoded(piece.content), name, settings.date), set()
        # A document whose begin is damaged stands there too.
        if piece.size > LONGEST_HEADER or b"<TEXT>" in piece.content or not (is_header or _is_around(piece.content)):
            row += 1
            yield row, MalformedError("text outside of documents", piece.size)
    if not row:
        raise ValueError("it holds no <DOCUMENT>, of which submissions to EDGAR are made")


def _pieces(file: "io.BufferedReader[Any]") -> Iterator[_Piece]:
    """What stands outside of documents and the documents by turns; a document ends where the next one begins, too."""
    held, searched, dropped, inside, number = bytearray(), 0, 0, False, 0
    while True:
        place = held.find(END if inside else BEGIN, max(0, searched - len(END)))
        if place < 0:
            searched = len(held)
            if searched > (LONGEST_DOCUMENT if inside else LONGEST_HEADER):
                del held[LONGEST_START : searched - len(END)]
                dropped += searched - len(held)
                searched = len(held)
            if more := file.read(PIECE):
                held += more
                continue
            if inside:
                raise EOFError(f"it is cut off in document {number:,}")
            yield _Piece(False, bytes(held), len(held) + dropped)
            return
        other = held.find(BEGIN, 0, place) if inside else -1
        end, mark = (other, BEGIN) if other >= 0 else (place, END if inside else BEGIN)
        with memoryview(held) as view:
            content = bytes(view[:end])
        yield _Piece(inside, content, end + dropped)
        del held[: end + len(mark)]
        searched, dropped, inside = 0, 0, mark is BEGIN
        number += inside


def _is_around(content: bytes) -> bool:
    """Whether nothing but the ends of a submission stands there."""
    return not AROUND.sub(b"", content)


def _record(piece: _Piece, header: Header, settings: EdgarConfig, row: int, ids: set[str]) -> object:
    start, mark, _ = piece.content[:LONGEST_START].partition(b"<TEXT>")
    head = _decoded(start)
    kind = _value(head, "TYPE")
    wanted = [fnmatch.fnmatchcase(kind.upper(), pattern.upper()) for pattern in settings.documents]
    if NO_TEXT_TYPES.fullmatch(kind) or (wanted and not any(wanted)):
        return LeftOut(f"type {kind}" if SOUND_TYPE.fullmatch(kind) else "type unknown")
    if not mark:
        raise MalformedError("no text: a document has no <TEXT>")
    begin = len(start) + len(mark)
    beginning = _decoded(piece.content[begin : begin + LONGEST_START]).lstrip()
    for what, begins in NO_TEXT.items():
        if begins.match(beginning):
            return LeftOut(what)
    if piece.size > LONGEST_DOCUMENT:
        raise MalformedError(f"record too long: above {LONGEST_DOCUMENT:,} bytes")
    end = piece.content.rfind(b"</TEXT>")
    body = _utf8(piece.content[begin : end if end >= begin else None])
    is_html = HTML.search(beginning, 0, HTML_WITHIN)
    fields: dict[str, object] = {"text": html_text(body) if is_html else _plain(body.decode())}
    if header.accession:
        number = _value(head, "SEQUENCE")
        name = f"{header.accession}:{number}"
        fields["id"] = f"{name}.{row}" if name in ids or not number else name
        ids.add(name)
    form = header.form if kind in ("", header.form) else f"{header.form} {kind}".strip()
    fields |= {"title": ", ".join(filter(None, (form, header.company))), "url": header.url}
    return fields | ({"date": header.date, "date_kind": header.date_kind} if header.date else {})


def _value(head: str, tag: str) -> str:
    found = re.search(rf"<{tag}>[ \t]*([^\r\n<]*)", head)
    return found[1].strip() if found else ""


def _plain(text: str) -> str:
    """Plain text without the marks by which it was printed."""
    return MARKS_WITHIN.sub("", MARKS.sub("", ESCAPED.sub("", text))).strip("\n")


def _decoded(content: bytes) -> str:
    return _utf8(content).decode()


def _utf8(content: bytes) -> bytes:
    """EDGAR takes ASCII and a part of ISO 8859-1, whatever a page says of itself; what filers send is more."""
    try:
        content.decode()
    except UnicodeDecodeError:
        content = content.decode("cp1252", "replace").encode()
    return content.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in content else content
