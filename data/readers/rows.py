"""What a reader gives: the rows of a file, in order, and in the place of one that is no record why it is none."""

from collections.abc import Iterator
from typing import NamedTuple

LONGEST_RECORD = 1 << 28  # bytes of a line, a document or a file without records; longer ones are never held


class MalformedError(Exception):
    """Why a row is not a record: its kind, or "kind: details"; and its bytes, where its reader knows them."""

    def __init__(self, reason: str, size: int = 0) -> None:
        super().__init__(reason)
        self.size = size


class LeftOut(NamedTuple):
    """A part of a file that is no record by its format's settings, such as a picture: counted by kind, never read.

    What a reader leaves out of a record counts too, in the unit that its kind names.
    """

    kind: str
    amount: int = 1


# The line, from 1, or the row in files that have no lines; and its fields, or anything else that was there in their
# place: a LeftOut, or a MalformedError where nothing could be read.
Rows = Iterator[tuple[int, object]]
