"""When a run is asked to stop: signals, a STOP file, or a time limit that comes near. Loads nothing heavy."""

import signal
import time
from pathlib import Path
from types import FrameType

import psutil

END_TIME = "DOMAINLM_END_TIME"
"""Environment variable of a job's time limit, in seconds since 1970."""
MARGIN_SECONDS = 30.0
"""What must be left of the time limit after the longest step and save, to leave in good order."""
SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


class StopRequest:
    """Remembers that this process was asked to stop: SIGTERM, SIGUSR1, the first Ctrl-C, a STOP file, a time limit.

    Signals are caught from its making on. A STOP file older than this process was meant for an earlier one, and is
    removed.
    """

    def __init__(self, stop_file: Path | None, end_time: float | None = None) -> None:
        """`stop_file` and `end_time` (seconds since 1970) are rank 0's to watch."""
        if stop_file and stop_file.exists() and stop_file.stat().st_mtime < psutil.Process().create_time():
            stop_file.unlink()
        self._stop_file, self._end_time = stop_file, end_time
        self._longest: dict[str, float] = {}
        self._reason = ""
        for number in SIGNALS:
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
        if self._stop_file is not None and self._stop_file.exists():
            self._reason = f"{self._stop_file} exists"
        elif self._end_time is not None:
            left, needed = self._end_time - time.time(), sum(self._longest.values()) + MARGIN_SECONDS
            if left < needed:
                self._reason = f"{left:.0f} s are left of the time limit, a step and its save may need {needed:.0f}"
        return self._reason
