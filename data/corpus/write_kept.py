"""Phase three of a corpus: of each staged group, what is kept goes to its splits, and what is not is counted."""

import json
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data.corpus.counts import NO_DATE, SAMPLES, Counts
from data.corpus.deduplicate import DROP_REASONS, Fate
from data.corpus.files import CORPUS_COLUMNS, CORPUS_SCHEMA
from data.corpus.samples import make_sample
from data.corpus.shingles import Hashes
from data.corpus.split import SPLITS
from data.corpus.staging import StagingJob, evaluation_items
from data.date_columns import intervals_of
from data.files import atomic_write, value_digest, write_atomically

UNKNOWN_LICENCE = "unknown"


@dataclass(frozen=True, eq=False)
class KeepJob:
    """One staged group, the number of the files that it becomes, and the fate of each of its documents."""

    staged: StagingJob
    number: int
    fates: npt.NDArray[np.uint8]
    resembled: Mapping[int, str]  # of the rows that are sampled, the source/id of the document that each repeats
    common: Hashes  # evaluation items' n-grams that do not contaminate

    @property
    def result(self) -> Path:
        return self.staged.stem.with_suffix(".kept")

    def file(self, split: str) -> Path:
        return self.staged.corpus / split / self.staged.source.name / f"{self.number:05d}.parquet"


@dataclass
class Kept:
    """What was kept of a part or a source by split, and what else became of its documents."""

    splits: dict[str, dict[str, Any]] = field(default_factory=dict)
    licences: Counter[str] = field(default_factory=Counter)
    precisions: Counter[str] = field(default_factory=Counter)  # of the documents' dates; NO_DATE for none
    date_kinds: Counter[str] = field(default_factory=Counter)  # what they say; of those that have one and say it
    counts: Counts = field(default_factory=Counts)

    @property
    def documents(self) -> int:
        return sum(split["documents"] for split in self.splits.values())

    def add(self, split: str, figures: dict[str, Any]) -> None:
        """Add `figures` (documents, characters, bytes, first_date, last_date) of some documents of a split."""
        known = self.splits.setdefault(
            split, {"documents": 0, "characters": 0, "bytes": 0, "first_date": None, "last_date": None}
        )
        for unit in ("documents", "characters", "bytes"):
            known[unit] += figures[unit]
        for key, better in (("first_date", min), ("last_date", max)):
            dates = [date for date in (known[key], figures[key]) if date is not None]
            known[key] = better(dates, default=None)

    def merge(self, other: "Kept") -> None:
        for split, figures in other.splits.items():
            self.add(split, figures)
        for counter in ("licences", "precisions", "date_kinds"):
            getattr(self, counter).update(getattr(other, counter))
        self.counts.merge(other.counts)


def sampled_rows(fates: npt.NDArray[np.uint8]) -> list[int]:
    """The rows of a group whose text is shown in the report: the first few of each fate but FORGOTTEN."""
    shown = [fate for fate in DROP_REASONS if fate != Fate.FORGOTTEN]  # whose text must not stand in a report
    return [row for fate in shown for row in np.flatnonzero(fates == fate)[:SAMPLES].tolist()]


def keep_part(job: KeepJob) -> Kept:
    """Write what is kept of a staged group, unless that was done before with the same fates."""
    decided = [job.fates.tobytes().hex(), sorted(job.resembled.items()), job.common.tobytes().hex()]
    key = value_digest([job.staged.key, job.number, *decided])
    try:
        done = json.loads(job.result.read_bytes())
    except (OSError, ValueError):
        done = {}
    if done.get("key") == key and all(job.file(split).exists() for split in done["splits"]):
        return Kept(
            splits=done["splits"],
            licences=Counter(done["licences"]),
            precisions=Counter(done["precisions"]),
            date_kinds=Counter(done["date_kinds"]),
            counts=Counts.from_json(done["counts"]),
        )
    kept = Kept()
    for split in SPLITS:
        job.file(split).unlink(missing_ok=True)
    with ExitStack() as stack:
        staged = stack.enter_context(pq.ParquetFile(job.staged.documents))
        writers: dict[str, pq.ParquetWriter] = {}
        first = 0
        for group in range(staged.num_row_groups):
            table = staged.read_row_group(group)
            fates = job.fates[first : first + table.num_rows]
            first += table.num_rows
            for index, split in enumerate(SPLITS):
                mask = (fates == Fate.KEPT) & (table["split"].to_numpy() == index)
                if not mask.any():
                    continue
                if split not in writers:
                    file = stack.enter_context(atomic_write(job.file(split)))
                    writers[split] = stack.enter_context(pq.ParquetWriter(file, CORPUS_SCHEMA, compression="zstd"))
                documents = table.filter(pa.array(mask))
                writers[split].write_table(documents.select(list(CORPUS_COLUMNS)))
                _count_kept(kept, split, documents)
            _count_lost(kept.counts, fates, table)
            _count_touched(kept.counts, job, table, fates)
            _sample(kept.counts, job, table, first - table.num_rows)
    write_atomically(job.result, json.dumps({"key": key, **vars(kept), "counts": kept.counts.as_json()}))
    return kept


