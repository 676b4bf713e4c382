"""What a hundredth of a bit per byte costs, on runs whose every second is known."""

import math
from typing import Any

import pytest

from domainlm.status.returns import returns
from tests.train.records.test_ledger import T0, event, start, steps
from train.records.ledger import Session, account


def evaluation(step: int, future: float, seconds: float = 0.0, **more: Any) -> dict[str, Any]:
    bits = {"news": {"past": 1.0, "future": future}, "web": {"past": 2.0 - step / 1000}}
    return {"step": step, "evaluation": bits | more, "seconds": seconds}


def sessions(*begun: tuple[int, int]) -> list[Session]:
    events = [
        start("start" if step == 0 else "resume", step, began=step, ready=step) | {"ranks": n} for step, n in begun
    ]
    return account([*events, event("done", 9_000, step=40, tokens=1)], [], last_sign_of_life=T0).sessions


def test_the_price_is_the_slope_of_the_newest_evaluations() -> None:
    """8 ranks, 36 s a step: 0.08 device-hours each. Over the last three evaluations 0.005 bits fall in 10 steps."""
    lines = [
        *steps(1, 10, 36.0),
        evaluation(10, 1.5),
        *steps(11, 20, 36.0),
        evaluation(20, 1.2),
        *steps(21, 30, 36.0),
        evaluation(30, 1.195),
        *steps(31, 40, 36.0),
        evaluation(40, 1.19),
    ]
    (found,) = returns(sessions((0, 8)), lines, ["news"], price=2.5, watts=500)
    assert (found.text, found.evaluations) == ("news/future", 3)
    assert found.device_hours == pytest.approx(0.08 * 10 * 2)
    assert found.bits_per_device_hour == pytest.approx(-0.01 / found.device_hours)
    assert found.money == pytest.approx(2.5 * found.device_hours)
    assert found.kilowatt_hours == pytest.approx(0.5 * found.device_hours)
    every = returns(sessions((0, 8)), lines, [])
    assert [one.text for one in every] == ["news/future", "web/past"]
    assert every[0].money is every[0].kilowatt_hours is None
    assert every[1].device_hours == pytest.approx(0.8), "0.01 in ten steps"


def test_evaluations_and_saves_cost_too_and_ranks_count() -> None:
    """10 steps of 36 s, 60 s of evaluation and 30 s of standing still on 4 ranks, though the run began on 8."""
    lines = [
        *steps(1, 10, 36.0),
        evaluation(10, 1.5, 60.0),
        {"step": 10, "save": {"seconds": 99.0, "stall_seconds": 30.0, "bytes": 1}},
        *steps(11, 20, 36.0),
        evaluation(20, 1.4, 60.0),
    ]
    (found,) = returns(sessions((0, 8), (10, 4)), lines, ["news"])
    assert found.device_hours == pytest.approx((8 * 30 + 4 * (360 + 60)) / 3600 / 10)


def test_before_two_evaluations_nothing_is_known() -> None:
    assert returns([], [], ["news"]) == []
    assert returns(sessions((0, 8)), [*steps(1, 10, 36.0), evaluation(10, 1.5)], ["news"]) == []
    unmeasured = evaluation(20, math.nan)
    assert returns(sessions((0, 8)), [evaluation(10, 1.5), *steps(11, 20, 36.0), unmeasured], ["news"]) == []
    nothing_held_out = [{"step": step, "evaluation": {}, "seconds": 1.0} for step in (10, 20)]
    assert returns(sessions((0, 8)), nothing_held_out, ["news"]) == []


def test_what_falls_no_more_has_no_price() -> None:
    lines = [evaluation(10, 1.2), *steps(11, 20, 36.0), evaluation(20, 1.21)]
    (found,) = returns(sessions((0, 8)), lines, ["news"], price=1.0, watts=100)
    assert found.bits_per_device_hour > 0
    assert found.device_hours is found.money is found.kilowatt_hours is None
