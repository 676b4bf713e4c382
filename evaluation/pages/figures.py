"""Numbers as a page shows them, each with the fields of the JSON files that it was made from."""

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote, unquote

from data.progress import duration
from evaluation.pages.wording import number_in_words, share, short_number, text_size

FORMATS: dict[str, Callable[[Any], str]] = {
    "short": short_number,
    "words": lambda value: number_in_words(round(value)),
    "text size": lambda value: text_size(round(value)),
    "share": lambda value: share(value, 1),
    "change": lambda value: f"{value - 1:+.1%}",
    "small change": lambda value: f"{value - 1:+.2%}",
    "duration": duration,
    "text": str,
}
"""Ways to write a value that Python's format language has no word for."""


class Figure(str):
    """The text of a number that knows where it is from."""

    sources: Sequence[str]
    """FILE#POINTER each: the file's address from the page, and an RFC 6901 pointer, `*` in it for every entry.

    It is written as the fragment of an address is, so that it holds no space. A JSON-lines file is read as the list
    of its lines.
    """
    how: str
    """What is made of all values that the sources stand for: their sum, min, max or median, or the last of them."""
    per: Sequence[str]
    """FILE#POINTER each: the sum of their values divides."""
    factor: float
    written: str
    """A name in FORMATS, or of Python's format language."""

    @property
    def origin(self) -> str:
        """The fields in words, as the page shows them."""
        text = _joined(self.sources, self.how)
        if self.per:
            text += f" ÷ {_joined(self.per, 'sum')}"
        return text if self.factor == 1 else f"{text} × {self.factor:,g}"

    @property
    def files(self) -> list[str]:
        """Those that the fields are in, each once."""
        return list(dict.fromkeys(source.partition("#")[0] for source in (*self.sources, *self.per)))


def figure(
    value: Any, written: str, *sources: str, how: str = "sum", per: Sequence[str] = (), factor: float = 1
) -> Figure:
    """The value as text, which holds the fields that it was made from; the arguments are `Figure`'s attributes."""
    made = Figure(FORMATS[written](value) if written in FORMATS else f"{value:{written}}")
    made.sources, made.how, made.per, made.factor, made.written = sources, how, tuple(per), factor, written
    return made


def pointer(file: str, *steps: str | int) -> str:
    """FILE#POINTER of the field that these keys and places lead to; the key "*" stands for every entry."""
    keys = (str(step).replace("~", "~0").replace("/", "~1") for step in steps)
    return f"{quote(file)}#" + "".join("/" + quote(key, safe="~*") for key in keys)


def _joined(sources: Sequence[str], how: str) -> str:
    """In words; a file is named once for all its fields that follow one another."""
    names, before = [], ""
    for source in sources:
        file = source.partition("#")[0]
        names.append(unquote(source.removeprefix(file) if file == before else source))
        before = file
    single = len(sources) == 1 and "/*" not in sources[0]
    return names[0] if single else f"{how} of {' + '.join(names)}"
