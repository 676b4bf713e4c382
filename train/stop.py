"""When a run is asked to stop: signals, a STOP file, a time limit that comes near, a budget. Loads nothing heavy."""

import signal
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from train.records.budget import Budget

END_TIME = "DOMAINLM_END_TIME"
"""Environment variable of a job's time limit, in seconds since 1970."""
REQUEST = "DOMAINLM_STOP_REQUEST"
"""Environment variable: the file by which whoever started these ranks asks them to stop, and no other ones."""
MARGIN_SECONDS = 30.0
"""What must be left of the time limit after the longest step and save, to leave in good order."""
SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT, signal.SIGHUP)


def catchable_signals() -> list[signal.Signals]:
    """The signals that ask this process to stop; not SIGHUP where whoever started it has it ignored, as nohup does."""
    return [number for number in SIGNALS if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN]


class StopRequest:
    """Remembers that this process was asked to stop: by SIGTERM, SIGUSR1, SIGHUP, the first Ctrl-C, a file, a limit.

    Signals are caught from its making on. The STOP file, the file of whoever started the ranks, the time limit and when
    the budget is spent (both in seconds since 1970) are rank 0's to watch, once it knows them.
    """

    def __init__(
        self, stop_file: Path | None = None, end_time: float | None = None, request: Path | None = None
    ) -> None:
        self.stop_file, self.end_time, self.request = stop_file, end_time, request
        self.budget: Budget | None = None
        self.spent: Budget | None = None
        """The budget, once it is why to stop."""
        self._longest: dict[str, float] = {}
        self._reason = ""
        for number in catchable_signals():
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self._reason:
            raise KeyboardInterrupt
        self._reason = signal.Signals(number).name

    def took(self, what: str, seconds: float) -> None:
        """Learn how long a step or a save may take; both must still fit before the time limit."""
        self._longest[what] = max(self._longest.get(what, 0.0), seconds)

    @property
    def reason(self) -> str:
        """Why to stop, or an empty string."""
        if self._reason:
            return self._reason
        if self.stop_file is not None and self.stop_file.exists():
            self._reason = f"{self.stop_file} exists"
        elif self.request is not None and self.request.exists():
            self._reason = self.request.read_text("utf-8").strip() or f"{self.request} exists"
        else:
            self._reason = self._limit_that_is_near()
        return self._reason

    def _limit_that_is_near(self) -> str:
        now, needed = time.time(), sum(self._longest.values())
        if self.budget is not None and self.budget.end - now < needed:
            self.spent = self.budget
            return f"the budget of {self.budget.said} is spent"
        if self.end_time is not None and self.end_time - now < needed + MARGIN_SECONDS:
            return (
                f"{self.end_time - now:.0f} s are left of the time limit, a step and its save may need "
                f"{needed + MARGIN_SECONDS:.0f}"
            )
        return ""


def stop_stamp(stop_file: Path) -> int | None:
    """What tells one STOP file from the next: its modification time in nanoseconds; None where there is none."""
    try:
        return stop_file.stat().st_mtime_ns
    except FileNotFoundError:
        return None


def discard_met_request(stop_file: Path, events: Iterable[Mapping[str, Any]]) -> None:
    """Remove a STOP file by which the run has stopped before, as its journal says.

    Any other one is a request, however old: who made it while ranks were starting must not wait in vain, and the clocks
    of machines that share a file system differ.
    """
    met = {event.get("stop_file") for event in events if event["event"] == "stop"}
    if stop_stamp(stop_file) in met - {None}:
        stop_file.unlink(missing_ok=True)
