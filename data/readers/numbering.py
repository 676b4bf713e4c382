"""The numbers and bullets that Word shows before paragraphs, which stand in none of their texts."""

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lxml.etree import _Element

Level = tuple[str, str, int]
"""The kind of its numbers, the text around them (%1.%2 are the levels' numbers), and the first of them."""
ROMAN: tuple[tuple[int, str], ...] = (
    (1000, "m"),
    (900, "cm"),
    (500, "d"),
    (400, "cd"),
    (100, "c"),
    (90, "xc"),
    (50, "l"),
    (40, "xl"),
    (10, "x"),
)
ROMAN += ((9, "ix"), (5, "v"), (4, "iv"), (1, "i"))
DEEPEST = 8  # level, from 0
LARGEST = 100_000  # number that is written in letters


class Numbering:
    """Where the lists of a document stand, while its paragraphs are read in order."""

    def __init__(
        self, levels: dict[str, dict[int, Level]], styles: dict[str, tuple[str | None, str | None, int]]
    ) -> None:
        """Args: the levels of each list; of each style the one that it is based on, its list and its level."""
        self._levels, self._styles = levels, styles
        self._counts: dict[str, defaultdict[int, int]] = {}

    def mark(self, paragraph: "_Element") -> str:
        """What stands before this paragraph, with the space behind it; "" before one that is of no list."""
        place = self._place(paragraph)
        if place is None:
            return ""
        number, level = place
        kind, text, _ = self._levels[number].get(level, ("bullet", "", 1))
        counts = self._counts.setdefault(number, defaultdict(int))
        counts[level] += 1
        for deeper in range(level + 1, DEEPEST + 1):
            counts[deeper] = 0
        if kind == "none":
            return ""
        if kind == "bullet":
            return "  " * level + "- "
        for outer in range(level + 1):
            of_level, _, begins = self._levels[number].get(outer, ("decimal", "", 1))
            text = text.replace(f"%{outer + 1}", written(max(1, counts[outer]) + begins - 1, of_level))
        return "  " * level + f"{text} " if text else ""

    def _place(self, paragraph: "_Element") -> tuple[str, int] | None:
        """The list of a paragraph, by itself or by its style, and its level."""
        number, level, style = _numbered(paragraph)
        for _ in range(20):
            if number is not None or style not in self._styles:
                break
            style, number, level = self._styles[style]
        return (number, min(level, DEEPEST)) if number in self._levels else None


def _numbered(node: "_Element") -> tuple[str | None, int, str | None]:
    """The list that the settings of a paragraph or a style name, the level, and a paragraph's style."""
    number, level, style = None, 0, None
    for settings in node.iterchildren("{*}pPr"):
        for child in settings:
            if local_name(child) == "pStyle":
                style = _value(child)
            elif local_name(child) == "numPr":
                for one in child:
                    value = _value(one) or ""
                    if local_name(one) == "numId":
                        number = value
                    elif local_name(one) == "ilvl" and value.isdecimal():
                        level = int(value)
    return number, level, style


def numbering_of(numbering: "_Element | None", styles: "_Element | None") -> Numbering:
    """Read the parts numbering.xml and styles.xml of a document, where it has them."""
    kinds: dict[str, dict[int, Level]] = {}
    levels: dict[str, dict[int, Level]] = {}
    for node in numbering if numbering is not None else ():
        if local_name(node) == "abstractNum":
            kinds[attribute(node, "abstractNumId")] = dict(map(_level, node.iterchildren("{*}lvl")))
        elif local_name(node) == "num":
            for child in node.iterchildren("{*}abstractNumId"):
                levels[attribute(node, "numId")] = kinds.get(_value(child) or "", {})
    based: dict[str, tuple[str | None, str | None, int]] = {}
    for node in styles.iterchildren("{*}style") if styles is not None else ():
        number, level, _ = _numbered(node)
        upon = next((_value(child) for child in node.iterchildren("{*}basedOn")), None)
        based[attribute(node, "styleId")] = (upon, number, level)
    return Numbering(levels, based)


def _level(node: "_Element") -> tuple[int, Level]:
    said = {local_name(child): _value(child) or "" for child in node}
    number, start = attribute(node, "ilvl"), said.get("start", "1")
    return int(number) if number.isdecimal() else 0, (
        said.get("numFmt", "decimal"),
        said.get("lvlText", ""),
        int(start) if start.isdecimal() else 1,
    )


def local_name(node: "_Element") -> str:
    """An element's name without its namespace, as the editions of the format differ in these alone."""
    return node.tag.rpartition("}")[2] if isinstance(node.tag, str) else ""


def attribute(node: "_Element", name: str) -> str:
    """An attribute, in whichever edition's namespace it stands; "" where there is none."""
    return next((value for key, value in node.items() if key.rpartition("}")[2] == name), "")


def _value(node: "_Element") -> str | None:
    return attribute(node, "val") or None


def written(number: int, kind: str) -> str:
    """A number as Word's formats write it: in letters, in Roman numerals, else in digits."""
    if number > LARGEST:
        return str(number)
    if kind.endswith("Letter"):  # a to z, then aa to zz
        text = chr(ord("a") + (number - 1) % 26) * ((number - 1) // 26 + 1)
    elif kind.endswith("Roman"):
        text = ""
        for value, sign in ROMAN:
            text += sign * (number // value)
            number %= value
    else:
        return str(number)
    return text.upper() if kind.startswith("upper") else text
