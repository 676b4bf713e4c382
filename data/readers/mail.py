"""Mail: the letters of an mbox file, or the one that an .eml file is, and the days on which they may have been sent."""

import codecs
import contextlib
import datetime
import email
import email.header
import email.message
import email.utils
import io
import re
from collections.abc import Iterator
from typing import Any

from data.format_config import HtmlConfig
from data.interval import Interval
from data.readers.dates import day_of_mail
from data.readers.encodings import decoded
from data.readers.html import fields_of_page
from data.readers.isolated import isolated
from data.readers.rows import LeftOut, MalformedError, Rows

LONGEST_LETTER = 1 << 26  # bytes
LONGEST_LINE = 1 << 20
MOST_PARTS = 1_000
# The line before each letter of an mbox file: From, an address, and the time of delivery; some programs leave it out.
ENVELOPE = re.compile(rb"From \S.*\d{1,2}:\d\d(?::\d\d)?.*\d{4}")
WITHOUT_TIME = re.compile(rb"From (?:\S+@|\S+\s*$|\S.*\b\d{4}\s*$)")
FROM = b"From "
HEADER = re.compile(rb"[!-9;-~]+:(?:\s|$)|>From ")
TIME = re.compile(r"\w{3} \w{3} +\d\d? \d\d?:.*")
# What git and public-inbox write into every envelope: no letter was delivered then.
NO_TIMES = (datetime.date(1970, 1, 1), datetime.date(2001, 9, 17))
QUOTED_FROM = re.compile(rb"^>(?=>*From )", re.MULTILINE)
SIGNATURE = "-- "
TEXTS = ("text/plain", "text/html")
# A plain alternative that only says where the letter is to be seen: it is short, and the page has far more words.
LONGEST_NOTICE = 1_000  # characters
TIMES_THE_WORDS = 4
NO_WORDS = re.compile(r"<(style|script|head)\b.*?</\1\s*>|<[^>]*>|&\w+;", re.DOTALL | re.IGNORECASE)


def read_mail(file: "io.BufferedReader[Any]", name: str) -> Rows:
    """The letters of a file with their numbers, and what they enclose."""
    for number, content in enumerate(_letters(file), start=1):
        if isinstance(content, MalformedError):
            yield number, content
            continue
        found = isolated(_letter, content)
        if isinstance(found, MalformedError):
            found.size = len(content)
            yield number, found
            continue
        fields, enclosed = found
        for kind in enclosed:
            yield number, LeftOut(kind)
        yield number, fields


def _letters(file: "io.BufferedReader[Any]") -> Iterator[bytes | MalformedError]:
    """Each letter with its envelope's line; a file that begins without one is a letter alone until there is one.

    Where that is in doubt one begins: it has a day of its own, and may be later than the one before.
    """
    lines: list[bytes] = []
    size = 0
    line = file.readline(LONGEST_LINE).removeprefix(codecs.BOM_UTF8)
    is_mbox = line.startswith(FROM)
    lacks_times = is_mbox and not ENVELOPE.match(line)
    is_after_blank = True
    while line:
        following = file.readline(LONGEST_LINE)
        if size and line.startswith(FROM):
            has_headers = HEADER.match(following) is not None
            if ENVELOPE.match(line):
                begins = has_headers or (is_mbox and is_after_blank)
            else:
                signs = (is_after_blank, lacks_times, WITHOUT_TIME.match(line) is not None)
                begins = has_headers and is_mbox and sum(signs) > 1
            if begins:
                yield _one(lines, size)
                lines, size, is_mbox = [], 0, True
        size += len(line)
        if size <= LONGEST_LETTER:
            lines.append(line)
        is_after_blank = line in (b"\n", b"\r\n")
        line = following
    if size:
        yield _one(lines, size)


def _one(lines: list[bytes], size: int) -> bytes | MalformedError:
    if size > LONGEST_LETTER:
        return MalformedError(f"record too long: a letter above {LONGEST_LETTER:,} bytes", size)
    return b"".join(lines)


def _letter(content: bytes) -> tuple[dict[str, object], list[str]]:
    """The fields of a letter, and the kinds of what it encloses. Raises MalformedError where it is none."""
    envelope = b""
    if content.startswith(FROM):
        envelope, _, content = content.partition(b"\n")
        content = QUOTED_FROM.sub(b"", content)
    letter = email.message_from_bytes(content)
    if not letter.keys():
        raise MalformedError("no letter: it has no headers")
    texts, enclosed = _parts(letter)
    date = _date(letter, envelope)
    subject = _header(letter, "Subject")
    fields: dict[str, object] = {
        "text": "\n\n".join(filter(None, texts)),
        "id": _header(letter, "Message-ID").strip("<> ") or None,
        "title": subject or None,
        "url": _header(letter, "Archived-At").strip("<> ") or None,
        "date": date,
        "date_kind": "sent" if date else None,
    }
    return fields, enclosed


