"""The page of a series: every number from series.json, what was not read marked, unknown ends a dash."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evaluation.pages.series import matrix, write_series
from evaluation.series import series_figures, verdict
from tests.evaluation.test_series import scored, three
from tests.traced import trace


def made(members: Any = None) -> dict[str, Any]:
    figures = series_figures(members or three(), period="year", domain=set(), seed=1)
    return figures | {"verdict": verdict(figures)}


def test_every_number_is_of_a_field_and_what_was_not_read_is_marked(
    tmp_path: Path, read_page: Callable[[Path], Any]
) -> None:
    result = made()
    (tmp_path / "series.json").write_text(json.dumps(result))
    page = write_series(result, "bank", tmp_path)
    figures = trace(page)
    assert len(figures) > 40
    assert [entry for entry in figures if entry[0] != entry[1]] == []
    assert len(re.findall(r'class="unread"', page.read_text())) == 3 + 2 + 1
    assert (tmp_path / "series.png").exists()
    read_page(page)


def test_the_best_model_of_a_period_is_bright_and_what_is_far_behind_it_dark() -> None:
    heats = [[cell.heat for cell in cells] for _, cells in matrix(made())]
    assert heats[0] == pytest.approx([0, 0.5, 1, 1])
    assert heats[2] == [0, 0, 0, 0]


def test_nothing_held_out_and_a_single_period_are_said(tmp_path: Path) -> None:
    from evaluation.series import Member

    for members in ([Member(three()[0].cutoff, [])], [Member(three()[0].cutoff, scored({2010: 1.0}, each=2))]):
        result = made(members)
        (tmp_path / "series.json").write_text(json.dumps(result))
        page = write_series(result, "bank", tmp_path)
        assert [entry for entry in trace(page) if entry[0] != entry[1]] == []
