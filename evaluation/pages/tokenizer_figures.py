"""What a tokenizer's report.json says, read and checked: how much text a token holds, here and in other tokenizers."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, NonNegativeInt, PositiveInt, model_validator

from evaluation.pages.checked_json import read_checked


class TextFigures(BaseModel, frozen=True):
    """Of some text: its bytes in UTF-8, its words (runs of what is not white space), and the tokens that it became."""

    bytes: NonNegativeInt
    words: NonNegativeInt
    tokens: NonNegativeInt

    @classmethod
    def total(cls, parts: "Iterable[TextFigures]") -> Self:
        parts = list(parts)
        return cls(
            bytes=sum(part.bytes for part in parts),
            words=sum(part.words for part in parts),
            tokens=sum(part.tokens for part in parts),
        )

    @property
    def bytes_per_token(self) -> float:
        return self.bytes / self.tokens if self.tokens else math.nan

    @property
    def tokens_per_word(self) -> float:
        return self.tokens / self.words if self.words else math.nan


class WordFigures(BaseModel, frozen=True):
    """Of the words of one kind: how often they stand in the text, their tokens, and how often a word is one token."""

    words: NonNegativeInt
    tokens: NonNegativeInt
    whole: NonNegativeInt

    @property
    def tokens_per_word(self) -> float:
        return self.tokens / self.words if self.words else math.nan


class Figures(BaseModel, frozen=True, use_attribute_docstrings=True):
    """Of one tokenizer, on the text that all of them are measured on."""

    vocabulary_size: PositiveInt
    sources: dict[str, TextFigures]
    word_kinds: dict[str, WordFigures]
    """Kind (numbers, acronyms, rare terms …) → figures."""
    unused_pieces: NonNegativeInt
    """How many pieces the measured text does not use."""
    multi_word_pieces: NonNegativeInt

    @property
    def total(self) -> TextFigures:
        return TextFigures.total(self.sources.values())


class SweepPoint(BaseModel, frozen=True):
    """One size of the vocabulary, and what the same text of so many bytes becomes with it."""

    vocabulary_size: PositiveInt
    bytes: PositiveInt
    tokens: PositiveInt

    @property
    def encoded_bytes(self) -> float:
        """Tokens × log2(vocabulary size) / 8: the text's size if every token took equally many bits.

        BloombergGPT chose its vocabulary where this is smallest (arXiv 2303.17564, §2.3).
        """
        return self.tokens * self.bytes_per_piece

    @property
    def bytes_per_piece(self) -> float:
        """That a token takes if all pieces are equally frequent."""
        return math.log2(self.vocabulary_size) / 8


class Training(BaseModel, frozen=True):
    """What the pieces were learnt from, and what had to be left out of the counts."""

    documents: NonNegativeInt
    bytes: NonNegativeInt
    distinct_pretokens: NonNegativeInt
    cut_pretokens: NonNegativeInt
    cut_occurrences: NonNegativeInt
    cut_pieces: NonNegativeInt = 0  # of merged chunks; older reports have no such key
    chunks: PositiveInt | None


class PieceSamples(BaseModel, frozen=True):
    """Pieces as the text that they stand for."""

    longest: list[str]
    multi_word: list[str]
    unused: list[str]


class Saved(BaseModel, frozen=True):
    """Of some text: its bytes, and the tokens that it became before and after the extension."""

    bytes: NonNegativeInt
    before: NonNegativeInt
    after: NonNegativeInt


class BestPiece(BaseModel, frozen=True):
    """A new piece as text, and the tokens that it saved in the training text when it was learnt."""

    piece: str
    saved: PositiveInt


class Extension(BaseModel, frozen=True, use_attribute_docstrings=True):
    """What pieces that were put behind those of a given tokenizer save."""

    new_pieces: PositiveInt
    only_parts: NonNegativeInt
    """How many of them stand in the training text only as parts of others."""
    text: dict[str, Saved]
    """Split (train, past) → figures."""
    best: list[BestPiece]


class TokenizerReport(Figures, frozen=True, use_attribute_docstrings=True):
    kind: Literal["bpe", "unigram", "given", "extended"]
    end_of_text_id: NonNegativeInt = 0
    """Stands between documents; 0 in every tokenizer that is learnt."""
    pretokenization: str | None
    digits: str | None
    split: Literal["train", "past"]
    """Of the corpus: where the measured text is from."""
    training: Training | None
    """None for a tokenizer that was given."""
    compared: dict[str, Figures]
    """The same figures of other tokenizers on the same text, by name."""
    samples: PieceSamples
    sweep: list[SweepPoint]
    """Empty when no other size was tried."""
    extension: Extension | None = None
    """None unless it is of the kind extended."""

    @model_validator(mode="after")
    def _same_text(self) -> Self:
        text = {name: (found.bytes, found.words) for name, found in self.sources.items()}
        for name, other in self.compared.items():
            if {source: (found.bytes, found.words) for source, found in other.sources.items()} != text:
                raise ValueError(f"{name} was measured on another text")
        return self


def read_tokenizer_report(path: Path) -> TokenizerReport:
    """Read a tokenizer's report.json.

    Raises:
        DataError: there is none, or something is missing or contradicts itself in it.
    """
    return read_checked(path, TokenizerReport, "tokenize")
