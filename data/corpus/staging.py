"""Phase one of a corpus: each group of parts of the input is read, cleaned, split and signed on its own, and staged.

A staged group is four files below staging/{source}/, named by a digest of its first part's name: .parquet (the
documents that are left, with what decides their fate), .signatures (their MinHash signatures), .quarantine (what is
malformed) and .json (counts; written last).
"""

import functools
import json
import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from data.cleaning.clean import make_cleaner, make_rewriter
from data.cleaning.personal import make_scrubber
from data.config import CleaningConfig, DataConfig, DecontaminationConfig
from data.corpus.counts import Counts, kind_of
from data.corpus.decontaminate import Items, item_stamps, load_items
from data.corpus.deduplicate import document_key
from data.corpus.files import CORPUS_COLUMNS
from data.corpus.near_duplicates import signatures
from data.corpus.samples import make_sample
from data.corpus.shingles import Hashes
from data.corpus.split import (
    DROPPED,
    EARLIER,
    NOT_SAMPLED,
    SPLITS,
    STRADDLES,
    STRADDLING,
    is_read_before,
    is_sampled,
    split,
)
from data.errors import DataError
from data.files import DIGEST_BYTES, atomic_write, new_digest, value_digest, write_atomically
from data.progress import progress
from data.source_config import SourceConfig
from data.sources.documents import BadRecord, Document, read_part
from data.sources.encoded import doubt_about, encoding_of
from data.sources.parts import DAMAGED, Part, byte_length

STAGING = "staging"
ROWS_PER_GROUP = 1_000
CHARACTERS_PER_GROUP = 16_000_000
FORMAT = 9  # of what is staged; finished corpora do not depend on it
ALL_BAD = 1_000  # so many records, none of them good, are enough to stop at once
MOST_ENCODED = 0.5  # of a source's texts
MOST_REPEATED = 0.5  # as are so many documents of which a greater share has the id of another
STAGED_SCHEMA = pa.schema(
    CORPUS_COLUMNS
    | {
        "file": pa.string(),
        "line": pa.int64(),
        "size": pa.int64(),  # bytes of the text as it was read
        "text_digest": pa.binary(DIGEST_BYTES),
        "key": pa.binary(DIGEST_BYTES),  # `document_key`
        "split": pa.uint8(),  # index into SPLITS, NOT_SAMPLED, DROPPED or STRADDLING
        "grams": pa.list_(pa.uint64()),  # evaluation items' n-grams in it
        "removed_lines": pa.int64(),
        "scrubbed": pa.map_(pa.string(), pa.int64()),  # pieces of personal data replaced, by kind; null: none
    }
)


@dataclass(frozen=True, eq=False)
class StagingJob:
    """One group of parts to stage. Equal keys give equal files, so finished ones are kept."""

    config: DataConfig
    source: SourceConfig
    parts: tuple[Part, ...]
    corpus: Path
    seed: int
    key: str

    @property
    def stem(self) -> Path:
        name = new_digest(self.parts[0].name.encode()).hexdigest()
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
    def counts(self) -> Path:
        return self.stem.with_suffix(".json")


class _Row(NamedTuple):
    document: Document
    text: str  # cleaned
    text_digest: bytes
    split: int  # index into SPLITS, NOT_SAMPLED, DROPPED or STRADDLING
    grams: Hashes | None  # evaluation items' n-grams in it; None where it was not searched
    removed_lines: int
    scrubbed: Mapping[str, int]  # pieces of personal data replaced, by kind


def staging_job(
    config: DataConfig,
    source: SourceConfig,
    parts: Sequence[Part],
    corpus: Path,
    seed: int,
    settings: dict[str, Any],
) -> StagingJob:
    """The job of one group; `settings` is all else that decides what its parts become, as JSON values."""
    key = value_digest([FORMAT, settings, [asdict(part) for part in parts], seed])
    return StagingJob(config, source, tuple(parts), corpus, seed, key)


