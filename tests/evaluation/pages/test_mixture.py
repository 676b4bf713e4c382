"""The page of a mixture: every number from mixture.json, unknown ends a dash."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evaluation.pages.mixture import write_mixture
from tests.traced import trace


def figures(low: float | None) -> dict[str, Any]:
    def ends(value: float) -> dict[str, float | None]:
        return {"value": value, "low": low, "high": low and low + 1}

    names = ["filings", "web"]
    runs = [
        {"weights": {"filings": share, "web": 1 - share}, "bits_per_byte": {"filings/future": 1.5 - share}}
        for share in (0.8, 0.3, 0.6)
    ]
    return {
        "verdict": "Take the proposed mixture.",
        "aims": ["filings/future"],
        "configured": {"filings": 0.8, "web": 0.2},
        "weights": {name: ends(0.5) for name in names},
        "gained_by_a_hundredth": {name: ends(0.01) for name in names},
        "runs": runs,
        "laws": [{"source": "filings", "split": "future", "documents": 40, "error": 0.003}],
        "curves": {
            name: [{"share": share, "bits_per_byte": 1.4 - share} for share in (0.1, 0.5, 0.9)] for name in names
        },
        "tokens": 260_000,
        "passes": 4.0,
    }


@pytest.mark.parametrize("low", [0.4, None])
def test_every_number_is_of_a_field(tmp_path: Path, read_page: Callable[[Path], Any], low: float | None) -> None:
    result = figures(low)
    (tmp_path / "mixture.json").write_text(json.dumps(result))
    page = write_mixture(result, "bank", tmp_path)
    found = trace(page)
    assert len(found) > 25
    assert [entry for entry in found if entry[0] != entry[1]] == []
    assert (tmp_path / "mixture-curves.png").exists()
    read_page(page)
