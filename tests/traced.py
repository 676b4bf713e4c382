"""Every figure of a page, made again from the fields of the JSON files that it says it is from."""

import json
import re
import statistics
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from evaluation.pages.figures import FORMATS

HOW: dict[str, Callable[[Sequence[Any]], Any]] = {"min": min, "max": max, "median": statistics.median}


def trace(page: Path) -> list[tuple[str, str, str]]:
    """Of each figure: its text, what its fields make, and where they are.

    A number of a card or a table, but one of words, that does not say where it is from, is a figure made from nothing.
    """
    found = _Figures()
    found.feed(page.read_text("utf-8"))
    files: dict[str, Any] = {}
    return [
        (text, _made(page.parent, said, files), said["data-source"]) if said else (text, "", "nothing")
        for said, text in found.figures
    ]


def resolve(folder: Path, source: str, files: dict[str, Any]) -> list[Any]:
    """All values that FILE#POINTER stands for, `*` being every entry; null is none. What is read stays in `files`."""
    file, _, pointer = source.partition("#")
    if file not in files:
        text = (folder / unquote(file)).read_text("utf-8")
        whole = file.endswith(".json")
        files[file] = json.loads(text) if whole else [json.loads(line) for line in text.splitlines()]
    places = [files[file]]
    for step in pointer.split("/")[1:]:
        key = unquote(step).replace("~1", "/").replace("~0", "~")
        if step == "*":
            places = [entry for place in places for entry in (place.values() if isinstance(place, dict) else place)]
        elif all(isinstance(place, dict) for place in places):
            places = [place[key] for place in places if key in place]
        else:
            places = [place[int(key)] for place in places]
    return [value for value in places if value is not None]


def _made(folder: Path, said: dict[str, str], files: dict[str, Any]) -> str:
    values = [value for source in said["data-source"].split(" ") for value in resolve(folder, source, files)]
    value = HOW[said["data-how"]](values) if "data-how" in said else values[0] if len(values) == 1 else sum(values)
    if "data-per" in said:
        value /= sum(value for source in said["data-per"].split(" ") for value in resolve(folder, source, files))
    if "data-factor" in said:
        value *= float(said["data-factor"])
    written = said["data-written"]
    return FORMATS[written](value) if written in FORMATS else f"{value:{written}}"


class _Figures(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.figures: list[tuple[dict[str, str], str]] = []
        self.inside = self.in_words = self.in_cell = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        self.inside = "data-source" in said
        if tag == "table":
            self.in_words = said.get("class") == "words"
        if tag in ("td", "dd"):
            self.in_cell = tag == "dd" or not self.in_words
        if self.inside:
            self.figures.append((said, ""))

    def handle_endtag(self, tag: str) -> None:
        self.inside = False
        self.in_cell = self.in_cell and tag not in ("td", "dd")

    def handle_data(self, data: str) -> None:
        if self.inside:
            said, text = self.figures[-1]
            self.figures[-1] = said, text + data
        elif self.in_cell and re.search(r"\d", data):
            self.figures.append(({}, data))
