"""The plots of a report: how training went, and bits per byte beside the baselines and over time."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from evaluation.baselines import Results, measured
from evaluation.bits_per_byte import NO_PERIOD, Figures
from evaluation.pages.charts import Bar, Bars, Curve, Curves, Point, Segment, evenly
from evaluation.pages.drawing import Plot
from evaluation.pages.figures import figure, pointer

DASHED = ("past",)  # the splits whose curves are
SMOOTHING_SHARE = 0.02  # of the run, the span of the moving average over a noisy curve
PANELS = (
    # key of metrics.jsonl, caption, how values are written, whether the axis begins at nothing, whether they are noisy
    ("loss", "Training loss, nats per token", ",.3f", False, True),
    ("learning_rate", "Learning rate", ".3g", True, False),
    ("gradient_norm", "Gradient norm before clipping", ",.3f", True, True),
    ("tokens_per_second", "Tokens per second", ",.0f", True, True),
)

Places = dict[tuple[str, str], list[Point]]
"""Points of each source and split."""


def training_plots(lines: Sequence[Mapping[str, Any]], file: str = "metrics.jsonl") -> list[Plot]:
    """Loss, learning rate, gradient norm and throughput over the steps; each where its figures were recorded.

    Args:
        lines: of metrics.jsonl, all of them.
        file: its address from the page.
    """
    plots = []
    for key, caption, written, from_zero, noisy in PANELS:
        recorded = [(line["step"], line[key], number) for number, line in enumerate(lines) if line.get(key) is not None]
        if recorded:
            points = {
                step: Point(step, value, f"step {step:,}", figure(value, written, pointer(file, number, key)))
                for step, value, number in (recorded[place] for place in evenly(len(recorded)))
                if np.isfinite(value)
            }
            x, y = [step for step, *_ in recorded], [value for _, value, _ in recorded]
            curves = _with_mean(x, np.array(y, np.float64), sorted(points.values()), noisy)
            plots.append(Plot(key, caption, Curves(curves, "step", from_zero)))
    return plots


def bits_per_byte_plot(lines: Sequence[Mapping[str, Any]], file: str = "metrics.jsonl") -> list[Plot]:
    """Held-out bits per byte by source and split over the steps; nothing when it was never measured."""
    measured_at: dict[tuple[str, str], dict[int, Point]] = {}  # a step that was done again counts once
    for number, line in enumerate(lines):
        for source, splits in line.get("evaluation", {}).items():
            for split, value in splits.items():
                step = line["step"]
                said = figure(value, ".3f", pointer(file, number, "evaluation", source, split))
                measured_at.setdefault((source, split), {})[step] = Point(step, value, f"step {step:,}", said)
    places = {curve: [points[step] for step in sorted(points)] for curve, points in measured_at.items()}
    if not places:
        return []
    return [Plot("bits_per_byte", "Held-out bits per byte while training", _by_source(places, "step"), wide=True)]


def tasks_plot(lines: Sequence[Mapping[str, Any]], file: str = "metrics.jsonl") -> list[Plot]:
    """Metrics of tasks over the steps; nothing when none was scored."""
    measured_at: dict[tuple[str, str], dict[int, Point]] = {}
    for number, line in enumerate(lines):
        for task, metrics in line.get("tasks", {}).items():
            for metric, value in metrics.items():
                step = line["step"]
                said = figure(value, ".3f", pointer(file, number, "tasks", task, metric))
                measured_at.setdefault((task, metric), {})[step] = Point(step, value, f"step {step:,}", said)
    places = {curve: [points[step] for step in sorted(points)] for curve, points in measured_at.items()}
    if not places:
        return []
    return [Plot("tasks", "Tasks while training", _by_source(places, "step"), wide=True)]


def baselines_plot(sources: Figures, baselines: Results, file: str = "evaluate.json") -> list[Plot]:
    """Bars for each source and split, the fewest bits on top; the model's bar is the coloured one."""
    groups: dict[str, list[Bar]] = {}
    for source, splits in sources.items():
        for split, found in splits.items():
            values = {"model": (found["bits_per_byte"], pointer(file, "sources", source, split, "bits_per_byte"))}
            for name, value in measured(baselines, source, split).items():
                values[name] = value, pointer(file, "baselines", name, source, split)
            groups[f"{source}, {split}"] = [
                _bar(name.replace("_", " "), *values[name]) for name in sorted(values, key=lambda name: values[name][0])
            ]
    if not groups:
        return []
    caption = "Bits per byte of held-out text: fewer are better"
    return [Plot("baselines", caption, Bars(groups, {"model": 0}), wide=True)]


def _bar(name: str, value: float, source: str) -> Bar:
    said = figure(value, ".3f", source)
    return Bar(name, [Segment(name, value, said)], [said], strong=name == "model")


def periods_plot(periods: Mapping[str, Figures], file: str = "evaluate.json") -> list[Plot]:
    """Bits per byte by the period of the text; nothing unless a source has two periods of one split."""
    places: Places = {}
    for source, splits in periods.items():
        for split, found in splits.items():
            dated = [entry for entry in found.items() if entry[0] != NO_PERIOD]
            for label, figures in sorted(dated, key=lambda entry: _begin(entry[0])):
                value = figures["bits_per_byte"]
                said = figure(value, ".3f", pointer(file, "periods", source, split, label, "bits_per_byte"))
                places.setdefault((source, split), []).append(Point(_begin(label), value, label, said))
    if max(map(len, places.values()), default=0) < 2:
        return []
    title = "Bits per byte of held-out text by its date"
    return [Plot("periods", title, _by_source(places, "date of the text"), wide=True)]


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


def _by_source(places: Places, label: str) -> Curves:
    """A line for each source, in its colour, and split, in its style."""
    order = list(dict.fromkeys(source for source, _ in places))
    curves = [
        Curve(
            f"{source}, {split}",
            [point.x for point in points],
            [point.y for point in points],
            [points[place] for place in evenly(len(points))],
            order.index(source) % 7,
            split in DASHED,
        )
        for (source, split), points in places.items()
    ]
    return Curves(curves, label, whole=all(x == int(x) for curve in curves for x in curve.x))


def _with_mean(x: Sequence[float], y: npt.NDArray[np.float64], points: Sequence[Point], noisy: bool) -> list[Curve]:
    """The recorded curve, and over a noisy one its moving average."""
    span = 1 + 2 * round(len(y) * SMOOTHING_SHARE / 2)
    if not noisy or span == 1:
        return [Curve("recorded", x, y.tolist(), points)]
    return [
        Curve("recorded", x, y.tolist(), points, faint=True),
        Curve(f"mean of {span} steps", x, smooth(y, span).tolist()),
    ]
