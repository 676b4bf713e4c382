"""Words and word n-grams of texts as hashes of 64 bits: what near-duplicates and contamination are compared by.

A word is a maximal run of letters, marks and digits (Unicode categories L, M, N) in folded case; everything else only
separates. Chinese characters and Japanese kana, which are written without spaces, are words of their own; a run of
Thai, Lao, Khmer or Burmese counts as one word.

What looks the same is the same: each character counts as its compatibility form (NFKC: ligatures, full-width letters,
superscripts), characters that are not shown (Default_Ignorable_Code_Point: soft hyphens, joiners, variation selectors)
do not count, a word that a hyphen and white space part, as at the end of a line, is one, entities and tags of HTML are
what they are shown as, and numbers that count the lines, as in pleadings, are none. This is for comparing alone: no
text is changed.
"""

import functools
import html
import re
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
# Default_Ignorable_Code_Point, first and past the last (DerivedCoreProperties.txt of Unicode 17).
NOT_SHOWN = (
    *((0xAD, 0xAE), (0x34F, 0x350), (0x61C, 0x61D), (0x115F, 0x1161), (0x17B4, 0x17B6), (0x180B, 0x1810)),
    *((0x200B, 0x2010), (0x202A, 0x202F), (0x2060, 0x2070), (0x3164, 0x3165), (0xFE00, 0xFE10), (0xFEFF, 0xFF00)),
    *((0xFFA0, 0xFFA1), (0xFFF0, 0xFFF9), (0x1BCA0, 0x1BCA4), (0x1D173, 0x1D17B), (0xE0000, 0xE1000)),
)
# Their compatibility forms are letters, with which a name would be another word than without the sign.
TRADE_MARKS = "\u2120\u2122"
# Kana and their voicing marks are one character in full width and two in half width.
HALF_WIDTH_VOICED = re.compile("[\uff66-\uff9d][\uff9e\uff9f]")
# A tag, which has no attribute or one with =, so that "a <b and c> d" stays; those within a line of text part no word.
TAG = re.compile(
    "</?+(?:(?P<inline>a|abbr|b|big|code|del|em|font|i|ins|mark|q|s|small|span|strike|strong|sub|sup|tt|u|wbr)"
    r"|[a-z][a-z0-9:-]*+)(?:\s*+/?|\s[^<>=]*+=[^<>]*+)>|<!--[^<>]*+(?<=--)>",
    re.I,
)
LEAST_WITHOUT_TAGS = 0.1  # share of a text
IGNORED = 1 << 21  # in the table, past the last code point: does not count
EXPANDED = 1 << 22  # and from here on: several characters, which begin in the expansions so many places on
NEWLINE = 0x0A
MOST_WORDS_PER_BYTE = 2  # the three bytes of U+3316 count as six kana

# FNV-1a over code points; each hash is then mixed, as FNV leaves the high bits of short words poorly spread.
_OFFSET, _PRIME = np.uint64(FNV_OFFSET), np.uint64(FNV_PRIME)
_ROLL = np.uint64(GOLDEN)  # odd: the base of the polynomial that an n-gram's hash is
_mix = numba.njit(nogil=True, inline="always")(mix)


class Shingles(NamedTuple):
    """The n-grams of several texts, one text after the other, in the order of their words."""

    hashes: Hashes  # (shingles,)
    offsets: npt.NDArray[np.int64]  # (texts + 1,): text i has hashes[offsets[i] : offsets[i + 1]], at least one
    words: npt.NDArray[np.int64]  # (texts,): how many words each text has


class Folding(NamedTuple):
    """What each code point below FOLDED_CHARACTERS counts as."""

    table: npt.NDArray[np.int32]
    """0: it parts words; positive: the code point that it counts as; negative: that one, which is a word of its own;
    IGNORED; or EXPANDED and the place of its expansion."""
    expansions: npt.NDArray[np.int32]
    """One after the other: how many values of the first three kinds follow, and these."""
    first_bytes: npt.NDArray[np.int32]
    """(256,): of a character's first byte, the same as in the table where that is enough, else -1."""


