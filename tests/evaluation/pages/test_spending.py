"""The ledger on the report: a bar whose parts are the causes, and a table that adds up."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from evaluation.pages.html import Row
from evaluation.pages.report import ReportInputs, write_report
from evaluation.pages.spending import Spending, spending_plot, spending_table

SPENDING = Spending(
    device_hours={"training": 96.0, "repeated": 12.0, "other": 12.0},
    meaning={"training": "steps that count", "repeated": "steps that were lost", "other": "the <rest>"},
    money={"training": 288.0, "repeated": 36.0, "other": 36.0},
    currency="€",
    wall_seconds=15 * 3600,
    between_seconds=5400,
    sessions=2,
)


def test_the_table_adds_up_in_hours_shares_and_money() -> None:
    table = spending_table(SPENDING)
    assert table.columns == ["device-hours", "share", "€"]
    assert table.rows[0] == Row("training: steps that count", 0, ["96.000", "80.0%", "288.00"])
    assert table.rows[-1] == Row("in all", 0, ["120.000", "100.0%", "360.00"])
    free = spending_table(replace(SPENDING, money=None))
    assert free.columns == ["device-hours", "share"]
    assert all(len(row.cells) == 2 for row in free.rows)


def test_the_sentence_says_what_the_bar_shows() -> None:
    assert str(SPENDING) == (
        "80.0% of the device-hours went into training: steps that count. The run took 15 h 00 min in 2 sessions, with "
        "1 h 30 min between them."
    )
    assert str(replace(SPENDING, sessions=1)).endswith("15 h 00 min in one session.")


def test_the_bar_is_as_long_for_any_run_and_absent_before_it() -> None:
    (plot,) = spending_plot(SPENDING)
    (same,) = spending_plot(replace(SPENDING, device_hours={key: 2 * x for key, x in SPENDING.device_hours.items()}))
    (other,) = spending_plot(replace(SPENDING, device_hours={**SPENDING.device_hours, "repeated": 60.0}))
    assert plot.png == same.png, "shares decide"
    assert plot.png != other.png
    assert spending_plot(replace(SPENDING, device_hours=dict.fromkeys(SPENDING.device_hours, 0.0))) == []


def test_it_stands_on_the_page(tmp_path: Path, read_page: Callable[[Path], Any]) -> None:
    missing = tmp_path / "missing"
    bare = ReportInputs("bare", missing, missing, missing, missing, [], [], 10)
    page = read_page(write_report(replace(bare, spending=SPENDING), tmp_path / "reports"))
    assert "Where the time went" in page.words
    assert "other: the <rest>" in page.words
    assert (tmp_path / "reports" / "spending.png").read_bytes().startswith(b"\x89PNG")
    without = read_page(write_report(bare, tmp_path / "without"))
    assert not re.search("Where the time went|None", without.words)
