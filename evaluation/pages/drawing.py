"""Charts as PNG images by matplotlib: for papers and chats; pages draw the same charts themselves."""

import io
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evaluation.pages.charts import Bars, Columns, Curves
from evaluation.pages.wording import axis_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart with any colour vision; a page has the same as --c0, --c1 and so on.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
GREY, INK = "#B4BCC6", "#1F2933"
PIXELS_PER_INCH = 160
MOST_DOTS = 60  # of a curve that are drawn apart
NARROW, WIDE = 6.4, 10.4  # inches: half of a page, and all of it


@dataclass(frozen=True)
class Plot:
    """A chart, the name of its image's file without .png, and what it shows."""

    name: str
    caption: str
    chart: Curves | Bars | Columns
    wide: bool = False

    @property
    def png(self) -> bytes:
        """The image; equal plots are equal bytes."""
        inches = WIDE if self.wide else NARROW
        if isinstance(self.chart, Bars):
            return _image(_bars(self.chart, inches))
        return _image(_curves(self.chart, inches) if isinstance(self.chart, Curves) else _columns(self.chart, inches))


def _curves(chart: Curves, inches: float) -> "Figure":
    figure, axes = _figure(inches, 3.6)
    for curve in chart.curves:
        (line,) = axes.plot(curve.x, curve.y, color=COLOURS[curve.colour % len(COLOURS)], label=curve.label)
        line.set(linestyle="--" if curve.dashed else "-", markersize=3.5)
        if curve.faint:
            line.set(alpha=0.25, linewidth=0.8)
        elif len(curve.points) == len(curve.x) <= MOST_DOTS:
            line.set(marker="o")
    if chart.from_zero:
        axes.set_ylim(bottom=0)
    if chart.ticks:
        from matplotlib.ticker import NullLocator

        axes.set_xscale("log")
        axes.set_xticks(list(chart.ticks), list(chart.ticks.values()))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        _plain_numbers(axes, chart.whole)
    axes.set_xlabel(chart.x_label)
    _mark(axes, chart.mark)
    if len(chart.curves) > 1:
        axes.legend(frameon=False, fontsize=9, ncols=1 if len(chart.curves) < 4 else 2)
    return figure


def _columns(chart: Columns, inches: float) -> "Figure":
    figure, axes = _figure(inches, 3.8)
    base: Counter[int] = Counter()
    for (name, heights), colour in zip(chart.series.items(), COLOURS, strict=False):
        if heights:
            places = [place + chart.width / 2 for place in heights]
            upper, lower = [height for height, _ in heights.values()], [base[place] for place in heights]
            axes.bar(places, upper, 0.86 * chart.width, lower, color=colour, label=name)
        base.update({place: height for place, (height, _) in heights.items()})
    axes.yaxis.set_major_formatter(lambda value, _: axis_number(value))
    axes.margins(y=0.12)  # room for what is written above
    if chart.ticks:
        axes.set_xticks(list(chart.ticks), list(chart.ticks.values()))
    else:
        _plain_numbers(axes, True)
    axes.set_xlabel(chart.x_label)
    _mark(axes, chart.mark)
    axes.figure.legend(loc="outside lower left", frameon=False, fontsize=9, ncols=len(COLOURS))
    return figure


def _bars(chart: Bars, inches: float) -> "Figure":
    rows: list[tuple[float, str]] = []
    place = 0.0
    figure, axes = _figure(
        inches, 0.7 + 0.27 * sum(len(bars) + 1.4 * bool(head) for head, bars in chart.groups.items())
    )
    for heading, bars in chart.groups.items():
        if heading:
            axes.text(0, place, heading, fontsize=10, fontweight="bold", color=INK, va="center")
            place += 1
        for bar in bars:
            left = 0.0
            for part in bar.segments:
                colour = COLOURS[chart.legend[part.label]] if part.label in chart.legend else GREY
                axes.barh([place], [part.length], left=left, height=0.7, color=colour)
                left += part.length
            axes.text(left, place, " " + " · ".join(bar.end), va="center", fontsize=9, color=INK)
            rows.append((place, bar.label))
            place += 1
        place += 0.4
    axes.set_yticks([at for at, _ in rows], [label for _, label in rows])
    axes.set_ylim(place - 0.4, -0.8)
    axes.set_xlim(0, chart.longest * (1.2 if any(bar.end for bars in chart.groups.values() for bar in bars) else 1))
    axes.grid(visible=False)
    axes.xaxis.set_visible(False)
    axes.spines["bottom"].set_visible(False)
    if len(chart.legend) > 1:
        from matplotlib.patches import Patch

        patches = [Patch(color=COLOURS[colour], label=label) for label, colour in chart.legend.items()]
        figure.legend(handles=patches, loc="outside lower left", frameon=False, fontsize=9, ncols=len(COLOURS))
    return figure


def _figure(width: float, height: float) -> "tuple[Figure, Axes]":
    """A figure of so many inches with one pair of axes: a base line and a faint grid only."""
    from matplotlib.figure import Figure  # half a second that only a page with plots costs

    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(GREY)
    axes.grid(axis="y", color="#E4E7EB", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelsize=9, colors=INK)
    axes.xaxis.label.set(fontsize=9, color=INK)
    return figure, axes


def _plain_numbers(axes: "Axes", whole: bool) -> None:
    """Write the numbers below in full, whole ones only if so wanted: a year is not 2,020 plus something."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=whole))
    axes.ticklabel_format(axis="x", style="plain", useOffset=False)


def _mark(axes: "Axes", mark: tuple[float, str] | None) -> None:
    if mark:
        axes.axvline(mark[0], color=INK, linestyle="--", linewidth=1)
        label = axes.annotate(f"{mark[1]} ", (mark[0], 0.98), xycoords=("data", "axes fraction"))
        label.set(ha="right", va="top", fontsize=9, color=INK)


def _image(figure: "Figure") -> bytes:
    buffer = io.BytesIO()
    # Without the version of matplotlib, so that equal plots are equal files.
    figure.savefig(buffer, format="png", dpi=PIXELS_PER_INCH, metadata={"Software": None})
    return buffer.getvalue()
