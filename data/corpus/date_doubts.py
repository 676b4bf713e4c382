"""What of a source's dates a person should look at before a corpus is used, a line for each."""

import re
from calendar import monthrange
from collections import Counter
from collections.abc import Mapping

from data.config import DataConfig
from data.corpus.report import NO_SMALL_SHARE
from data.corpus.split import STRADDLES
from data.corpus.write_kept import Kept

LEAST_DATES = 100  # of as many, by chance, one is above the 12th but for a probability of (12 / 30.4) ** 100
MOST_OF_ONE_DAY = 0.5  # share of a source's dates
FIRSTS = [f"{month:02}-01" for month in range(1, 13)]
LASTS = ["02-29", *(f"{month:02}-{monthrange(2001, month)[1]}" for month in range(1, 13))]


def swapped_dates(config: DataConfig, kept: Mapping[str, Kept]) -> list[str]:
    """The sources whose date_format may take the month for the day, a line each: days differ, none is above 12."""
    lines = []
    for source in config.sources:
        dates = kept[source.name].counts.days
        days = {int(day.partition("-")[2]) for day in dates}
        written = next((form for form in source.date_forms if {"%d", "%m"} <= {*re.findall("%.", form)}), None)
        if written and dates.total() >= LEAST_DATES and len(days) > 1 and max(days) <= 12:
            lines.append(
                f"source '{source.name}': none of {dates.total():,} dates in '{written}' has a day above "
                f"12: it may be the month: look at some, and correct data.sources.{source.name}.date_format if so"
            )
    return lines


def zero_dates(config: DataConfig, kept: Mapping[str, Kept]) -> list[str]:
    """The sources of which no small share of the documents is of a day that may stand for no date, a line each."""
    return [
        f"source '{source.name}': {count:,} of {dates:,} dates are {day}, which programs also write where they know no "
        f"date: look at some, and set data.sources.{source.name}.earliest_date: a later day makes them malformed, an "
        "earlier one says that they are meant"
        for source in config.sources
        if source.earliest_date is None and (dates := kept[source.name].counts.days.total()) >= LEAST_DATES
        for day, count in sorted(kept[source.name].counts.zeros.items())
        if count > NO_SMALL_SHARE * dates
    ]


def coarse_dates(config: DataConfig, kept: Mapping[str, Kept]) -> list[str]:
    """The sources most of whose days are of one day of the year, or the first or last of a month, if a cutoff is not.

    Such are years and months that were filled up to a day, ends of periods, and days on which data were exported.
    """
    lines = []
    if not config.cutoff:
        return []
    sides = {"the first of a month": FIRSTS, "the last of a month": LASTS}
    cutoff = f"{config.cutoff:%m-%d}"
    safe = [cutoff, *(side for side, of_side in sides.items() if cutoff in of_side)]
    for source in config.sources:
        dates = kept[source.name].counts.days
        by_side = Counter({side: sum(dates[day] for day in of_side) for side, of_side in sides.items()})
        commonest = dates.most_common(1) + by_side.most_common(1)
        for day, count in commonest if dates.total() >= LEAST_DATES else ():
            if count > MOST_OF_ONE_DAY * dates.total() and day not in safe:
                lines.append(
                    f"source '{source.name}': {count:,} of {dates.total():,} dates are {day}: if they are years or "
                    "months alone, ends of periods or days of an export, texts written after the cutoff are in the "
                    f"training text: set data.cutoff to such a day, or correct data.sources.{source.name}.date_field"
                )
                break
    return lines


def straddling(config: DataConfig, kept: Mapping[str, Kept]) -> list[str]:
    """The sources that lose no small share of their documents to the cutoff, whose dates leave the side open."""
    return [
        f"source '{name}': the dates of {number:,} of {result.counts.read:,} records leave open on which side of "
        f"data.cutoff {config.cutoff} they are, so they are in no split: where most dates are years, a first of "
        "January loses least"
        for name, result in kept.items()
        if (number := result.counts.dropped[STRADDLES]) > NO_SMALL_SHARE * result.counts.read
    ]
