"""Dates as publishers write them, each as the days that it may mean: ISO 8601, and English months, seasons, quarters.

A date of one day is that day; a month, a year, "Spring 2020", "2018 Jul-Aug", "1998 Dec-1999 Jan", "2018 Jul 1-15" or
"2019-01-01/2019-12-31" all days of it; a time with a zone the day in UTC, or both days where it may be of two.
"""

import calendar
import datetime
import functools
import re
from typing import NamedTuple, Self

from data.interval import Interval

MONTHS = {name.lower(): number for number, name in enumerate(calendar.month_name) if name}
MONTHS |= {name[:3]: number for name, number in MONTHS.items()} | {"sept": 9}
# Spring and autumn lie in the year that is named, in the north as in the south. Winter in the north and summer in the
# south go over its end, and publishers name either year: from the December before to the March after.
SEASONS = {"spring": False, "fall": False, "autumn": False, "summer": True, "winter": True}
YEAR = re.compile(r"\d{4}")
MONTH = re.compile(r"(\d{4})-(\d\d)")
WEEK = re.compile(r"(\d{4})-?W(\d\d)(?!-?\d)")
# Python would take any character between day and time, so that an interval were a time. Behind a space stands a colon.
DAY_AND_TIME = re.compile(r"[0-9W-]{7,10}(?:[Tt].+| [0-9]{2}:.+)?")
DAY_IN_A_ZONE = re.compile(r"(\d{4}-\d\d-\d\d)(Z|[+-]\d\d:\d\d)")  # XML Schema's xs:date
HOUR_IN_A_ZONE = re.compile(r"[^Tt]+[Tt]\d\d(?:[Zz]|[+-][\d:]+)")
HOUR, DAY = datetime.timedelta(hours=1), datetime.timedelta(days=1)
INSTANT = datetime.timedelta(seconds=1)
UNIT = rf"""(?P<month>{"|".join(sorted(MONTHS, key=len, reverse=True))})\b\.?|(?P<season>{"|".join(SEASONS)})\b
    |Q(?P<quarter>[1-4])(?!\w)|(?P<nth>[1-4])(?:st|nd|rd|th|d)\ (?:quarter|quart|qtr)\b\.?"""
PIECE = re.compile(
    rf"\s*(?:(?P<range>[-–—/]|to\b)|(?P<comma>,)|(?<!\d)(?P<year>\d{{4}})(?!\d)|{UNIT}"
    r"|(?<!\d)(?P<day>\d{1,2})(?!\d)(?:st\b|nd\b|rd\b|th\b)?)\s*",
    re.ASCII | re.IGNORECASE | re.VERBOSE,
)
# Parts of one date that hyphens join, which are no ranges: 2020-Q1, 05-Mar-1995, Mar-1995.
JOINED = re.compile(r"(?:(?:\d\d?-)?(?:[a-z]+\.?|q\d)-\d{4}|\d{4}-(?:[a-z]+\.?|q\d)(?:-\d\d?)?)", re.IGNORECASE)
LONGEST = 40  # characters: what is longer is no date


class _End(NamedTuple):
    """What is said of one end of a range."""

    year: int | None = None
    unit: tuple[str, int | str] | None = None  # what it is, and which
    day: int | None = None

    def completed(self, other: Self) -> Self:
        """With what stands at the other end alone."""
        lacks_unit = self.unit is None and self.day is not None
        return self._replace(
            year=other.year if self.year is None else self.year, unit=other.unit if lacks_unit else self.unit
        )

    def days(self) -> Interval:
        if self.year is None:
            raise ValueError("no year")
        if self.unit is None:
            if self.day is not None:
                raise ValueError("a day of no month")
            return of_year(self.year)
        kind, which = self.unit
        if self.day is not None and kind != "month":
            raise ValueError("a day of a season or quarter")
        if isinstance(which, str):
            if not SEASONS[which]:
                return of_year(self.year)
            return Interval(datetime.date(self.year - 1, 12, 1), datetime.date(self.year + 1, 3, 31))
        if kind == "quarter":
            return Interval(of_month(self.year, 3 * which - 2)[0], of_month(self.year, 3 * which).last)
        if self.day is None:
            return of_month(self.year, which)
        return Interval.of_day(datetime.date(self.year, which, self.day))


