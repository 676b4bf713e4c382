"""Phase one of a corpus: each part of the input is read, cleaned, split and signed on its own, and staged on disk.

A staged part is four files below staging/{source}/, named by a digest of the part's name: .parquet (the documents that
are left, with what decides their fate), .signatures (their MinHash signatures), .quarantine (what is malformed) and
.json (counts; written last). Phase three adds .repeated (what goes to the quarantine for an id that was there before).
"""

import functools
import json
import multiprocessing
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from data.config import DataConfig, DecontaminationConfig, SourceConfig
from data.corpus.clean import make_cleaner
from data.corpus.counts import Counts
from data.corpus.decontaminate import Items, item_stamps, load_items
from data.corpus.deduplicate import document_key
from data.corpus.files import CORPUS_COLUMNS
from data.corpus.near_duplicates import signatures
from data.corpus.personal import make_scrubber
from data.corpus.samples import make_sample
from data.corpus.split import SPLITS, is_sampled, split
from data.errors import DataError
from data.files import DIGEST_BYTES, atomic_write, new_digest, value_digest, write_atomically
from data.progress import progress
from data.sources.documents import BadRecord, Document, read_part
from data.sources.parts import Part

STAGING = "staging"
ROWS_PER_GROUP = 1_000
CHARACTERS_PER_GROUP = 16_000_000
FORMAT = 3  # of what is staged; finished corpora do not depend on it
ALL_BAD = 1_000  # so many records, none of them good, are enough to stop at once
STAGED_SCHEMA = pa.schema(
    CORPUS_COLUMNS
    | {
        "file": pa.string(),
        "line": pa.int64(),
        "text_digest": pa.binary(DIGEST_BYTES),
        "key": pa.binary(DIGEST_BYTES),  # `document_key`
        "split": pa.uint8(),  # index into SPLITS
    }
)


@dataclass(frozen=True, eq=False)
class StagingJob:
    """One part to stage. Equal keys give equal files, so finished ones are kept."""

    config: DataConfig
    source: SourceConfig
    part: Part
    corpus: Path
    seed: int
    key: str

    @property
    def stem(self) -> Path:
        name = new_digest(self.part.name.encode()).hexdigest()
        return self.corpus / STAGING / self.source.name / name

    @property
    def documents(self) -> Path:
        return self.stem.with_suffix(".parquet")

    @property
    def signatures(self) -> Path:
        return self.stem.with_suffix(".signatures")

    @property
    def quarantine(self) -> Path:
        return self.stem.with_suffix(".quarantine")

    @property
    def repeated_ids(self) -> Path:
        return self.stem.with_suffix(".repeated")

    @property
    def counts(self) -> Path:
        return self.stem.with_suffix(".json")


class _Row(NamedTuple):
    document: Document
    text: str  # cleaned
    text_digest: bytes
    split: int  # index into SPLITS


def staging_job(
    config: DataConfig, source: SourceConfig, part: Part, corpus: Path, seed: int, settings: dict[str, Any]
) -> StagingJob:
    """The job of one part; `settings` is all else that decides what a part becomes, as JSON values."""
    key = value_digest([FORMAT, settings, asdict(part), seed])
    return StagingJob(config, source, part, corpus, seed, key)


def stage_part(job: StagingJob) -> Counts:
    """Stage a part, unless that was done before from the same input and settings, and return its counts.

    Raises:
        DataError: the part cannot be found, or its first ALL_BAD records are all malformed.
    """
    if (kept := finished_counts(job)) is not None:
        return kept
    counts = Counts()
    with ExitStack() as stack:
        log = stack.enter_context(atomic_write(job.quarantine))
        documents = stack.enter_context(atomic_write(job.documents))
        signed = stack.enter_context(atomic_write(job.signatures))
        writer = stack.enter_context(pq.ParquetWriter(documents, STAGED_SCHEMA, compression="zstd"))
        for group in gathered(_rows(job, counts, log)):
            writer.write_table(_table(group))
            if job.config.near_duplicates:
                signed.write(signatures([row.text for row in group], job.config.near_duplicates).tobytes())
    write_atomically(job.counts, json.dumps({"key": job.key, "counts": counts.as_json()}))
    return counts


