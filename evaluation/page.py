"""HTML pages that stand alone: one look, tables and embedded plots; whatever came out of data is escaped."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from data.files import atomic_write, write_atomically
from evaluation.drawing import Plot

TEMPLATES = Path(__file__).parent


class Row(NamedTuple):
    """A row of a table that is read as an outline: a heading when it has no cells."""

    label: str
    depth: int
    cells: list[str]


class Table(NamedTuple):
    columns: list[str]
    rows: list[Row]


def write_page(path: Path, template: str, name: str, plots: Mapping[str, Sequence[Plot]], **content: Any) -> Path:
    """Write a page made from one of this folder's templates, and its plots also as PNG files beside it.

    Args:
        name: the page's title.
        plots: groups of plots under the names by which the template embeds them.
        content: everything else that the template names.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for plot in (plot for group in plots.values() for plot in group):
        with atomic_write(path.parent / f"{plot.name}.png") as file:
            file.write(plot.png)
    embedded = {group: [_embed(plot) for plot in members] for group, members in plots.items()}
    write_atomically(path, environment.get_template(template).render(name=name, **embedded, **content))
    return path


def _embed(plot: Plot) -> dict[str, Any]:
    return {"caption": plot.caption, "wide": plot.wide, "base64": base64.b64encode(plot.png).decode()}


def short_number(value: float) -> str:
    """Three digits and a unit: 999, 1.23 K, 45.6 M, 789 B, 1.00 T."""
    for unit, size in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("K", 1e3)):
        if value >= size:
            return f"{_three_digits(value / size)} {unit}"
    return f"{value:,.0f}"


def number_in_words(value: int) -> str:
    """All digits of what is below a million, else three and a word: 999,999, 1.23 million, 789 trillion."""
    for word, size in (("trillion", 10**12), ("billion", 10**9), ("million", 10**6)):
        if value >= size:
            return f"{_three_digits(value / size)} {word}"
    return f"{value:,}"


def text_size(size: int) -> str:
    """Bytes of text in decimal units: 812 bytes, 1.23 kB, 45.6 MB, 789 GB, 1.00 TB."""
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{_three_digits(size / scale)} {unit}"
    return f"{size} bytes"


def share(part: float, whole: float) -> str:
    """In per cent; what is not nothing never looks like it, nor what is not all like all."""
    if not whole:
        return "–"
    if 0 < part < 0.0005 * whole:
        return "<0.1%"
    if 0.9995 * whole <= part < whole:
        return ">99.9%"
    return f"{part / whole:.1%}"


def _three_digits(value: float) -> str:
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}"
