"""Tags of a page without the attributes that its text does not depend on; `hidden` says what styles do not display."""

from typing import Any

import numba
import numpy as np
import numpy.typing as npt


def _words(*words: str) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Words in small letters as compiled functions compare them: bytes (words, longest), and lengths (words,)."""
    longest = max(map(len, words))
    return (
        np.array([list(word.ljust(longest).encode()) for word in words], np.uint8),
        np.array([len(word) for word in words], np.int64),
    )


# Attributes that make an element hidden, then those that text depends on: of html_text.xsl, of the numbers of lists.
_ATTRIBUTES = _words(
    *("hidden", "style", "reversed"),
    *("alt", "alttext", "aria-hidden", "class", "display", "encoding", "id", "type", "start", "value"),
)
_OF_HIDING, _OF_STYLE, _OF_ORDER = 0, 1, 2
# Elements whose content is as it is written; one that no reader sees; and with the first those that are asked.
_ELEMENTS = _words(
    *("script", "style", "title", "textarea", "iframe", "noembed", "noframes", "xmp", "plaintext"),
    "ix:header",
    *("ol", "li", "annotation", "img", "math", "nobr", "span"),
)
_SCRIPT, _FACTS, _LIST = 0, 9, 10
_PROPERTIES, _VALUES = _words("display", "visibility"), _words("none", "hidden")


def shortened(content: bytes) -> bytes:
    """A page (UTF-8) whose tags have no attributes but those that html_text.xsl asks for, each once, and `hidden`.

    The rest is most of a filing, and of a parser's time: libxml2 compares each attribute of a tag with all before it,
    so that 100,000 take it half a minute. Tags end where HTML's standard says; but a value in quotes that nobody closed
    ends with its tag, not with the page.
    """
    page = np.frombuffer(content, np.uint8)
    # Each byte read becomes two at most: "b=c" behind a quote gets a space, "/>" too, and `hidden` is longer by one.
    short = np.empty(2 * page.size + 16, np.uint8)
    return short[: _shorten(page, short)].tobytes()


@numba.njit(cache=True, nogil=True)
def _shorten(page: Any, short: Any) -> int:
    place = filled = 0
    while place < page.size:
        following = page[place + 1] if page[place] == 0x3C and place + 1 < page.size else 0
        if 0x61 <= following | 0x20 <= 0x7A:
            place, filled = _shorten_tag(page, place, short, filled)
        elif following == 0x21:
            end = _comment_end(page, place)
            filled = _copy(page, place, end, short, filled)
            place = end
        else:
            short[filled] = page[place]
            place, filled = place + 1, filled + 1
    return filled


@numba.njit(cache=True, nogil=True)
def _shorten_tag(page: Any, place: int, short: Any, filled: int) -> tuple[int, int]:
    """Where the tag ends that begins at a place, with the content that is as it is written, and what is then filled."""
    at = _name_end(page, place + 1)
    element = _which(page, place + 1, at, _ELEMENTS)
    filled = _copy(page, place, at, short, filled)
    is_hidden, is_closed, is_asked, had = element == _FACTS, False, element == _SCRIPT or element > _FACTS, 0
    while at < page.size and page[at] != 0x3E:
        if page[at] == 0x2F or _is_space(page[at]):
            is_closed = page[at] == 0x2F
            at += 1
            continue
        name, name_end = at, _name_end(page, at + 1)
        while at + 1 < name_end and page[at + 1] != 0x3D:
            at += 1
        name_end = at + 1
        attribute = _which(page, name, name_end, _ATTRIBUTES)
        begin, end, at = _value(page, name_end)
        is_closed = False
        if attribute == _OF_HIDING:
            is_hidden = True
        elif attribute == _OF_STYLE:
            is_hidden = is_hidden or _hides(page, begin, end)
        is_whole = attribute == _OF_ORDER or (begin < end and not _is_quote(page[begin]))
        is_read = attribute > _OF_STYLE or (attribute == _OF_STYLE and element == _LIST)
        if is_asked and is_read and is_whole and not had >> attribute & 1:
            had |= 1 << attribute
            short[filled] = 0x20
            filled = _copy(page, name, name_end if attribute == _OF_ORDER else at, short, filled + 1)
    if is_hidden:
        filled = _write(b" hidden", short, filled)
    filled = _write(b" />" if is_closed else b">", short, filled)
    at = min(at + 1, page.size)
    if 0 <= element < _FACTS:
        end = _content_end(page, at, place + 1, _ELEMENTS[1][element])
        filled = _copy(page, at, end, short, filled)
        at = end
    return at, filled


@numba.njit(cache=True, nogil=True)
def _value(page: Any, at: int) -> tuple[int, int, int]:
    """Where the value of the attribute whose name ends at a place begins and ends, and where the tag goes on.

    One without a closing quote begins with its quote.
    """
    equals = _after_space(page, at)
    if equals >= page.size or page[equals] != 0x3D:
        return at, at, at
    begin = end = _after_space(page, equals + 1)
    if begin < page.size and _is_quote(page[begin]):
        end = begin + 1
        while end < page.size and page[end] != page[begin]:
            end += 1
        if end < page.size:
            return begin + 1, end, end + 1
        end = begin
    while end < page.size and page[end] != 0x3E and not _is_space(page[end]):
        end += 1
    return begin, end, end


@numba.njit(cache=True, nogil=True)
def _hides(page: Any, begin: int, end: int) -> bool:
    """Whether a style does not display an element."""
    for colon in range(begin, end):
        if page[colon] != 0x3A:
            continue
        name_end, value = colon, _after_space(page, colon + 1)
        while name_end > begin and _is_space(page[name_end - 1]):
            name_end -= 1
        for number in range(2):
            name, value_end = name_end - _PROPERTIES[1][number], value + _VALUES[1][number]
            is_one = name >= begin and _which(page, name, name_end, _PROPERTIES) == number
            if is_one and value_end <= end and _which(page, value, value_end, _VALUES) == number:
                return True
    return False


@numba.njit(cache=True, nogil=True)
def _comment_end(page: Any, place: int) -> int:
    """Behind the comment that begins at a place; behind <! where none does."""
    at = place + 4
    if at > page.size or page[place + 2] != 0x2D or page[place + 3] != 0x2D:
        return place + 2
    if at < page.size and page[at] == 0x3E:
        return at + 1
    while at < page.size:  # <!--->, -->, --!>
        if page[at] == 0x3E and page[at - 1] == 0x2D and page[at - 2] == 0x2D:
            return at + 1
        if page[at] == 0x3E and page[at - 1] == 0x21 and page[at - 2] == 0x2D and page[at - 3] == 0x2D:
            return at + 1
        at += 1
    return at


@numba.njit(cache=True, nogil=True)
def _content_end(page: Any, at: int, name: int, length: int) -> int:
    """Where the end tag of an element stands whose content begins at a place, or the page ends."""
    while at < page.size:
        if page[at] == 0x3C and at + 1 < page.size and page[at + 1] == 0x2F and at + 2 + length <= page.size:
            same = 0
            while same < length and page[at + 2 + same] | 0x20 == page[name + same] | 0x20:
                same += 1
            if same == length and _name_end(page, at + 2) == at + 2 + length:
                return at
        at += 1
    return at


@numba.njit(cache=True, nogil=True)
def _which(page: Any, begin: int, end: int, words: Any) -> int:
    """The number of the word that stands there, in large or small letters; -1 for another one."""
    characters, lengths = words
    for number in range(lengths.size):
        if lengths[number] == end - begin:
            same = 0
            while same < end - begin and _small(page[begin + same]) == characters[number, same]:
                same += 1
            if same == end - begin:
                return number
    return -1


@numba.njit(cache=True, nogil=True, inline="always")
def _small(byte: int) -> int:
    return byte + 0x20 if 0x41 <= byte <= 0x5A else byte


@numba.njit(cache=True, nogil=True)
def _name_end(page: Any, at: int) -> int:
    while at < page.size and page[at] != 0x3E and page[at] != 0x2F and not _is_space(page[at]):
        at += 1
    return at


@numba.njit(cache=True, nogil=True)
def _after_space(page: Any, at: int) -> int:
    while at < page.size and _is_space(page[at]):
        at += 1
    return at


@numba.njit(cache=True, nogil=True, inline="always")
def _is_space(byte: int) -> bool:
    return byte == 0x20 or byte == 0x0A or byte == 0x09 or byte == 0x0D or byte == 0x0C


@numba.njit(cache=True, nogil=True, inline="always")
def _is_quote(byte: int) -> bool:
    return byte == 0x22 or byte == 0x27


@numba.njit(cache=True, nogil=True)
def _copy(page: Any, begin: int, end: int, short: Any, filled: int) -> int:
    for place in range(begin, end):
        short[filled + place - begin] = page[place]
    return filled + end - begin


@numba.njit(cache=True, nogil=True)
def _write(word: Any, short: Any, filled: int) -> int:
    for place in range(len(word)):
        short[filled + place] = word[place]
    return filled + len(word)
