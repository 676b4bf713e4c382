"""Days as the metadata of pages, documents and letters write them; what may be another day is none."""

import datetime
import email.utils
import re

from data.interval import Interval
from data.written_dates import in_utc, read_written

SLASHES = re.compile(r"(\d{4})/(\d\d?)(?:/(\d\d?))?(?=[T ]|$)")  # a year first: who puts it last may mean either
ONE_DIGIT = re.compile(r"(?<=-)(\d)(?=-|T| |$)")
OF_MAIL = re.compile(r"(?:\w{3}, )?\d\d? \w{3} \d{4} \d\d?:")


def interval_of(written: str) -> Interval | None:
    """The days that a date may mean: those that data.written_dates reads, of mail, and with slashes behind the year."""
    text = " ".join(written.split())
    try:
        if OF_MAIL.match(text):
            return in_utc(email.utils.parsedate_to_datetime(text))
        text = SLASHES.sub(lambda found: "-".join(filter(None, found.groups())), text, count=1)
        if re.match(r"\d{4}-\d", text):
            text = re.sub(r" ?UTC$", "Z", ONE_DIGIT.sub(r"0\1", text))
            text = re.sub(r" (?=[+-]\d\d:?\d\d$)", "", text)
        return read_written(text)
    except (ValueError, OverflowError, TypeError, IndexError):
        return None


def hull(one: Interval | None, other: Interval | None) -> Interval | None:
    """The least interval that holds both, or the one that there is."""
    if one is None or other is None:
        return one or other
    first = None if one.first is None or other.first is None else min(one.first, other.first)
    return Interval(first, max(one.last, other.last))


def day_of_mail(written: str) -> datetime.date | None:
    """The day of a header of mail, or of an mbox file's envelope: Thu Jan  3 12:00:00 2002."""
    text = " ".join(written.split())
    text = re.sub(r"^(\w{3}) (\w{3}) (\d\d?) ([\d:]+)(?: ([+-]\d{4}))? (\d{4})", r"\1, \3 \2 \6 \4 \5", text).strip()
    try:
        return in_utc(email.utils.parsedate_to_datetime(text)).last
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
