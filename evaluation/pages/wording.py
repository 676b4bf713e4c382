"""Numbers as people read them: short, in words, as sizes of text, as shares."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

NOTHING_HELD_OUT = "no bits per byte: no documents are held out (data.past_fraction, data.cutoff)"


def short_number(value: float) -> str:
    """Three digits and a unit: 999, 1.23 K, 45.6 M, 789 B, 1.00 T."""
    return _in_units(value, {"T": 1e12, "B": 1e9, "M": 1e6, "K": 1e3}) or f"{value:,.0f}"


def axis_number(value: float) -> str:
    """A short number without the zeros that say nothing beside a tick: 50 K, 2.5 M."""
    number, _, unit = short_number(value).partition(" ")
    return f"{float(number.replace(',', '')):g} {unit}".rstrip()


def number_in_words(value: int) -> str:
    """All digits of what is below a million, else three and a word: 999,999, 1.23 million, 789 trillion."""
    return _in_units(value, {"trillion": 10**12, "billion": 10**9, "million": 10**6}) or f"{value:,}"


def text_size(size: int) -> str:
    """Bytes of text in decimal units: 812 bytes, 1.23 kB, 45.6 MB, 789 GB, 1.00 TB."""
    return _in_units(size, {"TB": 1e12, "GB": 1e9, "MB": 1e6, "kB": 1e3}) or f"{size} bytes"


def share(part: float, whole: float) -> str:
    """In per cent; what is not nothing never looks like it, nor what is not all like all."""
    if not whole:
        return "–"
    if 0 < part < 0.0005 * whole:
        return "<0.1%"
    if 0.9995 * whole <= part < whole:
        return ">99.9%"
    return f"{part / whole:.1%}"


def median_mfu(steps: Sequence[Mapping[str, Any]]) -> float | None:
    """Of lines of metrics.jsonl; None where no data sheet says what the devices can reach.

    Lines of earlier versions have a share of what was measured when the run began, which on a busy machine was less
    than the run itself reached.
    """
    shares = [line["mfu"] for line in steps if line.get("mfu") is not None]
    return statistics.median(shares) if shares and max(shares) <= 1 else None


def _in_units(value: float, units: Mapping[str, float]) -> str:
    """Three digits and the first unit that is not larger; nothing when all are."""
    for unit, size in units.items():
        if value >= size:
            count = value / size
            return f"{count:.{2 if count < 10 else 1 if count < 100 else 0}f} {unit}"
    return ""


def base_model(config: Mapping[str, Any]) -> str | None:
    """The name of the model that the run began from, without the place where it lies; None where there was none.

    A folder of the hub's cache (models--OWNER--NAME/snapshots/COMMIT) has its name on the hub in it.
    """
    parts = [part for part in str(config.get("init_from") or "").split("/") if part]
    cached = [part.removeprefix("models--").replace("--", "/") for part in parts if part.startswith("models--")]
    return (cached or parts)[-1] if parts else None
