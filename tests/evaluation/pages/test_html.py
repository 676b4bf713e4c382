"""Pages stand alone: their plots are in them, and what came from data is escaped."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from evaluation.pages.drawing import Plot
from evaluation.pages.html import Row, Table, write_page

TABLE = Table([""], [Row("heading", 0, []), Row("<b>row</b>", 1, ["7"])])


def test_plots_are_within_the_page_and_beside_it(tmp_path: Path, read_page: Callable[[Path], Any]) -> None:
    plots = [Plot("first", "<b>one</b>", b"\x89PNG 1"), Plot("second", "two", b"\x89PNG 2", wide=True)]
    content = {"step": 3, "verdict": None, "key_figures": [("<i>label</i>", "&amp;")], "results": TABLE, "methods": {}}
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
