"""What became of the records of one source or part: every loss by its reason, with samples; sums that must agree."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Self

from data.corpus.samples import Sample
from data.interval import Interval
from data.sources.dates import MAYBE_NO_DATES
from data.sources.documents import BadRecord

SAMPLES = 3  # of each reason
EARLIEST = 4  # days that are kept of those that dates are
TOUCHED = 20  # documents named for each evaluation item
COUNTERS = (
    "dropped",
    "dropped_characters",
    "quarantined",
    "scrubbed",
    "altered",
    "days",
    "zeros",
    "earliest",
    "boilerplate",
    "touched",
    "common",
    "met",
    "lost",
    "encoded",
    "doubts",
    "left_out",
)
NO_DATE, MISDATED = "no date", "date contradicted"
NOT_MALFORMED = (NO_DATE, MISDATED)


def kind_of(record: BadRecord) -> str:
    """The reason without its details."""
    return record.reason.partition(":")[0]


@dataclass
class Counts:
    """Counts of records; `a.merge(b)` adds those of the part that follows."""

    read: int = 0
    undated: int = 0
    bytes: int = 0  # of the files
    content: int = 0  # bytes of what the files hold: more than of the files where they are packed
    malformed_bytes: int = 0  # of that, but of lost files
    lost: Counter[str] = field(default_factory=Counter)  # bytes of files that are damaged or have no readable record
    lost_records: int = 0  # how many of the malformed records stand for these files
    empty_files: int = 0  # of which no record has any text, and nothing is malformed or left out
    empty_first: list[str] = field(default_factory=list)  # and the first of them
    dropped: Counter[str] = field(default_factory=Counter)
    dropped_characters: Counter[str] = field(default_factory=Counter)  # of them, as they were read or, later, cleaned
    quarantined: Counter[str] = field(default_factory=Counter)
    encoded: Counter[str] = field(default_factory=Counter)  # texts that are an encoding of text, by its kind
    left_out: Counter[str] = field(default_factory=Counter)  # parts of files that are no records, by kind
    doubts: Counter[str] = field(default_factory=Counter)  # texts of which something may not be meant, by what it is
    longest: int = 0  # characters of the longest text
    longest_texts: int = 0  # of which so many are as long
    longest_quads: int = 0  # and of the one with the most bytes, four of them together, as a cut may part a character
    longest_quads_texts: int = 0
    undecoded: int = 0  # texts with a replacement character, U+FFFD
    met: Counter[str] = field(default_factory=Counter)  # parts with a value in the field that a setting names
    boilerplate: Counter[str] = field(default_factory=Counter)  # lines of all documents, by expression
    scrubbed: Counter[str] = field(default_factory=Counter)  # pieces of personal data replaced in what is kept, by kind
    altered: Counter[str] = field(default_factory=Counter)  # texts of all documents, by what was replaced or taken out
    days: Counter[str] = field(default_factory=Counter)  # dates that are one day by month and day, such as 12-31
    zeros: Counter[str] = field(default_factory=Counter)  # dates of MAYBE_NO_DATES, such as 2000-01-01
    earliest: Counter[str] = field(
        default_factory=Counter
    )  # dates that are one of the EARLIEST days, such as 1940-01-01
    characters: int = 0  # of the documents as they were read
    line_characters: int = 0  # of them, that went with lines that were taken out of texts that were left
    removed_lines: int = 0  # from what is kept
    offenders: list[str] = field(default_factory=list)  # the first malformed records
    samples: dict[str, list[Sample]] = field(default_factory=dict)  # of what was dropped, by reason
    touched: Counter[str] = field(
        default_factory=Counter
    )  # training documents that share words with an evaluation item
    common: Counter[str] = field(default_factory=Counter)  # and those that share only common phrases with it
    touched_first: dict[str, list[str]] = field(default_factory=dict)  # and the first of them, as source/id

    @property
    def malformed(self) -> int:
        """Quarantined for what they are, not for a date that they lack or that their words contradict."""
        return self.quarantined.total() - sum(self.quarantined[reason] for reason in NOT_MALFORMED)

    @property
    def bad_fraction(self) -> float:
        """Share of the records that are malformed, or of their bytes if that is more, plus the bytes of lost files."""
        records = (self.malformed - self.lost_records) / max(self.read, 1)
        return min(1.0, max(records, self.malformed_share) + self.lost.total() / max(self.bytes, 1))

    @property
    def malformed_share(self) -> float:
        """Share of the bytes that malformed records have, without those of lost files."""
        return self.malformed_bytes / max(self.content, 1)

    def count_date(self, date: Interval | None) -> None:
        """Count the date of a document, or that it has none."""
        self.undated += date is None
        if date and date.first == date.last:
            self.days[f"{date.last:%m-%d}"] += 1
            day = date.last.isoformat()
            if day in self.earliest or len(self.earliest) < EARLIEST or day < max(self.earliest):
                self.earliest[day] += 1
                self._keep_earliest()
        if date in MAYBE_NO_DATES:
            self.zeros[str(date)] += 1

    def _keep_earliest(self) -> None:
        for day in sorted(self.earliest)[EARLIEST:]:
            del self.earliest[day]

    def quarantine(self, record: BadRecord) -> None:
        reason = kind_of(record)
        self.quarantined[reason] += 1
        self.malformed_bytes += record.size if reason not in NOT_MALFORMED else 0
        if reason not in NOT_MALFORMED and len(self.offenders) < SAMPLES:
            self.offenders.append(f"{record.file}:{record.line}: {record.reason}")

    def drop(self, reason: str, characters: int, sample: Callable[[], Sample]) -> None:
        """Count a document that is dropped; `sample` is called for the first few of a reason."""
        self.dropped[reason] += 1
        self.dropped_characters[reason] += characters
        if len(self.samples.get(reason, [])) < SAMPLES:
            self.samples.setdefault(reason, []).append(sample())

    def find_empty(self, file: str) -> None:
        self.empty_files += 1
        self.empty_first = [*self.empty_first, file][:SAMPLES]

    def touch(self, items: Iterable[str], document: str) -> None:
        for item in items:
            self.touched[item] += 1
            first = self.touched_first.setdefault(item, [])
            if len(first) < TOUCHED:
                first.append(document)

    def measure(self, characters: int, texts: int = 1) -> None:
        """Count texts of a length."""
        if characters > self.longest:
            self.longest, self.longest_texts = characters, 0
        self.longest_texts += texts if characters == self.longest else 0

    def measure_bytes(self, quads: int, texts: int = 1) -> None:
        """Count texts of a length in bytes, of which four are one quad."""
        if quads > self.longest_quads:
            self.longest_quads, self.longest_quads_texts = quads, 0
        self.longest_quads_texts += texts if quads == self.longest_quads else 0

    def merge(self, other: Self) -> None:
        self.read += other.read
        self.undated += other.undated
        self.undecoded += other.undecoded
        self.bytes += other.bytes
        self.content += other.content
        self.malformed_bytes += other.malformed_bytes
        self.lost_records += other.lost_records
        self.removed_lines += other.removed_lines
        self.measure(other.longest, other.longest_texts)
        self.measure_bytes(other.longest_quads, other.longest_quads_texts)
        self.characters += other.characters
        self.line_characters += other.line_characters
        self.empty_files += other.empty_files
        self.empty_first = (self.empty_first + other.empty_first)[:SAMPLES]
        for name in COUNTERS:
            getattr(self, name).update(getattr(other, name))
        self._keep_earliest()
        self.offenders = (self.offenders + other.offenders)[:SAMPLES]
        for reason, samples in other.samples.items():
            self.samples[reason] = (self.samples.get(reason, []) + samples)[:SAMPLES]
        for item, documents in other.touched_first.items():
            self.touched_first[item] = (self.touched_first.get(item, []) + documents)[:TOUCHED]

    def as_json(self) -> dict[str, Any]:
        return vars(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        counters = {name: Counter(content.get(name, {})) for name in COUNTERS}  # staging of before knows fewer
        return cls(**(content | counters))


def merged(parts: Iterable[Counts]) -> Counts:
    """The counts of several parts, in their order."""
    whole = Counts()
    for part in parts:
        whole.merge(part)
    return whole


def by_reason(counts: Counter[str]) -> dict[str, int]:
    """The counts that are not zero, in the order of the reasons."""
    return {reason: count for reason, count in sorted(counts.items()) if count}