def finished_counts(job: StagingJob) -> Counts | None:
    """The counts of a part that is staged already; None where it is not, or was staged from something else."""
    try:
        kept = json.loads(job.counts.read_bytes())
    except (OSError, ValueError):
        return None
    return Counts.from_json(kept["counts"]) if kept["key"] == job.key else None


def quarantine_line(source: SourceConfig, record: BadRecord) -> bytes:
    """A record as the quarantine file has it."""
    entry = {"source": source.name, **asdict(record)}
    return (json.dumps(entry, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")


def _rows(job: StagingJob, counts: Counts, log: BinaryIO) -> Iterator[_Row]:
    """The documents of a part that are left after cleaning, with everything else counted."""
    source, config = job.source, job.config

    def quarantine(record: BadRecord) -> None:
        counts.read += 1
        counts.quarantine(record)
        log.write(quarantine_line(source, record))
        if counts.malformed == counts.read == ALL_BAD:
            raise DataError(
                f"source '{source.name}': the first {ALL_BAD:,} records of {record.file} are all malformed: "
                f"{'; '.join(counts.offenders)}: correct data.sources.{source.name}"
            )

    clean, scrub = make_cleaner(config, source), make_scrubber(config.cleaning.scrub)

    def drop(reason: str, it: Document) -> None:
        counts.drop(
            reason,
            lambda: make_sample(it.id, it.file, it.line, it.text, config.near_duplicates, lambda text: scrub(text)[0]),
        )

    items = _evaluation_items(config.decontamination) if config.decontamination else None
    removing = config.decontamination is not None and config.decontamination.action == "remove"
    documents = read_part(source, job.part, quarantine)
    if multiprocessing.parent_process() is None:  # bars of several processes would overwrite each other
        documents = progress(documents, f"reading {source.name}")
    for document in documents:
        if config.cutoff and document.date is None and source.undated != "train":
            counts.undated += 1
            quarantine(BadRecord(document.file, document.line, f"no date: document {document.id}"))
            continue
        counts.read += 1
        cleaned = clean(document.text)
        counts.add_cleaning(cleaned)
        if cleaned.text is None:
            drop(str(cleaned.reason), document)
            continue
        digest = new_digest(cleaned.text.encode()).digest()
        where = split(document.date, digest, config.cutoff, config.past_fraction, job.seed)
        if where == "future" and not is_sampled(digest, config.future_fraction, job.seed):
            drop("after the cutoff, not sampled", document)
            continue
        touched = items.touched(cleaned.text) if items and where == "train" else []
        counts.touch(touched, f"{source.name}/{document.id}")
        if touched and removing:
            drop("contaminated", document)
        else:
            yield _Row(document, cleaned.text, digest, SPLITS.index(where))


def _evaluation_items(settings: DecontaminationConfig) -> Items:
    return _load_items(settings, json.dumps(item_stamps(settings)))


@functools.lru_cache(maxsize=1)  # the same for every part that a process stages
def _load_items(settings: DecontaminationConfig, stamps: str) -> Items:
    return load_items(settings)


def gathered(rows: Iterable[_Row]) -> Iterator[list[_Row]]:
    """Gather rows into groups of bounded memory."""
    group: list[_Row] = []
    characters = 0
    for row in rows:
        group.append(row)
        characters += len(row.text)
        if len(group) >= ROWS_PER_GROUP or characters >= CHARACTERS_PER_GROUP:
            yield group
            group, characters = [], 0
    if group:
        yield group


def _table(group: list[_Row]) -> pa.Table:
    columns = {name: [getattr(row.document, name) for row in group] for name in Document._fields}
    columns |= {
        "text": [row.text for row in group],
        "text_digest": [row.text_digest for row in group],
        "key": [document_key(row.document.source, row.document.id) for row in group],
        "split": [row.split for row in group],
    }
    return pa.table(columns, schema=STAGED_SCHEMA)
