"""How a run is doing, from its folder alone: for `domainlm status`, on any machine that sees the files."""

import math
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from data.progress import duration
from domainlm.status.returns import Returns, returns
from evaluation.gradient_noise import CriticalBatch, critical_batch
from evaluation.pages.wording import median_mfu
from train.checkpoints.folders import (
    CheckpointError,
    DamagedError,
    damaged_folders,
    lost_end,
    read_checkpoint,
    saved_steps,
    step_folder,
)
from train.checkpoints.identity import check_metrics
from train.checkpoints.lock import is_locked
from train.config import RunConfig
from train.hardware import board_watts
from train.records.journal import REFUSED, SET_ASIDE, how_to_go_on, read_journal
from train.records.ledger import STARTS, Ledger, account, at
from train.records.metrics import last_written, read_metrics
from train.schedule import batch_size, consumed_samples

RECENT_STEPS = 50
SPARKS = "▁▂▃▄▅▆▇█"
SPARKLINE_WIDTH = 60

State = Literal["not started", "running", "hung?", "stopped", "failed", "finished", "gone"]
"""gone: it ended without a word, as by kill -9."""


@dataclass(frozen=True)
class Status:
    """A run at one moment."""

    name: str
    folder: str
    state: State
    why: str
    """Of the state."""
    step: int
    steps: int
    newest: dict[str, Any]
    """The newest step's line of metrics.jsonl."""
    tokens_per_second: float
    """Median of the newest steps, like `mfu` and `data_wait_share`."""
    mfu: float | None
    """None: no data sheet says what the devices can reach."""
    data_wait_share: float
    seconds_left: float | None
    """Of training alone, at this speed; divided by goodput it would be what the calendar says."""
    silent_seconds: float | None
    """Since the run wrote last."""
    saved: list[int]
    damaged: list[str]
    """Checkpoints that were set aside and still lie there, each with its reason."""
    others: list[str]
    """What is to be said of checkpoints and metrics that are not this run's, or not all of it."""
    evaluation: dict[str, Any] | None
    """The newest evaluation's line of metrics.jsonl."""
    skipped: list[str]
    """What the journal says of spikes and skipped steps."""
    stragglers: dict[str, float]
    losses: list[float]
    """Of all steps, thinned out for a sparkline."""
    ledger: Ledger
    currency: str
    returns: list[Returns]
    """What 0.01 bits per byte of the domain cost now; empty before there are two evaluations."""
    batch: int
    """Rows of the newest step's batch."""
    sequence_length: int
    """Tokens of a row."""
    critical_batch: CriticalBatch


def read_status(config: RunConfig, now: float | None = None) -> Status:
    """Read the run's files; nothing is locked or changed.

    Raises:
        DataError: the journal is damaged.
    """
    now = time.time() if now is None else now
    folder = config.run_folder
    events, written = read_journal(folder), read_metrics(config.metrics)
    lines, others = _own_lines(config, written)
    steps = [line for line in lines if "loss" in line]
    recent = steps[-RECENT_STEPS:]
    step = steps[-1]["step"] if steps else 0
    silent = _silent_seconds(last_written(config.metrics, written), events, now)
    state, why = _state(config, events, recent, silent, now)
    speed = statistics.median(line["tokens_per_second"] for line in recent) if recent else 0.0
    left = (consumed_samples(config.training, config.training.steps) - consumed_samples(config.training, step)) * (
        config.model.sequence_length
    )
    price, watts = _rates(config, events)
    domain = [source.name for source in config.data.sources if source.domain]
    alive = now if state in ("running", "hung?") else now - (silent or 0.0)
    ledger = account(events, lines, last_sign_of_life=alive, price_per_device_hour=price, watts_per_device=watts)
    return Status(
        name=config.name,
        folder=str(folder),
        state=state,
        why=why,
        step=step,
        steps=config.training.steps,
        newest=steps[-1] if steps else {},
        tokens_per_second=speed,
        mfu=median_mfu(recent),
        data_wait_share=_share(recent, "data_wait"),
        seconds_left=left / speed if speed else None,
        silent_seconds=silent,
        saved=saved_steps(config.checkpoints),
        damaged=_damaged(config.checkpoints, events),
        others=[*others, *_other_checkpoints(config)],
        evaluation=next((line for line in reversed(lines) if "evaluation" in line), None),
        skipped=[_skip(event) for event in events if event["event"] == "skip"],
        stragglers=next((event["slowness"] for event in reversed(events) if event["event"] == "stragglers"), {}),
        losses=thin_out([line["loss"] for line in steps if line["loss"] is not None], SPARKLINE_WIDTH),
        ledger=ledger,
        currency=config.hardware.currency if config.hardware else "$",
        returns=returns(ledger.sessions, lines, domain, price, watts),
        batch=batch_size(config.training, max(1, step)),
        sequence_length=config.model.sequence_length,
        critical_batch=critical_batch(steps),
    )


