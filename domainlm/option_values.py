"""What the values of options look like: the types that argparse reads them by."""

import argparse
import datetime
import math
import re
from collections.abc import Callable
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


def shard(text: str) -> tuple[int, int]:
    """The type of an option that is a share of work, as (i, n)."""
    index, slash, count = text.partition("/")
    if not (slash and index.isdigit() and count.isdigit() and int(index) < int(count)):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form I/N with I from 0 to N - 1, such as 0/64")
    return int(index), int(count)