def _count_kept(kept: Kept, split: str, documents: pa.Table) -> None:
    first, last = pc.min(documents["first_date"]).as_py(), pc.max(documents["last_date"]).as_py()
    figures = {
        "documents": documents.num_rows,
        "characters": pc.sum(pc.utf8_length(documents["text"])).as_py(),
        "bytes": pc.sum(pc.binary_length(documents["text"])).as_py(),
        "first_date": first.isoformat() if first else None,
        "last_date": last.isoformat() if last else None,
    }
    kept.add(split, figures)
    kept.precisions.update(date.precision if date else NO_DATE for date in intervals_of(documents))
    kept.date_kinds.update(documents["date_kind"].drop_null().to_pylist())
    for licence in pc.value_counts(documents["licence"].fill_null(UNKNOWN_LICENCE)).to_pylist():
        kept.licences[licence["values"]] += licence["counts"]
    kept.counts.removed_lines += pc.sum(documents["removed_lines"]).as_py()
    for scrubbed in documents["scrubbed"].drop_null().to_pylist(maps_as_pydicts="strict"):
        kept.counts.scrubbed.update(scrubbed)


def _count_lost(counts: Counts, fates: npt.NDArray[np.uint8], table: pa.Table) -> None:
    characters = pc.utf8_length(table["text"]).to_numpy()
    for fate, reason in DROP_REASONS.items():
        counts.dropped[reason] += int((fates == fate).sum())
        counts.dropped_characters[reason] += int(characters[fates == fate].sum())


def _count_touched(counts: Counts, job: KeepJob, table: pa.Table, fates: npt.NDArray[np.uint8]) -> None:
    """Count the documents left that share words with evaluation items, those that share common phrases alone apart."""
    if not (settings := job.staged.config.decontamination):
        return
    is_left = (fates == Fate.KEPT) | (fates == Fate.CONTAMINATED)
    has_grams = pc.list_value_length(table["grams"]).fill_null(0).to_numpy() > 0
    rows = table.select(["id", "grams"]).filter(pa.array(is_left & has_grams))
    for row in rows.to_pylist():
        grams, items = np.array(row["grams"], np.uint64), evaluation_items(settings)
        touched = items.names_of(grams[~np.isin(grams, job.common)])
        counts.touch(touched, f"{job.staged.source.name}/{row['id']}")
        counts.common.update(set(items.names_of(grams)).difference(touched))


def _sample(counts: Counts, job: KeepJob, table: pa.Table, first: int) -> None:
    """Note the sampled rows of a row group that begins at row `first` of the part."""
    rows = [row for row in sampled_rows(job.fates) if first <= row < first + table.num_rows]
    chosen = table.take(pa.array([row - first for row in rows], pa.int64()))
    shown = chosen.select(["id", "file", "line", "text"]).to_pylist()
    for row, sample, date in zip(rows, shown, intervals_of(chosen), strict=True):
        reason = DROP_REASONS[Fate(job.fates[row])]
        near = job.staged.config.near_duplicates
        counts.samples.setdefault(reason, []).append(
            make_sample(document_id=sample.pop("id"), **sample, near=near, resembles=job.resembled.get(row))
            | ({"date": str(date)} if job.fates[row] == Fate.STRADDLES else {})
        )
