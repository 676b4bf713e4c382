"""The ledger of time, energy and money, on runs whose every second is known."""

import time
from typing import Any

import pytest

from train.records.ledger import account

T0 = 1_800_000_000


def event(name: str, when: float, **facts: Any) -> dict[str, Any]:
    return {"event": name, "time": time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(T0 + when)), **facts}


def start(name: str, step: int, began: float, ready: float, **facts: Any) -> dict[str, Any]:
    return event(name, ready, step=step, began=T0 + began, ranks=8, **facts)


def steps(first: int, last: int, seconds: float) -> list[dict[str, Any]]:
    return [{"step": step, "loss": 3.0, "seconds": seconds} for step in range(first, last + 1)]


def test_an_undisturbed_run() -> None:
    events = [
        start("start", 0, began=0, ready=20),
        event("save", 90, step=10, seconds=5),
        event("done", 100, step=10, tokens=1),
    ]
    lines = [*steps(1, 10, 6.0), {"step": 10, "evaluation": {}, "seconds": 8.0}]
    ledger = account(events, lines, last_sign_of_life=T0 + 5_000, price_per_device_hour=3.0, watts_per_device=500)
    (session,) = ledger.sessions
    assert session.seconds == pytest.approx(
        {"training": 60, "repeated": 0, "evaluation": 8, "saving": 5, "starting": 20, "other": 7}
    )
    assert ledger.goodput == pytest.approx(0.6)
    assert ledger.wall_seconds == pytest.approx(100)
    assert ledger.device_hours["training"] == pytest.approx(60 * 8 / 3600)
    assert ledger.money is not None
    assert ledger.money["training"] == pytest.approx(60 * 8 / 3600 * 3)
    assert ledger.kilowatt_hours is not None
    assert ledger.kilowatt_hours["saving"] == pytest.approx(5 * 8 / 3600 * 0.5)


def test_a_run_that_was_killed_and_resumed_on_other_ranks() -> None:
    """Steps 5 to 7 were lost: 18 s. The first process was last alive at 70 s; the second began at 1,000 s."""
    events = [
        start("start", 0, began=0, ready=10),
        event("save", 40, step=4, seconds=60, stall_seconds=2),
        start("resume", 4, began=1_000, ready=1_010, seconds_repeated=18, last_written=T0 + 70) | {"ranks": 4},
        event("save", 1_050, step=8, seconds=60, stall_seconds=2),
        event("stop", 1_054, step=8, reason="SIGTERM"),
    ]
    lines = [*steps(1, 4, 6.0), *steps(5, 8, 10.0)]
    ledger = account(events, lines, last_sign_of_life=T0 + 9_999)
    first, second = ledger.sessions
    assert (first.begin, first.end) == (T0, T0 + 70)
    assert first.seconds["training"] == 24
    assert first.seconds["repeated"] == 18
    assert first.seconds["saving"] == 2, "what training stood still, not what the disk took"
    assert first.seconds["other"] == pytest.approx(70 - 10 - 24 - 18 - 2)
    assert second.seconds["training"] == 40
    assert ledger.between_seconds == pytest.approx(930)
    assert ledger.device_hours["training"] == pytest.approx((24 * 8 + 40 * 4) / 3600)
    assert ledger.money is None
    assert ledger.kilowatt_hours is None


def test_a_start_that_was_refused_days_later_does_not_lengthen_the_session_before_it() -> None:
    events = [
        start("start", 0, began=0, ready=10),
        event("stop", 70, step=10, reason="SIGTERM"),
        event("checkpoint set aside", 90_000, step=10, folder="damaged_step_000010", reason="weights is missing"),
        event("refused", 90_000, error="no whole checkpoint is left"),
    ]
    (session,) = account(events, steps(1, 10, 6.0), last_sign_of_life=T0 + 90_000).sessions
    assert session.end == T0 + 70


def test_a_rewind_within_one_process_counts_no_second_twice() -> None:
    events = [
        start("start", 0, began=0, ready=10),
        event("skip", 100, first=5, last=6, reason="spike", back_to=4),
        start("resume", 4, began=0, ready=105, seconds_repeated=6, last_written=T0 + 99),
        event("done", 200, step=20, tokens=1),
    ]
    ledger = account(events, [*steps(1, 4, 6.0), *steps(7, 20, 6.0)], last_sign_of_life=T0 + 200)
    first, second = ledger.sessions
    assert second.begin == first.end == T0 + 100
    assert ledger.wall_seconds == pytest.approx(200)
    assert second.seconds["starting"] == pytest.approx(5)
    assert sum(sum(session.seconds.values()) for session in ledger.sessions) == pytest.approx(200)


def test_a_run_that_goes_on_counts_up_to_now() -> None:
    ledger = account([start("start", 0, began=0, ready=10)], steps(1, 5, 4.0), last_sign_of_life=T0 + 50)
    assert ledger.wall_seconds == pytest.approx(50)
    assert ledger.goodput == pytest.approx(20 / 50)


def test_a_journal_of_an_older_version_and_no_run_at_all() -> None:
    old = account([event("start", 10, step=0, ranks=2)], steps(1, 2, 4.0), last_sign_of_life=T0 + 30)
    assert old.sessions[0].seconds["starting"] == 0
    empty = account([], [], last_sign_of_life=T0)
    assert (empty.goodput, empty.wall_seconds, empty.between_seconds) == (0.0, 0.0, 0.0)
