"""HTML pages that stand alone: one look, tables and embedded plots; whatever came out of data is escaped."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from data.files import atomic_write, write_atomically
from evaluation.pages.drawing import Plot

if TYPE_CHECKING:
    from jinja2 import Environment


class Row(NamedTuple):
    """A row of a table that is read as an outline: a heading when it has no cells."""

    label: str
    depth: int
    cells: list[str]


class Table(NamedTuple):
    columns: list[str]
    rows: list[Row]


def templates() -> "Environment":
    """Those of this folder; what is filled into one of HTML is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=lambda template: template is not None and template.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def write_page(path: Path, name: str, plots: Mapping[str, Sequence[Plot]], **content: Any) -> Path:
    """Write a page made from this folder's template of the same file name, and its plots as PNG files beside it.

    Args:
        name: the page's title.
        plots: groups of plots under the names by which the template embeds them.
        content: everything else that the template names.
    """
    for plot in (plot for group in plots.values() for plot in group):
        with atomic_write(path.parent / f"{plot.name}.png") as file:
            file.write(plot.png)
    embedded = {group: [_embed(plot) for plot in members] for group, members in plots.items()}
    write_atomically(path, templates().get_template(f"{path.name}.j2").render(name=name, **embedded, **content))
    return path


def _embed(plot: Plot) -> dict[str, Any]:
    return {"caption": plot.caption, "wide": plot.wide, "base64": base64.b64encode(plot.png).decode()}
