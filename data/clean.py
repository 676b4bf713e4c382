"""Light cleaning of one text: what no reader would see is normalised, and what nobody wrote is dropped."""

import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple

from data.config import DataConfig, SourceConfig

NEWLINES = re.compile("\r\n|[\r\v\f\x85\u2028\u2029]")
# Control characters but tab and newline; the byte order mark and the zero-width space, word joiner and Mongolian
# separator. The zero-width (non-)joiner stays: Persian, the scripts of India and emoji are written with it.
INVISIBLE = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ufeff\u200b\u2060\u180e]")
TRAILING_SPACE = re.compile(r"[^\S\n]+(?=\n)")
BLANK_LINES = re.compile(r"\n{4,}")
# No language stacks a thousand marks or symbols; the time that NFC takes grows with the square of such a run.
SYMBOL_RUN = re.compile(r"[^\w\x00-\x7f]{1000}")
LARGEST_SHARE_OF_ONE_CHARACTER = 0.5
LARGEST_COMPRESSION = 50
SAMPLED_CHARACTERS = 1_000


class Cleaned(NamedTuple):
    """What became of a text: it is kept, or it is dropped for a reason."""

    text: str | None
    """The cleaned text; None where it is dropped."""
    reason: str | None
    """Why it is dropped, in few and stable words, such as `too short`; None where it is kept."""
    scrubbed: Mapping[str, int]
    """Pieces of personal data that a mark replaced, by kind."""
    removed_lines: int
    """Lines that were taken out as boilerplate."""


def make_cleaner(config: DataConfig, source: SourceConfig) -> Callable[[str], Cleaned]:
    """The cleaning of one source's texts. Cleaning a cleaned text again changes nothing."""

    def clean(text: str) -> Cleaned:
        kept, reason = normalise(text, config.minimum_characters, config.maximum_characters)
        return Cleaned(kept, reason, {}, 0)

    return clean


def normalise(text: str, minimum_characters: int, maximum_characters: int) -> tuple[str, None] | tuple[None, str]:
    """Normalise a text, or say why it is dropped: (text, None) or (None, reason). Cleaning again changes nothing.

    Normalised: Unicode to NFC, line ends to newlines; control and invisible characters, trailing spaces and blank
    lines beyond two in a row are removed. Dropped: `empty`; `too short`; `too long`; `repetitive`, which means that
    one character other than space makes up more than half of the text, that zlib compresses it more than 50-fold
    (prose: 2 to 4-fold), or that a thousand symbols outside ASCII follow one another.
    """
    text = INVISIBLE.sub("", NEWLINES.sub("\n", text))
    if SYMBOL_RUN.search(text):
        return None, "repetitive"
    text = unicodedata.normalize("NFC", text)
    text = BLANK_LINES.sub("\n\n\n", TRAILING_SPACE.sub("", text)).rstrip().lstrip("\n")
    if not text:
        return None, "empty"
    if len(text) < minimum_characters:
        return None, "too short"
    if len(text) > maximum_characters:
        return None, "too long"
    if _is_repetitive(text):
        return None, "repetitive"
    return text, None


def _is_repetitive(text: str) -> bool:
    """Whether a text (not empty) is a character or a token over and over, such as half a million backslashes."""
    # A character that makes up half of the text is the sample's commonest: only that one is counted in full. Space is
    # not: the columns of a table are mostly space.
    sample = "".join(text[:: len(text) // SAMPLED_CHARACTERS + 1].split())
    commonest = Counter(sample).most_common(1)
    if commonest and text.count(commonest[0][0]) > LARGEST_SHARE_OF_ONE_CHARACTER * len(text):
        return True
    if SYMBOL_RUN.search(text):
        return True
    encoded = text.encode()
    return len(zlib.compress(encoded, level=1)) * LARGEST_COMPRESSION < len(encoded)
