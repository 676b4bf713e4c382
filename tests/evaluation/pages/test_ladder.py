"""The page of a ladder: every number from ladder.json, a plot for each source."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from domainlm.ladder.figures import ladder_figures
from evaluation.pages.ladder import write_ladder
from tests.domainlm.ladder.ladders import points
from tests.traced import trace


def made() -> dict[str, Any]:
    figures = ladder_figures(points(), seed=1)
    about = {
        **{"layers": 1, "width": 32, "parameters": 143_904, "tokens": 149_248, "steps": 583, "batch_size": 1},
        **{"learning_rate": 6.2e-3, "share": 0.003},
    }
    measured_by_rung = figures.pop("measured")
    measured = {"bank": {"future": 1.19}}
    return figures | {"measured": measured, "rungs": [about | {"sources": own} for own in measured_by_rung]}


def test_every_number_is_of_a_field(tmp_path: Path, read_page: Callable[[Path], Any]) -> None:
    content = made()
    (tmp_path / "ladder.json").write_text(json.dumps(content))
    page = write_ladder(content, "bank", tmp_path)
    figures = trace(page)
    assert len(figures) > 40
    assert [entry for entry in figures if entry[0] != entry[1]] == []
    assert (tmp_path / "ladder-1.png").exists()
    assert (tmp_path / "ladder-2.png").exists()
    read_page(page)
