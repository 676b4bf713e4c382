"""Tombstones: what was asked to be forgotten, in a file that holds no text but finds it again in the next corpus.

A line of `tombstones.jsonl` has `source` and `id` of the document, `text` (digest of its text), `signature` (of
`data.near_duplicates`, with the `ngram` and the `algorithm` that it was made with) and `requested` (when it was asked).
"""

import datetime
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydantic import BaseModel, Field, PositiveInt, ValidationError

from data.config import NearDuplicateConfig
from data.corpus.deduplicate import Forgotten, as_digests, document_key
from data.errors import DataError
from data.files import DIGEST_BYTES, new_digest
from data.progress import say

TOMBSTONES = "tombstones.jsonl"


class Request(NamedTuple):
    """A document that is to be forgotten."""

    source: str
    id: str
    text: str  # as it stands in the corpus


class Tombstone(BaseModel, frozen=True, extra="forbid"):
    """One line of the file."""

    source: str
    id: str
    text: str = Field(pattern=f"^[0-9a-f]{{{2 * DIGEST_BYTES}}}$")
    ngram: PositiveInt
    algorithm: PositiveInt
    signature: str = Field(pattern="^([0-9a-f]{2})+$")
    requested: datetime.date


def forget(file: Path, requests: Sequence[Request], near: NearDuplicateConfig, requested: datetime.date) -> int:
    """Add documents to the file, which is made if need be; those that it has already are left as they are.

    The next corpus built with the file drops each of them by its name, its text and its near-duplicates. Whoever
    changes `near` later loses the last of these for the old lines, which `read_tombstones` says.

    Returns:
        How many were added.

    Raises:
        DataError: the file is damaged; it is left as it is.
    """
    from data.corpus.near_duplicates import ALGORITHM, signatures  # its compiler takes half a second to import

    known = {(stone.source, stone.id, stone.text) for stone in _tombstones(file)}
    lines = []
    for request, signature in zip(requests, signatures([request.text for request in requests], near), strict=True):
        stone = Tombstone(
            source=request.source,
            id=request.id,
            text=new_digest(request.text.encode()).hexdigest(),
            ngram=near.ngram,
            algorithm=ALGORITHM,
            signature=signature.tobytes().hex(),
            requested=requested,
        )
        if (stone.source, stone.id, stone.text) not in known:
            known.add((stone.source, stone.id, stone.text))
            lines.append(stone.model_dump_json() + "\n")
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("ab", buffering=0) as log:
        log.write("".join(lines).encode())
        os.fsync(log.fileno())
    return len(lines)


def read_tombstones(file: Path, near: NearDuplicateConfig | None) -> Forgotten:
    """What `decide` needs to drop the file's documents; nothing if there is no such file.

    Raises:
        DataError: a line is damaged.
    """
    stones = list(_tombstones(file))
    settings = near or NearDuplicateConfig()
    comparable, earlier = _comparable(stones, settings) if stones else ([], 0)
    if stones and not near:
        say(
            f"tombstones: data.near_duplicates is null: of the {len(stones):,} in {file}, the documents and their "
            "exact copies are dropped, near-duplicates are not looked for"
        )
    if len(comparable) < len(stones):
        say(
            f"tombstones: {len(stones) - len(comparable):,} of {len(stones):,} in {file} were signed with other "
            "data.near_duplicates settings: their documents and exact copies are dropped, near-duplicates are not "
            "found; the report shows no samples of what is dropped"
        )
    if earlier:
        say(
            f"tombstones: {earlier:,} of {len(stones):,} in {file} were signed by an earlier version: of their "
            "near-duplicates those may be missed that have ligatures, soft hyphens, markup, numbers of lines or words "
            "that are parted at the end of a line; the report shows no samples of what is dropped"
        )
    return Forgotten(
        texts=as_digests(b"".join(bytes.fromhex(stone.text) for stone in stones)),
        keys=as_digests(b"".join(document_key(stone.source, stone.id) for stone in stones)),
        signatures=np.frombuffer(b"".join(comparable), np.uint8).reshape(
            len(comparable), settings.bands * settings.rows
        ),
        complete=not earlier and len(comparable) == len(stones),
    )


def _comparable(stones: Sequence[Tombstone], near: NearDuplicateConfig) -> tuple[list[bytes], int]:
    """The signatures that those made with `near` can be compared with, and how many are of an earlier version."""
    from data.corpus.near_duplicates import ALGORITHM, EARLIER

    of_settings = [
        stone for stone in stones if (stone.ngram, len(stone.signature) // 2) == (near.ngram, near.bands * near.rows)
    ]
    found = [stone for stone in of_settings if stone.algorithm in (ALGORITHM, *EARLIER)]
    return [bytes.fromhex(stone.signature) for stone in found], sum(stone.algorithm in EARLIER for stone in found)


def _tombstones(file: Path) -> Iterator[Tombstone]:
    content = file.read_bytes() if file.exists() else b""
    for number, line in enumerate(content.splitlines(keepends=True), start=1):
        try:
            stone = Tombstone.model_validate_json(line)
        except ValidationError as error:
            problem = error.errors()[0]
            raise DataError(
                f"{file}:{number}: not a tombstone ({'.'.join(map(str, problem['loc']))} {problem['msg']}): mend or "
                "remove the line; what it names is not forgotten without it"
            ) from None
        if not line.endswith(b"\n"):
            raise DataError(f"{file}:{number}: the line has no end, it may be cut off: request it again and remove it")
        yield stone