def of_year(year: int) -> Interval:
    return Interval(datetime.date(year, 1, 1), datetime.date(year, 12, 31))


def of_month(year: int, month: int) -> Interval:
    first = datetime.date(year, month, 1)
    return Interval(first, first.replace(day=calendar.monthrange(year, month)[1]))


def in_utc(time: datetime.datetime, length: datetime.timedelta = INSTANT) -> Interval:
    """The days of a time: in UTC where it has a zone, of all that it may be within `length`; else as it is written."""
    if time.tzinfo is None:
        return Interval.of_day(time.date())
    first = time.astimezone(datetime.UTC)
    return Interval(first.date(), (first + length - INSTANT).date())


@functools.lru_cache(maxsize=1 << 14)  # years and months stand in many records
def read_written(text: str) -> Interval:
    """All days that a date may mean.

    Raises:
        ValueError, OverflowError: it is none, or may be another than it looks, such as 201912 or 1998-99.
    """
    if len(text) > LONGEST:
        raise ValueError("too long")
    text = text.strip()
    if not text.isascii() and not any(sign in text for sign in "–—"):
        raise ValueError("digits or letters of another script")
    first, slash, last = text.partition("/")
    if slash and last[:4].isdecimal() and (first[:4].isdecimal() or first == ".."):
        return _between(None if first == ".." else _read_iso(first), _read_iso(last))
    try:
        return _read_iso(text)
    except ValueError:
        return _read_words(text)


def _between(first: Interval | None, last: Interval) -> Interval:
    if first is None:
        return Interval(None, last.last)
    begin, end = first.first, last.last
    if begin is None or begin > end:
        raise ValueError("it ends before it begins")
    return Interval(min(begin, last.first or begin), max(first.last, end))


def _read_iso(text: str) -> Interval:
    if YEAR.fullmatch(text):
        return of_year(int(text))
    if month := MONTH.fullmatch(text):
        return of_month(int(month[1]), int(month[2]))
    if week := WEEK.match(text):  # which Python takes for its Monday
        if week.end() < len(text):
            raise ValueError("a time of no day")
        monday = datetime.date.fromisocalendar(int(week[1]), int(week[2]), 1)
        return Interval(monday, monday + 6 * DAY)
    if zoned := DAY_IN_A_ZONE.fullmatch(text):
        return in_utc(datetime.datetime.fromisoformat(f"{zoned[1]}T00:00{zoned[2]}"), DAY)
    if not DAY_AND_TIME.fullmatch(text):
        raise ValueError("not ISO 8601")
    time = datetime.datetime.fromisoformat(text)
    return in_utc(time, HOUR if HOUR_IN_A_ZONE.fullmatch(text) else INSTANT)


def _read_words(text: str) -> Interval:
    if JOINED.fullmatch(text):
        text = text.replace("-", " ")
    ends, place = [_End()], 0
    while place < len(text):
        piece = PIECE.match(text, place)
        if piece is None:
            raise ValueError("not the words of a date")
        place, kind = piece.end(), piece.lastgroup
        if kind == "range":
            ends.append(_End())
        elif kind != "comma":
            assert kind is not None
            ends[-1] = _with(ends[-1], kind, piece[kind].lower())
    if len(ends) > 2 or not all(any(end) for end in ends):
        raise ValueError("more than one range, or an end that says nothing")
    first, last = ends[0].completed(ends[-1]), ends[-1].completed(ends[0])
    return _between(first.days(), last.days())


def _with(end: _End, kind: str, said: str) -> _End:
    """One end of a range and one more thing that is said of it."""
    known = end.year if kind == "year" else end.day if kind == "day" else end.unit
    if known is not None:
        raise ValueError("more than one year, month or day")
    if kind == "year":
        return end._replace(year=int(said))
    if kind == "day":
        return end._replace(day=int(said))
    which: int | str = MONTHS[said] if kind == "month" else said if kind == "season" else int(said)
    return end._replace(unit=("quarter" if kind == "nth" else kind, which))
