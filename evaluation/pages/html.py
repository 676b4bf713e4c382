"""HTML pages that stand alone: one look, tables and plots to be asked for values; what came out of data is escaped."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from data.files import atomic_write, write_atomically
from evaluation.pages.charts import Bars, Columns, Curves
from evaluation.pages.drawing import Plot
from evaluation.pages.figures import Figure
from evaluation.pages.svg import columns_svg, curves_svg

if TYPE_CHECKING:
    from jinja2 import Environment

WIDE, NARROW, PHONE = 800, 400, 310
"""Pixels of a drawing's letters: all of a page, half of it, and a small screen."""


class Row(NamedTuple):
    """A row of a table that is read as an outline: a heading when it has no cells."""

    label: str
    depth: int
    cells: Sequence[str]
    """Of numbers, `Figure`s: the page then shows where each is from."""


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


def write_page(
    path: Path, name: str, commands: Mapping[str, str], plots: Mapping[str, Sequence[Plot]], **content: Any
) -> Path:
    """Write a page made from this folder's template of the same file name, and its plots as PNG files beside it.

    Args:
        name: the page's title.
        commands: for each file that a figure of the page is from, by its address from the page, what wrote it.
        plots: groups of plots under the names by which the template embeds them.
        content: everything else that the template names.

    Raises:
        KeyError: a figure is from a file that no command is named for.
    """
    for plot in (plot for group in plots.values() for plot in group):
        with atomic_write(path.parent / f"{plot.name}.png") as file:
            file.write(plot.png)
    environment = templates()
    environment.globals["origins"] = lambda *texts: _origins(texts, commands)
    embedded = {group: [_embed(plot) for plot in members] for group, members in plots.items()}
    write_atomically(path, environment.get_template(f"{path.name}.j2").render(name=name, **embedded, **content))
    return path


def plot_table(chart: Curves | Bars | Columns) -> Table:
    """The values that a plot can be asked for, in the order of the drawing's marks down each column."""
    columns: dict[str, dict[str, Figure]] = {}
    if isinstance(chart, Curves):
        for curve in chart.curves:
            if curve.points:
                columns[curve.label] = {point.label: point.figure for point in curve.points}
    elif isinstance(chart, Columns):
        for name, heights in chart.series.items():
            if heights:
                columns[name] = {chart.labels[place]: heights[place][1] for place in sorted(heights)}
    labels = dict.fromkeys(label for column in columns.values() for label in column)
    order = sorted(labels, key=_places(chart).__getitem__)
    return Table(
        list(columns), [Row(label, 0, [column.get(label, "–") for column in columns.values()]) for label in order]
    )


def _places(chart: Curves | Bars | Columns) -> dict[str, float]:
    """Where on the lower axis each label is."""
    if isinstance(chart, Curves):
        return {point.label: point.x for curve in chart.curves for point in curve.points}
    return {label: place for place, label in chart.labels.items()} if isinstance(chart, Columns) else {}


def _embed(plot: Plot) -> dict[str, Any]:
    from markupsafe import Markup  # of jinja2

    chart = plot.chart
    content: dict[str, Any] = {"caption": plot.caption, "wide": plot.wide, "chart": chart, "legend": _legend(chart)}
    if not isinstance(chart, Bars):
        sizes = {"full": WIDE if plot.wide else NARROW, "phone": PHONE}
        drawn = [
            curves_svg(chart, width, name) if isinstance(chart, Curves) else columns_svg(chart, width, name)
            for name, width in sizes.items()
        ]
        content |= {"drawings": [Markup(drawing) for drawing in drawn], "table": plot_table(chart)}
    return content


def _legend(chart: Curves | Bars | Columns) -> dict[str, str]:
    """Label and classes of CSS."""
    if isinstance(chart, Curves):
        return {
            curve.label: f"c{curve.colour} {'dashed' if curve.dashed else 'solid'}{' faint' * curve.faint}"
            for curve in chart.curves
        }
    return {label: f"c{colour}" for label, colour in chart.legend.items()}


def _origins(texts: Iterable[Any], commands: Mapping[str, str]) -> list[tuple[str, str]]:
    """The files that the figures within these texts, or lists of them, are from, and the command that writes each."""
    files = dict.fromkeys(file for found in _figures(texts) for file in found.files)
    return [(file, commands[file]) for file in files]


def _figures(content: Any) -> Iterator[Figure]:
    if isinstance(content, Figure):
        yield content
    elif isinstance(content, Mapping):
        yield from _figures(list(content.values()))
    elif isinstance(content, list | tuple):
        for part in content:
            yield from _figures(part)
