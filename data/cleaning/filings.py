"""Rules for filings, reports and other text with tables: what is broken goes, what is only a table stays.

The published rules of web text (filters.py) ask for sentences, for letters in most words and for few short or repeated
lines, which tables have not. These look for what no table does: text that is coded, markup, glued or torn words, lost
characters, one page over and over. Layout (leaders, rules, the strokes between cells) does not count.

The thresholds were set on filings of 1995 to 2025, of which none comes near them, and on copies that were damaged on
purpose; docs/own-data.md has both. Of the texts of nine filings and 72 pieces of 60 lines of them, tables alone among
them, the least and the most are: 84 % letters and digits, 23 % letters, words of 3.5 to 7.8 characters on average, 5 %
in long words, 0.1 % in tags, 44 % in repeated runs of ten words.
"""

import re

from data.cleaning.words import DUPLICATE_NGRAMS, WordCounts

LEAST_WORDS = 20
MEAN_WORD_LENGTH = (2, 15)
LETTERS_AND_DIGITS, LETTERS = 0.75, 0.05  # of the characters that are neither space nor layout
LONG_WORD, LONG_WORDS = 40, 0.10
TAGS = 0.05  # of all characters
LOST_CHARACTERS = 0.01
REPEATED = 10, 0.60  # words in a row, share of the words' characters in such that came before
LAYOUT = re.compile(r"[-.=_~*#+|:·•‐-―․‥…─-╿・]{3,}|(?<!\S)\|(?!\S)")
TAG = re.compile(r"</?[a-zA-Z][^<>]{0,500}>")
NO_LETTERS_OR_DIGITS = re.compile(r"[\W_]+")
DIGITS = re.compile(r"\d+")


def filings(text: str, counts: WordCounts) -> str | None:
    """The rule that a cleaned text breaks, or None. `counts` are those of the same text."""
    words = LAYOUT.sub(" ", text).split()
    size = sum(map(len, words))
    if len(words) < LEAST_WORDS:
        return "words"
    if not MEAN_WORD_LENGTH[0] <= size / len(words) <= MEAN_WORD_LENGTH[1]:
        return "mean word length"
    if text.count("\ufffd") > LOST_CHARACTERS * size:
        return "lost characters"
    if "<" in text and sum(len(tag) for tag in TAG.findall(text)) > TAGS * len(text):
        return "tags"
    alphanumeric = NO_LETTERS_OR_DIGITS.sub("", "".join(words))
    if len(alphanumeric) < LETTERS_AND_DIGITS * size:
        return "letters and digits"
    if len(DIGITS.sub("", alphanumeric)) < LETTERS * size:
        return "letters"
    if sum(len(word) for word in words if len(word) > LONG_WORD) > LONG_WORDS * size:
        return "long words"
    if counts.duplicates[DUPLICATE_NGRAMS.index(REPEATED[0])] > REPEATED[1] * counts.characters:
        return "repeated text"
    return None
