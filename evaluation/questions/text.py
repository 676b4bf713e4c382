"""What a text says of itself, by rules that need no model: its sentences, names, numbers with units, and dates.

The rules look at capitals, digits and points alone; only the names of months and the particles inside names are of a
language, English and the commonest European ones. In scripts without capitals there are no names to be found.
"""

import calendar
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

ENDS = re.compile(r"(?:[.!?…]+[\"'”’»)\]]*|(?<=[^\W\d])[.!?][\"”’]?\d{1,3})(?=\s)|[。！？]+[”’」』）]*|\n\s*\n|\n|\Z")
SENTENCE_BYTES = (40, 320)
LAST = re.compile(r"[.!?…。！？][\"'”’»)\]」』）]*(?:(?<!\d.)\d{1,3})?\Z")
SOMETHING = re.compile(r"\S")
WORD = re.compile(r"[^\W\d_]+(?:[&.'’-][^\W\d_]+)*")
PARTICLES = frozenset({"of", "de", "del", "di", "da", "du", "van", "von", "der"})
"""Small words that a name may have inside: Bank of England."""
MONTHS = tuple(calendar.month_name)[1:]
POSSESSIVE = re.compile(r"['’]s?\Z")
LONGEST_ABBREVIATION = 3
NUMBER = re.compile(r"(?<=[\s(])(?P<sign>[$€£¥]?)(?P<digits>\d+(?:[.,]\d+)*)(?=\s?%|\s[^\W\d_])")
_MONTH = "|".join(MONTHS)
DATE = re.compile(
    rf"(?<=[\s(])(?:(?P<iso>\d{{4}}-\d\d-\d\d)|(?P<words>(?:\d{{1,2}} )?(?:{_MONTH})(?: \d{{1,2}})?,? \d{{4}})"
    r"|(?P<year>1[4-9]\d\d|20\d\d))(?![\w%–/-]|[.,]\d)"
)
YEAR = re.compile(r"(?<!\d)(?:1[4-9]|20)\d\d(?!\d)")


class Span(NamedTuple):
    """Characters of a text, the end excluded."""

    begin: int
    end: int


@dataclass(frozen=True)
class Name:
    """A run of capitalised words inside a sentence.

    Attributes:
        span: where it stands.
        kind: the word in front of it; "capitals" for one word of capitals alone, as ECB, else how many words it has,
            three for more; and whether a mark, a small word of up to three letters or another word is behind it. Names
            of one kind can mostly stand for each other: adjectives for adjectives, too.
    """

    span: Span
    kind: tuple[str, str, str]


def sentences(text: str) -> list[Span]:
    """The pieces of a text between ends of sentences and of paragraphs, without the space around them.

    A sentence ends behind . ! ? … or their Chinese and Japanese forms, with the number of a note, and at a line's end,
    where no small letter follows: lines may be broken within sentences. A point behind a single letter, a word with a
    point inside, a short capitalised word (Mr., U.S., Dr.) or a number at a line's beginning ends nothing.
    """
    found, begin = [], 0
    for match in ENDS.finditer(text):
        behind = SOMETHING.search(text, match.end())
        following = behind.group() if behind else ""
        blank = match.group().count("\n") > 1
        if not blank and (following.islower() or _abbreviates(text, match.start(), match.group())):
            continue
        end = match.end()
        piece = text[begin:end]
        if stripped := piece.strip():
            first = begin + piece.index(stripped[0])
            found.append(Span(first, first + len(stripped)))
        begin = end
    return found


def _abbreviates(text: str, point: int, mark: str) -> bool:
    if mark != ".":
        return False
    line = text[max(0, point - 40) : point]
    word = re.split(r"[\s-]", line)[-1].lstrip("([\"'“‘«")
    is_short = word[:1].isupper() and len(word) <= LONGEST_ABBREVIATION and word.isalpha()
    is_numbered = word.isdigit() and len(word) <= 2 and (line[: -len(word)].strip(" ") or "\n")[-1] == "\n"
    return is_short or is_numbered or (len(word) == 1 and word.isalpha()) or (word.count(".") > 0 and word[0].isalpha())


