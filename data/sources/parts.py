"""What a source is read by: parts, each on its own; and what lies in the place of a file that was not fetched."""

import codecs
import re
from collections.abc import Sequence
from dataclasses import dataclass

from data.files import new_digest
from data.readers.rows import MalformedError

GROUP_BYTES = 8_000_000  # of the files of a group, on average
FILE_BYTES = 4_000  # that could be read while a file is opened


@dataclass(frozen=True)
class Part:
    """A piece of a source that is read on its own: a file, a shard of a hub dataset, or a demo text."""

    name: str  # stable below the source's path; documents without an id are named by it
    location: str  # path or address; that of a hub dataset's shard pins the revision that it was found at
    stamp: list[int | str]  # changes when the content does
    size: int | None = None  # bytes as they are stored; None where that is not known


def grouped(parts: Sequence[Part]) -> list[tuple[Part, ...]]:
    """Cut a source's parts, in their order, into groups of small ones; a part of GROUP_BYTES or more stands alone.

    Whether a part begins a group is drawn from its name, with a chance in proportion to its size. So a part that is
    added, changed or removed changes the group that it is in, at most the one beside it too, and no other.
    """
    groups: list[tuple[Part, ...]] = []
    is_large = True
    for part in parts:
        was_large, is_large = is_large, part.size is None or part.size >= GROUP_BYTES
        draw = int.from_bytes(new_digest(part.name.encode()).digest()[:6]) / 256**6  # from 0 to below 1
        if was_large or is_large or draw * GROUP_BYTES < FILE_BYTES + (part.size or 0):
            groups.append(())
        groups[-1] += (part,)
    return groups


# How what lies in the place of a file that was not fetched begins: by Git LFS's docs/spec.md, by git-annex's page on
# internals (pointer files), and as web servers and stores answer. No pointer is longer than PLACEHOLDER_BYTES.
WEB_PAGE = re.compile(rb"\s*<(?:!doctype html|html)[\s>]", re.IGNORECASE)
PLACEHOLDERS = {
    re.compile(
        rb"version https://(?:git-lfs|hawser)\.github\.com/spec/"
    ): "a Git LFS pointer, not the file: run `git lfs pull`",
    re.compile(rb"/annex/objects/"): "a git-annex pointer, not the file: run `git annex get`",
    WEB_PAGE: "a web page, such as an error's (if pages are meant, set format: html)",
    re.compile(rb"\s*<\?xml[^>]*\?>\s*<Error>"): "a store's error, not the file",
}
PLACEHOLDER_BYTES = 1 << 15
BEGINNING = 200  # bytes that tell


def check_is_fetched(beginning: bytes, is_web_page: bool = False) -> None:
    """Raise ValueError, as of a damaged file, where something else lies in the place of the file that begins so.

    Args:
        is_web_page: a web page is what the file is to be.
    """
    for begins, said in PLACEHOLDERS.items():
        if begins.match(beginning.removeprefix(codecs.BOM_UTF8)) and not (begins is WEB_PAGE and is_web_page):
            raise ValueError(f"it is {said}")


DAMAGED = "damaged file"  # the kind of what a file that cannot be read to its end has in place of its rest


def byte_length(text: str) -> int:
    """Bytes of a text in UTF-8, of a half surrogate too, which has none."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


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
