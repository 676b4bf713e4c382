"""Pages stand alone: their plots are in them, and what came from data is escaped."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evaluation.pages.charts import Bar, Bars, Curve, Curves, Point, Segment
from evaluation.pages.drawing import Plot
from evaluation.pages.figures import figure, pointer
from evaluation.pages.html import Row, Table, templates, write_page

TABLE = Table([""], [Row("heading", 0, []), Row("<b>row</b>", 1, ["7"])])


LOSS = figure(2.5, ".3f", pointer("../metrics.jsonl", 0, "loss"))
PLOTS = [
    Plot("first", "<b>one</b>", Curves([Curve("<i>loss</i>", [1], [2.5], [Point(1, 2.5, "step <1>", LOSS)])], "step")),
    Plot("second", "two", Bars({"": [Bar("bar", [Segment("part", 2.5, LOSS)], [LOSS])]}, {"part": 0}), wide=True),
]


def write(folder: Path) -> Path:
    content = {
        "step": 3,
        "evaluated": True,
        "verdict": None,
        "verdict_text": "",
        "lacking": "",
        "compared": None,
        "results": TABLE,
        "methods": {},
        "notes": [],
    }
    content |= {"key_figures": [("<i>label</i>", "&amp;"), ("loss", LOSS)], "samples": [], "data": [], "spending": None}
    plots = {"result_plots": PLOTS, "run_plots": []}
    return write_page(folder / "report.html", "<name>", {"../metrics.jsonl": "domainlm <train>"}, plots, **content)


def test_plots_are_within_the_page_and_beside_it(tmp_path: Path, read_page: Callable[[Path], Any]) -> None:
    read = read_page(write(tmp_path))
    assert [(tmp_path / f"{plot.name}.png").read_bytes() for plot in PLOTS] == [plot.png for plot in PLOTS]
    labels = [attributes["aria-label"] for tag, attributes in read.tags if tag == "figure"]
    assert [label.partition(". ")[0] for label in labels] == ["<b>one</b>", "two"]
    for text in ("<name>", "<i>label</i>", "&amp;", "<b>row</b>", "<i>loss</i>", "step <1>", "domainlm <train>"):
        assert text in read.words


def test_each_figure_says_where_it_is_from(tmp_path: Path, read_page: Callable[[Path], Any]) -> None:
    read = read_page(write(tmp_path))
    figures = [attributes for _, attributes in read.tags if "data-source" in attributes]
    assert len(figures) == 3, "a card, a point, a bar"
    assert {attributes["title"] for attributes in figures} == {"../metrics.jsonl#/0/loss"}
    assert {attributes["href"] for tag, attributes in read.tags if tag == "a"} == {"../metrics.jsonl"}


def test_a_figure_from_a_file_that_nothing_is_said_to_write_is_a_fault(tmp_path: Path) -> None:
    content = {"step": 3, "evaluated": True, "verdict": None, "results": TABLE, "key_figures": [("loss", LOSS)]}
    with pytest.raises(KeyError, match=r"\.\./metrics\.jsonl"):
        write_page(tmp_path / "report.html", "name", {}, {"result_plots": PLOTS}, **content)


def colours(style: str) -> dict[str, str]:
    return dict(re.findall(r"--(\w+): (#[0-9a-f]+)", style))


def contrast(first: str, second: str) -> float:
    """WCAG 2.2's contrast ratio of two colours (relative luminance of sRGB)."""

    def luminance(colour: str) -> float:
        digits = colour[1:] if len(colour) == 7 else "".join(digit * 2 for digit in colour[1:])
        parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_text_can_be_read_and_plots_be_seen_light_and_dark() -> None:
    style = templates().get_template("page.html.j2").render(name="")
    light, _, rest = style.partition("prefers-color-scheme: dark")
    assert contrast("#000", "#fff") == pytest.approx(21)
    for found in (colours(light), colours(light) | colours(rest.partition("}\n}")[0])):
        for text in ("ink", "soft", "good"):
            assert min(contrast(found[text], found[ground]) for ground in ("page", "panel")) >= 4.5, text
        for curve in ("c0", "c1", "c2", "c6"):
            assert contrast(found[curve], found["panel"]) >= 3, curve
    assert colours(light).keys() == colours(rest.partition("}\n}")[0]).keys()
