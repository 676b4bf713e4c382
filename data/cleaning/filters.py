"""Published rules of web text that drop a document: Gopher's, C4's and FineWeb's, each with its thresholds.

They are written for English web pages. Words are those of words.py, runs of characters that are not white space; lines
are those that are not blank; characters are code points. Texts come from clean.py: newline is the only end of line and
nothing stands before it.

Where the published code counts otherwise:

- datatrove 0.10.1 and dolma 1.2.1 have words of their own: datatrove (spaCy) parts punctuation from the word that it
  stands by, and counts words of punctuation alone neither for the number of words nor for their mean length.
- Gopher's paper does not say which lines begin with a bullet or whether blank lines are lines; datatrove takes • and -,
  dolma * and -, both count blank lines; here all three are bullets.
- Gopher's repetition is counted as datatrove does it (`WordCounts` in words.py); dolma counts the first occurrence
  of what repeats too, and divides by the characters of the words instead of all.
- C4's paper asks for 5 words a line and 3 sentences a page; datatrove for 3 and 5, as an early version did. It lets
  curly brackets pass in lines that go, and has nltk's punkt count the sentences.
- FineWeb's paper drops from a share of 0.1 of characters in repeated lines on; datatrove from 0.01.
"""

import functools
import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from data.cleaning.filings import filings
from data.cleaning.words import DUPLICATE_NGRAMS, TOP_NGRAMS, WordCounts, count_words
from data.config import Filter

# Rae et al. 2021 (Gopher), appendix A.1.1, quality filtering
GOPHER_WORDS = (50, 100_000)
GOPHER_MEAN_WORD_LENGTH = (3, 10)
GOPHER_SYMBOLS_PER_WORD = 0.1
GOPHER_BULLET_LINES = 0.9
GOPHER_ELLIPSIS_LINES = 0.3
GOPHER_ALPHABETIC_WORDS = 0.8
GOPHER_STOP_WORDS = frozenset({"the", "be", "to", "of", "and", "that", "have", "with"})
GOPHER_DIFFERENT_STOP_WORDS = 2
BULLETS = ("-", "*", "•")
ELLIPSES = ("...", "…")

# Rae et al. 2021, table A1, repetition removal
GOPHER_DUPLICATE_LINES = 0.30
GOPHER_DUPLICATE_PARAGRAPHS = 0.30
GOPHER_DUPLICATE_LINE_CHARACTERS = 0.20
GOPHER_DUPLICATE_PARAGRAPH_CHARACTERS = 0.20
GOPHER_TOP_NGRAM_CHARACTERS = {2: 0.20, 3: 0.18, 4: 0.16}
GOPHER_DUPLICATE_NGRAM_CHARACTERS = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}

# Raffel et al. 2020 (C4), section 2.2; the longest word, the citations and the policies from its published code,
# tensorflow_datasets/text/c4_utils.py. Not applied: the list of bad words and the three-sentence de-duplication.
C4_WORDS_PER_LINE = 5
C4_SENTENCES = 3
C4_LONGEST_WORD = 1_000
C4_LINE_ENDS = (".", "!", "?", '"', "”")
C4_POLICIES = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
C4_CITATION = re.compile(r"\[(?:\d*|edit|citation needed)\]")
SENTENCE_END = re.compile(r"""[.!?]["'”’)\]]*(?:\s|$)""")

# Penedo et al. 2024 (FineWeb), section 3.6
FINEWEB_ENDED_LINES = 0.12
FINEWEB_DUPLICATE_LINE_CHARACTERS = 0.1
FINEWEB_SHORT_LINE = 30
FINEWEB_SHORT_LINES = 0.67
FINEWEB_LINE_ENDS = (*C4_LINE_ENDS, "'", "。", "！", "？")


@dataclass(frozen=True)
class Page:
    """A cleaned text that is not empty, and what the rules count in it, found when a rule first asks for it."""

    text: str

    @functools.cached_property
    def lines(self) -> list[str]:
        """The lines that are not blank."""
        return [line for line in self.text.split("\n") if line]

    @functools.cached_property
    def paragraphs(self) -> list[str]:
        """What two newlines or more set apart."""
        return [piece.strip("\n") for piece in self.text.split("\n\n") if piece.strip("\n")]

    @functools.cached_property
    def words(self) -> WordCounts:
        """What is counted in the words."""
        return count_words(self.text.encode())


def make_filter(filters: Sequence[Filter], language: str | None) -> Callable[[str], str | None]:
    """The judge of a source's cleaned texts: the name of the first filter and of its rule that drop one, or None.

    Gopher's rule on English stop words is left out where the source's `language` is another.
    """
    rules: dict[Filter, Callable[[Page], str | None]] = {
        "gopher_quality": functools.partial(gopher_quality, english=language in (None, "en")),
        "gopher_repetition": gopher_repetition,
        "c4": c4,
        "fineweb": fineweb,
        "filings": lambda page: filings(page.text, page.words),
    }

    def judge(text: str) -> str | None:
        page = Page(text)
        for name in filters:
            if reason := rules[name](page):
                return f"{name}: {reason}"
        return None

    return judge


