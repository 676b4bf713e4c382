"""Bytes as text, whatever encoding they say that they have."""

import codecs
import re

BOMS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
SEVEN_BITS = ("iso-2022", "hz", "utf-7")  # encodings whose bytes are valid UTF-8 too
# By the WHATWG's encoding standard pages that name these mean the wider one.
WIDER = {"iso8859-1": "cp1252", "ascii": "cp1252", "gb2312": "gb18030", "gbk": "gb18030", "iso8859-9": "cp1254"}
OF_PYTHON = ("idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape")
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
    """
    for mark, name in BOMS.items():
        if content.startswith(mark):
            return content[len(mark) :].decode(name, "replace")
    names = [name for name in map(_known, named) if name]
    if not (names and names[0].startswith(SEVEN_BITS)):
        text = content.decode("utf-8", "replace")
        wrong = text.count("\ufffd")
        if not wrong or wrong * 3 < sum(map(len, re.findall(r"[^\x00-\x7f]+", text))):
            return text
    return content.decode(next(name for name in (*names, "cp1252") if name != "utf-8"), "replace")


def _known(name: str | None) -> str | None:
    """The name of an encoding of text in Python; None for what is none."""
    try:
        found = codecs.lookup(name or "")
    except (LookupError, ValueError):
        return None
    is_one = found._is_text_encoding and found.name not in OF_PYTHON
    return WIDER.get(found.name, found.name) if is_one else None
