"""Where a run's time and money went: a ledger by cause, from what its journal and metrics.jsonl say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any, Literal, get_args

from train.records.journal import REFUSED, SET_ASIDE

Cause = Literal["training", "repeated", "evaluation", "saving", "starting", "other"]
CAUSES: tuple[Cause, ...] = get_args(Cause)

STARTS, ENDS = ("start", "resume"), ("stop", "done", "failure")


@dataclass(frozen=True)
class Session:
    """One process of the run, or its part between two rewinds."""

    step: int
    """That it began after."""
    ranks: int
    begin: float
    """Seconds since 1970, like `end`."""
    end: float
    seconds: dict[Cause, float]


@dataclass(frozen=True)
class Ledger:
    """A run's time by cause."""

    sessions: list[Session]
    between_seconds: float
    """Between sessions: queueing, or nobody had started it again. Nothing was occupied then, as far as is known."""
    price_per_device_hour: float | None
    watts_per_device: float | None = None

    @property
    def wall_seconds(self) -> float:
        """All sessions together."""
        return sum(session.end - session.begin for session in self.sessions)

    @property
    def goodput(self) -> float:
        """Share of the sessions' time in which steps were trained that count."""
        trained = sum(session.seconds["training"] for session in self.sessions)
        return trained / self.wall_seconds if self.wall_seconds else 0.0

    @property
    def device_hours(self) -> dict[Cause, float]:
        """Hours of all devices together."""
        return {
            cause: sum(session.seconds[cause] * session.ranks for session in self.sessions) / 3600 for cause in CAUSES
        }

    @property
    def money(self) -> dict[Cause, float] | None:
        """The same in money; None without a price."""
        price = self.price_per_device_hour
        return None if price is None else {cause: hours * price for cause, hours in self.device_hours.items()}

    @property
    def kilowatt_hours(self) -> dict[Cause, float] | None:
        """The same in energy; None where it is not known what a device draws."""
        watts = self.watts_per_device
        return None if watts is None else {cause: hours * watts / 1000 for cause, hours in self.device_hours.items()}


def account(
    events: Sequence[Mapping[str, Any]],
    lines: Sequence[Mapping[str, Any]],
    *,
    last_sign_of_life: float,
    price_per_device_hour: float | None = None,
    watts_per_device: float | None = None,
) -> Ledger:
    """Divide a run's time by cause.

    Args:
        events: the journal.
        lines: metrics.jsonl.
        last_sign_of_life: when the newest process was known to be alive last, in seconds since 1970: now, while it is;
            otherwise when it wrote last. Counts where the journal does not say how that process ended.
    """
    # These say nothing of a session's end: they may come days later, from a start that ended in them.
    events = [event for event in events if event["event"] not in (SET_ASIDE, REFUSED)]
    places = [place for place, event in enumerate(events) if event["event"] in STARTS]
    sessions: list[Session] = []
    for place, following in pairwise([*places, len(events)]):
        after = events[following] if following < len(events) else None
        previous_end = sessions[-1].end if sessions else 0.0
        sessions.append(_session(events[place:following], after, lines, previous_end, last_sign_of_life))
    between = sum(max(0.0, later.begin - earlier.end) for earlier, later in pairwise(sessions))
    return Ledger(sessions, between, price_per_device_hour, watts_per_device)


def _session(
    events: Sequence[Mapping[str, Any]],
    after: Mapping[str, Any] | None,
    lines: Sequence[Mapping[str, Any]],
    previous_end: float,
    last_sign_of_life: float,
) -> Session:
    first = events[0]
    started = at(first)
    # A rewind opens the records anew within the same process: its second part begins where the first one ended.
    begin = max(first.get("began") or started, previous_end)
    end = _end(events, after, last_sign_of_life)
    last_step = after["step"] if after else float("inf")
    own = [line for line in lines if first["step"] < line["step"] <= last_step]
    seconds: dict[Cause, float] = dict.fromkeys(CAUSES, 0.0)
    seconds["training"] = sum(line.get("seconds") or 0.0 for line in own if "loss" in line)
    seconds["evaluation"] = sum(line.get("seconds") or 0.0 for line in own if "evaluation" in line)
    saves = [event for event in events if event["event"] == "save"]
    seconds["saving"] = sum(event.get("stall_seconds", event.get("seconds")) or 0.0 for event in saves)
    seconds["repeated"] = (after.get("seconds_repeated") or 0.0) if after else 0.0
    seconds["starting"] = max(0.0, started - begin)
    end = max(end, begin + sum(seconds.values()))
    seconds["other"] = end - begin - sum(seconds.values())
    return Session(first["step"], int(first["ranks"]), begin, end, seconds)


def _end(events: Sequence[Mapping[str, Any]], after: Mapping[str, Any] | None, last_sign_of_life: float) -> float:
    """When a session ended: as it says itself, or else when it was known to be alive last."""
    if events[-1]["event"] in ENDS:
        return at(events[-1])
    alive = last_sign_of_life if after is None else after.get("last_written") or 0.0
    return max(alive, at(events[-1]))


def at(event: Mapping[str, Any]) -> float:
    """When an event was written, in seconds since 1970."""
    return datetime.strptime(event["time"], "%Y-%m-%dT%H:%M:%S%z").timestamp()
