"""The words of a text and what repeats among them, in compiled passes over its UTF-8 bytes.

A word is a maximal run of characters that are not Unicode White_Space, wherever the rules of filters.py speak of words.
They are found once for each text.
"""

import functools
from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from data.hashing import FNV_OFFSET, FNV_PRIME, GOLDEN

Bytes = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int32]
Counts = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

TOP_NGRAMS = (2, 3, 4)
DUPLICATE_NGRAMS = (5, 6, 7, 8, 9, 10)

# A word's hash only chooses its place in a table, equality is decided on the bytes.
_OFFSET, _PRIME = np.uint64(FNV_OFFSET), np.uint64(FNV_PRIME)
_FIBONACCI = np.uint64(GOLDEN)  # spreads a key's low bits over its high ones


class WordCounts(NamedTuple):
    """What is counted in the words of a text."""

    words: int
    """Words."""
    characters: int
    """Code points in them."""
    alphabetic: int
    """Words with at least one letter (Unicode general category L*)."""
    top: list[int]
    """For n of TOP_NGRAMS: how often the commonest n-gram of words occurs, the first of equally common ones, times its
    characters, with a space between words."""
    duplicates: list[int]
    """For n of DUPLICATE_NGRAMS: characters, without spaces, of the n-grams that were met before, when the text is read
    from its start and an n-gram that was met before is stepped over as a whole, so that no character counts twice."""


class Words(NamedTuple):
    """The words of a text in order; arrays (words,) int32."""

    starts: Integers
    """First byte."""
    ends: Integers
    """Byte after the last."""
    characters: Integers
    """Code points between them."""


def count_words(text: bytes) -> WordCounts:
    """Find the words of a text in UTF-8 and count what the rules need."""
    words, characters, alphabetic, top, duplicates = _count_words(np.frombuffer(text, dtype=np.uint8), _letters())
    return WordCounts(words, characters, alphabetic, top.tolist(), duplicates.tolist())


@functools.cache
def _letters() -> Flags:
    """Whether each code point is a letter: (1,114,112,) bool."""
    return np.char.isalpha(np.arange(0x110000, dtype=np.uint32).view("U1"))


@numba.njit(cache=True, nogil=True)
def _count_words(text: Bytes, letters: Flags) -> tuple[int, int, int, Counts, Counts]:
    words = _find_words(text)
    alphabetic = _count_alphabetic(text, words, letters)
    top, duplicates = _repeated_ngrams(words, _first_equal(text, words))
    return len(words.characters), words.characters.sum(), alphabetic, top, duplicates


@numba.njit(cache=True, nogil=True, inline="always")
def _white_space(text: Bytes, place: int) -> int:
    """Bytes of the white-space character that begins at `place`; 0 where none does."""
    first = text[place]
    if first <= 0x20:
        return 1 if first == 0x20 or 0x09 <= first <= 0x0D else 0
    if first < 0xC2 or first > 0xE3:
        return 0
    if first == 0xC2:  # U+0085, U+00A0
        return 2 if text[place + 1] == 0x85 or text[place + 1] == 0xA0 else 0
    if first < 0xE1:
        return 0
    second, third = text[place + 1], text[place + 2]
    if first == 0xE1:  # U+1680
        return 3 if second == 0x9A and third == 0x80 else 0
    if first == 0xE2:  # U+2000 to U+200A, U+2028, U+2029, U+202F, U+205F
        general = second == 0x80 and (third <= 0x8A or third == 0xA8 or third == 0xA9 or third == 0xAF)
        return 3 if general or (second == 0x81 and third == 0x9F) else 0
    return 3 if second == 0x80 and third == 0x80 else 0  # U+3000