def stage_part(job: StagingJob) -> Counts:
    """Stage a group, unless that was done before from the same input and settings, and return its counts.

    Raises:
        DataError: a part cannot be found; one is damaged, unless these are quarantined; the first ALL_BAD records are
            all malformed; or most of the first ALL_BAD documents repeat an id.
    """
    kept = finished_counts(job)
    if kept is not None and not (kept.quarantined[DAMAGED] and job.config.damaged_files == "stop"):
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
    """The counts of a group that is staged already; None where it is not, or was staged from something else."""
    try:
        kept = json.loads(job.counts.read_bytes())
    except (OSError, ValueError):
        return None
    return Counts.from_json(kept["counts"]) if kept["key"] == job.key else None


def quarantine_line(source: SourceConfig, record: BadRecord) -> bytes:
    """A record as the quarantine file has it."""
    entry = {"source": source.name, "file": record.file, "line": record.line, "reason": record.reason}
    return (json.dumps(entry, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")


def _rows(job: StagingJob, counts: Counts, log: BinaryIO) -> Iterator[_Row]:
    """The documents of a group that are left after cleaning, and those DROPPED; what is not left is counted."""
    source, config = job.source, job.config

    def quarantine(record: BadRecord) -> None:
        counts.read += 1
        counts.quarantine(record)
        log.write(quarantine_line(source, record))
        if config.damaged_files == "stop" and kind_of(record) == DAMAGED:
            raise DataError(
                f"source '{source.name}': {record.file} cannot be read beyond record {record.line - 1:,}: "
                f"{record.reason}: replace it, or set data.damaged_files: quarantine to do without the rest of it"
            )
        if counts.malformed == counts.read == ALL_BAD:
            raise DataError(
                f"source '{source.name}': the first {ALL_BAD:,} records of {record.file} are all malformed: "
                f"{'; '.join(counts.offenders)}: correct data.sources.{source.name}"
            )

    clean, scrub = make_cleaner(config, source), make_scrubber(config.cleaning.scrub)

    def drop(reason: str, it: Document) -> None:
        counts.drop(
            reason,
            len(it.text),
            lambda: make_sample(it.id, it.file, it.line, it.text, config.near_duplicates, lambda text: scrub(text)[0]),
        )

    items = evaluation_items(config.decontamination, config.cleaning) if config.decontamination else None
    documents = _with_ids_watched(job, (it for part in job.parts for it in _read(job, part, counts, quarantine)))
    if multiprocessing.parent_process() is None:  # bars of several processes would overwrite each other
        documents = progress(documents, f"reading {source.name}")
    for document in documents:
        counts.count_date(document.date)
        if config.cutoff and document.date is None and source.undated != "train":
            quarantine(BadRecord(document.file, document.line, f"no date: document {document.id}"))
            continue
        _count_raw(document.text, source, counts)
        cleaned = clean(document.text)
        counts.boilerplate.update(cleaned.boilerplate)
        counts.altered.update(cleaned.altered)
        digest = new_digest(cleaned.text.encode()).digest()
        where = split(document.date, digest, config.cutoff, config.past_fraction, job.seed)
        is_earlier = is_read_before(document.date, config.since)
        if reason := cleaned.reason or (EARLIER if is_earlier else None):
            drop(reason, document)
            is_held_out = where in ("future", STRADDLES) or (is_earlier and where == "past")
            if is_held_out and cleaned.text:  # nor are its copies trained on
                yield _Row(document, cleaned.text, digest, DROPPED, None, 0, {})
            continue
        if cleaned.removed_lines:
            counts.line_characters += len(document.text) - len(cleaned.text)
        is_left_out = where == "future" and not is_sampled(digest, config.future_fraction, job.seed)
        grams = items.found(cleaned.text) if items and where == "train" else None
        of_split = STRADDLING if where == STRADDLES else NOT_SAMPLED if is_left_out else SPLITS.index(where)
        yield _Row(document, cleaned.text, digest, of_split, grams, cleaned.removed_lines, cleaned.scrubbed)


def _count_raw(text: str, source: SourceConfig, counts: Counts) -> None:
    """Count a text as it was read. Raises DataError: most texts of the source are encodings of texts."""
    counts.read += 1
    counts.characters += len(text)
    if encoding := encoding_of(text, source.text_field):
        counts.encoded[encoding] += 1
    elif doubt := doubt_about(text):
        counts.doubts[doubt] += 1
    counts.measure(len(text))
    counts.measure_bytes(-(-byte_length(text) // 4))
    counts.undecoded += "\ufffd" in text
    if counts.read == ALL_BAD:
        check_encoded(source, counts)


def check_encoded(source: SourceConfig, counts: Counts) -> None:
    """Refuse a source of which most texts are an encoding of text; DataError names it."""
    for encoding, number in counts.encoded.items():
        if number > MOST_ENCODED * (counts.read - counts.quarantined.total()):
            raise DataError(
                f"source '{source.name}': {number:,} of {counts.read:,} texts are {encoding}: a model would learn "
                f"quotes and escapes: write what they stand for, or correct data.sources.{source.name}"
            )


def _read(job: StagingJob, part: Part, counts: Counts, quarantine: Callable[[BadRecord], None]) -> Iterator[Document]:
    """The documents of one part; a file that is lost counts by its bytes, as nobody knows how many records it has."""
    met: set[str] = set()
    left_out = counts.left_out.total()
    documents, malformed, damaged = 0, counts.malformed, counts.quarantined[DAMAGED]
    text, bad = 0, counts.malformed_bytes
    has_text = False
    for document in read_part(job.source, part, quarantine, met, counts.left_out):
        documents += 1
        text += byte_length(document.text)
        has_text = has_text or not _is_blank(document.text)
        yield document
    counts.met.update(met)
    counts.bytes += part.size or 0
    # What a packed file holds is not known beyond what was read of it.
    counts.content += max(part.size or 0, text + counts.malformed_bytes - bad)
    if not has_text and (counts.malformed, counts.left_out.total()) == (malformed, left_out):
        counts.find_empty(part.name)
    nothing_read = counts.malformed > malformed and not documents
    if part.size and (nothing_read or counts.quarantined[DAMAGED] > damaged):
        counts.lost[part.name] += part.size
        counts.lost_records += counts.malformed - malformed
        counts.malformed_bytes = bad


def _is_blank(text: str) -> bool:
    return not text or text.isspace()


def _with_ids_watched(job: StagingJob, documents: Iterable[Document]) -> Iterator[Document]:
    """Pass the documents on; ends early where most of the first ones repeat an id, which then is none."""
    first: dict[str, str] = {}
    repeated = 0
    for number, document in enumerate(documents, start=1):
        if number <= ALL_BAD:
            place = f"{document.file}:{document.line}"
            if (other := first.setdefault(document.id, place)) != place:
                repeated += 1
            if repeated > max(MOST_REPEATED, job.config.maximum_bad_fraction) * ALL_BAD:
                raise too_many_repeated(job.source, repeated, number, f"{place}: {duplicate_id(document.id, other)}")
        yield document


def duplicate_id(name: str, place: str) -> str:
    """Why a document is malformed whose id one that was read before it has, at file:line."""
    return f"duplicate id: {name}, which {place} has"


def too_many_repeated(source: SourceConfig, repeated: int, of: int, example: str) -> DataError:
    """The error of a source whose ids cannot be meant."""
    return DataError(
        f"source '{source.name}': {repeated:,} of the first {of:,} documents have the id of another, such as "
        f'{example}: name a field that differs in data.sources.{source.name}.id_field, or "" there to name '
        "documents by file and line"
    )


def evaluation_items(settings: DecontaminationConfig, cleaning: CleaningConfig) -> Items:
    """The items of a configuration, read once by each process."""
    return _load_items(settings, cleaning, json.dumps(item_stamps(settings)))


@functools.lru_cache(maxsize=1)  # the same for every part that a process stages
def _load_items(settings: DecontaminationConfig, cleaning: CleaningConfig, stamps: str) -> Items:
    return load_items(settings, make_rewriter(cleaning))


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
    columns = {name: [getattr(row.document, name) for row in group] for name in Document._fields if name != "date"}
    dates = [row.document.date or (None, None) for row in group]
    columns |= {
        "first_date": [first for first, _ in dates],
        "last_date": [last for _, last in dates],
        "text": [row.text for row in group],
        "size": [byte_length(row.document.text) for row in group],
        "text_digest": [row.text_digest for row in group],
        "key": [document_key(row.document.source, row.document.id) for row in group],
        "split": [row.split for row in group],
        "grams": [row.grams for row in group],
        "removed_lines": [row.removed_lines for row in group],
        "scrubbed": [list(row.scrubbed.items()) or None for row in group],
    }
    return pa.table(columns, schema=STAGED_SCHEMA)
