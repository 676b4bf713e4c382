"""Bytes as text, whatever encoding they say that they have."""

import codecs
import re

from data.readers.rows import MalformedError

BOMS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
SEVEN_BITS = ("iso2022", "hz", "utf-7")  # Python's names of encodings whose bytes are valid UTF-8 too
ESCAPES = {b"\x1b$)C": "iso2022_kr", b"\x1b$": "iso2022_jp"}  # which such bytes have, and no text
# By the WHATWG's encoding standard pages that name these mean the wider one.
WIDER = {"iso8859-1": "cp1252", "ascii": "cp1252", "gb2312": "gb18030", "gbk": "gb18030", "iso8859-9": "cp1254"}
WIDER |= {"shift_jis": "cp932", "euc_kr": "cp949", "big5": "big5hkscs", "tis-620": "cp874", "iso8859-11": "cp874"}
WIDER |= {"iso2022_jp": "iso2022_jp_ext"}
OF_PYTHON = ("idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape")
OTHER_NAMES = {"windows-31j": "cp932", "iso-8859-8-i": "iso8859-8", "iso-8859-8-e": "iso8859-8", "cn-big5": "big5hkscs"}
NO_NAMES = re.compile(
    r"unknown|8-?bit|binary|user-defined|default|none|auto", re.IGNORECASE
)  # what programs write then
BEGINNING = 64  # bytes
DECLARED = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?\s*([\w.:-]+)""", re.IGNORECASE)
DECLARES_WITHIN = 2_048  # bytes


def declared_encoding(content: bytes) -> str | None:
    """The encoding that a page names in its first bytes."""
    found = DECLARED.search(content[:DECLARES_WITHIN])
    return found[1].decode("ascii", "replace") if found else None


def decoded(content: bytes, *named: str | None) -> str:
    """The text of bytes of which others said these encodings, the most believable first.

    Bytes that are UTF-8 are read as such whatever is said, as text in another encoding hardly ever happens to be; also
    where few are not, such as at a cut. What has no meaning becomes U+FFFD.

    Raises MalformedError where they are not, and the only names that are said are of no encoding that is known.
    """
    for mark, name in BOMS.items():
        if content.startswith(mark):
            return content[len(mark) :].decode(name, "replace")
    if of_two := _of_two_bytes(content[:BEGINNING]):
        return content.decode(of_two, "replace")
    names = [name for name in map(_known, named) if name]
    if content.isascii():
        escape = next((name for sign, name in ESCAPES.items() if sign in content), None)
        seven = next((name for name in (*names[:1], escape) if name and name.startswith(SEVEN_BITS)), None)
        return content.decode(seven or "ascii", "replace")
    text = content.decode("utf-8", "replace")
    wrong = text.count("\ufffd")
    if not wrong or wrong * 3 < sum(map(len, re.findall(r"[^\x00-\x7f]+", text))):
        return text
    unknown = next((name for name in named if name and not names and not NO_NAMES.search(name)), None)
    if unknown:
        raise MalformedError(f"unknown encoding: {unknown:.40} is said, and it is no UTF-8")
    return content.decode(next(name for name in (*names, "cp1252") if name != "utf-8"), "replace")


def _of_two_bytes(beginning: bytes) -> str | None:
    """UTF-16, where most of every second byte is zero and none of the others."""
    for place, name in ((1, "utf-16-le"), (0, "utf-16-be")):
        zeros = beginning[place::2].count(0)
        if zeros * 2 > len(beginning) / 2 and not beginning[1 - place :: 2].count(0):
            return name
    return None


def _known(name: str | None) -> str | None:
    """The name of an encoding of text in Python; None for what is none."""
    said = (name or "").strip().lower()
    bare = re.sub("^(?:windows|dos|ibm)-", "cp", said.removeprefix("x-"))
    for one in dict.fromkeys((OTHER_NAMES.get(said, said), said.removeprefix("x-"), bare)):
        try:
            found = codecs.lookup(one)
        except (LookupError, ValueError):
            continue
        if found._is_text_encoding and found.name not in OF_PYTHON:
            return WIDER.get(found.name, found.name)
    return None
