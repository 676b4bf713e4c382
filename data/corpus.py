"""Documents to corpus: cleaned, without exact duplicates, split by date and by chance, and every loss counted.

Two passes: the first reads, cleans and stages each source; the second decides on digests alone which documents stay and
writes them. Memory is less than 100 bytes a document beside one batch of texts.
"""

import json
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data.clean import clean
from data.config import DataConfig, SourceConfig
from data.corpus_files import CORPUS_COLUMNS, CORPUS_SCHEMA, corpus_files
from data.deduplicate import Fate, Forgotten, Staged, as_digests, decide, document_key
from data.documents import BadRecord, input_files, read_documents
from data.errors import DataError
from data.files import atomic_write, begin_stage, file_stamp, finish_stage, is_finished, new_digest, write_atomically
from data.progress import progress, say
from data.split import SPLITS, split

FORMAT = 1
REPORT = "report.json"
QUARANTINE = "quarantine.jsonl"
STAGING = "staging"
ROWS_PER_GROUP = 1_000
CHARACTERS_PER_GROUP = 16_000_000
ALL_BAD = 1_000  # so many records, none of them good, are enough to stop at once
STAGED_SCHEMA = pa.schema(CORPUS_COLUMNS | {"file": pa.string(), "line": pa.int64()})


@dataclass
class _Reading:
    """What is known of a source while it passes through."""

    source: SourceConfig
    log: TextIO
    read: int = 0
    undated: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    quarantined: Counter[str] = field(default_factory=Counter)
    offenders: list[str] = field(default_factory=list)
    # Of each document that was staged, in order:
    texts: bytearray = field(default_factory=bytearray)  # 16 bytes of digest
    ids: bytearray = field(default_factory=bytearray)  # 16 bytes of digest
    splits: bytearray = field(default_factory=bytearray)  # index into SPLITS
    kept: dict[str, dict[str, Any]] = field(default_factory=dict)

    def quarantine(self, record: BadRecord) -> None:
        self.quarantined[record.reason.partition(":")[0]] += 1
        if len(self.offenders) < 3:
            self.offenders.append(f"{record.file}:{record.line}: {record.reason}")
        self.log.write(json.dumps({"source": self.source.name, **asdict(record)}, ensure_ascii=False) + "\n")

    @property
    def bad(self) -> int:
        return self.quarantined.total() - self.quarantined["no date"]


def prepare_corpus(config: DataConfig, folder: Path, seed: int) -> dict[str, Any]:
    """Make the corpus of a configuration in `folder`, or recognise that it is there already.

    Written are {train,past,future}/{source}/*.parquet (id, text, source, date, licence, url) where there are such
    documents, quarantine.jsonl, report.json, and manifest.json last. The same inputs give the same bytes.

    Returns:
        The report: for each source the records read, those kept by split (documents, characters, bytes of UTF-8, first
        and last date), and those dropped and quarantined by reason; read = kept + dropped + quarantined.

    Raises:
        DataError: a source is missing, damaged, undated under a cutoff, or of too many malformed records; or no
            document is left to train on, or, under a cutoff, to hold out.
    """
    inputs = _inputs(config, seed)
    if is_finished("corpus", folder, inputs):
        report: dict[str, Any] = json.loads((folder / REPORT).read_bytes())
        return report
    begin_stage(folder, [*SPLITS, STAGING, QUARANTINE, REPORT])
    with (folder / QUARANTINE).open("w", encoding="utf-8", errors="backslashreplace") as log:
        readings = [_read_source(source, config, folder, seed, log) for source in config.sources]
        _write_splits(readings, config, folder)
    shutil.rmtree(folder / STAGING)
    report = {"sources": {reading.source.name: _report(reading) for reading in readings}}
    _check_splits(readings, config)
    write_atomically(folder / REPORT, json.dumps(report, indent=1))
    kept_files = [file for name in SPLITS for files in corpus_files(folder, name).values() for file in files]
    finish_stage(folder, inputs, [*kept_files, folder / QUARANTINE, folder / REPORT])
    for name in SPLITS:
        documents, characters = (
            sum(reading.kept[name][unit] for reading in readings if name in reading.kept)
            for unit in ("documents", "characters")
        )
        say(f"corpus: {name}: {documents:,} documents, {characters:,} characters")
    return report


