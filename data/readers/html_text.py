"""HTML to the text that its reader sees: paragraphs, lists and headings as lines, rows of tables as lines of cells.

Nothing hidden is text: what styles do not display, scripts, and the header of inline XBRL with its facts. A number
stays whole, over however many tags it is written.
"""

import functools
import itertools
import re
from pathlib import Path

from lxml import etree

from data.readers.numbering import written
from data.readers.rows import MalformedError
from data.short_tags import shortened

PARAGRAPH, LINE, CELL, SPACE, BREAK = "\ufdd0", "\ufdd1", "\ufdd2", "\ufdd3", "\ufdd4"  # of html_text.xsl
BESIDE, OF_AN_ITEM = "\ufdd5", "\ufdd6"  # as well
_NUMBERS = {"a": "lowerLetter", "A": "upperLetter", "i": "lowerRoman", "I": "upperRoman"}
_UNNUMBERED = re.compile(r"list-style(?:-type)?\s*:[^;]*\bnone\b", re.I)
_HAS_A_MARK = re.compile(r"\s*(?:\(?(?:\w|[0-9]{1,3}|[ivxlcIVXLC]{1,6})[.)]|[0-9]+(?:\.[0-9]+)+)(?:\s|$)")
_OF_MATHML = re.compile(rb"(</?)(?:m|mml):(?=m[a-z]|semantics|annotation)")  # with a prefix, as in XHTML
# These begin with the sign that they are about, to be found at the speed of memory. What stands in a cell of its own:
# a currency, bracket or percent sign beside the figure that it belongs to, a bullet before its text.
_BEFORE_A_FIGURE = re.compile(f"{CELL}(?<=[$€£¥(]{CELL})(?=[-–—(.0-9])")
_BEHIND_A_FIGURE = re.compile(f"{CELL}(?<=[-–—)0-9]{CELL})(?=[)%])")
_BEHIND_A_BULLET = re.compile(f"{CELL}(?<=[{PARAGRAPH}{LINE}{BREAK} ][•·▪■□☐☑☒*–—-]{CELL})")
_BEHIND_A_MARK = re.compile(f"{BESIDE}[{PARAGRAPH}{LINE}{BREAK} ]*")
_STRUCTURE = re.compile(f"([{PARAGRAPH}{LINE}{BREAK}{CELL}][{PARAGRAPH}{LINE}{BREAK}{CELL} ]*)")


def html_text(markup: str | bytes) -> str:
    """The text of a page; of bytes, which are UTF-8.

    Time and memory are in proportion to the page's length, about 20 times of which are held: bound it.

    Raises MalformedError where not all of it can be read: more than 2,048 elements in one another.
    """
    # HTML has no entities that expand, and what huge_tree allows beside depth is bounded by the length of the page.
    parser = etree.HTMLParser(encoding="utf-8", huge_tree=True, no_network=True, remove_comments=True, remove_pis=True)
    content = markup.encode("utf-8", "replace") if isinstance(markup, str) else markup
    content = content.replace(b"\0", b"")
    if b":math" in content:
        content = _OF_MATHML.sub(rb"\1", content)
    content = shortened(content)
    try:
        root = etree.fromstring(content, parser)
    except etree.LxmlError as error:  # of a page without anything
        if not content.strip():
            return ""
        raise MalformedError(f"unreadable HTML: {error}") from None
    if root is None:
        return ""
    fatal = [error.message for error in parser.error_log if error.level == etree.ErrorLevels.FATAL]
    if fatal:
        raise MalformedError(f"unreadable HTML: {fatal[0].strip()}")
    for element in _hidden()(root):
        element.tag = "hidden"
    for numbered in root.iter("ol"):
        _number(numbered)
    try:
        return lines_of(str(_stylesheet()(root)))
    except etree.XSLTError as error:
        raise MalformedError(f"unreadable HTML: {error}") from None


def _number(ordered: etree._Element) -> None:
    """Write the numbers of a list before its items, as a browser does, unless these have marks of their own."""
    items = [item for item in ordered if item.tag == "li"]
    is_none = _UNNUMBERED.search(ordered.get("style", "")) is not None
    step = -1 if ordered.get("reversed") is not None else 1
    number = _whole(ordered.get("start"), len(items) if step < 0 else 1)
    kind = _NUMBERS.get(ordered.get("type", ""), "decimal")
    for item in items:
        number = _whole(item.get("value"), number)
        if is_none or not _HAS_A_MARK.match("".join(itertools.islice(item.itertext(), 20))):
            mark = "-" if is_none else f"{written(number, kind if number > 0 else 'decimal')}."
            item.text = f"{mark}{BESIDE}{item.text or ''}"
        number += step


def _whole(said: str | None, default: int) -> int:
    found = re.fullmatch(r"\s*(-?[0-9]{1,6})\s*", said or "")
    return int(found[1]) if found else default


@functools.cache
def _hidden() -> etree.XPath:
    return etree.XPath("//@hidden/..")


@functools.cache
def _stylesheet() -> etree.XSLT:
    return etree.XSLT(etree.parse(Path(__file__).with_suffix(".xsl")))


def lines_of(marked: str) -> str:
    """The lines of a text with signs for its structure."""
    text = marked
    for space in "\t\r\n\f\xa0":
        text = text.replace(space, " ")
    text = _BEHIND_A_MARK.sub(" ", re.sub("  +", " ", text)).replace(OF_AN_ITEM, "")
    text = CELL.join(filter(None, (cell.strip(" ") for cell in text.split(CELL))))
    text = _BEHIND_A_FIGURE.sub("", _BEFORE_A_FIGURE.sub("", text))
    text = _BEHIND_A_BULLET.sub(" ", text)
    text = _BEHIND_A_BULLET.sub(" ", text).strip(f"{PARAGRAPH}{LINE}{BREAK}{CELL} ")
    pieces = _STRUCTURE.split(text)
    written = {signs: _written(signs) for signs in set(pieces[1::2])}
    pieces[::2] = [words.rstrip(" ") for words in pieces[::2]]
    pieces[1::2] = map(written.__getitem__, pieces[1::2])
    return "".join(pieces).replace(SPACE, " ")


def _written(signs: str) -> str:
    """What signs that follow one another become: the strongest of them counts, and two breaks part paragraphs."""
    if PARAGRAPH in signs or signs.count(BREAK) > 1:
        return "\n\n"
    return "\n" if LINE in signs or BREAK in signs else " | "
