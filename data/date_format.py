"""Date formats, in the letters of strptime: which days they name, and what a text that fills one looks like."""

import datetime
import functools
import re

from data.interval import Interval
from data.written_dates import DAY, HOUR, INSTANT, in_utc, of_month, of_year

# Digits of the directives that are numbers (Python's table of them); a fraction may be shorter.
WIDTHS = dict.fromkeys("dmyHIMSUWV", "2") | {"Y": "4", "G": "4", "j": "3", "w": "1", "u": "1", "f": "1,6"}
KNOWN = {*WIDTHS, *"aAbBpz%"}
WEEKDAYS = set("uwaA")
WITHIN_A_DAY = set("HIMSfpz")
# Behind a time: an offset, two capitals or more that name another zone than UTC, or a zone's place.
FIXED_ZONE = re.compile(
    r"%[HISMf][^\w%]*(?:%p[^\w%]*)?([+-]\d\d?(?::?\d\d)?(?!\d)"
    r"|(?!(?:UTC|GMT|UT)\b(?![+-]\d))[A-Z]{2,5}\b(?:[+-]\d+)?(?!/)|[A-Z][A-Za-z_]+/[A-Z][\w/+-]+)"
)
SAMPLE = datetime.datetime(2001, 2, 3, 4, 5, 6, 789_000, datetime.UTC)


def check_date_format(written: str) -> None:
    """Raise ValueError, which says what to write, where a format is not of a day, month or year everywhere."""
    letters = re.findall("%(.?)", written)
    if "Z" in letters:
        raise ValueError(
            f"'{written}' has %Z, the name of a time zone, which not every machine knows: write %z, or UTC as it is"
        )
    if {"c", "x", "X"} & {*letters}:
        raise ValueError(f"'{written}' has %c, %x or %X, which are the machine's own: write out what stands there")
    if unknown := next((letter for letter in letters if letter not in KNOWN), None):
        raise ValueError(f"'{written}' has %{unknown}, which is no letter of strptime: write such as %Y-%m-%d")
    if ("I" in letters) != ("p" in letters):
        raise ValueError(f"'{written}' has one of %I and %p, which together are the hour: write both, or %H alone")
    if "z" not in letters and (zone := FIXED_ZONE.search(written)):
        raise ValueError(
            f"'{written}' has {zone[1]} as a part of each date, but not as its zone: write %z for an offset, or leave "
            "times out"
        )
    if missing := _missing({*letters}):
        raise ValueError(f"'{written}' has no {missing}, so it names no day: add it, or leave date_format out")
    try:
        read = read_format(SAMPLE.strftime(written), written)
    except (ValueError, re.error) as error:
        raise ValueError(f"'{written}' cannot be read back: {error}") from None
    if read.first is None or not read.first <= SAMPLE.date() <= read.last:
        raise ValueError(f"'{written}' turns {SAMPLE.date()} into {read}: write such as %Y-%m-%d")


def read_format(text: str, written: str) -> Interval:
    """All days that a text of a checked format may mean.

    Raises:
        ValueError, OverflowError: it is not of the format, or lacks digits.
    """
    time = datetime.datetime.strptime(text, written)
    if not full_width(written).fullmatch(text):
        raise ValueError("digits are missing")
    match _shortest(written):
        case "year":
            return of_year(time.year)
        case "month":
            return of_month(time.year, time.month)
        case "day":
            return in_utc(time, DAY)
        case "hour":
            return in_utc(time, HOUR)
        case _:
            return in_utc(time, INSTANT)


@functools.cache
def _shortest(written: str) -> str:
    """What of a time a format names last."""
    letters = set(re.findall("%(.)", written))
    if letters & set("MSf"):
        return "minute"
    if letters & set("HI"):
        return "hour"
    if letters & (WEEKDAYS | set("djUWV")):
        return "day"
    return "month" if letters & set("mbB") else "year"


def _missing(letters: set[str]) -> str | None:
    """What of a day the letters do not say, and how it is written."""
    weekday = None if letters & WEEKDAYS else "day of the week (%u, %w, %a or %A)"
    if "G" in letters:
        return weekday if "V" in letters else "week (%V)"
    if not letters & set("Yy"):
        return "year (%Y)"
    if "j" in letters:
        return None
    if letters & set("UW"):
        return weekday
    month, day = letters & set("mbB"), "d" in letters
    if day:
        return None if month else "month (%m, %b or %B)"
    if letters & (WITHIN_A_DAY | WEEKDAYS):
        return "day of the month (%d)" if month else "month and day (%m and %d)"
    return None


@functools.cache
def full_width(written: str) -> re.Pattern[str]:
    """What a text of this format matches in which numbers that nothing separates have all their digits.

    strptime would read 201912 as January the 2nd by %Y%m%d.
    """
    pattern = ""
    for piece in re.findall(rf"(?:%[{''.join(WIDTHS)}])+|%.|\s+|[^%\s]+", written):
        letters = piece[1::2]
        if piece.isspace():
            pattern += r"\s+"
        elif piece[0] != "%" or piece == "%%":
            pattern += re.escape(piece[-1] if piece == "%%" else piece)
        elif letters[0] not in WIDTHS:
            pattern += r"(?:Z|[+-][\d:.]+)" if letters == "z" else "[A-Za-z]+"
        else:
            pattern += "".join(f"[0-9]{{{WIDTHS[letter]}}}" for letter in letters) if len(letters) > 1 else r" ?\d+"
    return re.compile(pattern, re.IGNORECASE)