def is_whole(sentence: str) -> bool:
    """Whether a piece is a sentence that can be asked about: begun and ended as one, neither short nor long."""
    first = sentence.lstrip("\"'“‘«([「『（")[:1]
    begun = first.isalnum() and not first.islower()
    least, most = SENTENCE_BYTES
    return begun and bool(LAST.search(sentence)) and least <= len(sentence.encode()) <= most


def names(text: str, sentence: Span) -> Iterator[Name]:
    """Runs of capitalised words in a sentence, but at its start and behind anything other than a small word.

    Particles may stand between two of them, and a point behind a short one (St. Louis). Months are dates, single
    letters and words with points inside no names, and a possessive ends one.
    """
    words = list(WORD.finditer(text, *sentence))
    index = 1
    while index < len(words):
        if not _is_capitalised(words[index].group()):
            index += 1
            continue
        last = _last_of_run(text, words, index)
        before, begin = words[index - 1], words[index].start()
        end = words[last].end() - _possessive(words[last].group())
        is_whole_word = text[end : end + 1] not in ("-", "–", "/")  # as COVID-19 is not
        if before.group().islower() and text[before.end() : begin] == " " and is_whole_word:
            yield Name(Span(begin, end), (before.group(), _shape(text[begin:end]), _behind(text[end : sentence.end])))
        index = last + 1


def _last_of_run(text: str, words: list[re.Match[str]], index: int) -> int:
    """Index of the last word of the run of capitalised words that begins at `index`."""
    last = index
    for ahead in range(index + 1, len(words)):
        before, word = words[ahead - 1], words[ahead].group()
        between = text[before.end() : words[ahead].start()]
        is_short = between == ". " and len(before.group()) <= LONGEST_ABBREVIATION
        if not (between == " " or is_short) or _possessive(before.group()):
            break
        if _is_capitalised(word):
            last = ahead
        elif word not in PARTICLES or last < ahead - 1:
            break
    return last


def _is_capitalised(word: str) -> bool:
    if len(word) == 1 or "." in word or word in MONTHS or word[:2] in ("I'", "I’"):
        return False
    return all(part[:1].isupper() for part in word.split("-"))  # Baden-Baden, but not Year-to-date


def _possessive(word: str) -> int:
    found = POSSESSIVE.search(word)
    return len(found.group()) if found else 0


def _shape(name: str) -> str:
    count = name.count(" ") + 1
    return "capitals" if count == 1 and name.isupper() else str(min(count, 3))


def _behind(rest: str) -> str:
    following = re.match(r"\s([^\W\d_]+)", rest)
    if following is None:
        return "mark"
    return "small word" if len(following[1]) <= LONGEST_ABBREVIATION else "word"


def numbers(text: str, sentence: Span) -> Iterator[Span]:
    """Numbers in digits with a sign of money in front, or % or a small word behind; not what may be of a date."""
    for match in NUMBER.finditer(text, *sentence):
        digits, following = match["digits"], text[match.end() : match.end() + 2].strip()[:1]
        before = re.search(r"([^\W\d_]+)\W*\Z", text[sentence.begin : match.start()])
        of_date = not match["sign"] and ((len(digits) == 4 and digits.isdigit()) or (before and before[1] in MONTHS))
        counts_something = match["sign"] or following == "%" or following.islower()
        if counts_something and not of_date and not re.match(r"0\d", digits):
            yield Span(match.start("digits"), match.end())


def dates(text: str, sentence: Span) -> Iterator[Span]:
    """Years behind a small word, months with a year, and days in English words or as YYYY-MM-DD."""
    for match in DATE.finditer(text, *sentence):
        if not match["year"] or re.search(r"[^\W\d_] \(?\Z", text[sentence.begin : match.start()]):
            yield Span(*match.span())
