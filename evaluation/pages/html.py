"""HTML pages that stand alone: one look, tables and embedded plots; whatever came out of data is escaped."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from data.files import atomic_write, write_atomically
from evaluation.pages.drawing import Plot

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
