"""Cleaning of one text: what no reader would see is normalised, what nobody wrote is dropped.

A text is rewritten until nothing changes any more, and then judged as it stands: cleaning it again changes nothing.
"""

import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Set
from typing import NamedTuple

import numpy as np

from data.cleaning.mojibake import MAYBE_MOJIBAKE, undo_mojibake
from data.config import CleaningConfig, DataConfig
from data.errors import DataError
from data.source_config import SourceConfig

NEWLINES = re.compile("\r\n|[\r\v\f\x1c-\x1e\x85\u2028\u2029]")
# What fields are separated with becomes a space, so that no two numbers become one: SOH (FIX, Hive), STX, ETX, US, BEL
# (the cells of Word), and U+0080 to U+009F, which are misread punctuation and stay where mojibake does.
SEPARATORS = {False: re.compile("[\x01-\x03\x07\x1f]"), True: re.compile("[\x01-\x03\x07\x1f\x80-\x9f]")}
# NUL ends and fills fields, but where it is every second character, which is UTF-16 read as something else.
EVERY_SECOND = re.compile("(?:[^\x00]\x00){8}")
# The other control characters but tab and newline; the byte order mark and the zero-width space, word joiner and
# Mongolian separator. The zero-width (non-)joiner stays: Persian, the scripts of India and emoji are written with it.
INVISIBLE = re.compile("[\x00-\x08\x0e-\x1f\x7f\ufeff\u200b\u2060\u180e]")
CONTROLS = {False: re.compile("[\x00-\x08\x0e-\x1f\x7f]"), True: re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]")}
INVISIBLE_OR_NEWLINES = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufeff\u200b\u2028\u2029\u2060\u180e]")
SPACE_BEFORE_NEWLINE = re.compile(r"\n(?<=[^\S\n]\n)")  # begins with a letter to be found at the speed of memory
TRAILING_SPACE = re.compile(r"[^\S\n]+(?=\n)")
BLANK_LINES = re.compile(r"\n{4,}")
# No language stacks a thousand marks or symbols; the time that NFC takes grows with the square of such a run.
# Lines of tables and leaders are no such symbols.
LAYOUT_CHARACTERS = r"\-.=_~*#+|:·•‐-―․‥…─-╿・"  # of a regular expression's class
SYMBOL = re.compile(rf"[^\w\s\x00-\x7f{LAYOUT_CHARACTERS}]")
LONGEST_SYMBOL_RUN = 999
LAYOUT = re.compile(rf"[\s{LAYOUT_CHARACTERS}]{{4,}}")

LARGEST_SHARE_OF_ONE_CHARACTER = 0.5
DIGITS = set("0123456789")
LEAST_DIGITS, LEAST_LINES_OF_FIGURES = 3, 3  # that differ, and newlines, of a text in which one digit may be the most
LEAST_BYTE_ENTROPY = 1.5  # bits a byte; prose has 4 to 5, a genome 2
LARGEST_COMPRESSION = 50
LEAST_SHARE_WITHOUT_LAYOUT = 0.05
COMPRESSED_BLOCK = 1_024
EMPTY_COMPRESSED = 8  # bytes that zlib makes of nothing


class Cleaned(NamedTuple):
    """What became of a text: it is kept, or it is dropped for a reason."""

    text: str
    """The cleaned text, also of one that is dropped."""
    reason: str | None
    """Why it is dropped, in few and stable words, such as `too short`; None where it is kept."""
    scrubbed: Mapping[str, int]
    """Pieces of personal data that a mark replaced, by kind."""
    removed_lines: int
    """Lines that were taken out: boilerplate, and what C4 leaves out."""
    boilerplate: Mapping[str, int]
    """Of the lines, how many each boilerplate expression matches; one line may be matched by several."""
    altered: Set[str] = frozenset()
    """What was replaced or taken out that may have meant something: of "control characters" and "mojibake"."""