def _parts(letter: email.message.Message) -> tuple[list[str], list[str]]:
    """The texts of a letter in order, of alternatives the best, and the kinds of all other parts."""
    texts: list[str] = []
    enclosed: list[str] = []
    left: list[email.message.Message] = [letter]
    for _ in range(MOST_PARTS):
        if not left:
            return texts, enclosed
        part = left.pop(0)
        kind = part.get_content_type()
        if part.is_multipart():
            inner = [one for one in part.get_payload() if isinstance(one, email.message.Message)]
            left[:0] = _best(inner) if kind == "multipart/alternative" else inner
        elif kind in TEXTS and part.get_content_disposition() != "attachment":
            texts.append(_text(part, kind))
        else:
            enclosed.append(f"attachment of type {part.get_content_maintype()}/…")
    raise MalformedError(f"too large: a letter of more than {MOST_PARTS:,} parts")


def _best(alternatives: list[email.message.Message]) -> list[email.message.Message]:
    """The first that is plain text, else the last that holds any; a part without a word in it is none.

    Plain text that is a notice beside a page, such as that it cannot be shown, is none either.
    """
    held = [(part, [kind for inner in part.walk() if (kind := _kind_with_text(inner))]) for part in alternatives]
    plain = [part for part, kinds in held if "text/plain" in kinds and "text/html" not in kinds]
    pages = [part for part, kinds in held if "text/html" in kinds]
    if plain and pages and _is_notice(plain[0], pages[-1]):
        return pages[-1:]
    return plain[:1] or [part for part, kinds in held if kinds][-1:] or alternatives[-1:]


def _is_notice(plain: email.message.Message, page: email.message.Message) -> bool:
    said = " ".join(_raw(part) for part in plain.walk() if _kind_with_text(part))
    if len(said) > LONGEST_NOTICE:
        return False
    shown = " ".join(_raw(part) for part in page.walk() if _kind_with_text(part))
    return len(NO_WORDS.sub(" ", shown).split()) > TIMES_THE_WORDS * len(said.split())


def _raw(part: email.message.Message) -> str:
    """The text of a part, near enough to count its words."""
    payload = part.get_payload(decode=True)
    return payload.decode("utf-8", "replace") if isinstance(payload, bytes) else ""


def _kind_with_text(part: email.message.Message) -> str | None:
    """Of TEXTS the one that a part is and has in it."""
    kind = part.get_content_type()
    if kind not in TEXTS or part.is_multipart() or part.get_content_disposition() == "attachment":
        return None
    payload = part.get_payload(decode=True)
    is_blank = not isinstance(payload, bytes) or not payload.replace(b"\xc2\xa0", b" ").strip()
    return None if is_blank else kind


def _text(part: email.message.Message, kind: str) -> str:
    payload = part.get_payload(decode=True)
    content = payload if isinstance(payload, bytes) else b""
    charset = part.get_param("charset")
    encoding = charset if isinstance(charset, str) else None
    if kind == "text/html":
        fields, _ = fields_of_page(content, HtmlConfig(text="whole"), encoding)
        return str(fields["text"])
    plain = decoded(content, encoding).replace("\r\n", "\n")
    if str(part.get_param("format", "")).lower() == "flowed":
        plain = _unfolded(plain, str(part.get_param("delsp", "")).lower() == "yes")
    return plain.strip("\n")


def _unfolded(plain: str, is_within_words: bool) -> str:
    """The paragraphs of `format=flowed` as a line each: a line that ends in a space goes on in the next (RFC 3676).

    Lines of another depth of quotation are others; so are those around the mark of a signature, "-- ".

    Args:
        is_within_words: that space is none of the text (DelSp), as where no spaces are written.
    """
    pieces: list[str] = []
    goes_on_at = -1  # depth of quotation at which the last line goes on
    for line in plain.split("\n"):
        content = line.lstrip(">")
        depth = len(line) - len(content)
        content = content.removeprefix(" ")  # which protects what begins with >, From or a space
        is_signature = content == SIGNATURE
        if depth != goes_on_at or is_signature:
            pieces.append(f"\n{'>' * depth} " if depth else "\n")
        goes_on = content.endswith(" ") and not is_signature
        goes_on_at = depth if goes_on else -1
        pieces.append(content[:-1] if goes_on and is_within_words else content)
    return "".join(pieces)


def _header(letter: email.message.Message, name: str) -> str:
    value = str(letter.get(name, ""))
    with contextlib.suppress(LookupError, ValueError):  # an encoding that there is not
        value = str(email.header.make_header(email.header.decode_header(value)))
    return " ".join(value.encode("utf-8", "replace").decode().split())


def _date(letter: email.message.Message, envelope: bytes) -> Interval | None:
    """From the day that the sender wrote, if no server had the letter earlier, to the last on which a server took it.

    The sender's is nobody's witness, and may be wrong or forged; each server writes on top when it took the letter. An
    envelope is what a program wrote that kept the letter: without servers it is all days from the one to the other.
    """
    stamps = [str(value).rpartition(";")[2] for value in letter.get_all("Received", [])]
    taken = [day for day in map(day_of_mail, stamps) if day]
    written = day_of_mail(str(letter.get("Date", "")))
    days = [*taken, *([written] if written and (not taken or written <= max(taken)) else [])]
    if not taken and (kept := TIME.search(envelope.decode("ascii", "replace"))):
        day = day_of_mail(kept[0])
        days += [day] if day and day not in NO_TIMES else []
    return Interval(min(days), max(days)) if days else None