def _inputs(config: DataConfig, seed: int) -> dict[str, Any]:
    """All that decides the corpus, under the names of the configuration; a file counts by path, size and time."""
    inputs: dict[str, Any] = {"format": FORMAT, "seed": seed, "sources": [source.name for source in config.sources]}
    inputs |= config.model_dump(mode="json", exclude={"sources", "folder"})
    for source in config.sources:
        # The mixture is decided later: a weight may change without making the corpus anew.
        settings = source.model_dump(mode="json", exclude={"name", "weight", "domain"})
        inputs |= {f"sources.{source.name}.{key}": value for key, value in settings.items()}
        inputs[f"sources.{source.name}.files"] = {str(file): file_stamp(file) for file in input_files(source)}
    return inputs


def _read_source(source: SourceConfig, config: DataConfig, folder: Path, seed: int, log: TextIO) -> _Reading:
    reading = _Reading(source, log)
    staged = _staged_file(folder, reading)
    rows = _staged_rows(reading, config, folder, seed)
    with atomic_write(staged) as file, pq.ParquetWriter(file, STAGED_SCHEMA, compression="zstd") as writer:
        for group in _row_groups(rows):
            writer.write_table(group)
    if config.cutoff and source.undated == "refuse" and reading.undated:
        raise DataError(
            f"source '{source.name}': {reading.undated:,} of {reading.read - reading.bad:,} documents have no date, "
            "but data.cutoff is set: name the field in date_field, or set undated: train or quarantine"
        )
    _check_bad(reading, config, folder)
    return reading


def _staged_file(folder: Path, reading: _Reading) -> Path:
    return folder / STAGING / f"{reading.source.name}.parquet"


def _staged_rows(reading: _Reading, config: DataConfig, folder: Path, seed: int) -> Iterator[dict[str, Any]]:
    """Clean the documents of a source and note the digests of those that are left."""

    def quarantine(record: BadRecord) -> None:
        reading.read += 1
        reading.quarantine(record)
        if reading.bad == reading.read == ALL_BAD:
            _check_bad(reading, config, folder)

    source = reading.source
    for document in progress(read_documents(source, quarantine), f"reading {source.name}"):
        reading.read += 1
        if config.cutoff and document.date is None:
            reading.undated += 1
            if source.undated == "quarantine":
                reading.quarantine(BadRecord(document.file, document.line, f"no date: document {document.id}"))
                continue
        text, reason = clean(document.text, config.minimum_characters, config.maximum_characters)
        if text is None:
            reading.dropped[str(reason)] += 1
            continue
        digest = new_digest(text.encode()).digest()
        reading.texts += digest
        reading.ids += document_key(source.name, document.id)
        reading.splits.append(SPLITS.index(split(document.date, digest, config.cutoff, config.past_fraction, seed)))
        yield asdict(document) | {"text": text}


def _row_groups(rows: Iterable[dict[str, Any]]) -> Iterator[pa.Table]:
    """Gather rows into tables of bounded memory."""
    group: list[dict[str, Any]] = []
    characters = 0
    for row in rows:
        group.append(row)
        characters += len(row["text"])
        if len(group) >= ROWS_PER_GROUP or characters >= CHARACTERS_PER_GROUP:
            yield pa.Table.from_pylist(group, STAGED_SCHEMA)
            group, characters = [], 0
    if group:
        yield pa.Table.from_pylist(group, STAGED_SCHEMA)


def _check_bad(reading: _Reading, config: DataConfig, folder: Path) -> None:
    if reading.bad > config.maximum_bad_fraction * reading.read:
        raise DataError(
            f"source '{reading.source.name}': {reading.bad:,} of {reading.read:,} records are malformed, above "
            f"data.maximum_bad_fraction {config.maximum_bad_fraction:g}: {'; '.join(reading.offenders)}; "
            f"all of them are in {folder / QUARANTINE}"
        )


