"""Pages stand alone; numbers on them are short without saying something else."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evaluation.drawing import Plot
from evaluation.page import Row, Table, number_in_words, share, short_number, text_size, write_page

TABLE = Table([""], [Row("heading", 0, []), Row("<b>row</b>", 1, ["7"])])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1.00 K"),
        (45_600, "45.6 K"),
        (789e6, "789 M"),
        (1.234e9, "1.23 B"),
        (2e12, "2.00 T"),
    ],
)
def test_short_numbers(value: float, text: str) -> None:
    assert short_number(value) == text


def test_numbers_in_words() -> None:
    values = (999_999, 1_234_567, 45_600_000_000, 789 * 10**12)
    assert [number_in_words(value) for value in values] == ["999,999", "1.23 million", "45.6 billion", "789 trillion"]


@pytest.mark.parametrize(
    ("size", "text"),
    [(812, "812 bytes"), (1234, "1.23 kB"), (45_600_000, "45.6 MB"), (10**9, "1.00 GB"), (10**13, "10.0 TB")],
)
def test_text_sizes(size: int, text: str) -> None:
    assert text_size(size) == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [(0, 0, "–"), (0, 9, "0.0%"), (1, 9999, "<0.1%"), (1, 3, "33.3%"), (9998, 9999, ">99.9%"), (9999, 9999, "100.0%")],
)
def test_what_is_not_nothing_never_looks_like_it(part: int, whole: int, text: str) -> None:
    assert share(part, whole) == text


def test_plots_are_within_the_page_and_beside_it(tmp_path: Path, read_page: Callable[[Path], Any]) -> None:
    plots = [Plot("first", "<b>one</b>", b"\x89PNG 1"), Plot("second", "two", b"\x89PNG 2", wide=True)]
    content = {"step": 3, "verdict": None, "key_figures": [("<i>label</i>", "&amp;")], "results": TABLE, "methods": {}}
    page = write_page(
        tmp_path / "page.html",
        "report.html.j2",
        "<name>",
        {"result_plots": plots, "run_plots": []},
        samples=[],
        data=[],
        **content,
    )
    read = read_page(page)
    assert [(tmp_path / f"{plot.name}.png").read_bytes() for plot in plots] == [plot.png for plot in plots]
    assert [attributes["alt"] for tag, attributes in read.tags if tag == "img"] == ["<b>one</b>", "two"]
    for text in ("<name>", "<i>label</i>", "&amp;", "<b>row</b>"):
        assert text in read.words
