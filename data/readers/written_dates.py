"""Days as the metadata of pages and documents write them; what is not surely a day, a month or a year is none."""

import calendar
import datetime
import email.utils
import re

from data.interval import Interval

MONTHS = {name.lower(): number for number, name in enumerate(calendar.month_name) if number}
MONTHS |= {name[:3]: number for name, number in MONTHS.items()} | {"sept": 9}
NUMBERS = re.compile(r"([12]\d{3})(?:[-/.](\d\d?)(?:[-/.](\d\d?)(?:[T ]|$))?|(\d\d)(\d\d)$)?")
WORDS = re.compile(r"(?:(\d\d?)(?:st|nd|rd|th)? )?([a-z]{3,9})\.?,? (?:(\d\d?)(?:st|nd|rd|th)?,? )?([12]\d{3})\b")


def interval_of(written: str) -> Interval | None:
    """The days that a date may mean: a day, a month or a year; of a time with its zone, the day in UTC.

    Read are ISO 8601, 2019/5/31, 20190531, 31 May 2019, May 31, 2019, May 2019 and the dates of mail. Days and months
    in numbers alone (5/6/2019) are none, as who wrote them decides which is which.
    """
    written = " ".join(written.split())
    try:
        return _of_time(written) or _of_numbers(written) or _of_words(written.lower())
    except (ValueError, OverflowError):
        return None


def hull(one: Interval | None, other: Interval | None) -> Interval | None:
    """The least interval that holds both, or the one that there is."""
    if one is None or other is None:
        return one or other
    return Interval(
        None if one.first is None or other.first is None else min(one.first, other.first), max(one.last, other.last)
    )


def utc_day(time: datetime.datetime) -> datetime.date:
    """The day in UTC; of a time without a zone the day as it is written."""
    return (time.astimezone(datetime.UTC) if time.tzinfo else time).date()


def _of_time(written: str) -> Interval | None:
    if re.match(r"\d{4}-\d\d-\d\d[T ]\d\d:", written):
        written = re.sub(r" (?=[+-]\d\d:?\d\d$)| ?UTC$", lambda gap: "Z" if "UTC" in gap[0] else "", written)
        return Interval.of_day(utc_day(datetime.datetime.fromisoformat(written)))
    if re.match(r"(?:\w{3}, )?\d\d? \w{3} \d{4} \d\d?:", written):
        return Interval.of_day(utc_day(email.utils.parsedate_to_datetime(written)))
    return None


def _of_numbers(written: str) -> Interval | None:
    found = NUMBERS.match(written)
    if not found or (found[2] is None and found[4] is None and len(written) > 4):
        return None
    if found[2] and not found[3] and found.end() < len(written):
        return None
    month, day = (found[2], found[3]) if found[2] else (found[4], found[5])
    return period(int(found[1]), int(month) if month else None, int(day) if day else None)


def _of_words(written: str) -> Interval | None:
    found = WORDS.search(written)
    if not found or found[2] not in MONTHS or (found[1] and found[3]):
        return None
    day = found[1] or found[3]
    return period(int(found[4]), MONTHS[found[2]], int(day) if day else None)


def period(year: int, month: int | None = None, day: int | None = None) -> Interval:
    """A day, a month or a year. Raises ValueError where there is no such one."""
    first = datetime.date(year, month or 1, day or 1)
    if day:
        return Interval(first, first)
    last_month = month or 12
    return Interval(first, datetime.date(year, last_month, calendar.monthrange(year, last_month)[1]))
