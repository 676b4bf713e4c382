"""The ledger as people see it, and as the report takes it."""

import pytest

from domainlm.status.goodput import describe, to_spending
from tests.train.records.test_ledger import T0, event, start, steps
from train.records.ledger import CAUSES, account


def test_the_report_is_handed_the_same_figures() -> None:
    ledger = account([start("start", 0, began=0, ready=10)], steps(1, 5, 4.0), last_sign_of_life=T0 + 50)
    spending = to_spending(ledger, "€")
    assert spending is not None
    assert tuple(spending.device_hours) == CAUSES
    assert sum(spending.device_hours.values()) == pytest.approx(8 * 50 / 3600)
    assert (spending.wall_seconds, spending.sessions, spending.money) == (50, 1, None)
    assert to_spending(account([], [], last_sign_of_life=T0)) is None


def test_the_table_adds_up() -> None:
    events = [start("start", 0, began=0, ready=20), event("done", 3600, step=10, tokens=1)]
    lines = describe(account(events, steps(1, 10, 180.0), last_sign_of_life=T0, price_per_device_hour=2.0), "€")
    assert [line.split()[0] for line in lines[:-1]] == list(CAUSES)
    assert lines[0].split()[:6] == ["training", "4.000", "h", "50.0%", "€", "8.00"]
    assert lines[-1].split() == ["in", "all", "8.000", "h", "100.0%", "€", "16.00"]


def test_a_run_that_has_not_begun_has_a_table_too() -> None:
    assert describe(account([], [], last_sign_of_life=T0))
