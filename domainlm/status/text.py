"""The status of a run as text for a terminal, once or again and again."""

import sys
import time
from collections.abc import Iterator

from data.progress import duration
from domainlm.status.goodput import describe as describe_ledger
from domainlm.status.read import Status, read_status, sparkline
from evaluation.gradient_noise import describe as in_full
from evaluation.pages.wording import NOTHING_HELD_OUT
from train.config import RunConfig

CLEAR = "\x1b[H\x1b[J"
OVER = ("finished", "stopped", "failed", "gone")


def describe(status: Status) -> str:
    """The status as a table for people."""
    rows = [("state", f"{status.state}: {status.why}")]
    if status.newest:
        rows += _progress(status)
    rows += _events(status)
    lines = [f"{status.name}  {status.folder}", *(f"  {name:<12} {value}" for name, value in rows)]
    if status.losses:
        first, last = status.losses[0], status.losses[-1]
        lines.append(f"  {'loss':<12} {first:.3f} {sparkline(status.losses)} {last:.3f}")
    if status.ledger.sessions:
        sessions = len(status.ledger.sessions)
        title = f"goodput {status.ledger.goodput:.1%} of {duration(status.ledger.wall_seconds)} in {sessions} session"
        waited = f", {duration(status.ledger.between_seconds)} between them" if sessions > 1 else ""
        lines += ["", f"{title}{'s' if sessions > 1 else ''}{waited}; device-hours by cause"]
        lines += describe_ledger(status.ledger, status.currency)
    return "\n".join(lines)


def _progress(status: Status) -> list[tuple[str, str]]:
    line, left = status.newest, status.seconds_left
    done = status.step / status.steps
    bar = "█" * round(30 * done) + "░" * (30 - round(30 * done))
    rows = [
        ("step", f"{status.step:,}/{status.steps:,}  {bar} {done:.1%}" + (f"  {duration(left)} left" if left else "")),
        (
            "newest step",
            f"loss {_number(line['loss'], '.4f')}  rate {line['learning_rate']:.2e}  "
            f"gradient {_number(line['gradient_norm'], '.3f')}",
        ),
        (
            "speed",
            f"{status.tokens_per_second:,.0f} tokens/s  {'' if status.mfu is None else f'MFU {status.mfu:.1%}  '}"
            f"waiting for data {status.data_wait_share:.1%}",
        ),
    ]
    own = f"{status.batch:,} rows, {status.batch * status.sequence_length:,} tokens"
    rows.append(("batch", f"{own}; critical {in_full(status.critical_batch, status.sequence_length)}"))
    if status.stragglers:
        slow = ", ".join(f"rank {rank} ({slowness:.2f} ×)" for rank, slowness in status.stragglers.items())
        rows.append(("stragglers", slow))
    return rows


def _events(status: Status) -> list[tuple[str, str]]:
    rows = []
    if status.silent_seconds is not None and status.state not in OVER:
        rows.append(("last sign", f"{duration(status.silent_seconds)} ago"))
    if status.saved:
        rows.append(("last save", f"step {status.saved[-1]:,} ({len(status.saved)} kept)"))
    rows += [("set aside", damaged) for damaged in status.damaged]
    rows += [("WARNING", other) for other in status.others]
    if status.evaluation:
        bits = status.evaluation["evaluation"].items()
        figures = "  ".join(f"{source}/{split} {x:.3f}" for source, splits in bits for split, x in splits.items())
        shown = f"bits per byte: {figures}" if figures else NOTHING_HELD_OUT
        rows.append(("evaluated", f"step {status.evaluation['step']:,}, {shown}"))
        rows += _returns(status)
    if status.skipped:
        rows.append(("spikes", f"{len(status.skipped)}; {status.skipped[-1]}"))
    return rows


def _returns(status: Status) -> list[tuple[str, str]]:
    """What 0.01 bits per byte less cost now, a line for each text."""
    if not status.returns and status.evaluation and any(status.evaluation["evaluation"].values()):
        return [("0.01 less", "what they cost is not known yet: it takes two evaluations")]
    rows = []
    for one in status.returns:
        costs = [f"{one.device_hours:.3g} device-hours"] if one.device_hours else []
        costs += (
            [f"{status.currency} {format(one.money, ',.2f' if one.money >= 1 else '.3g')}"]
            if one.money is not None
            else []
        )
        costs += [f"{one.kilowatt_hours:.3g} kWh"] if one.kilowatt_hours is not None else []
        spent = ", ".join(costs) or "not to be had, bits per byte do not fall"
        rows.append(("0.01 less", f"{one.text}: {spent} (last {one.evaluations} evaluations)"))
    return rows


def _number(value: float | None, form: str) -> str:
    return "not finite" if value is None else format(value, form)


def follow(config: RunConfig, seconds: float) -> Iterator[Status]:
    """Show the status every so many seconds until the run is over; a terminal's screen is used again each time."""
    while True:
        status = read_status(config)
        print((CLEAR if sys.stdout.isatty() else "") + describe(status), flush=True)
        yield status
        if status.state in OVER:
            return
        time.sleep(seconds)