def _rates(config: RunConfig, events: Sequence[dict[str, Any]]) -> tuple[float | None, float | None]:
    """What a device costs an hour and the watts it draws, each None where it is not known.

    Power is taken as given, or else by the data sheet of the devices that the run was trained on last.
    """
    hardware = config.hardware
    device = next((event.get("device") for event in reversed(events) if event["event"] in STARTS), None)
    given = hardware.watts_per_gpu if hardware else None
    return hardware.price_per_gpu_hour if hardware else None, given or board_watts(device or "")


def _own_lines(config: RunConfig, lines: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[str]]:
    """The lines of metrics.jsonl, none where they are of another run, and what is to be said of them."""
    try:
        lacking = check_metrics(config, lines)
    except CheckpointError as error:
        return [], [str(error)]
    return lines, [lacking] if lacking else []


def _other_checkpoints(config: RunConfig) -> Iterator[str]:
    for step in saved_steps(config.checkpoints):
        try:
            read_checkpoint(step_folder(config.checkpoints, step))
        except DamagedError:
            continue  # the next start sets it aside
        except CheckpointError as error:
            yield str(error)


def _silent_seconds(written: float | None, events: Sequence[Mapping[str, Any]], now: float) -> float | None:
    """Since the newest record of the run, whosever the metrics are that were `written` then; None before the first."""
    known = [at(event) for event in events[-1:] if "time" in event] + ([] if written is None else [written])
    return max(0.0, now - max(known)) if known else None


def _state(
    config: RunConfig,
    events: Sequence[dict[str, Any]],
    recent: Sequence[dict[str, Any]],
    silent: float | None,
    now: float,
) -> tuple[State, str]:
    if not events or silent is None:
        return "not started", f"{config.run_folder} has no journal"
    last, locked = events[-1], is_locked(config.run_folder)
    begun = next((event for event in reversed(events) if event["event"] in STARTS), None)
    if last["event"] == "done":
        if lost := lost_end(config):
            return "failed", lost
        return "finished", f"at step {last['step']}"
    if last["event"] == "stop":
        return "stopped", f"after step {last['step']}: {last['reason']}; {how_to_go_on(last)}"
    if last["event"] in ("failure", REFUSED):
        return "failed", str(last["error"])
    if begun is None:
        return ("running", "it is starting") if locked else ("not started", "no process has trained here yet")
    if not locked and silent > 60:
        return "gone", "no process holds the run's lock, and it did not say why it ended: see the job's log"
    usual = statistics.median(line["seconds"] for line in recent) if recent else 60.0
    patience = max(120.0, 20 * usual)
    if silent > patience:
        return "hung?", f"nothing was written for {duration(silent)}, a step usually takes {usual:.3g} s"
    return "running", f"for {duration(now - at(begun))}"


def _damaged(checkpoints: Path, events: Sequence[dict[str, Any]]) -> list[str]:
    reasons = {event["folder"]: event["reason"] for event in events if event["event"] == SET_ASIDE}
    names = [folder.name for folder in damaged_folders(checkpoints)]
    return [f"{name}: {reasons.get(name, 'the journal does not say why')}" for name in names]


def _share(lines: Sequence[dict[str, Any]], name: str) -> float:
    whole = sum(line["seconds"] for line in lines)
    return sum(line.get(name, 0.0) for line in lines) / whole if whole else 0.0


def _skip(event: dict[str, Any]) -> str:
    return f"steps {event['first']} to {event['last']} passed over: {event['reason']}"


def thin_out(values: Sequence[float], width: int) -> list[float]:
    """At most `width` values: the means of as many stretches of equal length."""
    if len(values) <= width:
        return list(values)
    ends = [round(part * len(values) / width) for part in range(width + 1)]
    return [statistics.fmean(values[begin:end]) for begin, end in pairwise(ends)]


def sparkline(values: Sequence[float]) -> str:
    """The values as blocks of eight heights."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return ""
    low, height = min(finite), max(finite) - min(finite)
    places = [round(7 * (value - low) / height) if height and math.isfinite(value) else 0 for value in values]
    return "".join(SPARKS[place] for place in places)
