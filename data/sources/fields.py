"""Fields of a record, also within others: metadata.date, and the text of each of a list, opinions[*].text."""

import re
from collections.abc import Iterator, Mapping

from data.readers.rows import MalformedError
from data.sources.parts import string_of

EACH = "[*]"
_MARKUP = re.compile(
    r"</[A-Za-z]|<!(?:--|doctype)|<(?:[abp]|br|hr|img|li|t[dr]|h[1-6])(?:\s[^<>]*=[^<>]*)?\s*/?>", re.I
)  # closed, alone, or of those that need not be closed


def text_at(fields: Mapping[str, object], name: str, is_html: bool) -> str | None:
    """The text of a record, or the texts that `name` finds in its lists, with a blank line between two.

    Args:
        is_html: each of them is HTML, of which its text counts.

    Raises MalformedError where one is no text, or what should be a list or within an object is none.
    """
    if EACH not in name and (value := value_at(fields, name)) is None:
        return None
    found = [value] if EACH not in name else [text for text in _each(fields, name) if text is not None]
    texts = [string_of(value, name) for value in found]
    if is_html:
        from data.readers.html_text import html_text  # lxml, which few sources need

        texts = [html_text(text) for text in texts]
    return "\n\n".join(texts) if texts else None


def is_plain(text: str) -> bool:
    """Whether a text that is read as HTML has none, and lines or a `<` that are lost by it."""
    return ("\n" in text or "<" in text) and _MARKUP.search(text) is None


def lacking(fields: Mapping[str, object], name: str) -> int:
    """Of the items that `name` looks for in a record's lists, how many lack what it names."""
    return sum(text is None for text in _each(fields, name)) if EACH in name else 0


def _each(value: object, name: str) -> Iterator[object]:
    """What stands at a place within each item of the lists on the way there."""
    outer, each, inner = name.partition(EACH)
    field = outer.removeprefix(".")
    if field:
        if not isinstance(value, Mapping):
            raise MalformedError(f"'{field}' is to be within an object, not a {type(value).__name__}")
        value = value_at(value, field)
    if not each or value is None:
        yield value
        return
    if not isinstance(value, list):
        raise MalformedError(f"'{field}' is no list: its type is {type(value).__name__}")
    for item in value:
        yield from _each(item, inner) if inner else (item,)


def value_at(fields: Mapping[str, object], name: str) -> object:
    """The field of this name; where there is none, a.b is the field b of the object a.

    Raises MalformedError where there is more than one, or `a` is something else than an object.
    """
    value = fields.get(name)
    if isinstance(value, MalformedError):
        raise value
    if "." not in name:
        return value
    outer, _, inner = name.partition(".")
    below = value_at(fields, outer)
    if below is None:
        return value
    if not isinstance(below, Mapping):
        if value is not None:
            return value
        raise MalformedError(f"'{outer}' is no object with a field '{inner}': its type is {type(below).__name__}")
    nested = value_at(below, inner)
    if value is not None and nested is not None and value != nested:
        raise MalformedError(f"repeated field: '{name}' and '{inner}' of '{outer}' have two values")
    return nested if value is None else value
