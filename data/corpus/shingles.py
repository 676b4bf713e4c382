"""Words and word n-grams of texts as hashes of 64 bits: what near-duplicates and contamination are compared by.

A word is a maximal run of letters, marks and digits (Unicode categories L, M, N) in folded case; everything else only
separates. Chinese characters and Japanese kana, which are written without spaces, are words of their own; a run of
Thai, Lao, Khmer or Burmese counts as one word.
"""

import functools
import unicodedata
from collections.abc import Sequence
from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from data.hashing import FNV_OFFSET, FNV_PRIME, GOLDEN, mix

Hashes = npt.NDArray[np.uint64]

# Characters that are words of their own, first and past the last: iteration marks and zero, kana with its small,
# half-width and historical forms, unified ideographs with extension A, compatibility ideographs.
UNSPACED = (
    *((0x3005, 0x3008), (0x3041, 0x3097), (0x309D, 0x30A0), (0x30A1, 0x3100), (0x31F0, 0x3200), (0xFF66, 0xFFA0)),
    *((0x1AFF0, 0x1B170), (0x3400, 0x4DC0), (0x4E00, 0xA000), (0xF900, 0xFB00)),
)
FOLDED_CHARACTERS = 0x20000  # code points in the table; of those above it, only ideographs are parts of words
LAST_IDEOGRAPH = 0x3FFFF

# FNV-1a over code points; each hash is then mixed, as FNV leaves the high bits of short words poorly spread.
_OFFSET, _PRIME = np.uint64(FNV_OFFSET), np.uint64(FNV_PRIME)
_ROLL = np.uint64(GOLDEN)  # odd: the base of the polynomial that an n-gram's hash is
_mix = numba.njit(nogil=True, inline="always")(mix)


class Shingles(NamedTuple):
    """The n-grams of several texts, one text after the other, in the order of their words."""

    hashes: Hashes  # (shingles,)
    offsets: npt.NDArray[np.int64]  # (texts + 1,): text i has hashes[offsets[i] : offsets[i + 1]], at least one
    words: npt.NDArray[np.int64]  # (texts,): how many words each text has


def shingle(texts: Sequence[str], ngram: int) -> Shingles:
    """Hash every run of `ngram` words of each text.

    A text of fewer words is one n-gram as a whole, and a text of no words at all is one by its bytes.

    Args:
        texts: without lone surrogates.
        ngram: words in an n-gram, from 1.
    """
    column = pa.array(texts, pa.large_string())
    _, offset_bytes, utf8 = column.buffers()
    offsets = np.frombuffer(offset_bytes, np.int64, len(texts) + 1) if len(texts) else np.zeros(1, np.int64)
    content = np.frombuffer(utf8, np.uint8) if utf8 else np.zeros(0, np.uint8)
    # A word and what parts it from the next take two bytes, so that this many hashes are enough; what is not written
    # takes no memory.
    hashes = np.empty(int(offsets[-1]) // 2 + 2 * len(texts), np.uint64)
    ends, words = _shingle(content, offsets, folded_characters(), ngram, hashes)
    return Shingles(hashes[: ends[-1]], ends, words)


@functools.cache
def folded_characters() -> npt.NDArray[np.int32]:
    """For each code point below FOLDED_CHARACTERS: 0 if it parts words, else the code point that it counts as.

    This is negative for a character that is a word of its own. Case is folded where one code point stays one.
    """
    table = np.zeros(FOLDED_CHARACTERS, np.int32)
    for code in range(FOLDED_CHARACTERS):
        character = chr(code)
        if unicodedata.category(character)[0] in "LMN":
            folded = character.casefold()
            table[code] = ord(folded if len(folded) == 1 else character.lower()[0])
    for first, end in UNSPACED:
        table[first:end] *= -1
    return table


@numba.njit(cache=True, nogil=True)
def hash_words(utf8: Any, begin: int, end: int, folded: Any, words: Any) -> int:
    """Write the hash of each word of the UTF-8 text utf8[begin:end] to `words`; returns how many there are.

    Args:
        folded: `folded_characters()`.
        words: uint64, of length (end - begin) // 2 + 1 or more.
    """
    count, place, value, inside = 0, begin, _OFFSET, False
    while place < end:
        byte = np.int64(utf8[place])
        if byte < 0x80:
            code, length = byte, 1
        elif byte < 0xE0:
            code, length = (byte & 0x1F) << 6 | (utf8[place + 1] & 0x3F), 2
        elif byte < 0xF0:
            code, length = (byte & 0x0F) << 12 | (utf8[place + 1] & 0x3F) << 6 | (utf8[place + 2] & 0x3F), 3
        else:
            code = (byte & 0x07) << 18 | (utf8[place + 1] & 0x3F) << 12
            code, length = code | (utf8[place + 2] & 0x3F) << 6 | (utf8[place + 3] & 0x3F), 4
        place += length
        letter = np.int64(folded[code]) if code < FOLDED_CHARACTERS else -code if code <= LAST_IDEOGRAPH else 0
        if letter > 0:
            value, inside = (value ^ np.uint64(letter)) * _PRIME, True
            continue
        if inside:
            words[count] = _mix(value)
            count, value, inside = count + 1, _OFFSET, False
        if letter < 0:
            words[count] = _mix((_OFFSET ^ np.uint64(-letter)) * _PRIME)
            count += 1
    if inside:
        words[count] = _mix(value)
        count += 1
    return count


@numba.njit(cache=True, nogil=True)
def roll(words: Any, count: int, ngram: int, hashes: Any) -> int:
    """Write the hash of each n-gram of the first `count` words to `hashes`; returns how many there are.

    An n-gram's hash is a polynomial of its words' hashes, rolled on from word to word (Karp and Rabin 1987), and mixed.
    """
    power = np.uint64(1)
    for _ in range(ngram):
        power *= _ROLL
    value = np.uint64(0)
    for index in range(count):
        value = value * _ROLL + words[index]
        if index >= ngram:
            value -= words[index - ngram] * power
        if index >= ngram - 1:
            hashes[index - ngram + 1] = _mix(value)
    return max(count - ngram + 1, 0)


@numba.njit(cache=True, nogil=True)
def _shingle(utf8: Any, offsets: Any, folded: Any, ngram: int, hashes: Any) -> Any:
    longest = 0
    for text in range(len(offsets) - 1):
        longest = max(longest, offsets[text + 1] - offsets[text])
    words = np.empty(longest // 2 + 1, np.uint64)
    ends, counts = np.zeros(len(offsets), np.int64), np.zeros(len(offsets) - 1, np.int64)
    for text in range(len(offsets) - 1):
        begin, end, first = offsets[text], offsets[text + 1], ends[text]
        counts[text] = hash_words(utf8, begin, end, folded, words)
        if counts[text]:
            written = roll(words, counts[text], min(counts[text], ngram), hashes[first:])
        else:
            value = _OFFSET
            for place in range(begin, end):
                value = (value ^ np.uint64(utf8[place])) * _PRIME
            hashes[first] = _mix(value)
            written = 1
        ends[text + 1] = first + written
    return ends, counts
