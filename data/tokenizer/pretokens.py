"""Where a text is cut before its pieces are found: the patterns as regular expressions, and the same cuts compiled."""

import functools
import json
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, get_args

import numba
import numpy as np
import numpy.typing as npt
from tokenizers import Regex, normalizers, pre_tokenizers

from data.tokenizer.strings import Bytes

Pretokenization = Literal["bloomberggpt", "words"]
Digits = Literal["single", "triples", "runs"]

REPEATS: dict[Digits, str] = {"single": "", "triples": "{1,3}", "runs": "+"}
MOST_DIGITS: dict[Digits, int] = {"single": 1, "triples": 3, "runs": np.iinfo(np.int64).max}
OTHER, LETTER, NUMBER, SPACE, NEWLINE, WHITE = range(6)
CODE_POINTS = 0x110000


def pattern(pretokenization: Pretokenization, digits: Digits) -> str:
    """The regular expression whose matches, found greedily, are the pre-tokens; they cover every text."""
    if pretokenization == "bloomberggpt":
        # BloombergGPT (arXiv 2303.17564 §2.3), with digits="single": spaces lie inside the class of letters.
        return rf"[ A-Za-z]+|[0-9]{REPEATS[digits]}|[^A-Za-z0-9]+"
    # With digits="single" this is Qwen3.5's, letter for letter, which the fast engines know: an English ending; a word
    # with its marks and the one character before it; digits; punctuation with the space before and the line ends after
    # it; space up to a line end; other space, whose last character is left to the word that follows.
    return (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|"
        rf"\p{{N}}{REPEATS[digits]}"
        r"| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )


def pre_tokenizer(pretokenization: Pretokenization, digits: Digits) -> pre_tokenizers.PreTokenizer:
    """The library's: a split by `pattern`, then bytes as letters."""
    split = pre_tokenizers.Split(Regex(pattern(pretokenization, digits)), "isolated")
    return pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def known_pattern(definition: Mapping[str, Any]) -> tuple[Pretokenization, Digits] | None:
    """What of these two a tokenizer.json cuts by, if by nothing else: its pre-tokenizer is `pre_tokenizer`."""
    for pretokenization in get_args(Pretokenization):
        for digits in get_args(Digits):
            if definition.get("pre_tokenizer") == json.loads(pre_tokenizer(pretokenization, digits).__getstate__()):
                return pretokenization, digits
    return None


@functools.cache
def character_classes(pretokenization: Pretokenization) -> Bytes:
    """uint8 (CODE_POINTS,): what each character is to the pattern, in the version of Unicode that `tokenizers` knows.

    It takes a fifth of a second for "words", so that it is better passed on than made again.
    """
    classes = np.full(CODE_POINTS, OTHER, np.uint8)
    if pretokenization == "bloomberggpt":
        classes[[*range(ord("A"), ord("Z") + 1), *range(ord("a"), ord("z") + 1), ord(" ")]] = LETTER
        classes[ord("0") : ord("9") + 1] = NUMBER
        return classes
    kinds = {LETTER: r"[\p{L}\p{M}]", NUMBER: r"\p{N}", WHITE: r"\s"}
    characters = np.concatenate([np.arange(0xD800), np.arange(0xE000, CODE_POINTS)])  # all but surrogates
    characters = characters[_matches("|".join(kinds.values()), characters)]
    for number, kind in kinds.items():
        classes[characters[_matches(kind, characters)]] = number
    classes[ord(" ")] = SPACE
    classes[[ord("\r"), ord("\n")]] = NEWLINE
    return classes


def _matches(kind: str, characters: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which characters a regular expression for one character, which is not NUL, matches in `tokenizers`."""
    text = characters.astype("<u4").tobytes().decode("utf-32-le")
    replaced = normalizers.Replace(Regex(kind), "\0").normalize_str(text)
    changed: npt.NDArray[np.bool_] = np.frombuffer(replaced.encode("utf-32-le"), "<u4") != characters
    return changed


class Splitting(NamedTuple):
    """How a text is cut: what `pretoken_end` wants to know."""

    classes: Bytes  # of `character_classes`
    words: bool  # whether the pattern is "words", or "bloomberggpt"
    most_digits: int  # characters that a pre-token of digits may have


def splitting(pretokenization: Pretokenization, digits: Digits) -> Splitting:
    return Splitting(character_classes(pretokenization), pretokenization == "words", MOST_DIGITS[digits])


@numba.njit(cache=True, nogil=True)
def pretoken_end(text: Bytes, begin: int, end: int, classes: Bytes, words: bool, most_digits: int) -> Any:
    """Where the pre-token that begins at `begin` ends, an int.

    Args:
        text: uint8, valid UTF-8 between begin and end, where a document ends.
        classes, words, most_digits: of a `Splitting`.
    """
    kind, place = _character(text, begin, classes)
    if kind == NUMBER:
        return _run_end(text, place, end, classes, NUMBER, most_digits - 1)
    if not words:
        if kind == LETTER:
            return _run_end(text, place, end, classes, LETTER, end)
        while place < end:
            kind, after = _character(text, place, classes)
            if kind == NUMBER or (kind == LETTER and text[place] != ord(" ")):
                break
            place = after
        return place
    if kind == LETTER:
        return _run_end(text, place, end, classes, LETTER, end)
    if text[begin] == ord("'"):
        ending = _ending_size(text, place, end)
        if ending > 0:
            return place + ending
    following, after = _character(text, place, classes) if place < end else (NEWLINE, end)
    if following == LETTER and kind != NEWLINE:
        return _run_end(text, after, end, classes, LETTER, end)
    if kind == OTHER or (kind == SPACE and following == OTHER):
        marks_end = _run_end(text, place, end, classes, OTHER, end)
        return _run_end(text, marks_end, end, classes, NEWLINE, end)
    return _white_end(text, begin, end, classes)


@numba.njit(cache=True, nogil=True)
def _ending_size(text: Bytes, place: int, end: int) -> Any:
    """Bytes of the English ending behind an apostrophe, s, t, re, ve, m, ll or d in any case; 0 where there is none."""
    if place == end:
        return 0
    first = text[place] | 0x20
    if first in (ord("s"), ord("t"), ord("m"), ord("d")):
        return 1
    if place + 1 == end:
        return 0
    second = text[place + 1] | 0x20
    if second == ord("e") and first in (ord("r"), ord("v")):
        return 2
    if second == ord("l") and first == ord("l"):
        return 2
    return 2 if text[place] == 0xC5 and text[place + 1] == 0xBF else 0  # the long s, which is an s in another case


@numba.njit(cache=True, nogil=True)
def _run_end(text: Bytes, place: int, end: int, classes: Bytes, wanted: int, most: int) -> Any:
    """Where the characters of one class end that begin at `place`, at most so many."""
    while place < end and most > 0:
        kind, after = _character(text, place, classes)
        if kind != wanted:
            break
        place, most = after, most - 1
    return place


@numba.njit(cache=True, nogil=True)
def _white_end(text: Bytes, begin: int, end: int, classes: Bytes) -> Any:
    """Where white space ends: with its last line end, if it has one.

    Otherwise its last character is left to what follows, unless it is alone or nothing follows.
    """
    last = place = begin
    line_end = begin
    while place < end:
        kind, after = _character(text, place, classes)
        if kind not in (SPACE, NEWLINE, WHITE):
            break
        if kind == NEWLINE:
            line_end = after
        last, place = place, after
    if line_end > begin:
        return line_end
    return place if place == end or last == begin else last


@numba.njit(cache=True, nogil=True)
def _character(text: Bytes, place: int, classes: Bytes) -> tuple[int, int]:
    """Class of the character at a place, and the place after it."""
    first = np.int64(text[place])
    if first < 0x80:
        return classes[first], place + 1
    if first < 0xE0:
        return classes[(first & 0x1F) << 6 | text[place + 1] & 0x3F], place + 2
    if first < 0xF0:
        return classes[(first & 0xF) << 12 | (text[place + 1] & 0x3F) << 6 | text[place + 2] & 0x3F], place + 3
    high = (first & 7) << 18 | np.int64(text[place + 1] & 0x3F) << 12
    return classes[high | np.int64(text[place + 2] & 0x3F) << 6 | text[place + 3] & 0x3F], place + 4
