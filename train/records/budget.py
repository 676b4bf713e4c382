"""What a run may spend, what its files say that it has spent, and whether it may go on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from train.config import RunConfig
from train.config_file import ConfigError
from train.hardware import HardwareConfig
from train.records.journal import STOPPED_BY_BUDGET, read_journal
from train.records.ledger import account
from train.records.metrics import last_written, read_metrics


@dataclass(frozen=True)
class Budget:
    """A run's budget, as it stands when a process goes on with the run."""

    device_hours: float
    """Of all devices together, over all sessions of the run."""
    said: str
    """As people have set it."""
    end: float
    """When it will be spent, in seconds since 1970."""


def open_budget(config: RunConfig, ranks: int, began: float) -> Budget | None:
    """The run's budget for a process of so many ranks that began then, in seconds since 1970; None without one.

    Raises:
        ConfigError: it is spent.
    """
    left = check_budget(config)
    if left is None:
        return None
    device_hours, said, spent = left
    return Budget(device_hours, said, began + 3600 * (device_hours - spent) / ranks)


def check_budget(config: RunConfig) -> tuple[float, str, float] | None:
    """The budget in device-hours, as people have set it, and the device-hours that are spent; None without one.

    Raises:
        ConfigError: it is spent, or the run was stopped by one that was no smaller.
    """
    allowed = limit(config.hardware) if config.hardware else None
    if allowed is None:
        return None
    events = read_journal(config.run_folder)
    spent, (device_hours, said) = spent_device_hours(config, events), allowed
    stopped_at = max((event[STOPPED_BY_BUDGET] for event in events if STOPPED_BY_BUDGET in event), default=0.0)
    if max(spent, stopped_at) >= device_hours:
        raise ConfigError(
            f"the budget of {said} is spent: {config.run_folder} has taken {spent:,.4g} of {device_hours:,.4g} "
            f"device-hours{'' if spent >= device_hours else ', and the rest is too little for a step and its save'}. "
            "Raise hardware.budget to go on, or take the newest checkpoint as it is (`domainlm evaluate`, "
            "`domainlm export`)"
        )
    return device_hours, said, spent


def limit(hardware: HardwareConfig) -> tuple[float, str] | None:
    """The limit of a budget that is reached first, in device-hours and as people have set it; None without one."""
    given = hardware.budget
    if given is None:
        return None
    limits = []
    if given.money and hardware.price_per_gpu_hour:
        limits.append((given.money / hardware.price_per_gpu_hour, f"{hardware.currency} {given.money:,.10g}"))
    if given.kilowatt_hours and hardware.watts_per_gpu:
        limits.append((1000 * given.kilowatt_hours / hardware.watts_per_gpu, f"{given.kilowatt_hours:,.10g} kWh"))
    if given.gpu_hours:
        limits.append((given.gpu_hours, f"{given.gpu_hours:,.10g} GPU-hours"))
    return min(limits)


def spent_device_hours(config: RunConfig, events: Sequence[Mapping[str, Any]]) -> float:
    """Of all sessions. One that could not say that it ended has ended with its last line of metrics.jsonl."""
    lines = read_metrics(config.metrics)
    alive = last_written(config.metrics, lines) or 0.0
    return sum(account(events, lines, last_sign_of_life=alive).device_hours.values())
