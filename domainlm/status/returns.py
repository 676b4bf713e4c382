"""What 0.01 bits per byte cost a run at the moment: the fall of its newest evaluations against its hours."""

import math
import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from train.records.ledger import Session

NEWEST = 3
"""Evaluations of which the fall is taken."""


@dataclass(frozen=True)
class Returns:
    """What 0.01 bits per byte less of a held-out text cost, at the slope of its newest evaluations."""

    text: str
    """SOURCE/SPLIT."""
    evaluations: int
    """That the slope is of, the newest ones."""
    bits_per_device_hour: float
    """The slope: below zero while bits per byte fall."""
    device_hours: float | None
    """For 0.01; None: bits per byte have not fallen. So below."""
    money: float | None
    """None too without a price."""
    kilowatt_hours: float | None
    """None too where it is not known what a device draws."""


def returns(
    sessions: Sequence[Session],
    lines: Sequence[Mapping[str, Any]],
    domain: Collection[str],
    price: float | None = None,
    watts: float | None = None,
) -> list[Returns]:
    """By text of the domain (of all sources where none is marked); none of one that was evaluated once, or not at all.

    Hours are those of steps, evaluations and saves that count: starting and what failures have lost are left out. Where
    a source has text of both splits, that from after the cutoff is taken.

    Args:
        sessions: of the run's ledger, which say how many ranks a step had.
        lines: metrics.jsonl.
        domain: names of the domain's sources.
        price: of a device-hour.
        watts: that a device draws.
    """
    found = []
    for text, points in _points(sessions, lines, domain).items():
        newest = points[-NEWEST:]
        if len(newest) < 2 or newest[0][0] == newest[-1][0]:
            continue
        slope = statistics.linear_regression(*zip(*newest, strict=True)).slope
        hours = 0.01 / -slope if slope < 0 else None
        money = None if hours is None or price is None else hours * price
        energy = None if hours is None or watts is None else hours * watts / 1000
        found.append(Returns(text, len(newest), slope, hours, money, energy))
    return found


def _points(
    sessions: Sequence[Session], lines: Sequence[Mapping[str, Any]], domain: Collection[str]
) -> dict[str, list[tuple[float, float]]]:
    """{SOURCE/SPLIT: (device-hours spent until then, bits per byte) of each evaluation}."""
    points: dict[str, list[tuple[float, float]]] = {}
    hours = 0.0
    for line in lines:
        ranks = next((one.ranks for one in reversed(sessions) if one.step < line["step"]), None)
        if ranks is None:
            ranks = sessions[0].ranks if sessions else 0
        save = line.get("save") or {}
        hours += ranks * ((line.get("seconds") or 0.0) + (save.get("stall_seconds") or 0.0)) / 3600
        for source, splits in (line.get("evaluation") or {}).items():
            split = "future" if "future" in splits else next(iter(splits), "")
            bits = splits.get(split)
            if (not domain or source in domain) and bits is not None and math.isfinite(bits):
                points.setdefault(f"{source}/{split}", []).append((hours, bits))
    return points
