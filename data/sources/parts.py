"""What a source is read by: parts, each on its own, and the rows of a part; a row that cannot be read says why."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """A piece of a source that is read on its own: a file, a shard of a hub dataset, or a demo text."""

    name: str  # stable below the source's path; documents without an id are named by it
    location: str  # path or address; that of a hub dataset's shard pins the revision that it was found at
    stamp: list[int | str]  # changes when the content does


class MalformedError(Exception):
    """Why a row is not a record: its kind, or "kind: details"."""


def string_of(value: object, field: str) -> str:
    """The text of a field. Raises MalformedError where it is none."""
    if not isinstance(value, str):
        raise MalformedError(f"'{field}' is no string: its type is {type(value).__name__}")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise MalformedError(f"'{field}' is no Unicode text: it holds half of a surrogate pair") from None
    return value


# The line, from 1, or the row in files that have no lines; and its fields, or anything else that was there in their
# place, or why nothing could be read.
Rows = Iterator[tuple[int, object]]
