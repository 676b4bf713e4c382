"""Characters that engines may cut in different ways, because they know different versions of Unicode."""

import functools
import itertools
import unicodedata

import numpy as np
import numpy.typing as npt
import pyarrow as pa

FIRST_OF_THREE_BYTES = 0x800
PLANES_IN_USE = (range(0x40000), range(0xE0000, 0xE1000), range(0xF0000, 0x110000))  # the last are private use


def has_unsure(texts: pa.Array) -> npt.NDArray[np.bool_]:
    """Which texts of a large_string array have a character that this Python's version of Unicode does not know.

    An engine with a newer version may take it for a letter, one with an older version for a sign. Characters below
    U+0800 are left out, which `probed_characters` has all of: so text of most alphabets is passed over at once.
    """
    offsets = np.frombuffer(texts.buffers()[1], np.int64)[texts.offset : texts.offset + len(texts) + 1]
    found = np.zeros(len(texts), np.bool_)
    if not len(texts) or offsets[0] == offsets[-1]:
        return found
    content = np.frombuffer(texts.buffers()[2], np.uint8)[offsets[0] : offsets[-1]]
    starts = np.flatnonzero(content >= 0xE0)  # the first byte of three or four
    starts = starts[_beginnings()[content[starts].astype(np.uint16) << 8 | content[starts + 1]]]  # few are left
    first, second, third = (content[starts + place].astype(np.int32) for place in range(3))
    fourth = content[np.minimum(starts + 3, len(content) - 1)].astype(np.int32)
    of_three = ((first & 0x0F) << 12) | ((second & 0x3F) << 6) | (third & 0x3F)
    of_four = ((first & 0x07) << 18) | ((second & 0x3F) << 12) | ((third & 0x3F) << 6) | (fourth & 0x3F)
    unsure = starts[_unassigned()[np.where(first < 0xF0, of_three, of_four)]]
    found[np.searchsorted(offsets - offsets[0], unsure, side="right") - 1] = True
    return found


@functools.cache
def _unassigned() -> npt.NDArray[np.bool_]:
    """bool (0x110000,): the code points from FIRST_OF_THREE_BYTES on that are no characters yet."""
    unassigned = np.ones(0x110000, np.bool_)
    for plane in PLANES_IN_USE:
        unassigned[plane.start : plane.stop] = [unicodedata.category(chr(point)) == "Cn" for point in plane]
    unassigned[:FIRST_OF_THREE_BYTES] = False
    return unassigned


@functools.cache
def _beginnings() -> npt.NDArray[np.bool_]:
    """bool (65536,): the first two bytes, as one number, of all that are unassigned."""
    points = np.flatnonzero(_unassigned())
    of_three = (0xE0 | points >> 12) << 8 | 0x80 | points >> 6 & 0x3F
    of_four = (0xF0 | points >> 18) << 8 | 0x80 | points >> 12 & 0x3F
    beginnings = np.zeros(0x10000, np.bool_)
    beginnings[np.where(points < 0x10000, of_three, of_four)] = True
    return beginnings


@functools.cache
def probed_characters() -> list[str]:
    """The ends of every run of characters of one category, and all that are not assigned below U+0800.

    What a version of Unicode adds is a run of its own, or the end of one.
    """
    probed = []
    for kind, run in itertools.groupby(map(chr, range(0x40000)), unicodedata.category):
        characters = list(run)
        if kind == "Cn":
            probed += [one for one in characters if ord(one) < FIRST_OF_THREE_BYTES]
        elif kind != "Cs":
            probed += sorted({characters[0], characters[-1]})
    return probed
