"""When a document may have become public: the first and the last day, and on which side of a cutoff that puts it."""

import datetime
from collections.abc import Mapping
from typing import Literal, NamedTuple, Self, get_args

DateKind = Literal["published", "filed", "accepted", "sent", "revised", "crawled"]
"""What a date says: of a paper or page, of a form's filing or its acceptance, of a letter, of the latest version; or
only that a page was there when it was fetched."""
DATE_KINDS: tuple[DateKind, ...] = get_args(DateKind)
Precision = Literal["day", "month", "year", "longer", "open"]
"""The shortest of these that an interval lies in; open: it has no first day."""
PRECISIONS: tuple[Precision, ...] = get_args(Precision)


class Interval(NamedTuple):
    """The days on which a document may have become public, both included."""

    first: datetime.date | None  # None: there is no telling how early, as of a page whose date is that of its crawl
    last: datetime.date

    @classmethod
    def of_day(cls, day: datetime.date) -> Self:
        return cls(day, day)

    @classmethod
    def of_columns(cls, first: datetime.date | None, last: datetime.date | None) -> Self | None:
        """What a file's `first_date` and `last_date` say; None where there is no date."""
        return None if last is None else cls(first, last)

    def __str__(self) -> str:
        if self.first == self.last:
            return f"{self.last}"
        return f"until {self.last}" if self.first is None else f"{self.first} to {self.last}"

    @property
    def precision(self) -> Precision:
        if self.first is None:
            return "open"
        if self.first == self.last:
            return "day"
        if self.first.year != self.last.year:
            return "longer"
        return "month" if self.first.month == self.last.month else "year"

    def lies_before(self, cutoff: datetime.date) -> bool:
        """Whether the document surely was public before this day: only then may a model be trained on it."""
        return self.last < cutoff

    def lies_from(self, cutoff: datetime.date) -> bool:
        """Whether the document surely was not public before this day: only then may it measure what comes after."""
        return self.first is not None and self.first >= cutoff


def dates_as_json(interval: Interval | None) -> dict[str, str | None]:
    """`first_date` and `last_date` as ISO 8601, each None where it is not known."""
    first, last = interval or (None, None)
    return {"first_date": first.isoformat() if first else None, "last_date": last.isoformat() if last else None}


def said_dates(values: Mapping[str, str | None]) -> str:
    """What `dates_as_json` gave, for people."""
    first, last = (
        value and datetime.date.fromisoformat(value) for value in (values["first_date"], values["last_date"])
    )
    return str(Interval(first or None, last)) if last else "undated"
