"""What the documents are, how they are cleaned and split, and which tokenizer is made from them."""

import datetime
from typing import Literal, Self

from pydantic import BaseModel, Field, NonNegativeInt, PositiveInt, field_validator, model_validator


class SourceConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """One collection of documents."""

    name: str = Field(pattern=r"^[a-z0-9_]+$")
    """Name in the mixture, the reports and the file names: lower-case letters, digits and underscores."""
    path: str = Field(min_length=1)
    """A file, a folder (read recursively), a glob, hub://OWNER/NAME[@revision][:configuration][/split] or demo://NAME.

    Files are JSON lines (.jsonl, .json, .ndjson), plain text (.txt), both also as .gz or .zst, or .parquet.
    """
    weight: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Share of the training tokens, relative to the other sources'. None for all: in proportion to their size."""
    domain: bool = False
    """Whether this is the text that the model is to specialise in."""
    text_field: str = "text"
    """Field of a record that holds the text."""
    id_field: str = "id"
    """Field that holds the document's id; a record without one is named by its file and line."""
    date_field: str = "date"
    """Field that holds the date, in ISO 8601 (2018-12-31, or with a time after it)."""
    licence: str | None = None
    """Licence of documents whose record names none in `licence` or `license`."""
    undated: Literal["refuse", "quarantine", "train"] = "refuse"
    """What happens to documents without a date where `cutoff` is set: refuse stops, quarantine leaves them out, train
    takes them as older than the cutoff."""


class DataConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Sources and how they become a corpus."""

    sources: tuple[SourceConfig, ...] = Field(min_length=1)
    """Where the documents come from. Of equal documents, the first source's is kept."""
    cutoff: datetime.date | None = None
    """Documents of this date and later are held out as the split `future`."""
    past_fraction: float = Field(default=0.01, ge=0, lt=1)
    """Share of the other documents that is held out as the split `past`."""
    minimum_characters: NonNegativeInt = 50
    """Shorter documents are dropped."""
    maximum_characters: PositiveInt = 10_000_000
    """Longer documents are dropped."""
    maximum_bad_fraction: float = Field(default=0.01, ge=0, le=1)
    """Share of a source's records that may be malformed; above it the job stops."""
    folder: str | None = None
    """Folder of a corpus, tokenizer and shards that several runs share. None: the run's own folder."""

    @field_validator("sources")
    @classmethod
    def _sources_agree(cls, sources: tuple[SourceConfig, ...]) -> tuple[SourceConfig, ...]:
        names = [source.name for source in sources]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"source names must differ, more than one is called {', '.join(repeated)}")
        unweighted = [source.name for source in sources if source.weight is None]
        if unweighted and len(unweighted) < len(sources):
            raise ValueError(f"give every source a weight or none: {', '.join(unweighted)} has none")
        return sources

    @model_validator(mode="after")
    def _limits_leave_room(self) -> Self:
        if self.minimum_characters > self.maximum_characters:
            raise ValueError(
                f"minimum_characters {self.minimum_characters} is above maximum_characters {self.maximum_characters}"
            )
        return self


class TokenizerConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """The tokenizer to train, or to take."""

    kind: Literal["bpe", "unigram"] = "bpe"
    """Algorithm; both work on bytes, so that any text can be encoded and decoded exactly."""
    vocabulary_size: int = Field(gt=257)
    """Number of pieces: 256 bytes, the end of text, and what is learnt."""
    pretokenization: Literal["bloomberggpt", "words"] = "words"
    """words: a piece ends with its word; bloomberggpt: runs of letters and spaces, so that pieces may span words."""
    path: str | None = None
    """A tokenizer.json of Hugging Face tokenizers, or its folder, to take instead of training one."""
    training_bytes: PositiveInt | None = 100_000_000
    """Most text to learn from, in bytes of UTF-8, over all sources in proportion to their size. None: all of it."""
