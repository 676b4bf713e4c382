"""The page of a comparison: every number from compare.json, nothing of data unescaped, dashes for what is unknown."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evaluation.pages.comparison import costs_table, write_comparison
from tests.traced import trace


def found(value: float, difference: float | None = None, low: bool = True) -> dict[str, Any]:
    ends = {"low": value - 0.1, "high": value + 0.1} if low else {"low": None, "high": None}
    made = {"bits_per_byte": value, **ends, "documents": 12, "bytes": 100, "tokens": 30}
    if difference is not None:
        made["difference"] = {"value": difference, "low": difference - 0.01, "high": difference + 0.01}
    return made


def model(name: str, difference: float | None, **more: Any) -> dict[str, Any]:
    sources = {"bank": {"past": found(1.0, difference), "future": found(1.1, difference, low=False)}}
    periods = {"bank": {"future": {"2021": found(1.1)}}}
    cost = {"tokens_per_second": 1234.5, "peak_memory_bytes": 2_500_000_000, "training_money": None}
    base = {"name": name, "parameters": 2_566_656, "sources": sources, "periods": periods}
    return base | {"tasks": {}, "open_book": None, "memorised": {}, "gained": None, "cost": cost, "remarks": []} | more


def span(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.1, "high": value + 0.1}


GAINED = {
    "first_step": 9,
    "last_step": 12,
    "tokens": {"bank": 400},
    "sources": {
        "bank": {"past": span(0.3) | {"per_million_tokens": span(750.0)}},
        "other": {"past": span(-0.2) | {"per_million_tokens": None}},
    },
}
OPEN_BOOK = {"passages": 3, "verdict": "with 3 passages better: +4.1 points (+1.2 to +7.0)"}
MEMORISED = {"seen 1 times": {"value": 0.05, "low": 0.01, "high": 0.2, "of": 20}}


WAYS = {
    "ways": [
        {"way": f"ours, {how}", "accuracy": span(0.4), "nats": span(80.5)} for how in ("closed-book", "with passages")
    ],
    "differences": [
        {
            "way": "ours, with passages",
            "less": "ours, closed-book",
            "difference": {"value": 0.07, "low": 0.02, "high": 0.1},
            "nats": span(-1.25),
        }
    ],
    "verdict": "ours, with passages has most right, 40.0 %",
}
RESULT = {
    "models": [
        model("ours", None, tasks={"next": {"accuracy": {"value": 0.5, "low": 0.4, "high": 0.6}}}, open_book=OPEN_BOOK),
        model("<b>theirs</b>", 0.2, remarks=["it may have read these documents"], cost={"tokens_per_second": 1.0}),
        model("earlier", 0.3, gained=GAINED, memorised=MEMORISED),
    ],
    "verdict": "ours is better for this text.",
    "ways": WAYS,
}


def test_every_number_is_of_a_field_and_all_is_shown(tmp_path: Path, read_page: Callable[[Path], Any]) -> None:
    (tmp_path / "compare.json").write_text(json.dumps(RESULT))
    page = write_comparison(RESULT, "run", tmp_path)
    figures = trace(page)
    assert len(figures) > 30
    assert [entry for entry in figures if entry[0] != entry[1]] == []
    text = page.read_text()
    assert "<b>theirs</b>" not in text
    assert "&lt;b&gt;theirs" in text
    for words in (
        "ours is better",
        "with 3 passages better: +4.1 points (+1.2 to +7.0)",
        "it may have read these documents",
        "2.50",
        "+0.200",
        "domainlm compare",
        "-0.200",
        "+750",
        "ours, with passages has most right, 40.0 %",
        "less ours, closed-book",
        "+0.070",
        "5.0%",
    ):
        assert words in text, words
    assert (tmp_path / "compare.png").exists()
    read_page(page)


def test_a_bar_below_one_is_as_long_as_its_value(tmp_path: Path) -> None:
    """CSS gives parts that grow by less than 1 in all only that share of their bar."""
    page = write_comparison(RESULT, "run", tmp_path).read_text("utf-8")
    bars = re.findall(r'<span style="--length: [0-9.]+">(.*?)</span><span class="end">', page, re.S)
    assert bars
    for bar in bars:
        assert sum(map(float, re.findall(r"flex: ([0-9.e+-]+)", bar))) == pytest.approx(100, rel=1e-4)


def test_what_is_not_known_of_a_model_is_a_dash_and_of_none_no_row() -> None:
    table = costs_table(RESULT["models"][:2])
    assert [(row.label, [str(cell) for cell in row.cells]) for row in table.rows] == [
        ("tokens per second, scoring", ["1,234", "1"]),
        ("peak memory, GB", ["2.50", "–"]),
    ]