def gopher_quality(page: Page, english: bool) -> str | None:
    """Gopher's rules on words, symbols and lines: the rule that a page breaks, or None."""
    text, lines, words = page.text, page.lines, page.words.words
    if not GOPHER_WORDS[0] <= words <= GOPHER_WORDS[1]:
        return "words"
    if not GOPHER_MEAN_WORD_LENGTH[0] <= page.words.characters / words <= GOPHER_MEAN_WORD_LENGTH[1]:
        return "mean word length"
    if text.count("#") / words > GOPHER_SYMBOLS_PER_WORD:
        return "hashes"
    if sum(text.count(ellipsis) for ellipsis in ELLIPSES) / words > GOPHER_SYMBOLS_PER_WORD:
        return "ellipses"
    if sum(line.lstrip().startswith(BULLETS) for line in lines) / len(lines) > GOPHER_BULLET_LINES:
        return "bullet lines"
    if sum(line.endswith(ELLIPSES) for line in lines) / len(lines) > GOPHER_ELLIPSIS_LINES:
        return "ellipsis lines"
    if page.words.alphabetic / words < GOPHER_ALPHABETIC_WORDS:
        return "alphabetic words"
    if english and not _has_stop_words(text):
        return "stop words"
    return None


def _has_stop_words(text: str) -> bool:
    """Whether two different stop words are in a text, which the first words almost always tell."""
    for words in (text.split(None, 40)[:40], text.split()):
        if len(GOPHER_STOP_WORDS.intersection(words)) >= GOPHER_DIFFERENT_STOP_WORDS:
            return True
    return False


def gopher_repetition(page: Page) -> str | None:
    """Gopher's rules on repeated lines, paragraphs and n-grams of words: the rule that a page breaks, or None."""
    size = len(page.text)
    for name, pieces, most, most_characters in (
        ("paragraphs", page.paragraphs, GOPHER_DUPLICATE_PARAGRAPHS, GOPHER_DUPLICATE_PARAGRAPH_CHARACTERS),
        ("lines", page.lines, GOPHER_DUPLICATE_LINES, GOPHER_DUPLICATE_LINE_CHARACTERS),
    ):
        duplicates, characters = _count_duplicates(pieces)
        if duplicates / len(pieces) > most:
            return f"duplicate {name}"
        if characters / size > most_characters:
            return f"characters in duplicate {name}"
    for n, count in zip(TOP_NGRAMS, page.words.top, strict=True):
        if count / size > GOPHER_TOP_NGRAM_CHARACTERS[n]:
            return f"commonest {n}-gram"
    for n, count in zip(DUPLICATE_NGRAMS, page.words.duplicates, strict=True):
        if count / size > GOPHER_DUPLICATE_NGRAM_CHARACTERS[n]:
            return f"duplicate {n}-grams"
    return None


def _count_duplicates(pieces: Sequence[str]) -> tuple[int, int]:
    """How many pieces came before already, and the characters in them."""
    different = set(pieces)
    if len(different) == len(pieces):
        return 0, 0
    return len(pieces) - len(different), sum(map(len, pieces)) - sum(map(len, different))


def remove_c4_lines(text: str) -> tuple[str, int]:
    """What C4 leaves of a page's lines, without citations, and the number of those that it takes out.

    A line stays that ends in a terminal punctuation mark other than an ellipsis, has at least five words and none of
    more than a thousand characters, and speaks neither of Javascript nor of policies. Blank lines stay.
    """
    while (without := C4_CITATION.sub("", text)) != text:
        text = without
    lowered = text.lower()
    phrases = tuple(phrase for phrase in ("javascript", *C4_POLICIES) if phrase in lowered)
    lines = text.split("\n")
    kept = [line for line in lines if not line or _is_c4_line(line, phrases)]
    return "\n".join(kept), len(lines) - len(kept)


def _is_c4_line(line: str, phrases: Sequence[str]) -> bool:
    if not line.endswith(C4_LINE_ENDS) or line.endswith(ELLIPSES[0]):
        return False
    if len(line.split(None, C4_WORDS_PER_LINE - 1)) < C4_WORDS_PER_LINE:
        return False
    if phrases and any(phrase in line.lower() for phrase in phrases):
        return False
    return len(line) <= C4_LONGEST_WORD or max(map(len, line.split())) <= C4_LONGEST_WORD


def c4(page: Page) -> str | None:
    """C4's rules on whole pages: the rule that a page breaks, or None.

    A sentence ends with a full stop, exclamation or question mark before white space, closing quotes and brackets
    between them aside, and with its line.
    """
    if "{" in page.text or "}" in page.text:
        return "curly bracket"
    if "lorem ipsum" in page.text.lower():
        return "lorem ipsum"
    sentences = 0
    for line in page.lines:
        inner = sum(1 for _ in itertools.islice(SENTENCE_END.finditer(line, 0, len(line)), C4_SENTENCES))
        sentences += max(inner, 1)
        if sentences >= C4_SENTENCES:
            return None
    return "sentences"


def fineweb(page: Page) -> str | None:
    """FineWeb's own three rules, all on lines: the rule that a page breaks, or None."""
    lines = page.lines
    if sum(line.endswith(FINEWEB_LINE_ENDS) for line in lines) / len(lines) <= FINEWEB_ENDED_LINES:
        return "lines that end in punctuation"
    if _count_duplicates(lines)[1] / sum(map(len, lines)) >= FINEWEB_DUPLICATE_LINE_CHARACTERS:
        return "characters in duplicate lines"
    if sum(len(line) < FINEWEB_SHORT_LINE for line in lines) / len(lines) >= FINEWEB_SHORT_LINES:
        return "short lines"
    return None
