"""Requests to stop: signals, the STOP file, and a time limit that comes near."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from train.records.budget import Budget
from train.stop import MARGIN_SECONDS, SIGNALS, StopRequest, discard_met_request, stop_stamp


@pytest.fixture(autouse=True)
def _handlers_are_put_back() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_signals_ask_to_stop(number: signal.Signals) -> None:
    signal.signal(number, signal.SIG_DFL)  # under nohup SIGHUP is ignored
    stop = StopRequest(None)
    assert stop.reason == ""
    os.kill(os.getpid(), number)
    assert stop.reason == number.name
    with pytest.raises(KeyboardInterrupt):  # a second Ctrl-C does not wait for the step
        os.kill(os.getpid(), signal.SIGINT)


def test_a_stop_file_asks_to_stop_until_the_run_has_stopped_by_it(tmp_path: Path) -> None:
    file = tmp_path / "STOP"
    file.touch()
    os.utime(file, (0, 0))
    earlier = [{"event": "stop", "step": 3, "stop_file": None}, {"event": "start", "step": 3}]
    discard_met_request(file, earlier)
    assert StopRequest(file).reason == f"{file} exists", "nobody has met it, however old it is"
    met = [*earlier, {"event": "stop", "step": 3, "stop_file": stop_stamp(file)}]
    file.touch()
    discard_met_request(file, met)
    assert file.exists(), "it was made again"
    discard_met_request(file, [*met, {"event": "stop", "step": 3, "stop_file": stop_stamp(file)}])
    assert not StopRequest(file).reason
    discard_met_request(file, met)


def test_a_hangup_stays_ignored_where_it_was() -> None:
    """As nohup leaves it to what it starts."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    stop = StopRequest()
    os.kill(os.getpid(), signal.SIGHUP)
    assert stop.reason == ""


def test_the_time_limit_leaves_room_for_the_longest_step_and_save() -> None:
    stop = StopRequest(None, time.time() + MARGIN_SECONDS + 100)
    for seconds in (3, 30, 5):
        stop.took("step", seconds)
    stop.took("save", 60)
    assert stop.reason == "", "90 of 100 seconds are needed"
    stop.took("save", 75)
    assert stop.reason.endswith("s are left of the time limit, a step and its save may need 135")


def test_the_budget_leaves_room_for_the_longest_step_and_save() -> None:
    stop = StopRequest(None, time.time() + 1e6)
    stop.budget = Budget(2.5, "$ 1,000", time.time() + 100)
    stop.took("step", 30)
    stop.took("save", 60)
    assert stop.reason == ""
    assert stop.spent is None
    stop.took("save", 71)
    assert stop.reason == "the budget of $ 1,000 is spent"
    assert stop.spent == stop.budget


def test_without_a_time_limit_nothing_is_measured_against_it() -> None:
    stop = StopRequest(None)
    stop.took("step", 1e9)
    assert stop.reason == ""


def test_whoever_started_the_ranks_asks_them_by_a_file_of_its_own(tmp_path: Path) -> None:
    private = tmp_path / ".stop-here-1"
    stop = StopRequest(tmp_path / "STOP", request=private)
    assert stop.reason == ""
    private.write_text("SIGTERM\n")
    assert stop.reason == "SIGTERM"
    private.write_text("")
    assert StopRequest(tmp_path / "STOP", request=private).reason == f"{private} exists", "it is not written yet"
