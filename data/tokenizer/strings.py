"""Byte strings as compiled code has them: in arrays, and as a table that numbers the distinct ones.

Many strings are one text and where each begins: string i is text[offsets[i] : offsets[i + 1]].
"""

import itertools
from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from data.hashing import FNV_OFFSET, FNV_PRIME, GOLDEN

Bytes = npt.NDArray[np.uint8]
Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

EMPTY = -1
FIBONACCI = np.uint64(GOLDEN)
_OFFSET, _PRIME = np.uint64(FNV_OFFSET), np.uint64(FNV_PRIME)


def apart(text: Bytes, offsets: Int64s) -> list[bytes]:
    """Each string of a text on its own."""
    content = text.tobytes()
    return [content[begin:end] for begin, end in itertools.pairwise(offsets.tolist())]


class Strings(NamedTuple):
    """Distinct strings, numbered as they were met: a hash table of a fixed size with open addressing.

    Strings are told apart by their bytes, not by a hash. What is done for each string of a text is inlined into its
    loop, as a call would count references to each array; adding a string is rare enough to be a call.
    """

    slots: Int32s  # the number of the string at this place, or EMPTY; a power of two of them
    hashes: npt.NDArray[np.uint64]  # (strings,)
    offsets: Int64s  # (strings + 1,): string i is text[offsets[i] : offsets[i + 1]]
    text: Bytes
    used: Int64s  # (1,): how many strings there are

    @property
    def content(self) -> tuple[Bytes, Int64s]:
        """All strings as one text and where each begins; views."""
        offsets = self.offsets[: self.used[0] + 1]
        return self.text[: offsets[-1]], offsets


def new_strings(most: int, most_bytes: int, spacing: int = 2) -> Strings:
    """An empty table for so many strings and so many bytes of them; memory that is not used yet is not taken.

    Args:
        spacing: slots for each string, at the least.
    """
    return Strings(
        slots=np.full(1 << (spacing * most - 1).bit_length(), EMPTY, np.int32),
        hashes=np.empty(most, np.uint64),
        offsets=np.zeros(most + 1, np.int64),
        text=np.empty(most_bytes, np.uint8),
        used=np.zeros(1, np.int64),
    )


@numba.njit(cache=True, nogil=True, inline="always")
def string_hash(text: Bytes, begin: int, end: int) -> Any:
    """Fowler, Noll and Vo's hash 1a of 64 bits."""
    key = _OFFSET
    for place in range(begin, end):
        key = (key ^ np.uint64(text[place])) * _PRIME
    return key


@numba.njit(cache=True, nogil=True, inline="always")
def first_slot(strings: Strings, key: int) -> Any:
    """Where the search for a string of this hash begins."""
    return np.int64((key * FIBONACCI) >> np.uint64(32)) & (len(strings.slots) - 1)


@numba.njit(cache=True, nogil=True, inline="always")
def is_equal(strings: Strings, number: int, text: Bytes, begin: int, end: int) -> bool:
    """Whether the string of this number is text[begin:end]."""
    own = strings.offsets[number]
    if strings.offsets[number + 1] - own != end - begin:
        return False
    for place in range(end - begin):  # noqa: SIM110 - a compiled loop
        if strings.text[own + place] != text[begin + place]:
            return False
    return True


@numba.njit(cache=True, nogil=True, inline="always")
def string_number(strings: Strings, text: Bytes, begin: int, end: int) -> Any:
    """The number of text[begin:end], which is added if it is new; EMPTY where there is no room for it."""
    key = string_hash(text, begin, end)
    slot = first_slot(strings, key)
    while strings.slots[slot] != EMPTY:
        number = strings.slots[slot]
        if strings.hashes[number] == key and is_equal(strings, number, text, begin, end):
            return number
        slot = (slot + 1) & (len(strings.slots) - 1)
    return add_string(strings, slot, key, text, begin, end)


@numba.njit(cache=True, nogil=True)
def add_string(strings: Strings, slot: int, key: int, text: Bytes, begin: int, end: int) -> Any:
    """Number text[begin:end], of this hash, at a slot that is empty; EMPTY where there is no room for it."""
    number = strings.used[0]
    own = strings.offsets[number]
    if number == len(strings.hashes) or own + end - begin > len(strings.text):
        return np.int32(EMPTY)
    strings.slots[slot], strings.hashes[number] = number, key
    strings.text[own : own + end - begin] = text[begin:end]
    strings.offsets[number + 1] = own + end - begin
    strings.used[0] = number + 1
    return np.int32(number)


@numba.njit(cache=True, nogil=True)
def keep_strings(strings: Strings, kept: npt.NDArray[np.bool_]) -> None:
    """Leave the other strings out, and number those that stay anew; in the same memory."""
    slots, hashes, offsets, text, strings_used = strings
    slots[:] = EMPTY
    begin, number, used = 0, 0, 0
    for old in range(len(kept)):
        end = offsets[old + 1]
        if kept[old]:
            slot = first_slot(strings, hashes[old])
            while slots[slot] != EMPTY:
                slot = (slot + 1) & (len(slots) - 1)
            slots[slot], hashes[number] = number, hashes[old]
            for place in range(begin, end):
                text[used + place - begin] = text[place]
            used += end - begin
            number += 1
            offsets[number] = used
        begin = end
    strings_used[0] = number