def shingle(texts: Sequence[str], ngram: int, joining: bool = True) -> Shingles:
    """Hash every run of `ngram` words of each text.

    A text of fewer words is one n-gram as a whole, and a text of no words at all is one by its bytes.

    Args:
        texts: in NFC, without lone surrogates.
        ngram: words in an n-gram, from 1.
        joining: whether texts are read as they are shown, without markup and with their lines joined.
    """
    read = _mostly_shown if joining else composed
    column = pa.array(map(read, texts), pa.large_string(), size=len(texts))
    _, offset_bytes, utf8 = column.buffers()
    offsets = np.frombuffer(offset_bytes, np.int64, len(texts) + 1) if len(texts) else np.zeros(1, np.int64)
    content = np.frombuffer(utf8, np.uint8) if utf8 else np.zeros(0, np.uint8)
    # A word and what parts it from the next take two bytes or more, but for the characters that are several words. An
    # array of numpy's is of huge pages, one of numba's is not, which takes half as long again.
    hashes = np.empty(int(offsets[-1]) // 2 + 2 * len(offsets), np.uint64)
    hashes, ends, words = _shingle(content, offsets, folding(), ngram, joining, hashes)
    return Shingles(hashes[: ends[-1]], ends, words)


def shown(text: str) -> str:
    """A text in NFC as `composed` gives it, without markup."""
    return composed(_without_tags(_unescaped(text)))


def _mostly_shown(text: str) -> str:
    """A text as it is shown; with its tags where they are nearly all of it, as of records that are attributes."""
    text = _unescaped(text)
    without = _without_tags(text)
    return composed(without if len(without) >= LEAST_WITHOUT_TAGS * len(text) else text)


def _unescaped(text: str) -> str:
    if "&" in text and (unescaped := html.unescape(text)) != text:
        return unicodedata.normalize("NFC", html.unescape(unescaped))  # once more: &amp;nbsp; is of pages within pages
    return text


def _without_tags(text: str) -> str:
    return TAG.sub(lambda tag: "" if tag["inline"] else " ", text) if "<" in text else text


def composed(text: str) -> str:
    """A text in NFC without the half-width kana whose full-width form is not that of each character."""
    if "\uff9e" in text or "\uff9f" in text:
        return HALF_WIDTH_VOICED.sub(lambda pair: unicodedata.normalize("NFKC", pair[0]), text)
    return text


@functools.cache
def folding() -> Folding:
    """The table by which texts are compared."""
    characters = [chr(code) for code in range(FOLDED_CHARACTERS)]
    table = np.array([unicodedata.category(each)[0] in "LMN" for each in characters]) * np.arange(FOLDED_CHARACTERS)
    for first, end in UNSPACED:
        table[first:end] *= -1
    # All forms at once, with a character between them that is never changed and changes none.
    forms = unicodedata.normalize("NFKC", "\0".join(characters[1:])).casefold()
    values = table.tolist()  # of the characters that are their own form
    expansions: list[int] = []
    for code, form in enumerate(unicodedata.normalize("NFKC", forms).split("\0"), start=1):
        if form == characters[code] or not (values[code] or _has_letter(form)):
            continue  # a spacing accent, whose form is a space and a mark, parts words as others do
        of_form = [values[ord(part)] if ord(part) < FOLDED_CHARACTERS else -ord(part) for part in form]
        table[code] = of_form[0] if len(of_form) == 1 else EXPANDED + len(expansions)
        expansions += [len(of_form), *of_form] if len(of_form) > 1 else []
    table[list(map(ord, TRADE_MARKS))] = 0
    for first, end in NOT_SHOWN:
        table[first:end] = IGNORED
    first_bytes = np.append(table[:0x80], np.full(0x80, -1))
    first_bytes[[0x2D, NEWLINE]] = -1
    return Folding(table.astype(np.int32), np.array(expansions, np.int32), first_bytes.astype(np.int32))


def _has_letter(text: str) -> bool:
    return any(unicodedata.category(character)[0] in "LN" for character in text)


@numba.njit(cache=True, nogil=True)
def hash_words(utf8: Any, begin: int, end: int, folding: Any, joining: bool, words: Any) -> Any:
    """Write the hash of each word of the UTF-8 text utf8[begin:end] to `words`.

    Args:
        folding: `folding()`.
        joining: whether lines are joined: what a hyphen and white space part is one word, and numbers that count the
            lines are none.
        words: uint64, of length MOST_WORDS_PER_BYTE * (end - begin) + 1 or more.

    Returns:
        How many there are, and whether there are lines to be joined so.
    """
    table, first_bytes, count, value = folding.table, folding.first_bytes, 0, _OFFSET  # which is that of no word
    place, number = _past_number(utf8, begin, end, -1) if joining else (begin, -1)
    has_lines = place > begin
    while place < end:
        letter = np.int64(first_bytes[utf8[np.uint64(place)]])  # unsigned, as none counts from the end: 5 % faster
        if letter > 0:
            value, place = (value ^ np.uint64(letter)) * _PRIME, place + 1
            continue
        if letter == 0:
            if value != _OFFSET:
                words[np.uint64(count)] = _mix(value)
                count, value = count + 1, _OFFSET
            place += 1
            continue
        code, length = np.int64(utf8[place]), 1
        if code >= 0x80:
            code, length = _decode(utf8, place)
        letter = np.int64(table[code]) if code < FOLDED_CHARACTERS else _unlisted(code)
        place += length
        if 0 < letter < IGNORED:
            value = (value ^ np.uint64(letter)) * _PRIME
            continue
        if joining and code == NEWLINE:
            ahead, number = _past_number(utf8, place, end, number)
            has_lines, place = has_lines | (ahead > place), ahead
        elif joining and value != _OFFSET and (code == 0x2D or code == 0xAD or code == 0x2010 or code == 0x2011):
            ahead, number_behind = _past_break(utf8, place - length, place, end, number)
            if ahead > place:
                place, number, has_lines = ahead, number_behind, True
                continue
        if letter < IGNORED:
            if value != _OFFSET:
                words[count] = _mix(value)
                count, value = count + 1, _OFFSET
            if letter < 0:
                words[count] = _mix((_OFFSET ^ np.uint64(-letter)) * _PRIME)
                count += 1
        elif letter > IGNORED:
            value, count = _expand(folding.expansions, letter - EXPANDED, value, words, count)
    words[count] = _mix(value)
    return count + (value != _OFFSET), has_lines


@numba.njit(cache=True, nogil=True, inline="always")
def _decode(utf8: Any, place: int) -> Any:
    """The code point outside ASCII that begins at `place`, and its bytes."""
    byte = np.int64(utf8[place])
    if byte < 0xE0:
        return (byte & 0x1F) << 6 | (utf8[place + 1] & 0x3F), 2
    if byte < 0xF0:
        return (byte & 0x0F) << 12 | (utf8[place + 1] & 0x3F) << 6 | (utf8[place + 2] & 0x3F), 3
    code = (byte & 0x07) << 18 | (utf8[place + 1] & 0x3F) << 12
    return code | (utf8[place + 2] & 0x3F) << 6 | (utf8[place + 3] & 0x3F), 4


@numba.njit(cache=True, nogil=True, inline="always")
def _unlisted(code: int) -> int:
    """What a code point past the table's counts as."""
    if code <= LAST_IDEOGRAPH:
        return -code
    return IGNORED if 0xE0000 <= code < 0xE1000 else 0


@numba.njit(cache=True, nogil=True)
def _expand(expansions: Any, first: int, value: Any, words: Any, count: int) -> Any:
    """Go on with a word, end it and begin others by an expansion."""
    for index in range(first + 1, first + 1 + expansions[first]):
        letter = np.int64(expansions[index])
        if letter > 0:
            value = (value ^ np.uint64(letter)) * _PRIME
            continue
        if value != _OFFSET:
            words[count] = _mix(value)
            count, value = count + 1, _OFFSET
        if letter < 0:
            words[count] = _mix((_OFFSET ^ np.uint64(-letter)) * _PRIME)
            count += 1
    return value, count


@numba.njit(cache=True, nogil=True)
def _past_break(utf8: Any, hyphen: int, place: int, end: int, number: int) -> Any:
    """Where a word goes on that a hyphen and white space part, and the last line's number; `place` where nothing does.

    Ranges of numbers are no such words.
    """
    ahead = place
    while ahead < end and _is_space(utf8[ahead]):
        ahead += 1
        if utf8[ahead - 1] == NEWLINE:
            ahead, number = _past_number(utf8, ahead, end, number)
    if ahead == end or _is_digit(utf8[hyphen - 1]) or _is_digit(utf8[ahead]):
        return place, number
    return ahead, number


@numba.njit(cache=True, nogil=True)
def _past_number(utf8: Any, place: int, end: int, last: int) -> Any:
    """Where the text of a line that begins at `place` does, and the number before it; `last` where there is none.

    A number counts the lines where the last line that began with one had the number before, or the line behind has the
    next. Else it is text.
    """
    ahead, number = _number_at(utf8, place, end)
    if ahead == place or number == last + 1:
        return ahead, number if ahead > place else last
    behind = ahead
    while behind < end and utf8[behind] != NEWLINE:
        behind += 1
    goes_on, next_number = _number_at(utf8, behind + 1, end)
    counts = goes_on > behind + 1 and next_number == number + 1
    return ahead if counts else place, number


@numba.njit(cache=True, nogil=True)
def _number_at(utf8: Any, place: int, end: int) -> Any:
    """Past a number of up to three digits, with white space behind it, that begins a line, and it; else `place`."""
    ahead, number = place, np.int64(0)
    while ahead < end and (utf8[ahead] == 0x20 or utf8[ahead] == 0x09):
        ahead += 1
    first = ahead
    while ahead < min(end, first + 3) and _is_digit(utf8[ahead]):
        number = 10 * number + np.int64(utf8[ahead]) - 0x30
        ahead += 1
    is_number = ahead > first and ahead < end and _is_space(utf8[ahead])
    return ahead if is_number else place, number


@numba.njit(cache=True, nogil=True, inline="always")
def _is_space(byte: int) -> bool:
    return byte == 0x20 or 0x09 <= byte <= 0x0D


@numba.njit(cache=True, nogil=True, inline="always")
def _is_digit(byte: int) -> bool:
    return 0x30 <= byte <= 0x39


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
def _shingle(utf8: Any, offsets: Any, folding: Any, ngram: int, joining: bool, hashes: Any) -> Any:
    longest = 0
    for text in range(len(offsets) - 1):
        longest = max(longest, offsets[text + 1] - offsets[text])
    words = np.empty(MOST_WORDS_PER_BYTE * longest + 1, np.uint64)
    ends, counts = np.zeros(len(offsets), np.int64), np.zeros(len(offsets) - 1, np.int64)
    for text in range(len(offsets) - 1):
        begin, end, first = offsets[text], offsets[text + 1], ends[text]
        counts[text], _ = hash_words(utf8, begin, end, folding, joining, words)
        if first + counts[text] >= len(hashes):
            hashes = np.append(hashes[:first], np.empty(len(hashes) + counts[text], np.uint64))
        if counts[text]:
            written = roll(words, counts[text], min(counts[text], ngram), hashes[first:])
        else:
            value = _OFFSET
            for place in range(begin, end):
                value = (value ^ np.uint64(utf8[place])) * _PRIME
            hashes[first] = _mix(value)
            written = 1
        ends[text + 1] = first + written
    return hashes, ends, counts
