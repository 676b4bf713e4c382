"""Which split a document belongs to: a pure function of the days that it may be of and of its content."""

import datetime
import hashlib
from collections.abc import Collection, Mapping
from typing import Literal

from data.config import DataConfig
from data.interval import Interval

Split = Literal["train", "past", "future"]
SPLITS: tuple[Split, ...] = ("train", "past", "future")
STRADDLES: Literal["straddles the cutoff"] = "straddles the cutoff"
"""In place of a split: of a document that may be of either side, and so is of none."""
# In place of an index into SPLITS: of the cutoff or later, and left out of everything; dropped by cleaning; or
# straddling the cutoff. Such text is not trained on, and so its copies are not.
NOT_SAMPLED, DROPPED, STRADDLING = range(len(SPLITS), len(SPLITS) + 3)


def split(
    date: Interval | None, digest: bytes, cutoff: datetime.date | None, past_fraction: float, seed: int
) -> Split | Literal["straddles the cutoff"]:
    """The split of the document of these days and this digest of its text.

    Documents of which no day lies before the cutoff are `future`; those of which some days do and some do not straddle
    it. Of the others, about `past_fraction` are `past`, chosen by a hash of seed and content, so that equal texts never
    lie on both sides of train and past. Undated ones are others.
    """
    if cutoff is not None and date is not None and not date.lies_before(cutoff):
        return "future" if date.lies_from(cutoff) else STRADDLES
    return "past" if _is_drawn(digest, past_fraction, str(seed)) else "train"


def is_sampled(digest: bytes, fraction: float, seed: int) -> bool:
    """Whether the held-out text after the cutoff takes this document, when it takes only a `fraction` of them."""
    return _is_drawn(digest, fraction, f"{seed}:future")


def held_out_of_nothing(config: DataConfig, filled: Mapping[str, Collection[str]]) -> list[str]:
    """A line for each source and split that was to hold text out and has none.

    Args:
        filled: the splits of each source that have documents.
    """
    lines = []
    for source in config.sources:
        empty = {"past", "future"} - set(filled.get(source.name, ()))
        if "past" in empty and config.past_fraction:
            lines.append(
                f"{source.name}: nothing is held out as `past`, data.past_fraction {config.past_fraction:g} drew none "
                "of its documents: a larger fraction or more text would"
            )
        if "future" in empty and config.cutoff and source.undated != "train":
            lines.append(
                f"{source.name}: nothing is held out as `future`, no document of it is surely of data.cutoff "
                f"{config.cutoff} or later"
            )
    return lines


def _is_drawn(digest: bytes, fraction: float, key: str) -> bool:
    drawn = hashlib.blake2b(digest, digest_size=8, key=key.encode()).digest()
    return int.from_bytes(drawn, "big") < fraction * 2**64
