"""When a document may have become public: the first and the last day, and on which side of a cutoff that puts it."""

import datetime
from typing import Literal, NamedTuple, Self

DateKind = Literal["published", "filed", "accepted", "sent", "revised", "crawled"]
"""What a date says: of a paper or page, of a form's filing or its acceptance, of a letter, of the latest version; or
only that a page was there when it was fetched."""


class Interval(NamedTuple):
    """The days on which a document may have become public, both included."""

    first: datetime.date | None  # None: there is no telling how early, as of a page whose date is that of its crawl
    last: datetime.date

    @classmethod
    def of_day(cls, day: datetime.date) -> Self:
        return cls(day, day)

    def lies_before(self, cutoff: datetime.date) -> bool:
        """Whether the document surely was public before this day: only then may a model be trained on it."""
        return self.last < cutoff

    def lies_from(self, cutoff: datetime.date) -> bool:
        """Whether the document surely was not public before this day: only then may it measure what comes after."""
        return self.first is not None and self.first >= cutoff
