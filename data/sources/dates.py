"""The day of a record: which of the forms that dates are written in, and what it then is; what is not sure is none."""

import datetime
import re

from data.date_format import full_width
from data.readers.rows import MalformedError
from data.source_config import EARLIEST_DATE, SourceConfig
from data.sources.parts import string_of

EPOCH = datetime.datetime(1970, 1, 1)
# Units of epoch times: how many make a second, and the number below which it may be of the coarser unit instead:
# 50,000 days are of 2106, 5e9 seconds of 2128. Among them are 0 and -1, which programs write where they know no date.
UNITS = {"seconds": (1, 50_000, "days"), "milliseconds": (1_000, 5e9, "seconds")}
DIGITS_OF_A_DAY = re.compile(r"(?:1[4-9]|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])")  # else of 1970
SURE_EPOCH = datetime.date(1980, 1, 1)  # from here on no minutes, hours, %y%m%d or %Y%m pass for an epoch time
# Days that programs write where they know no date, first and last: their zero, or the least that they can write.
NO_DATES = [
    (datetime.date.fromisoformat(first), datetime.date.fromisoformat(last))
    for first, last in (
        ("1601-01-01", "1601-01-01"),  # Windows' FILETIME
        ("1677-09-21", "1677-09-21"),  # numpy's datetime64[ns], least
        ("1753-01-01", "1753-01-01"),  # SQL Server's datetime, least
        ("1840-12-31", "1840-12-31"),  # MUMPS
        ("1858-11-17", "1858-11-17"),  # VMS, and the Modified Julian Day
        ("1899-12-30", "1900-01-01"),  # spreadsheets, OLE, and unknown years
        ("1901-12-13", "1901-12-13"),  # 32 bits of seconds, least
        ("1904-01-01", "1904-01-01"),  # spreadsheets and files of the Macintosh
        ("1960-01-01", "1960-01-01"),  # SAS and Stata
        ("1969-12-31", "1970-01-31"),  # Unix, to the west too, and what was divided by a thousand too often
        ("1980-01-01", "1980-01-01"),  # FAT, and so ZIP
    )
]
# The zero of PostgreSQL and of Apple's Cocoa, on which much was written too.
MAYBE_NO_DATES = (datetime.date(2000, 1, 1), datetime.date(2001, 1, 1))
# Python would take any character between day and time, so that an interval were a time. Behind a space stands a colon.
DAY_AND_TIME = re.compile(r"[0-9W-]{7,10}(?:[Tt].+| [0-9]{2}:.+)?")
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
    earliest = source.earliest_date or EARLIEST_DATE
    for name, limit, is_beyond, side in (
        ("earliest_date", earliest, day < earliest, "before"),
        ("latest_date", source.latest_date, day > source.latest_date, "after"),
    ):
        if is_beyond:
            raise MalformedError(f"implausible date: {value!r:.40} is {day}, {side} the source's {name} {limit}")
    is_doubtful = any(first <= day <= last for first, last in NO_DATES)
    if source.earliest_date is None and (is_doubtful or (source.date_format in UNITS and day < SURE_EPOCH)):
        raise MalformedError(
            f"implausible date: {value!r:.40} is {day}, which may mean no date or be of another unit: set the source's "
            "earliest_date if such days are meant"
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
        if WEEK_ALONE.match(text) or not DAY_AND_TIME.fullmatch(text):
            raise ValueError("a week or an interval is no day")
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
