"""Pages stand alone: their plots are in them, and what came from data is escaped."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from evaluation.pages.drawing import NARROW, WIDE, Plot
from evaluation.pages.html import Row, Table, templates, write_page

TABLE = Table([""], [Row("heading", 0, []), Row("<b>row</b>", 1, ["7"])])


def test_plots_are_within_the_page_and_beside_it(tmp_path: Path, read_page: Callable[[Path], Any]) -> None:
    plots = [Plot("first", "<b>one</b>", b"\x89PNG 1"), Plot("second", "two", b"\x89PNG 2", wide=True)]
    content = {
        "step": 3,
        "evaluated": True,
        "verdict": None,
        "key_figures": [("<i>label</i>", "&amp;")],
        "results": TABLE,
        "methods": {},
        "notes": [],
    }
    page = write_page(
        tmp_path / "report.html",
        "<name>",
        {"result_plots": plots, "run_plots": []},
        samples=[],
        data=[],
        spending=None,
        **content,
    )
    read = read_page(page)
    assert [(tmp_path / f"{plot.name}.png").read_bytes() for plot in plots] == [plot.png for plot in plots]
    assert [attributes["alt"] for tag, attributes in read.tags if tag == "img"] == ["<b>one</b>", "two"]
    for text in ("<name>", "<i>label</i>", "&amp;", "<b>row</b>"):
        assert text in read.words


def test_letters_of_plots_can_be_read_on_a_small_screen() -> None:
    """However narrow the screen, a point of a letter, a 72nd of a figure's inch, is shown as a pixel or more."""
    style = templates().get_template("page.html.j2").render(name="")
    for selector, inches in (("img", NARROW), (".wide img", WIDE)):
        rule = re.search(rf"^{re.escape(selector)} {{[^}}]*min-width: (\d+)px", style, re.M)
        assert rule
        assert int(rule[1]) >= 72 * inches
    assert re.search(r"^\.pan { overflow-x: auto; }", style, re.M), "the page itself stays as wide as the screen"
