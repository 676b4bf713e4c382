"""Drawings within a page: every value is where it should be, whatever the values are."""

import math
import re
from xml.etree import ElementTree

import pytest

from evaluation.pages.charts import Columns, Curve, Curves, Point
from evaluation.pages.figures import figure
from evaluation.pages.svg import HEIGHT, MOST_PATH, columns_svg, curves_svg, nice_ticks


def curve(values: list[float], **look: bool) -> Curve:
    points = [Point(x, y, f"step {x}", figure(y, ".3f", "a.json#")) for x, y in enumerate(values) if math.isfinite(y)]
    return Curve("recorded", range(len(values)), values, points, **look)


@pytest.mark.parametrize("width", [310, 800])
@pytest.mark.parametrize(
    "values",
    [[], [3.0], [0.0], [5.0, 5.0], [1e-4, 3e-3, 1e-5], [2.0, math.nan, -1.0], [math.inf, math.nan], [1e9, 2.5e12, 7.0]],
)
def test_marks_keep_the_order_of_the_values_and_stay_inside(values: list[float], width: int) -> None:
    drawing = ElementTree.fromstring(curves_svg(Curves([curve(values)], "step"), width, "full"))
    marks = [element for element in drawing if "mark" in element.get("class", "")]
    finite = [value for value in values if math.isfinite(value)]
    places = [(float(mark.get("cx", "")), float(mark.get("cy", ""))) for mark in marks]
    assert len(places) == len(finite)
    assert all(0 < x < width and 0 < y < HEIGHT for x, y in places)
    assert [x for x, _ in places] == sorted(x for x, _ in places)
    order = sorted(range(len(finite)), key=finite.__getitem__)
    assert [places[place][1] for place in order] == sorted((y for _, y in places), reverse=True), "higher is above"
    assert "nan" not in ElementTree.tostring(drawing, "unicode")


def test_values_stand_where_the_axis_says() -> None:
    drawing = ElementTree.fromstring(curves_svg(Curves([curve([0.0, 1.0, 2.0])], "step", from_zero=True), 800, "full"))
    numbers = {
        text.text: float(text.get("y", "")) - 4 for text in drawing.iter("text") if text.get("text-anchor") == "end"
    }
    below = {
        text.text: float(text.get("x", "")) for text in drawing.iter("text") if text.get("text-anchor") == "middle"
    }
    places = [(float(m.get("cx", "")), float(m.get("cy", ""))) for m in drawing if "mark" in m.get("class", "")]
    assert [y for _, y in places] == pytest.approx([numbers["0.0"], numbers["1.0"], numbers["2.0"]], abs=0.11)
    assert places[1][0] == pytest.approx(below["1"], abs=0.11)


def test_a_gap_breaks_the_line_and_a_long_line_is_thinned_without_losing_its_peaks() -> None:
    assert curves_svg(Curves([curve([1.0, 2.0, math.nan, 4.0, 3.0])], "step"), 800, "full").count("M") >= 2
    long = [float(x % 10) for x in range(100_000)]
    long[77_777] = 50.0
    drawing = curves_svg(Curves([Curve("recorded", range(len(long)), long)], "step"), 800, "full")
    path = next(found for found in re.findall(r'<path class="line[^"]*" d="([^"]*)"', drawing))
    heights = [float(height) for height in re.findall(r" ([\d.]+)", path)]
    assert len(heights) <= MOST_PATH
    assert heights.count(min(heights)) == 1, "the one peak"


def test_columns_stand_on_one_another() -> None:
    series = {
        name: {place: (height, figure(height, ",d", "a.json#")) for place, height in heights.items()}
        for name, heights in {"a": {2000: 30, 2002: 10}, "b": {2002: 20}, "none": {}}.items()
    }
    chart = Columns(series, {2000: "2000", 2002: "2002"}, mark=(2001.5, "cutoff <2001>"))
    drawing = ElementTree.fromstring(columns_svg(chart, 310, "phone"))
    first, second, third = (
        {key: float(mark.get(key, "")) for key in ("x", "y", "width", "height")} for mark in drawing.iter("rect")
    )
    assert first["height"] == pytest.approx(second["height"] + third["height"], abs=0.2)
    assert third["y"] + third["height"] == pytest.approx(second["y"], abs=0.2)
    assert first["y"] == pytest.approx(third["y"], abs=0.2)
    assert first["x"] + first["width"] < second["x"] == third["x"]
    assert chart.legend == {"a": 0, "b": 1}
    assert "cutoff <2001>" in [text.text for text in drawing.iter("text")]


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0.2, 0.21), (1790, 2026), (0, 3e12), (-5, 5), (1e-5, 3e-3)])
def test_ticks_are_few_and_inside(low: float, high: float) -> None:
    ticks = nice_ticks(low, high, 5)
    assert 2 <= len(ticks) <= 6
    assert all(low - 1e-9 * abs(high) <= tick <= high * (1 + 1e-9) for tick in ticks)
    assert all(tick == int(tick) for tick in nice_ticks(1, 3, 8, whole=True))
