"""Curves and columns as SVG within a page: its letters, its colours light or dark, and a mark at each value."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from evaluation.pages.charts import Columns, Curve, Curves
from evaluation.pages.wording import axis_number

LETTER = 6.6
"""Mean width of a letter of 11 pixels, generously: sizes are in the pixels of the drawing."""
HEIGHT = 240
TOP, RIGHT, BELOW = 18, 14, 26
MOST_PATH = 800
"""Places of a line: of more, the lowest and the highest of each stretch are drawn."""


@dataclass(frozen=True)
class Frame:
    """Maps values to places of the drawing."""

    x: tuple[float, float]
    y: tuple[float, float]
    left: float
    width: float
    bottom: float
    logarithmic: bool = False

    def place_x(self, value: float) -> float:
        low, high, value = (math.log(v) if self.logarithmic else v for v in (*self.x, value))
        return self.left + (value - low) / (high - low) * (self.width - RIGHT - self.left)

    def place_y(self, value: float) -> float:
        low, high = self.y
        return self.bottom - (value - low) / (high - low) * (self.bottom - TOP)


def curves_svg(chart: Curves, width: int, name: str) -> str:
    """The curves in a drawing so many pixels wide, with a class of CSS; its marks follow the points, curve by curve."""
    places = [(x, y) for curve in chart.curves for x, y in zip(curve.x, curve.y, strict=True) if math.isfinite(y)]
    xs, ys = [x for x, _ in places] or [0, 1], [y for _, y in places] or [0.0, 1.0]
    shown = [*xs, chart.mark[0]] if chart.mark else xs
    frame, ticks = _frame(_spread(min(shown), max(shown)), (0 if chart.from_zero else min(ys), max(ys)), width, chart)
    parts = [*_axes(frame, ticks, chart)]
    for curve in chart.curves:
        path = _path(frame, curve)
        style = f"line c{curve.colour}{' dashed' * curve.dashed}{' faint' * curve.faint}"
        if path:
            parts.append(f'<path class="{style}" d="{path}"/>')
        dots = " dot" if len(curve.points) == len(curve.x) and len(curve.x) <= width / 12 else ""
        parts += [
            f'<circle class="mark c{curve.colour}{dots}" r="3" '
            f'cx="{frame.place_x(x):.1f}" cy="{frame.place_y(y):.1f}"/>'
            for x, y, *_ in curve.points
        ]
    return _drawing(parts, width, name)


def columns_svg(chart: Columns, width: int, name: str) -> str:
    """The columns in such a drawing; its marks are the parts, name by name, from left to right."""
    places = [place for heights in chart.series.values() for place in heights]
    base = dict.fromkeys(places, 0.0)
    parts: list[str] = []
    sums = [sum(heights.get(p, (0.0,))[0] for heights in chart.series.values()) for p in base]
    reach = [min(places), max(places) + chart.width, *([chart.mark[0]] if chart.mark else [])]
    frame, ticks = _frame((min(reach), max(reach)), (0, max(sums)), width, chart)
    for number, heights in enumerate(chart.series.values()):
        for place, (height, _) in sorted(heights.items()):
            left, right = frame.place_x(place + 0.07 * chart.width), frame.place_x(place + 0.93 * chart.width)
            top, bottom = frame.place_y(base[place] + height), frame.place_y(base[place])
            parts.append(
                f'<rect class="mark c{number}" x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" '
                f'height="{bottom - top:.1f}"/>'
            )
            base[place] += height
    return _drawing([*_axes(frame, ticks, chart), *parts], width, name)


def nice_ticks(low: float, high: float, most: int, whole: bool = False) -> list[float]:
    """At most so many multiples of 1, 2 or 5 times a power of ten, from `low` to `high`."""
    step = 10.0 ** math.floor(math.log10((high - low) / most))
    step *= next(factor for factor in (1, 2, 5, 10, 20) if (high - low) / (factor * step) <= most)
    step = max(step, 1.0) if whole else step
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def _frame(
    x: tuple[float, float], y: tuple[float, float], width: int, chart: Curves | Columns
) -> tuple[Frame, Mapping[float, str]]:
    """The frame, and where on the left axis numbers stand."""
    low, high = _spread(*y)
    high += 0.06 * (high - low)
    low -= 0.06 * (high - low) if low else 0
    numbers = nice_ticks(low, high, 6)
    step = numbers[1] - numbers[0] if len(numbers) > 1 else 1
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    labels = [
        axis_number(number)
        if high >= 10_000
        else f"{number:.0e}"
        if decimals > 4 and number
        else f"{number:,.{min(decimals, 4)}f}"
        for number in numbers
    ]
    left = 10 + LETTER * max(map(len, labels), default=1)
    bottom = HEIGHT - BELOW - (18 if chart.x_label else 0)
    logarithmic = isinstance(chart, Curves) and bool(chart.ticks)
    return Frame(x, (low, high), left, width, bottom, logarithmic), dict(zip(numbers, labels, strict=True))


def _spread(low: float, high: float) -> tuple[float, float]:
    """Around a single value, a stretch of its own size."""
    return (low, high) if high > low else (low - (abs(low) or 1) / 2, high + (abs(high) or 1) / 2)


def _axes(frame: Frame, ticks: Mapping[float, str], chart: Curves | Columns) -> Iterator[str]:
    right = frame.width - RIGHT
    for number, label in ticks.items():
        y = frame.place_y(number)
        yield f'<path class="grid" d="M{frame.left:.1f} {y:.1f}H{right}"/>'
        yield f'<text x="{frame.left - 6:.1f}" y="{y + 4:.1f}" text-anchor="end">{label}</text>'
    yield f'<path class="axis" d="M{frame.left:.1f} {frame.bottom:.1f}H{right}"/>'
    below = chart.ticks or _numbers_below(frame, chart)
    end = -math.inf
    for number, label in below.items():
        x, half = frame.place_x(number), LETTER * len(label) / 2
        middle = min(x, frame.width - half - 1)
        if middle - half > end:
            yield f'<text x="{middle:.1f}" y="{frame.bottom + 17:.1f}" text-anchor="middle">{label}</text>'
            end = middle + half + LETTER
    if chart.x_label:
        middle = (frame.left + right) / 2
        yield f'<text x="{middle:.1f}" y="{HEIGHT - 6}" text-anchor="middle">{escape(chart.x_label)}</text>'
    if chart.mark:
        x, label = frame.place_x(chart.mark[0]), escape(chart.mark[1])
        before = x > frame.width / 2
        yield f'<path class="border" d="M{x:.1f} {TOP - 8}V{frame.bottom:.1f}"/>'
        anchor = "end" if before else "start"
        yield f'<text x="{x - 5 if before else x + 5:.1f}" y="{TOP - 2}" text-anchor="{anchor}">{label}</text>'


def _numbers_below(frame: Frame, chart: Curves | Columns) -> dict[float, str]:
    whole = chart.whole if isinstance(chart, Curves) else True
    numbers = nice_ticks(*frame.x, most=8 if frame.width > 400 else 5, whole=whole)
    thousands = "," if frame.x[1] >= 10_000 or "step" in chart.x_label else ""  # a year has no comma
    return {number: f"{number:{thousands}.{0 if number == int(number) else 2}f}" for number in numbers}


def _path(frame: Frame, curve: Curve) -> str:
    """The line's path, broken where there is no number; a line of one place is none."""
    words, pen = [], "M"
    for x, y in _thinned(curve):
        if math.isfinite(y):
            words.append(f"{pen}{frame.place_x(x):.1f} {frame.place_y(y):.1f}")
            pen = "L"
        else:
            pen = "M"
    return "".join(words) if len(words) > 1 else ""


def _thinned(curve: Curve) -> Sequence[tuple[float, float]]:
    places = list(zip(curve.x, curve.y, strict=True))
    stretch = -(-len(places) // (MOST_PATH // 2))
    if stretch < 3:
        return places
    kept = []
    for begin in range(0, len(places), stretch):
        finite = [place for place in places[begin : begin + stretch] if math.isfinite(place[1])]
        if finite:
            kept += sorted({min(finite, key=lambda place: place[1]), max(finite, key=lambda place: place[1])})
    return kept


def _drawing(parts: Sequence[str], width: int, name: str) -> str:
    return f'<svg class="{name}" viewBox="0 0 {width} {HEIGHT}" aria-hidden="true">{"".join(parts)}</svg>'