@numba.njit(cache=True, nogil=True)
def _find_words(text: Bytes) -> Words:
    """The words of a text."""
    size = len(text)
    starts = np.empty(size // 2 + 1, np.int32)
    ends = np.empty(size // 2 + 1, np.int32)
    characters = np.empty(size // 2 + 1, np.int32)
    count, place = 0, 0
    while place < size:
        space = _white_space(text, place)
        if space:
            place += space
            continue
        start, length = place, 0
        while place < size and not _white_space(text, place):
            length += 1
            place += 1
            while place < size and text[place] & 0xC0 == 0x80:
                place += 1
        starts[count], ends[count], characters[count] = start, place, length
        count += 1
    return Words(starts[:count], ends[:count], characters[:count])


@numba.njit(cache=True, nogil=True)
def _count_alphabetic(text: Bytes, words: Words, letters: Flags) -> int:
    count = 0
    for word in range(len(words.starts)):
        place, end = words.starts[word], words.ends[word]
        while place < end:
            first = np.int64(text[place])
            length = 1 if first < 0x80 else 2 if first < 0xE0 else 3 if first < 0xF0 else 4
            code = first if length == 1 else first & (0x7F >> length)
            for offset in range(1, length):
                code = code << 6 | text[place + offset] & 0x3F
            if letters[code]:
                count += 1
                break
            place += length
    return count


@numba.njit(cache=True, nogil=True)
def _first_equal(text: Bytes, words: Words) -> Integers:
    """For each word the index of the first word of the same bytes, its own where it is the first: (words,) int32."""
    count = len(words.starts)
    shift, size = _table(count)
    table = np.full(size, -1, np.int32)
    hashes = np.empty(count, np.uint64)
    firsts = np.empty(count, np.int32)
    for word in range(count):
        start, end = words.starts[word], words.ends[word]
        value = _OFFSET
        for place in range(start, end):
            value = (value ^ np.uint64(text[place])) * _PRIME
        hashes[word] = value
        slot = np.int64((value * _FIBONACCI) >> shift)
        while True:
            other = table[slot]
            if other < 0:
                table[slot] = firsts[word] = word
                break
            if hashes[other] == value and _equal(text, words.starts[other], words.ends[other], start, end):
                firsts[word] = other
                break
            slot = (slot + 1) & (size - 1)
    return firsts


@numba.njit(cache=True, nogil=True, inline="always")
def _table(entries: int) -> tuple[np.uint64, int]:
    """Size of a hash table at most half full, a power of two, and the shift that takes 64 bits to a place in it."""
    bits = 1
    while 1 << bits < 2 * entries:
        bits += 1
    return np.uint64(64 - bits), 1 << bits


@numba.njit(cache=True, nogil=True, inline="always")
def _equal(text: Bytes, start: int, end: int, other_start: int, other_end: int) -> bool:
    if end - start != other_end - other_start:
        return False
    for offset in range(end - start):  # noqa: SIM110 - a compiled loop
        if text[start + offset] != text[other_start + offset]:
            return False
    return True


@numba.njit(cache=True, nogil=True)
def _repeated_ngrams(words: Words, firsts: Integers) -> tuple[Counts, Counts]:
    """The last two of WordCounts, from the words and the first word that equals each."""
    top = np.zeros(len(TOP_NGRAMS), np.int64)
    duplicate = np.zeros(len(DUPLICATE_NGRAMS), np.int64)
    before = np.zeros(len(words.characters) + 1, np.int64)  # characters in the words before each
    before[1:] = np.cumsum(words.characters)
    grams = firsts
    for n in range(2, DUPLICATE_NGRAMS[-1] + 1):
        if len(grams) < 2:
            break
        grams, repeated = _longer(grams)
        if n <= TOP_NGRAMS[-1]:
            top[n - TOP_NGRAMS[0]] = _top_characters(grams, before, n)
        elif not repeated:
            break
        else:
            duplicate[n - DUPLICATE_NGRAMS[0]] = _duplicate_characters(grams, before, n)
    return top, duplicate


@numba.njit(cache=True, nogil=True)
def _longer(grams: Integers) -> tuple[Integers, bool]:
    """From the first equal n-gram of each n-gram to that of each (n+1)-gram, and whether any of these repeats.

    An (n+1)-gram is the pair of n-grams that it begins and ends with, and repeats only if both of them do: all others
    are told apart without a look into the table.
    """
    count = len(grams) - 1
    occurs = np.zeros(count + 1, np.int32)
    for place in range(count + 1):
        occurs[grams[place]] += 1
    candidates = 0
    for place in range(count):
        candidates += occurs[grams[place]] > 1 and occurs[grams[place + 1]] > 1
    shift, size = _table(candidates)
    table = np.full(size, -1, np.int32)
    longer = np.empty(count, np.int32)
    repeated = False
    for place in range(count):
        longer[place] = place
        one, two = grams[place], grams[place + 1]
        if occurs[one] == 1 or occurs[two] == 1:
            continue
        key = np.uint64(one) << np.uint64(32) | np.uint64(two)
        slot = np.int64((key * _FIBONACCI) >> shift)
        while table[slot] >= 0:
            other = table[slot]
            if grams[other] == one and grams[other + 1] == two:
                longer[place], repeated = other, True
                break
            slot = (slot + 1) & (size - 1)
        else:
            table[slot] = place
    return longer, repeated


@numba.njit(cache=True, nogil=True)
def _top_characters(grams: Integers, before: Counts, n: int) -> int:
    occurs = np.zeros(len(grams), np.int32)
    for gram in grams:
        occurs[gram] += 1
    top = np.argmax(occurs)
    return int(occurs[top] * (before[top + n] - before[top] + n - 1))


@numba.njit(cache=True, nogil=True)
def _duplicate_characters(grams: Integers, before: Counts, n: int) -> int:
    met = np.zeros(len(grams), np.bool_)
    place, characters = 0, 0
    while place < len(grams):
        if met[grams[place]]:
            characters += before[place + n] - before[place]
            place += n
        else:
            met[grams[place]] = True
            place += 1
    return characters