def _write_splits(readings: Sequence[_Reading], config: DataConfig, folder: Path) -> None:
    """Write what is kept of each staged source, and count what is not."""
    splits = [np.frombuffer(reading.splits, np.uint8) for reading in readings]
    all_splits = np.concatenate(splits)
    documents = Staged(
        texts=np.concatenate([as_digests(reading.texts) for reading in readings]),
        keys=np.concatenate([as_digests(reading.ids) for reading in readings]),
        splits=all_splits,
        signatures=list,
    )
    fates = decide(documents, Forgotten(as_digests(b""), as_digests(b""), np.empty((0, 0), np.uint8)), None).fates
    ends = np.cumsum([len(source) for source in splits])
    for reading, source_splits, source_fates in zip(readings, splits, np.split(fates, ends[:-1]), strict=True):
        reading.dropped["duplicate"] += int((source_fates == Fate.DUPLICATE).sum())
        reading.dropped["duplicate of held-out text"] += int((source_fates == Fate.DUPLICATE_OF_HELD_OUT_TEXT).sum())
        _write_source(reading, source_splits, source_fates, folder)
        _check_bad(reading, config, folder)
        _check_total(reading)


def _write_source(reading: _Reading, splits: npt.NDArray[np.uint8], fates: npt.NDArray[np.uint8], folder: Path) -> None:
    name = reading.source.name
    writers: dict[str, pq.ParquetWriter] = {}
    with ExitStack() as stack:
        staged = stack.enter_context(pq.ParquetFile(_staged_file(folder, reading)))
        first = 0
        for group in progress(range(staged.num_row_groups), f"writing {name}", unit="row groups"):
            table = staged.read_row_group(group)
            rows = slice(first, first + table.num_rows)
            first += table.num_rows
            for index, split_name in enumerate(SPLITS):
                kept = table.filter(pa.array((fates[rows] == Fate.KEPT) & (splits[rows] == index))).select(
                    list(CORPUS_COLUMNS)
                )
                if not kept.num_rows:
                    continue
                if split_name not in writers:
                    file = stack.enter_context(atomic_write(folder / split_name / name / "00000.parquet"))
                    writers[split_name] = stack.enter_context(pq.ParquetWriter(file, CORPUS_SCHEMA, compression="zstd"))
                writers[split_name].write_table(kept)
                _count(reading, split_name, kept)
            for row in table.filter(pa.array(fates[rows] == Fate.REPEATED_ID)).to_pylist():
                reading.quarantine(BadRecord(row["file"], row["line"], f"duplicate id: {row['id']}"))


def _count(reading: _Reading, split_name: str, kept: pa.Table) -> None:
    counts = reading.kept.setdefault(
        split_name, {"documents": 0, "characters": 0, "bytes": 0, "first_date": None, "last_date": None}
    )
    counts["documents"] += kept.num_rows
    counts["characters"] += pc.sum(pc.utf8_length(kept["text"])).as_py()
    counts["bytes"] += pc.sum(pc.binary_length(kept["text"])).as_py()
    dates = pc.min_max(kept["date"]).as_py()
    for key, bound, better in (("first_date", dates["min"], min), ("last_date", dates["max"], max)):
        if bound is not None:
            counts[key] = better(filter(None, [counts[key], bound.isoformat()]))


def _check_total(reading: _Reading) -> None:
    kept = sum(counts["documents"] for counts in reading.kept.values())
    assert reading.read == kept + reading.dropped.total() + reading.quarantined.total()
    if not kept:
        raise DataError(
            f"source '{reading.source.name}': nothing is left of {reading.read:,} records in {reading.source.path}: "
            f"dropped {_reasons(reading.dropped)}, quarantined {_reasons(reading.quarantined)}"
        )


def _reasons(counts: Counter[str]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in counts.most_common() if count) or "none"


def _check_splits(readings: Sequence[_Reading], config: DataConfig) -> None:
    """A corpus must have something to train on and, where a cutoff was asked for, something after it."""
    splits = {name for reading in readings for name in reading.kept}
    dates = [counts["last_date"] for reading in readings for counts in reading.kept.values() if counts["last_date"]]
    if "train" not in splits:
        raise DataError(
            f"no documents to train on: all are of data.cutoff {config.cutoff} or later, or held out by "
            f"data.past_fraction {config.past_fraction:g}; choose a later cutoff or a smaller fraction"
        )
    if config.cutoff and "future" not in splits:
        raise DataError(
            f"no documents of data.cutoff {config.cutoff} or later to hold out: the last date is "
            f"{max(dates, default='none, as no document has one')}; choose an earlier cutoff or none"
        )


def _report(reading: _Reading) -> dict[str, Any]:
    return {
        "read": reading.read,
        "kept": {name: reading.kept[name] for name in SPLITS if name in reading.kept},
        "dropped": {reason: count for reason, count in sorted(reading.dropped.items()) if count},
        "quarantined": dict(sorted(reading.quarantined.items())),
    }
