"""When a record became public: the days that its date may mean, by its source; what is not surely a date is none."""

import datetime
import re

from data.date_format import read_format
from data.interval import DateKind, Interval
from data.readers.rows import MalformedError
from data.source_config import EARLIEST_DATE, UNITS, USUAL, SourceConfig
from data.sources.parts import string_of
from data.written_dates import in_utc, of_month, of_year, read_written

EPOCH = datetime.datetime(1970, 1, 1)
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
# And the periods that are cut from the commonest of them.
NO_PERIODS = (of_year(1900), of_month(1900, 1), of_month(1970, 1))
# The zero of PostgreSQL and of Apple's Cocoa, and the year of Unix's, on which much was written too.
MAYBE_NO_DATES = (*map(Interval.of_day, (datetime.date(2000, 1, 1), datetime.date(2001, 1, 1))), of_year(1970))


def interval_of(source: SourceConfig, value: object, kind: DateKind | None = None) -> Interval | None:
    """The days that a date may mean, whatever it is read from: as it is written, of a time with a zone those in UTC.

    Args:
        kind: what the date says; of a crawl nothing tells how early the text was there, nor of a revision, but where a
            reader or record gives both ends.

    Raises:
        MalformedError: the date cannot be read, may be another than it looks, or is none that the source can have.
    """
    if value is None or value == "":
        return None
    if source.date_format is None and type(value) is str and len(value) == 10:  # most dates are of one day
        try:
            interval, form = Interval.of_day(datetime.date.fromisoformat(value)), USUAL
        except ValueError:
            interval, form = _read(source, value)
    else:
        interval, form = _read(source, value)
    _check(source, value, interval, form)
    is_last = kind == "crawled" or (kind == "revised" and not isinstance(value, Interval))
    return Interval(None, interval.last) if is_last else interval


def _check(source: SourceConfig, value: object, interval: Interval, form: str) -> None:
    first, last = interval
    earliest = source.earliest_date or EARLIEST_DATE
    for name, limit, is_beyond, side in (
        ("earliest_date", earliest, last < earliest, "before"),
        ("latest_date", source.latest_date, (first or last) > source.latest_date, "after"),
    ):
        if is_beyond:
            raise MalformedError(f"implausible date: {_shown(value)} is {interval}, {side} the source's {name} {limit}")
    if source.earliest_date is None and last <= SURE_EPOCH and _may_be_none(interval, form):
        raise MalformedError(
            f"implausible date: {_shown(value)} is {interval}, which may mean no date or be of another unit: set the "
            "source's earliest_date if such days are meant"
        )


def _may_be_none(interval: Interval, form: str) -> bool:
    first, last = interval
    if first is not None and first != last:
        return interval in NO_PERIODS
    return (form in UNITS and last < SURE_EPOCH) or any(begin <= last <= end for begin, end in NO_DATES)


def _shown(value: object) -> str:
    return f"{value}" if isinstance(value, Interval) else f"{value!r:.40}"


def _read(source: SourceConfig, value: object) -> tuple[Interval, str]:
    """The days, and the form that they were read by."""
    if isinstance(value, Interval):
        return value, USUAL
    if isinstance(value, datetime.datetime):
        return in_utc(value), USUAL
    if isinstance(value, datetime.date):
        return Interval.of_day(value), USUAL
    forms = source.date_forms
    is_number = type(value) is int and 1_000 <= value <= 9_999 if forms == (USUAL,) else type(value) in (int, float)
    text = str(value) if is_number else string_of(value, source.date_field)
    found: dict[str, Interval] = {}
    refused: MalformedError | None = None
    for form in forms:
        try:
            found[form] = _read_form(text, form)
        except MalformedError as error:
            refused = refused or error
        except (ValueError, OverflowError):
            continue
    if len(set(found.values())) > 1:
        said = " and ".join(f"{interval} by '{form}'" for form, interval in found.items())
        raise MalformedError(f"ambiguous date: {value!r:.40} is {said}: it may be either")
    if not found:
        raise refused or MalformedError(f"unreadable date: {value!r:.40} is not {_expected(forms)}")
    form, interval = next(iter(found.items()))
    return interval, form


def _expected(forms: tuple[str, ...]) -> str:
    usual = "in ISO 8601, such as 2018-12-31 or 2018-12, nor words such as Dec 2018 or Winter 2018"
    named = [f"'{form}'" for form in forms if form != USUAL]
    of_format = f"of the date_format {', '.join(named)}"
    return " nor ".join([of_format] * bool(named) + [usual] * (USUAL in forms))


def _read_form(text: str, form: str) -> Interval:
    if form == USUAL:
        return read_written(text)
    return _of_epoch(float(text), form) if form in UNITS else read_format(text, form)


def _of_epoch(number: float, unit: str) -> Interval:
    per_second, least, coarser = UNITS[unit]
    if abs(number) < least:
        raise MalformedError(f"implausible date: {number:.40g} may be {coarser} instead of {unit}, or mean no date")
    if unit == "seconds" and DIGITS_OF_A_DAY.fullmatch(f"{number:.0f}"):
        raise MalformedError(f"implausible date: {number:.0f} may be a day in digits (%Y%m%d) instead of {unit}")
    return Interval.of_day((EPOCH + datetime.timedelta(seconds=number / per_second)).date())