def make_cleaner(config: DataConfig, source: SourceConfig) -> Callable[[str], Cleaned]:
    """The cleaning of one source's texts.

    Rewritten: mojibake; Unicode to NFC, line ends to newlines, separators to spaces; other control and invisible
    characters, trailing spaces and blank lines beyond two in a row go; then boilerplate lines, the lines that C4 leaves
    out, and personal data.

    Dropped, for the first of these reasons: `no lines left`, `empty`, `too short`, `too long`, `repetitive`
    (see `is_repetitive`; unless turned off), a filter and its rule as in `gopher_quality: words`, another language as
    in `language: de`.

    Raises DataError for a boilerplate expression that is none and for a language that cannot be told.
    """
    rewrite, judge = _make_rewriter(config.cleaning), _make_judge(config, source)

    def clean(text: str) -> Cleaned:
        text, scrubbed, removed_lines, boilerplate, altered = rewrite(text)
        reason = "no lines left" if removed_lines and not text else judge(text)
        return Cleaned(text, reason, scrubbed, removed_lines, boilerplate, altered)

    return clean


def make_rewriter(cleaning: CleaningConfig) -> Callable[[str], str]:
    """From a text to what cleaning makes of it, without a judgement; raises as `make_cleaner`."""
    rewrite = _make_rewriter(cleaning)
    return lambda text: rewrite(text)[0]


def _make_rewriter(cleaning: CleaningConfig) -> Callable[[str], tuple[str, Counter[str], int, Counter[str], set[str]]]:
    """From a text to what cleaning makes of it, and as in `Cleaned` what was replaced and the lines taken out."""
    removers: list[Callable[[str], tuple[str, int, Mapping[str, int]]]] = []
    scrub = None
    if cleaning.boilerplate_lines:
        removers.append(make_line_remover(cleaning.boilerplate_lines))
    if "c4" in cleaning.filters:
        from data.cleaning.filters import remove_c4_lines

        removers.append(lambda text: (*remove_c4_lines(text), {}))
    if cleaning.scrub:
        from data.cleaning.personal import make_scrubber

        scrub = make_scrubber(cleaning.scrub)

    def rewrite(text: str) -> tuple[str, Counter[str], int, Counter[str], set[str]]:
        scrubbed: Counter[str] = Counter()
        boilerplate: Counter[str] = Counter()
        altered: set[str] = set()
        removed_lines = 0
        before = None
        while text != before:
            before = text
            text = normalise(text, cleaning.fix_mojibake, altered)
            for remove in removers:
                text, removed, matched = remove(text)
                if removed:
                    removed_lines += removed
                    boilerplate.update(matched)
                    text = normalise(text, cleaning.fix_mojibake, altered)
            if scrub:
                text, found = scrub(text)
                scrubbed += found
        return text, scrubbed, removed_lines, boilerplate, altered

    return rewrite


def _make_judge(config: DataConfig, source: SourceConfig) -> Callable[[str], str | None]:
    """The reason to drop a text that has been rewritten, or None."""
    filter_reason = other_language = None
    if config.cleaning.filters:
        from data.cleaning.filters import make_filter

        filter_reason = make_filter(config.cleaning.filters, source.language)
    if source.language:
        from data.cleaning.language import make_language_filter

        other_language = make_language_filter(source.language)

    def judge(text: str) -> str | None:
        if not text:
            return "empty"
        if len(text) < config.minimum_characters:
            return "too short"
        if len(text) > config.maximum_characters:
            return "too long"
        if config.cleaning.drop_repetitive and is_repetitive(text):
            return "repetitive"
        if filter_reason and (reason := filter_reason(text)):
            return reason
        if other_language and (language := other_language(text)):
            return f"language: {language}"
        return None

    return judge


def normalise(text: str, fix_mojibake: bool, altered: set[str]) -> str:
    """A text without what no reader sees, or with other characters only for what a reader would have seen wrong.

    What was done, as in `Cleaned.altered`, is added to `altered`.
    """
    if fix_mojibake and not text.isascii() and MAYBE_MOJIBAKE.search(text):
        before, text = text, undo_mojibake(text)
        if text != before:
            altered.add("mojibake")
    if INVISIBLE_OR_NEWLINES.search(text):
        has_controls = CONTROLS[fix_mojibake].search(text)
        text = NEWLINES.sub("\n", text)
        if has_controls:
            altered.add("control characters")
            text = SEPARATORS[fix_mojibake].sub(" ", text)
            if "\x00" in text:
                text = text.replace("\x00", "" if EVERY_SECOND.search(text) else " ")
        text = INVISIBLE.sub("", text)
    if not has_symbol_run(text):
        text = unicodedata.normalize("NFC", text)
    if SPACE_BEFORE_NEWLINE.search(text):
        text = TRAILING_SPACE.sub("", text)
    if "\n\n\n\n" in text:
        text = BLANK_LINES.sub("\n\n\n", text)
    return text.rstrip().lstrip("\n")


