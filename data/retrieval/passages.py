"""Documents to passages: cut at paragraph borders, and where a paragraph is too long, at a line, a sentence or a space.

A passage has about so many words as are wanted, half as many again at the most. Its bytes are limited too, so that what
has no spaces is cut all the same; Chinese characters and kana count as words.
"""

from typing import Any

import numba
import numpy as np

from data.tokenizer.strings import Bytes, Int64s

BYTES_PER_WORD = 16  # more than this on average is no language that parts words
STRETCH = 1.5
SPACE, SENTENCE, LINE, PARAGRAPH = range(4)  # borders, and from which share of the wanted words on they may be cut at
LEAST = (0.0, 0.5, 0.5, 0.25)


def cut_passages(text: Bytes, offsets: Int64s, words: int) -> tuple[Int64s, Int64s, Int64s]:
    """Cut documents into passages.

    Args:
        text: UTF-8 of all documents, one behind the other.
        offsets: (documents + 1,): document i is text[offsets[i] : offsets[i + 1]].
        words: that a passage has, about.

    Returns:
        First byte and byte behind the last of each passage (passages,), without white space at its ends, and the
        passages of each document (documents,): none of one that is white space alone. Together they have all that is
        not white space.
    """
    begins, ends, counts = np.empty(64, np.int64), np.empty(64, np.int64), np.zeros(len(offsets) - 1, np.int64)
    begins, ends, total = _cut(text, offsets, words, begins, ends, counts)
    return begins[:total], ends[:total], counts


@numba.njit(cache=True, nogil=True)
def _cut(text: Bytes, offsets: Int64s, words: int, begins: Int64s, ends: Int64s, counts: Int64s) -> Any:
    total = 0
    for document in range(len(offsets) - 1):
        place, end = _past_space(text, offsets[document], offsets[document + 1]), offsets[document + 1]
        while place < end:
            cut = _next_cut(text, place, end, words)
            if total == len(begins):
                begins, ends = np.append(begins, np.empty_like(begins)), np.append(ends, np.empty_like(ends))
            last = cut
            while last > place and _is_space(text[last - 1]):
                last -= 1
            begins[total], ends[total] = place, last
            total, counts[document] = total + 1, counts[document] + 1
            place = _past_space(text, cut, end)
    return begins, ends, total


@numba.njit(cache=True, nogil=True)
def _next_cut(text: Bytes, begin: int, end: int, words: int) -> Any:
    """Where the passage that begins at `begin` ends, at `end` the latest."""
    most = int(words * STRETCH)
    furthest = min(end, begin + most * BYTES_PER_WORD)
    last, later = np.full(4, -1, np.int64), -1  # last border of a kind within the words; first paragraph's behind them
    place, count = begin, 0
    while place < furthest:
        if _is_space(text[place]):
            kind, after = _border(text, begin, place, end)
            if count <= words and count >= words * LEAST[kind]:
                last[kind] = place
            elif count > words and kind == PARAGRAPH and later < 0:
                later = place
            if after >= end:
                return end
            place = after
            continue
        is_first = place == begin or _is_space(text[place - 1])
        is_wide = 0xE3 <= text[place] <= 0xED
        if is_first or is_wide:
            if count == most:
                break
            count += 1
            if is_wide and words // 2 <= count <= words and _ends_sentence(text, begin, place):
                last[SENTENCE] = place
        place += 1
    if place >= end and (last[PARAGRAPH] < 0 or count <= words):
        return end
    if last[PARAGRAPH] >= 0:
        return last[PARAGRAPH]
    if later >= 0:
        return later
    for kind in (LINE, SENTENCE, SPACE):
        if last[kind] > begin:
            return last[kind]
    while place < end and place > begin + 1 and 0x80 <= text[place] < 0xC0:  # not within a character
        place -= 1
    return place


@numba.njit(cache=True, nogil=True)
def _border(text: Bytes, begin: int, place: int, end: int) -> tuple[int, int]:
    """What kind of border the white space from `place` on is, and where it ends."""
    lines, after = 0, place
    while after < end and _is_space(text[after]):
        lines += text[after] == 0x0A
        after += 1
    if lines:
        return (PARAGRAPH if lines > 1 else LINE), after
    return (SENTENCE if _ends_sentence(text, begin, place) else SPACE), after


@numba.njit(cache=True, nogil=True)
def _ends_sentence(text: Bytes, begin: int, place: int) -> Any:
    """Whether a sentence ends with the byte before `place`: . ! ? and closing quotes or brackets, or 。！？"""
    while place > begin and (text[place - 1] == 0x22 or text[place - 1] == 0x27 or text[place - 1] == 0x29):
        place -= 1
    while (
        place - 3 >= begin and text[place - 3] == 0xE2 and text[place - 2] == 0x80 and text[place - 1] in (0x99, 0x9D)
    ):
        place -= 3
    if place <= begin:
        return False
    byte = text[place - 1]
    if byte == 0x2E or byte == 0x21 or byte == 0x3F:
        return True
    if place - 3 < begin:
        return False
    first, second = text[place - 3], text[place - 2]
    return (first == 0xE3 and second == 0x80 and byte == 0x82) or (
        first == 0xEF and second == 0xBC and (byte == 0x81 or byte == 0x9F)
    )


@numba.njit(cache=True, nogil=True)
def _past_space(text: Bytes, place: int, end: int) -> int:
    while place < end and _is_space(text[place]):
        place += 1
    return place


@numba.njit(cache=True, nogil=True, inline="always")
def _is_space(byte: Any) -> Any:
    return byte == 0x20 or 0x09 <= byte <= 0x0D
