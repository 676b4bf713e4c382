"""The look of every plot: colours, axes without ornament, and a figure as a PNG image."""

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart with any colour vision.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
BLUE, GREY, INK = COLOURS[0], "#B4BCC6", "#1F2933"
PIXELS_PER_INCH = 160
NARROW, WIDE = 6.4, 10.4  # inches: half of a page, and all of it


@dataclass(frozen=True)
class Plot:
    """A PNG image, the name of its file, and what it shows."""

    name: str
    caption: str
    png: bytes
    wide: bool = False


def single_figure(width: float, height: float) -> "tuple[Figure, Axes]":
    """A figure of so many inches with one pair of axes."""
    figure = empty_figure(width, height)
    return figure, styled(figure.add_subplot())


def empty_figure(width: float, height: float) -> "Figure":
    """A figure of so many inches, to which axes are added."""
    from matplotlib.figure import Figure  # half a second that only a page with plots costs

    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def styled(axes: "Axes") -> "Axes":
    """The axes, with a base line and a faint grid only."""
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(GREY)
    axes.grid(axis="y", color="#E4E7EB", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelsize=9, colors=INK)
    axes.xaxis.label.set_fontsize(9)
    axes.xaxis.label.set_color(INK)
    return axes


def without_axis(axes: "Axes") -> None:
    """Take away the grid and the axis below, where each bar is labelled with its figure."""
    axes.grid(visible=False)
    axes.xaxis.set_visible(False)
    axes.spines["bottom"].set_visible(False)


def plain_numbers(axes: "Axes", whole: bool = True) -> None:
    """Write the numbers below in full, whole ones only if so wanted: a year is not 2,020 plus something."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=whole))
    axes.ticklabel_format(axis="x", style="plain", useOffset=False)


def legend_below(axes: "Axes", columns: int = 3) -> None:
    """Name the colours under the figure."""
    axes.figure.legend(loc="outside lower left", frameon=False, fontsize=9, ncols=columns)


def png(figure: "Figure") -> bytes:
    """The figure as an image; equal figures are equal bytes."""
    buffer = io.BytesIO()
    # Without the version of matplotlib, so that equal plots are equal files.
    figure.savefig(buffer, format="png", dpi=PIXELS_PER_INCH, metadata={"Software": None})
    return buffer.getvalue()
