"""The header of a submission to EDGAR: its number, form and company, and the days on which the public could read it."""

import datetime
import re
import zoneinfo
from typing import Literal, NamedTuple

from data.interval import DateKind, Interval

WASHINGTON = zoneinfo.ZoneInfo("America/New_York")
ACCESSION = re.compile(r"\d{10}-\d{2}-\d{6}")
# When the submission, or the file of its header, was released: the line that each begins with.
RELEASED = re.compile(r"<(?:SEC|IMS)-(?:DOCUMENT|HEADER)>[^\s:]*\s*:\s*(\d{8})\b")


class Header(NamedTuple):
    """What a header says; empty, or without days, where it does not."""

    accession: str
    form: str
    company: str
    url: str | None  # where the archive keeps the submission
    date: Interval | None
    date_kind: DateKind


def read_header(header: str, name: str, choice: Literal["accepted", "filed"]) -> Header:
    """What stands before the first document of a submission.

    Args:
        header: all of it, in the form of the archive (ACCESSION NUMBER: …) or of the feed (<ACCESSION-NUMBER>…).
        name: of the file, which has the number where the header has none.
        choice: the day that counts.
    """
    accession = _value(header, "ACCESSION NUMBER", "ACCESSION-NUMBER")
    if not ACCESSION.fullmatch(accession):
        named = ACCESSION.search(name)
        accession = named[0] if named else ""
    cik = _value(header, "CENTRAL INDEX KEY", "CIK")
    url = None
    if accession and cik.isdecimal():
        url = f"https://www.sec.gov/Archives/edgar/data/{int(cik)}/{accession}.txt"
    form = _value(header, "CONFORMED SUBMISSION TYPE", "TYPE")
    company = _value(header, "COMPANY CONFORMED NAME", "CONFORMED-NAME")
    return Header(accession, form, company, url, *_date(header, choice))


def _value(header: str, of_archive: str, of_feed: str) -> str:
    """The first value of this name."""
    found = re.search(rf"^\s*{of_archive}:[ \t]*(\S[^\n<]*)|<{of_feed}>[ \t]*([^\n<]*)", header, re.M)
    return (found[1] or found[2] or "").strip() if found else ""


def _date(header: str, choice: Literal["accepted", "filed"]) -> tuple[Interval | None, DateKind]:
    """The days on which the public could first read a submission; see docs/sources/edgar.md.

    It is never the period of report. No day is before the one on which EDGAR released it, nor before the filing date;
    a filing date that was changed afterwards, backwards as a rule, leaves the day of the change as the last.
    """
    filed = _day(_value(header, "FILED AS OF DATE", "FILING-DATE"))
    released = [day for text in RELEASED.findall(header) if (day := _day(text))]
    changed = _day(_value(header, "DATE AS OF CHANGE", "DATE-OF-FILING-DATE-CHANGE"))
    if "<PRIVATE-TO-PUBLIC>" in header:
        # Letters and drafts that were kept back: they were filed, and accepted, long before anyone could read them.
        stamps = [_value(header, "PUBLIC-REL-DATE", "PUBLIC-REL-DATE"), _value(header, "TIMESTAMP", "TIMESTAMP")[:8]]
        known = released + [day for text in stamps if (day := _day(text))]
        return (Interval.of_day(max(known)) if known else None), "filed"
    days = released + ([filed] if filed else [])
    if not days:
        return None, "filed"
    public = max(days)
    accepted = _accepted(_value(header, "ACCEPTANCE-DATETIME", "ACCEPTANCE-DATETIME"))
    last = max(day for day in (public, accepted, changed) if day)
    if choice == "accepted" and accepted:
        return Interval(accepted, last), "accepted"
    return Interval(max(public, accepted) if accepted else public, last), "filed"


def _day(text: str) -> datetime.date | None:
    try:
        return datetime.datetime.strptime(text[:8], "%Y%m%d").date() if text[:8].isdecimal() else None
    except ValueError:
        return None


def _accepted(text: str) -> datetime.date | None:
    """The day in UTC of an acceptance, which is written as clocks in Washington show it."""
    try:
        time = datetime.datetime.strptime(text[:14], "%Y%m%d%H%M%S") if len(text) >= 14 else None
    except ValueError:
        return None
    return time.replace(tzinfo=WASHINGTON).astimezone(datetime.UTC).date() if time else None
