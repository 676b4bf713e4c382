"""What a finished corpus says of itself, read from its report.json: counts, reasons, samples, settings."""

import datetime
from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, NonNegativeInt, model_validator

from evaluation.pages.checked_json import read_checked

REPORT = "report.json"


class KeptDocuments(BaseModel, frozen=True):
    """Of one source, in one split."""

    documents: NonNegativeInt
    characters: NonNegativeInt
    bytes: NonNegativeInt
    first_date: datetime.date | None
    last_date: datetime.date | None


class Sample(BaseModel, frozen=True):
    """A document that was dropped: where it stood, and how it begins."""

    id: str
    file: str
    line: NonNegativeInt
    text: str
    resembles: str | None = None
    """Of a duplicate, the source/id of the document that it repeats."""
    date: str | None = None
    """Of one that straddles the cutoff, the days that it may be of."""


class EmptyFiles(BaseModel, frozen=True):
    """How many files of a source have no text at all, and the first of them; older corpora do not say it."""

    files: NonNegativeInt = 0
    first: list[str] = []


class SourceReport(BaseModel, frozen=True, use_attribute_docstrings=True):
    """What became of one source's records."""

    path: str
    licence: str | None
    """Of documents that name none."""
    language: str | None
    read: NonNegativeInt
    undated: NonNegativeInt = 0
    """Records without a date, whatever became of them."""
    kept: dict[str, KeptDocuments]
    """By split."""
    dropped: dict[str, NonNegativeInt]
    dropped_characters: dict[str, NonNegativeInt] = {}
    """Characters of the documents dropped, by reason; older corpora do not say it."""
    quarantined: dict[str, NonNegativeInt]
    left_out: dict[str, NonNegativeInt] = {}
    """Parts of the files that are no records, such as pictures within a filing, by kind; older corpora have none."""
    lost_files: dict[str, NonNegativeInt] = {}
    """Bytes of the files that are damaged, or of which no record can be read."""
    empty_files: EmptyFiles = EmptyFiles()
    boilerplate_lines: dict[str, NonNegativeInt] | None = None
    """By expression, the lines of all documents that were read which it matches. None in older corpora, of which
    `scrubbed` and `removed_lines` count the documents too that were dropped later."""
    scrubbed: dict[str, NonNegativeInt]
    """Pieces of personal data that were replaced in the documents kept, by kind."""
    removed_lines: NonNegativeInt
    """Lines that were removed from the documents kept: boilerplate, and what C4 leaves out."""
    altered: dict[str, NonNegativeInt] = {}
    """Texts of all documents that were read in which control characters were replaced or removed, or mojibake mended;
    older corpora do not say it."""
    licences: dict[str, NonNegativeInt]
    """Documents kept under each licence; "unknown" where neither the document nor the source names one."""
    precisions: dict[str, NonNegativeInt] = {}
    """Documents kept whose date is a day, month, year, longer or open, or that have no date; older corpora do not say
    it, whose dates are days."""
    date_kinds: dict[str, NonNegativeInt] = {}
    """Documents kept by what their date says, of those that say it."""
    samples: dict[str, list[Sample]]
    """Of the documents dropped, by reason."""
    domain: bool = False
    """Whether the model is to specialise in it: not written in the report, as it may change without the corpus."""

    @property
    def documents(self) -> int:
        """Kept, in all splits."""
        return sum(kept.documents for kept in self.kept.values())

    @model_validator(mode="after")
    def _every_record_is_accounted_for(self) -> Self:
        dropped, quarantined = sum(self.dropped.values()), sum(self.quarantined.values())
        if self.read != self.documents + dropped + quarantined:
            raise ValueError(
                f"{self.read:,} records were read, but {self.documents:,} kept, {dropped:,} dropped and "
                f"{quarantined:,} quarantined"
            )
        if self.documents != sum(self.licences.values()):
            raise ValueError(
                f"{self.documents:,} documents were kept, but {sum(self.licences.values()):,} counted by licence"
            )
        if self.precisions and self.documents != sum(self.precisions.values()):
            raise ValueError(
                f"{self.documents:,} documents were kept, but {sum(self.precisions.values()):,} counted by precision"
            )
        return self


class NearDuplicateSettings(BaseModel, frozen=True, use_attribute_docstrings=True):
    threshold: float
    bands: int
    rows: int
    ngram: int
    found: dict[str, float] = {}
    """By Jaccard similarity, the share of such pairs that is found; older corpora do not say it."""

    @property
    def curve(self) -> str:
        """Where the share rises, such as "0.7: 29 %, 0.75: 73 %"."""
        rising = {similarity: share for similarity, share in self.found.items() if 0.005 <= share < 0.9995}
        return ", ".join(
            f"{similarity}: {100 * share:.{1 if share > 0.99 else 0}f} %" for similarity, share in rising.items()
        )


class Touched(BaseModel, frozen=True):
    """How many training documents share words with an evaluation item, and the first of them, as source/id."""

    documents: NonNegativeInt
    first: list[str]


class CommonPhrases(BaseModel, frozen=True):
    """Training documents that share with an evaluation item only n-grams that many have; and how many of its own."""

    documents: NonNegativeInt
    ngrams: NonNegativeInt
    of: NonNegativeInt


class Widespread(BaseModel, frozen=True):
    """An evaluation item that shares words with more than 1 % of a source's training documents."""

    item: str
    source: str
    documents: NonNegativeInt
    contaminated: NonNegativeInt
    of: NonNegativeInt


class Contamination(BaseModel, frozen=True):
    """Items of evaluation sets, and those of them that share words with training documents."""

    items: NonNegativeInt
    too_short: NonNegativeInt  # of the items, to be looked for
    action: Literal["remove", "flag"]
    touched: dict[str, Touched]
    # What older corpora do not say.
    common_documents: NonNegativeInt | None = None
    common: dict[str, CommonPhrases] = {}
    widespread: list[Widespread] = []


class LeakSample(BaseModel, frozen=True, use_attribute_docstrings=True):
    """A training document that uses words which came up years after its date."""

    id: str
    file: str
    line: NonNegativeInt
    words: NonNegativeInt
    of: NonNegativeInt
    absent_until: dict[str, datetime.date]
    """Some of these words, and the last day on which each had not come up."""


class LeakTest(BaseModel, frozen=True):
    """Of one source: how many dated training documents were judged, how many are suspected, and the clearest."""

    judged: NonNegativeInt
    suspected: NonNegativeInt
    samples: list[LeakSample]


class Leaks(BaseModel, frozen=True):
    action: Literal["flag", "quarantine"]
    sources: dict[str, LeakTest]


class CorpusReport(BaseModel, frozen=True):
    sources: dict[str, SourceReport]
    near_duplicates: NearDuplicateSettings | None
    canaries: dict[str, Any] | None = None
    """Settings of those that are planted."""
    contamination: Contamination | None
    leaks: Leaks | None = None
    """None without a cutoff, and in older corpora."""
    tombstones: NonNegativeInt
    cutoff: datetime.date | None
    seed: int

    def with_domain(self, names: Collection[str]) -> Self:
        """The report with these sources as the domain's."""
        sources = {name: one.model_copy(update={"domain": name in names}) for name, one in self.sources.items()}
        return self.model_copy(update={"sources": sources})


def read_corpus_report(corpus: Path) -> CorpusReport:
    """Read `corpus`/report.json and check that the sums within it agree.

    Raises:
        DataError: there is none, something is missing in it, or its counts contradict each other.
    """
    return read_checked(corpus / REPORT, CorpusReport, "prepare")
