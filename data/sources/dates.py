"""The day of a record: which of the forms that dates are written in, and what it then is."""

import datetime

from data.config import SourceConfig
from data.sources.parts import MalformedError, string_of

EPOCH = datetime.datetime(1970, 1, 1)
UNITS = {"seconds": 1, "milliseconds": 1_000}


def day_of(source: SourceConfig, value: object) -> datetime.date | None:
    """The day of a date or time as it is written, so that a time zone moves nothing."""
    if value is None or value == "":
        return None
    if isinstance(value, datetime.datetime):
        return value.date()
    if isinstance(value, datetime.date):
        return value
    written = source.date_format
    is_number = written is not None and type(value) in (int, float)
    text = str(value) if is_number else string_of(value, source.date_field)
    try:
        if written is None:
            return datetime.datetime.fromisoformat(text).date()
        if written in UNITS:
            return (EPOCH + datetime.timedelta(seconds=float(text) / UNITS[written])).date()
        return datetime.datetime.strptime(text, written).date()
    except (ValueError, OverflowError):
        expected = f"of the date_format '{written}'" if written else "in ISO 8601, such as 2018-12-31"
        raise MalformedError(f"unreadable date: {value!r:.40} is not {expected}") from None
