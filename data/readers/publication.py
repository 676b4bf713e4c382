"""When a paper was first public, of all the days that it is given: of its issue, of its appearance on the net."""

import re
from collections.abc import Iterable, Sequence

from data.interval import Interval
from data.readers.rows import MalformedError
from data.written_dates import of_year, read_written

YEARS = re.compile(r"(?<!\d)(?:1[5-9]|20)\d\d(?!\d)")
OF_WHOLE_YEARS = re.compile(r"(?:annual|annually|yearbook|yearly|suppl|supplement|special|issue|[\W_])*", re.IGNORECASE)


def written_date(year: str, month: str = "", day: str = "", other: str = "") -> Interval:
    """The days of a date in parts, of which those from the end on may be missing; `other` is a season or a range.

    A range in words that say nothing of months, such as "1981 Annual", is its years. Other words, such as those of
    "2019 Dec-Jan", may be of a month or season that goes over the end of a year, and publishers name either year: then
    it is also the year before and the year after.

    Raises MalformedError for what may be another date than it looks.
    """
    month = month.strip()
    if month.isdecimal():
        text = "-".join([year.strip(), month.zfill(2), *([day.strip().zfill(2)] if day.strip() else [])])
    else:
        text = " ".join(" ".join([year, month, day, other]).split())
    try:
        return read_written(text)
    except (ValueError, OverflowError):
        years = [int(found) for found in YEARS.findall(text)]
        if years and not re.search(r"\d", YEARS.sub("", text)) and len(text) < 60:
            beyond = not OF_WHOLE_YEARS.fullmatch(YEARS.sub("", text))
            return Interval(of_year(min(years) - beyond).first, of_year(max(years) + beyond).last)
        raise MalformedError(f"unreadable date: {text!r:.60} is no day, month, season, year or range") from None


def first_public(issues: Sequence[Interval], online: Sequence[Interval]) -> Interval | None:
    """The days on which a paper may first have been public.

    An issue has the date that is printed on it. The day on the net counts where it lies within that of the issue, which
    only says it less exactly, or before it, as of papers ahead of print. Behind it the two contradict each other: the
    issue may be called after a time in which it had not appeared, or the paper may have been printed long before it
    was on the net. Then it is all days from the first of the one to the last of the other: such a paper is neither
    surely before nor surely after any day between.
    """
    issue, web = _earliest(issues), _earliest(online)
    if issue is None or web is None:
        return issue or web
    if issue.first and ((web.first and issue.first <= web.first and web.last <= issue.last) or web.last < issue.first):
        return web
    return hull([issue, web])


def _earliest(intervals: Sequence[Interval]) -> Interval | None:
    """The days on which the first of several events may lie."""
    if not intervals:
        return None
    return Interval(hull(intervals).first, min(one.last for one in intervals))


def hull(intervals: Iterable[Interval]) -> Interval:
    """From the first day of any, which is unknown where that of one is, to the last of any."""
    several = list(intervals)
    firsts = [one.first for one in several if one.first]
    return Interval(min(firsts) if len(firsts) == len(several) else None, max(one.last for one in several))