def make_line_remover(expressions: tuple[str, ...]) -> Callable[[str], tuple[str, int, Mapping[str, int]]]:
    """The removal of the lines that one of several regular expressions matches as a whole.

    It returns the text without them, their number, and how many each expression matches.

    Raises DataError for an expression that does not compile.
    """
    boilerplate = []
    for expression in expressions:
        try:
            boilerplate.append(re.compile(expression))
        except re.error as error:
            raise DataError(
                f"data.cleaning.boilerplate_lines: '{expression}' is no regular expression ({error}): mend it"
            ) from None

    def remove(text: str) -> tuple[str, int, Mapping[str, int]]:
        lines = text.split("\n")
        kept = [line for line in lines if not line or not any(each.fullmatch(line) for each in boilerplate)]
        if len(kept) == len(lines):
            return text, 0, {}
        gone = set(lines).difference(kept)
        matched = Counter(
            each.pattern for line in lines if line in gone for each in boilerplate if each.fullmatch(line)
        )
        return "\n".join(kept), len(lines) - len(kept), matched

    return remove


def has_symbol_run(text: str) -> bool:
    """Whether more than LONGEST_SYMBOL_RUN symbols outside ASCII follow one another; NFC is kept from such a text."""
    step = LONGEST_SYMBOL_RUN + 1  # a longer run holds one of the characters that are so far apart
    if text.isascii() or not SYMBOL.search(text[::step]):
        return False
    return re.search(rf"{SYMBOL.pattern}{{{step}}}", text) is not None


def is_repetitive(text: str) -> bool:
    """Whether a text (not empty) is a character or a token over and over, such as half a million backslashes.

    One character other than space makes up more than half of it (no digit, in lines of several figures), or a thousand
    symbols outside ASCII stand in a row, or its bytes have less than 1.5 bits of entropy each, or zlib compresses it
    more than 50-fold (prose: 2 to 4-fold).
    Layout is no repetition: this must be so too where four or more spaces, dots, dashes and other characters of leaders
    and rules in a row are one space, or less than 5 % of the text is then left.
    """
    if not _repeats(text):
        return False
    rest = LAYOUT.sub(" ", text).strip()
    return len(rest) < LEAST_SHARE_WITHOUT_LAYOUT * len(text) or _repeats(rest)


def _repeats(text: str) -> bool:
    if has_symbol_run(text):
        return True
    encoded = text.encode()
    counts = np.bincount(np.frombuffer(encoded, dtype=np.uint8), minlength=256)
    # The last byte of a character is below 0xC0 and stands at least as often as the character.
    most = LARGEST_SHARE_OF_ONE_CHARACTER * len(text)
    if counts[0x21:0xC0].max() > most and any(
        count > most and not character.isspace() and not (character in DIGITS and _has_figures(text))
        for character, count in Counter(text).most_common(2)
    ):
        return True
    # The entropy is at least that of the commonest byte's surprise, which spares most texts the sum.
    if counts.max() > 2**-LEAST_BYTE_ENTROPY * len(encoded):
        shares = counts[counts > 0] / len(encoded)
        if -(shares * np.log2(shares)).sum() < LEAST_BYTE_ENTROPY:
            return True
    return _is_compressed(encoded)


def _has_figures(text: str) -> bool:
    """Whether there are lines and several figures, as in a table of round amounts, and not one over and over."""
    return text.count("\n") >= LEAST_LINES_OF_FIGURES and len(set(text) & DIGITS) >= LEAST_DIGITS


def _is_compressed(encoded: bytes) -> bool:
    """Whether zlib makes a text more than 50 times smaller; its first blocks decide most texts.

    With little memory for it zlib starts at once, and writes what it has made of a few hundred bytes.
    """
    if len(encoded) < LARGEST_COMPRESSION * EMPTY_COMPRESSED:
        return False
    compressor, size = zlib.compressobj(level=1, memLevel=2), 0
    for place in range(0, len(encoded), COMPRESSED_BLOCK):
        size += len(compressor.compress(encoded[place : place + COMPRESSED_BLOCK]))
        if size * LARGEST_COMPRESSION >= len(encoded):
            return False
    return (size + len(compressor.flush())) * LARGEST_COMPRESSION < len(encoded)
