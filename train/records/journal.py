"""journal.jsonl: every event of a run, a JSON line each, appended by one writer and never changed.

Besides documents, configuration and seed it is all that decides what a run computes: the steps that it says were
skipped are skipped again whenever they come.
"""

import json
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from data.addresses import without_secrets
from data.errors import DataError
from data.files import append

NAME = "journal.jsonl"
OFFSET = "offset"
"""Of an event: the bytes before it in the file. Those of older versions have none."""
SET_ASIDE, REFUSED = "checkpoint set aside", "refused"
"""Events of a start, which may come to nothing: no session of training need follow."""
LOST = "journal lost"
"""What people write into a new journal to say that the lost one had no skip; see train/checkpoints/compatibility.py."""
BRANCH, START, RESUME, SAVING = "branch", "start", "resume", "saving"
"""Events with the digest of a checkpoint: that with which the run began or went on, and one that is about to be there.

Those of older versions lack it, but for `branch`.
"""
STOPPED_BY_BUDGET = "budget_device_hours"
"""Of a stop: the budget that was spent."""
NEEDED = {"save": {"step"}, SAVING: {"step"}, "skip": {"first", "last"}, "spike": {"step"}, "stop": {"step"}}
"""What a start reads of events, by their names."""


class Journal:
    """The one writer of a run's journal (rank 0); a context manager that records a failure and closes the file."""

    def __init__(self, run_folder: Path) -> None:
        """Opens the journal for appending, after cutting off a last line that an interrupted write left unfinished."""
        self._file = file = run_folder / NAME
        if file.exists():
            content = file.read_bytes()
            os.truncate(file, content.rfind(b"\n") + 1)
        self._descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            if kind is not None:
                self.event("failure", error=f"{kind.__name__}: {error}")
        except OSError as unwritten:  # such as a full disk, which may be the failure itself: that is to be raised
            assert error is not None
            error.add_note(f"the journal could not take it: {unwritten}")
        finally:
            os.close(self._descriptor)
            self._descriptor = -1  # a save's thread that comes later must not meet another file under the number

    def event(self, name: str, **facts: Any) -> None:
        """Add one event, which is on disk when this returns. What is not finite is written as null, no secret at all.

        It notes how many bytes lie before it, by which a reader finds lines that were taken out.

        Raises:
            OSError: the disk is full or failing.
        """
        before = os.fstat(self._descriptor).st_size
        record = {"event": name, "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), **facts, OFFSET: before}
        # JSON has no NaN: reading it back as None leaves what every reader takes.
        finite = json.dumps(json.loads(json.dumps(record), parse_constant=lambda _: None))
        append(self._descriptor, without_secrets(finite).encode() + b"\n", self._file)
        os.fsync(self._descriptor)


def read_journal(run_folder: Path) -> list[dict[str, Any]]:
    """The events of a run in order, without a last line that an interrupted write cut short; none before it began.

    Raises:
        DataError: the journal is damaged elsewhere, or lines of it are missing.
    """
    file = run_folder / NAME
    if not file.exists():
        return []
    events: list[dict[str, Any]] = []
    before = 0
    for number, line in enumerate(file.read_bytes().split(b"\n")[:-1], start=1):
        try:
            event = json.loads(line)
            if not event.keys() >= NEEDED.get(event["event"], set()):
                raise KeyError
        except (ValueError, TypeError, KeyError, AttributeError):
            raise DataError(
                f"{file}: line {number} is not an event; the run cannot be repeated without it: restore the file"
            ) from None
        if event.get(OFFSET, before) != before:
            raise DataError(
                f"{file}: before line {number} lines are missing or changed; the run cannot be repeated without them: "
                "restore the file, or move it away, and the next start says what to do without it"
            )
        before += len(line) + 1
        events.append(event)
    return events


def how_to_go_on(stop: Mapping[str, Any]) -> str:
    """What is to be done after a stop, which the journal has as this event."""
    if STOPPED_BY_BUDGET in stop:
        return "with a larger hardware.budget the same command goes on from there"
    return "the same command goes on from there"


def may_be_own(events: Iterable[Mapping[str, Any]], step: int, digest: str) -> bool:
    """Whether a run with this journal may have saved the checkpoint of this step and digest, or gone on from it.

    True too where that cannot be known: there is no journal, or an older version wrote the save.
    """
    sessions, digests, saved, noted = [], set(), set(), set()
    for event in events:
        if event["event"] in (BRANCH, START, RESUME):
            sessions.append(event)
        if event["event"] == "save":
            saved.add(event["step"])
        if found := event.get("digest"):
            digests.add(found)
            noted.add(event.get("step"))
    if not sessions or "digest" not in sessions[-1]:
        return True
    return digest in digests or step in saved - noted


def losses_at_saves(events: Iterable[Mapping[str, Any]]) -> dict[int, float]:
    """{step: loss in nats} that the run's metrics had when it saved; nothing of steps that were run again since."""
    found: dict[int, float] = {}
    for event in events:
        if event["event"] in (START, RESUME):
            found = {step: loss for step, loss in found.items() if step <= event.get("step", 0)}
        elif event["event"] in (SAVING, BRANCH) and event.get("loss") is not None:
            found[event["step"]] = event["loss"]
    return found
