"""What the values of options look like: the types that argparse reads them by."""

import argparse
import datetime
import itertools
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path


def whole(least: int) -> Callable[[str], int]:
    """The type of an option that is a whole number of 64 bits, and at least this."""

    def checked(text: str) -> int:
        number = int(text) if re.fullmatch(r"-?[0-9]{1,19}", text) else None
        if number is None or not least <= number < 1 << 63:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {least} on")
        return number

    return checked


def number(least: float, most: float | None = None, *, or_least: bool = False) -> Callable[[str], float]:
    """The type of an option that is a finite number above `least`, or also `least` itself, and at most `most`."""

    def checked(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or not (value > least or (or_least and value == least)) or value > (most or value):
            bounds = f"{'from' if or_least else 'above'} {least:g}{'' if most is None else f' and at most {most:g}'}"
            raise argparse.ArgumentTypeError(f"{text!r} is no finite number {bounds}")
        return value

    return checked


def day(text: str) -> datetime.date:
    """The type of an option that is a day."""
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no day such as 2019-12-31") from None


def path(text: str) -> Path:
    """The type of an option that names a file or a folder, absolute."""
    return Path(text).absolute()  # of the folder in which the words were typed


def some_of(known: Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    """The type of an option that names some of what is known, commas between them; in the order of what is known."""

    def checked(text: str) -> tuple[str, ...]:
        named = text.split(",")
        if unknown := [name for name in named if name not in known]:
            raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(known)}")
        return tuple(name for name in known if name in named)

    return checked


def shard(text: str) -> tuple[int, int]:
    """The type of an option that is a share of work, as (i, n)."""
    index, slash, count = text.partition("/")
    if not (slash and index.isdigit() and count.isdigit() and int(index) < int(count)):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form I/N with I from 0 to N - 1, such as 0/64")
    return int(index), int(count)


def cutoffs(text: str) -> tuple[datetime.date, ...]:
    """The type of an option that names days, ascending, of years and months the first: 2013..2024, 2013-01..2013-12,
    or some with commas between them."""
    days = [found for part in text.split(",") for found in _span(part, text)]
    if any(day >= later for day, later in itertools.pairwise(days)):
        raise argparse.ArgumentTypeError(f"{text!r}: each cutoff is to be later than the one before")
    return tuple(days)


def _span(part: str, text: str) -> list[datetime.date]:
    """The first days of the years or months from one to another, or the day that begins a year, a month or a day."""
    refused = argparse.ArgumentTypeError(f"{text!r} is not such as 2013..2024, 2013-01..2013-12 or 2013,2015-07-01")
    begin, dots, end = part.partition("..")
    last_begin = end if dots else begin
    if len(begin) not in (4, 7, 10) or len(last_begin) != len(begin):
        raise refused
    try:
        first, last = (datetime.date.fromisoformat((each + "-01-01")[:10]) for each in (begin, last_begin))
    except ValueError:
        raise refused from None
    if not dots:
        return [first]
    if len(begin) == 10:
        raise argparse.ArgumentTypeError(f"{text!r}: days from one to another are many cutoffs: name years or months")
    if last < first:
        raise argparse.ArgumentTypeError(f"{text!r} ends before it begins")
    step = 12 if len(begin) == 4 else 1
    months = range(12 * first.year + first.month - 1, 12 * last.year + last.month, step)
    return [datetime.date(month // 12, month % 12 + 1, 1) for month in months]
