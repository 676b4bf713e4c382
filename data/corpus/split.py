"""Which split a document belongs to: a pure function of its date and its content."""

import datetime
import hashlib
from typing import Literal

Split = Literal["train", "past", "future"]
SPLITS: tuple[Split, ...] = ("train", "past", "future")
NOTHING_HELD_OUT = "nothing to measure, as no document is held out (data.past_fraction, data.cutoff)"


def split(
    date: datetime.date | None, digest: bytes, cutoff: datetime.date | None, past_fraction: float, seed: int
) -> Split:
    """The split of the document with this date and this digest of its text.

    Documents of the cutoff's day and later are `future`. Of the others, about `past_fraction` are `past`, chosen by a
    hash of seed and content, so that equal texts never lie on both sides of train and past. Undated ones are others.
    """
    if cutoff is not None and date is not None and date >= cutoff:
        return "future"
    return "past" if _is_drawn(digest, past_fraction, str(seed)) else "train"


def is_sampled(digest: bytes, fraction: float, seed: int) -> bool:
    """Whether the held-out text after the cutoff takes this document, when it takes only a `fraction` of them."""
    return _is_drawn(digest, fraction, f"{seed}:future")


def _is_drawn(digest: bytes, fraction: float, key: str) -> bool:
    drawn = hashlib.blake2b(digest, digest_size=8, key=key.encode()).digest()
    return int.from_bytes(drawn, "big") < fraction * 2**64
