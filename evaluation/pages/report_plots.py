"""The plots of a report as PNG images: how training went, and bits per byte beside the baselines and over time."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from evaluation.baselines import Results, measured
from evaluation.bits_per_byte import Figures
from evaluation.pages.drawing import (
    BLUE,
    COLOURS,
    GREY,
    INK,
    NARROW,
    WIDE,
    Plot,
    empty_figure,
    plain_numbers,
    png,
    single_figure,
    styled,
    without_axis,
)

LINE_STYLES = {"future": "-", "past": "--"}
SMOOTHING_SHARE = 0.02  # of the run, the span of the moving average over a noisy curve

Curves = dict[tuple[str, str], list[tuple[float, float]]]
"""Points of each source and split."""


def training_plots(steps: Sequence[Mapping[str, Any]]) -> list[Plot]:
    """Loss, learning rate, gradient norm and throughput over the steps; each where its figures were recorded."""
    panels = (
        ("loss", "Training loss, nats per token", False, True),
        ("learning_rate", "Learning rate", True, False),
        ("gradient_norm", "Gradient norm before clipping", True, True),
        ("tokens_per_second", "Tokens per second", True, True),
    )
    plots = []
    for key, caption, from_zero, noisy in panels:
        recorded = [(line["step"], line[key]) for line in steps if line.get(key) is not None]
        if recorded:
            x, y = (np.array(column, np.float64) for column in zip(*recorded, strict=True))
            plots.append(Plot(key, caption, _curve(x, y, from_zero=from_zero, noisy=noisy)))
    return plots


def bits_per_byte_plot(lines: Sequence[Mapping[str, Any]]) -> list[Plot]:
    """Held-out bits per byte by source and split over the steps; nothing when it was never measured."""
    curves: Curves = {}
    for line in lines:
        for source, splits in line["evaluation"].items():
            for split, value in splits.items():
                curves.setdefault((source, split), []).append((line["step"], value))
    if not curves:
        return []
    return [Plot("bits_per_byte", "Held-out bits per byte while training", _curves(curves, "step"), wide=True)]


def baselines_plot(sources: Figures, baselines: Results) -> list[Plot]:
    """A panel of bars for each source and split, the fewest bits on top; the model's bar is the coloured one."""
    cells = [(source, split) for source, splits in sources.items() for split in splits]
    if not cells:
        return []
    columns = min(len(cells), 3)
    rows = math.ceil(len(cells) / columns)
    figure = empty_figure(WIDE, rows * (0.9 + 0.27 * (1 + len(baselines))))
    for number, (source, split) in enumerate(cells, start=1):
        axes = styled(figure.add_subplot(rows, columns, number))
        figures = {"model": sources[source][split]["bits_per_byte"]} | measured(baselines, source, split)
        ordered = sorted(figures, key=lambda name: figures[name], reverse=True)
        values = [figures[name] for name in ordered]
        bars = axes.barh(
            [name.replace("_", " ") for name in ordered],
            values,
            color=[BLUE if name == "model" else GREY for name in ordered],
            height=0.68,
        )
        axes.bar_label(bars, [f"{value:.3f}" for value in values], padding=4, fontsize=9, color=INK)
        axes.set_title(f"{source}, {split}", fontsize=10.5, loc="left", color=INK, fontweight="bold")
        axes.set_xlim(0, max(values) * 1.2)
        axes.set_ylim(len(values) - len(baselines) - 1.6, len(values) - 0.4)  # bars are equally thick in all panels
        without_axis(axes)
        for label in axes.get_yticklabels():
            label.set_fontweight("bold" if label.get_text() == "model" else "normal")
    return [Plot("baselines", "Bits per byte of held-out text: fewer are better", png(figure), wide=True)]


def periods_plot(periods: Mapping[str, Figures]) -> list[Plot]:
    """Bits per byte by the period of the text; nothing unless a source has two periods of one split."""
    curves: Curves = {
        (source, split): sorted((_begin(label), figures["bits_per_byte"]) for label, figures in found.items())
        for source, splits in periods.items()
        for split, found in splits.items()
    }
    if max(map(len, curves.values()), default=0) < 2:
        return []
    title = "Bits per byte of held-out text by its date"
    return [Plot("periods", title, _curves(curves, "date of the text"), wide=True)]


def _begin(label: str) -> float:
    """When a period begins, in years: 2019, 2019-Q2, 2019-05."""
    year, _, part = label.partition("-")
    if not part:
        return float(year)
    return int(year) + ((int(part[1:]) - 1) / 4 if part.startswith("Q") else (int(part) - 1) / 12)


def smooth(values: npt.NDArray[np.float64], span: int) -> npt.NDArray[np.float64]:
    """Mean of the finite values less than half of `span` away, at each place; NaN where there is none."""
    finite = np.isfinite(values)
    sums = np.concatenate([[0.0], np.cumsum(np.where(finite, values, 0.0))])
    counts = np.concatenate([[0], np.cumsum(finite)])
    place, reach = np.arange(len(values)), (span - 1) // 2
    begin, end = np.maximum(place - reach, 0), np.minimum(place + reach + 1, len(values))
    number = counts[end] - counts[begin]
    return np.where(number > 0, (sums[end] - sums[begin]) / np.maximum(number, 1), np.nan)


def _curves(curves: Curves, label: str) -> bytes:
    """A line for each source, in its colour, and split, in its style."""
    figure, axes = single_figure(WIDE, 3.6)
    order = list(dict.fromkeys(source for source, _ in curves))
    for (source, split), points in curves.items():
        x, y = zip(*points, strict=True)
        colour = COLOURS[order.index(source) % len(COLOURS)]
        line = LINE_STYLES.get(split, ":")
        axes.plot(x, y, color=colour, linestyle=line, marker="o", markersize=3.5, label=f"{source}, {split}")
    axes.set_xlabel(label)
    plain_numbers(axes, whole=all(x == int(x) for points in curves.values() for x, _ in points))
    axes.legend(frameon=False, fontsize=9, ncols=1 if len(curves) < 4 else 2)
    return png(figure)


def _curve(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], *, from_zero: bool, noisy: bool) -> bytes:
    figure, axes = single_figure(NARROW, 3.6)
    span = 1 + 2 * round(len(y) * SMOOTHING_SHARE / 2)
    if noisy and span > 1:
        axes.plot(x, y, color=BLUE, alpha=0.25, linewidth=0.8)
        y = smooth(y, span)
        axes.plot(x, y, color=BLUE, label=f"mean of {span} steps")
        axes.legend(frameon=False, fontsize=9)
    else:
        axes.plot(x, y, color=BLUE, marker="o" if len(y) == 1 else "")
    if from_zero:
        axes.set_ylim(bottom=0)
    for axis, values in ((axes.xaxis, x), (axes.yaxis, y)):
        if values[-1] >= 1000:
            axis.set_major_formatter("{x:,.0f}")
    axes.set_xlabel("step")
    return png(figure)
