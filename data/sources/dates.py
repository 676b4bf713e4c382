"""The day of a record: which of the forms that dates are written in, and what it then is; what is not sure is none."""

import datetime
import re

from data.config import SourceConfig
from data.date_format import full_width
from data.sources.parts import MalformedError, string_of

EPOCH = datetime.datetime(1970, 1, 1)
# Units of epoch times: how many make a second, and the number below which it may be of the coarser unit instead:
# 50,000 days are of 2106, 5e9 seconds of 2128. Among them are 0 and -1, which programs write where they know no date.
UNITS = {"seconds": (1, 50_000, "days"), "milliseconds": (1_000, 5e9, "seconds")}
DIGITS_OF_A_DAY = re.compile(r"(?:1[4-9]|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])")  # else of 1970
WEEK_ALONE = re.compile(r"\d{4}-?W\d\d(?!-?\d)")  # which Python takes for its Monday


def day_of(source: SourceConfig, value: object) -> datetime.date | None:
    """The day of a date as it is written; of a time with an offset or zone, the day in UTC, whatever it is read from.

    Raises:
        MalformedError: the date cannot be read, is not surely one day, or is none that the source can have.
    """
    if value is None or value == "":
        return None
    try:
        day = _read(source, value)
    except (ValueError, OverflowError):
        written = source.date_format
        expected = f"of the date_format '{written}'" if written else "in ISO 8601, such as 2018-12-31"
        raise MalformedError(f"unreadable date: {value!r:.40} is not {expected}") from None
    for limit, is_beyond, side in (
        ("earliest_date", day < source.earliest_date, "before"),
        ("latest_date", day > source.latest_date, "after"),
    ):
        if is_beyond:
            raise MalformedError(
                f"implausible date: {value!r:.40} is {day}, {side} the source's {limit} {getattr(source, limit)}"
            )
    return day


def _read(source: SourceConfig, value: object) -> datetime.date:
    written = source.date_format
    if isinstance(value, datetime.datetime):
        return _day(value)
    if isinstance(value, datetime.date):
        return value
    is_number = written is not None and type(value) in (int, float)
    text = str(value) if is_number else string_of(value, source.date_field)
    if written is None:
        if WEEK_ALONE.match(text):
            raise ValueError("a week is no day")
        return _day(datetime.datetime.fromisoformat(text))
    if written in UNITS:
        return _day_of_epoch(float(text), written)
    time = datetime.datetime.strptime(text, written)
    if not full_width(written).fullmatch(text):
        raise ValueError("digits are missing")
    return _day(time)


def _day(time: datetime.datetime) -> datetime.date:
    return (time.astimezone(datetime.UTC) if time.tzinfo else time).date()


def _day_of_epoch(number: float, unit: str) -> datetime.date:
    per_second, least, coarser = UNITS[unit]
    if abs(number) < least:
        raise MalformedError(f"implausible date: {number:.40g} may be {coarser} instead of {unit}, or mean no date")
    if unit == "seconds" and DIGITS_OF_A_DAY.fullmatch(f"{number:.0f}"):
        raise MalformedError(f"implausible date: {number:.0f} may be a day in digits (%Y%m%d) instead of {unit}")
    return (EPOCH + datetime.timedelta(seconds=number / per_second)).date()
