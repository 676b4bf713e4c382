"""The test for leaks over a corpus: which staged training documents use words that came up long after their date."""

import functools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from data.corpus.counts import MISDATED
from data.corpus.deduplicate import Decision, Fate
from data.corpus.leaks import Births, Calendar, Counts, Suspect, births, count_words, make_calendar, merge, suspects
from data.corpus.repeated_ids import staged_rows
from data.corpus.split import SPLITS
from data.corpus.staging import STAGING, StagingJob
from data.files import atomic_write
from data.parallel import in_parallel
from data.sources.documents import BadRecord

SAMPLES = 3
"""Of each source that a report shows."""
BIRTHS = "births.npz"


@dataclass(frozen=True)
class Misdated:
    """What the test has found.

    Attributes:
        judged: dated training documents, by source.
        found: of all staged documents, numbered through, those that are suspected.
    """

    judged: Counter[str] = field(default_factory=Counter)
    found: dict[int, Suspect] = field(default_factory=dict)


@dataclass(frozen=True)
class _Job:
    file: Path
    calendar: Calendar
    births: Path


def find_misdated(jobs: Sequence[StagingJob], named: Decision, corpus: Path, workers: int | None) -> Misdated:
    """Look at the words of all dated documents once for when each came up, and again for who uses it before.

    Args:
        named: what has become of the documents so far; what goes is not looked at.
        corpus: in whose staging folder the words are kept.
    """
    calendar = make_calendar(pq.read_table(job.documents, columns=["first_date"])["first_date"] for job in jobs)
    file = corpus / STAGING / BIRTHS
    tasks = [_Job(job.documents, calendar, file) for job in jobs]
    with closing(in_parallel(_count, tasks, workers, "words by date")) as counted:
        known = births(merge(counted), calendar)
    with atomic_write(file) as content:
        np.savez(content, words=known.words, absent_until=known.absent_until)
    result = Misdated()
    first = 0
    with closing(in_parallel(_judge, tasks, workers, "dates by words")) as found:
        for job, (judged, suspected) in zip(jobs, found, strict=True):
            result.judged[job.source.name] += judged
            left = [each for each in suspected if named.fates[first + each.row] == Fate.KEPT]
            result.found.update({first + each.row: each for each in left})
            first += pq.read_metadata(job.documents).num_rows
    return result


def _count(job: _Job) -> Counts:
    return count_words(job.file, job.calendar)


def _judge(job: _Job) -> tuple[int, list[Suspect]]:
    return suspects(job.file, _read_births(job.births, job.births.stat().st_mtime_ns), job.calendar, _TRAIN)


_TRAIN = SPLITS.index("train")


@functools.lru_cache(maxsize=1)  # the same for all jobs of a process
def _read_births(file: Path, stamp: int) -> Births:
    with np.load(file) as content:
        return Births(content["words"], content["absent_until"])


def misdated_records(jobs: Sequence[StagingJob], misdated: Misdated) -> Iterator[tuple[StagingJob, BadRecord]]:
    """The suspected documents as records that are set aside, in their order."""
    rows = staged_rows(jobs, np.array(sorted(misdated.found), np.int64))
    for document, row in rows.items():
        reason = f"{MISDATED}: document {row['id']} {_why(misdated.found[document])}"
        yield row["job"], BadRecord(row["file"], row["line"], reason, row["size"])


def leak_report(jobs: Sequence[StagingJob], misdated: Misdated, action: str) -> dict[str, Any]:
    """What report.json says of it: of each source how many were judged and suspected, and the clearest of them."""
    rows = staged_rows(jobs, np.array(sorted(misdated.found), np.int64))
    sources: dict[str, Any] = {
        name: {"judged": judged, "suspected": 0, "samples": []} for name, judged in misdated.judged.items()
    }
    by_share = sorted(rows, key=lambda document: -misdated.found[document].words / misdated.found[document].of)
    for document in by_share:
        row, suspect = rows[document], misdated.found[document]
        source = sources[row["job"].source.name]
        source["suspected"] += 1
        if len(source["samples"]) < SAMPLES:
            words = {word: day.isoformat() for word, day in suspect.shown}
            place = {name: row[name] for name in ("id", "file", "line")}
            source["samples"].append(place | {"words": suspect.words, "of": suspect.of, "absent_until": words})
    return {"action": action, "sources": sources}


def leak_warnings(report: Mapping[str, Any] | None) -> list[str]:
    """A line for each source with suspected documents."""
    lines = []
    for name, source in (report or {"sources": {}})["sources"].items():
        if source["suspected"]:
            done = "set aside" if report and report["action"] == "quarantine" else "left where they are (data.leaks)"
            first = source["samples"][0]
            words = ", ".join(f"'{word}' (not before {day})" for word, day in first["absent_until"].items())
            lines.append(
                f"source '{name}': {source['suspected']:,} of {source['judged']:,} dated training documents use words "
                f"that came up years after their date, and are {done}: such as {first['id']} with {words}; their dates "
                "may be wrong, or their text of later (docs/leaks.md; of right dates up to 3 % are suspected too)"
            )
    return lines


def _why(suspect: Suspect) -> str:
    words = ", ".join(f"'{word}' (not before {day})" for word, day in suspect.shown)
    return f"uses {suspect.words} words that came up years after its date, such as {words}"
