"""How well a tokenizer fits a text, beside others: the figures of its report.json.

{"kind": "bpe" | "unigram" | "given" | "extended", "pretokenization", "digits", "split": "past" | "train",
 "training": {"documents", "bytes", "distinct_pretokens", "cut_pretokens", "cut_occurrences", "cut_pieces",
  "chunks" | null} | null,
 "vocabulary_size", "sources": {SOURCE: {"bytes", "words", "tokens"}},
 "word_kinds": {"numbers" | "acronyms" | "rare terms": {"words", "tokens", "whole"}},
 "unused_pieces", "multi_word_pieces",
 "compared": {NAME: {"vocabulary_size", "sources", "word_kinds", "unused_pieces", "multi_word_pieces"}},
 "samples": {"longest": [], "multi_word": [], "unused": []}, "sweep": [{"vocabulary_size", "bytes", "tokens"}],
 "extension": {"new_pieces", "only_parts", "text": {"train" | "past": {"bytes", "before", "after"}},
  "best": [{"piece", "saved"}]}, of an extended tokenizer: before and after are tokens}

Words are runs of what is not white space. A word's tokens are those that hold some of it, and it is whole if that is
one token. Without the punctuation around it, a word is a number if it has only digits, points and commas; an acronym,
as tickers are too, if it has only two to five capital letters of ASCII; and a rare term if it has eight or more
letters, only letters, and the measured text has it once.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from tokenizers import Encoding, Tokenizer

KINDS = ("numbers", "acronyms", "rare terms")
NUMBER = re.compile(r"\d[\d.,]*")
ACRONYM = re.compile(r"[A-Z]{2,5}")
WORD = re.compile(r"\S+")
CORE = re.compile(r"\w(?:\S*\w)?")
SEVERAL_WORDS = re.compile(r"\w\s+\w")
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"  # a piece that holds a part of a character decodes to it
RARE_LETTERS = 8
SAMPLES = 20


class TrainingFacts(NamedTuple):
    """What was learnt from, and what had to be left out of the counts; of chunks, those of each added up."""

    documents: int = 0
    bytes: int = 0
    distinct_pretokens: int = 0
    cut_pretokens: int = 0
    cut_occurrences: int = 0
    cut_pieces: int = 0  # of merged chunks
    chunks: int | None = None

    def add(self, other: "TrainingFacts") -> "TrainingFacts":
        sums = {name: getattr(self, name) + getattr(other, name) for name in self._fields if name != "chunks"}
        return self._replace(**sums)


class Made(NamedTuple):
    """A tokenizer, and what its report says about how it was made."""

    tokenizer: Tokenizer
    training: TrainingFacts | None = None
    sweep: Sequence[dict[str, int]] = ()
    extension: Mapping[str, Any] | None = None


class Words(NamedTuple):
    """The words of a text that are of a kind: where each lies, in characters, without punctuation around it."""

    begins: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    kinds: npt.NDArray[np.int64]


class Document(NamedTuple):
    """A text that tokenizers are measured on, and the words of a kind in it."""

    text: str
    words: Words


class Measured(NamedTuple):
    """A tokenizer's figures, and the numbers of the pieces that it used."""

    figures: dict[str, Any]
    used: set[int]


def find_words(texts: Mapping[str, Sequence[str]]) -> dict[str, list[Document]]:
    """The documents of each source with their words."""
    rare = Counter(core for documents in texts.values() for text in documents for core, _ in _cores(text))
    return {source: [Document(text, _words(text, rare)) for text in documents] for source, documents in texts.items()}


def measure(tokenizer: Tokenizer, documents: Mapping[str, Sequence[Document]]) -> Measured:
    """What the tokenizer makes of each source and each kind of word, and how many of its pieces lie idle."""
    used: set[int] = set()
    kinds = np.zeros((len(KINDS), 3), np.int64)
    sources = {}
    for source, own in documents.items():
        tokens = 0
        for document in own:
            encoding = tokenizer.encode(document.text, add_special_tokens=False)
            tokens += len(encoding.ids)
            used.update(encoding.ids)
            kinds += _count_kinds(encoding, document.words)
        texts = [document.text for document in own]
        sizes = {"bytes": sum(len(t.encode()) for t in texts), "words": sum(len(t.split()) for t in texts)}
        sources[source] = sizes | {"tokens": tokens}
    pieces = _readable(tokenizer)
    figures = {
        "vocabulary_size": tokenizer.get_vocab_size(),
        "sources": sources,
        "word_kinds": {
            kind: dict(zip(("words", "tokens", "whole"), row, strict=True))
            for kind, row in zip(KINDS, kinds.tolist(), strict=True)
        },
        "unused_pieces": len(pieces.keys() - used),
        "multi_word_pieces": sum(bool(SEVERAL_WORDS.search(piece)) for piece in pieces.values()),
    }
    return Measured(figures, used)


def piece_samples(tokenizer: Tokenizer, used: set[int]) -> dict[str, list[str]]:
    """The longest pieces, the longest of several words, and the longest that were not used, as text."""
    pieces = {number: piece for number, piece in _readable(tokenizer).items() if REPLACEMENT not in piece}
    chosen = {
        "longest": pieces.values(),
        "multi_word": (piece for piece in pieces.values() if SEVERAL_WORDS.search(piece)),
        "unused": (piece for number, piece in pieces.items() if number not in used),
    }
    return {name: sorted(found, key=lambda piece: (-len(piece), piece))[:SAMPLES] for name, found in chosen.items()}


def _readable(tokenizer: Tokenizer) -> dict[int, str]:
    """Every piece that text can become, as text."""
    special = {number for number, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    numbers = sorted(set(tokenizer.get_vocab().values()) - special)
    return {number: tokenizer.decode([number]) for number in numbers}


def _cores(text: str) -> Iterator[tuple[str, int]]:
    """Each word without the punctuation around it, and the character with which that begins."""
    for word in WORD.finditer(text):
        if core := CORE.search(word[0]):
            yield core[0], word.start() + core.start()


def _words(text: str, occurrences: Mapping[str, int]) -> Words:
    found = [
        (begin, begin + len(core), kind)
        for core, begin in _cores(text)
        if (kind := _kind(core, occurrences[core])) is not None
    ]
    return Words(*np.array(found, np.int64).reshape(-1, 3).T)


def _kind(word: str, occurrences: int) -> int | None:
    """Place of a word's kind in KINDS."""
    if NUMBER.fullmatch(word):
        return 0
    if ACRONYM.fullmatch(word):
        return 1
    return 2 if occurrences == 1 and len(word) >= RARE_LETTERS and word.isalpha() else None


def _count_kinds(encoding: Encoding, words: Words) -> npt.NDArray[np.int64]:
    """Words, their tokens, and words of one token: (kinds, 3)."""
    if not len(words.kinds):
        return np.zeros((len(KINDS), 3), np.int64)
    begins, ends = np.array(encoding.offsets, np.int64).reshape(-1, 2).T
    tokens = np.searchsorted(begins, words.ends, "left") - np.searchsorted(ends, words.begins, "right")
    rows = np.stack([np.ones_like(tokens), tokens, tokens == 1], axis=1)
    return np.stack([rows[words.kinds == kind].sum(axis=0) for kind in range(len(KINDS))])
