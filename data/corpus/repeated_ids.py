"""Ids that more than one document of a source has: found before anything of a corpus is written, with both places."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data.corpus.counts import Counts
from data.corpus.deduplicate import Decision, Digests, Fate, Indices, as_digests, keep_one_of_each
from data.corpus.staging import ALL_BAD, MOST_REPEATED, StagingJob, duplicate_id, too_many_repeated
from data.sources.documents import BadRecord


def watch_ids(staged: Iterable[tuple[StagingJob, Counts]]) -> Iterator[tuple[StagingJob, Counts]]:
    """Pass on what is staged, source by source; ends early where ids, such as numbers within a file, cannot be meant.

    Looked at is what there is of a source whenever that has doubled.

    Raises:
        DataError: most of a source's documents so far repeat the id of another.
    """
    for _, of_source in groupby(staged, key=lambda pair: pair[0].source.name):
        jobs: list[StagingJob] = []
        keys: list[Digests] = []
        total, due = 0, ALL_BAD
        for job, counts in of_source:
            jobs.append(job)
            keys.append(read_digests([job], "key"))
            total += len(keys[-1])
            if total >= due:
                _check_most(jobs, keys)
                due = 2 * total
            yield job, counts


def _check_most(jobs: Sequence[StagingJob], keys: Sequence[Digests]) -> None:
    together = np.concatenate(keys)
    is_first, first = keep_one_of_each(together, np.zeros(len(together), np.uint8))
    repeated = np.flatnonzero(~is_first)
    if len(repeated) <= max(MOST_REPEATED, jobs[0].config.maximum_bad_fraction) * len(together):
        return
    pair = np.array([repeated[0], first[repeated[0]]])
    one, other = (found for _, found in sorted(staged_rows(jobs, pair).items(), reverse=True))
    example = f"{_place(one)}: {duplicate_id(one['id'], _place(other))}"
    raise too_many_repeated(jobs[0].source, len(repeated), len(together), example)


def repeated_records(jobs: Sequence[StagingJob], named: Decision) -> Iterator[tuple[StagingJob, BadRecord]]:
    """The documents of the jobs whose id an earlier one of their source has, as malformed records, in their order."""
    repeated = np.flatnonzero(named.fates == Fate.REPEATED_ID)
    first = named.resembles[repeated]
    rows = staged_rows(jobs, np.unique(np.concatenate([repeated, first])))
    for document, other in zip(repeated.tolist(), first.tolist(), strict=True):
        row = rows[document]
        reason = duplicate_id(row["id"], _place(rows[other]))
        yield row["job"], BadRecord(row["file"], row["line"], reason, row["size"])


def _place(row: dict[str, Any]) -> str:
    return f"{row['file']}:{row['line']}"


def read_digests(jobs: Sequence[StagingJob], column: str) -> Digests:
    """A column of digests of all documents of the jobs, in order."""
    values = pa.concat_tables(pq.read_table(job.documents, columns=[column]) for job in jobs)[column].combine_chunks()
    width, content = values.type.byte_width, values.buffers()[1] or b""
    return as_digests(memoryview(content)[width * values.offset : width * (values.offset + len(values))])


def staged_rows(jobs: Sequence[StagingJob], documents: Indices) -> dict[int, dict[str, Any]]:
    """Id, file, line, size and job of some of the jobs' documents, which are numbered through all of them.

    Args:
        documents: int64, without repeats.
    """
    ends = np.cumsum([pq.read_metadata(job.documents).num_rows for job in jobs])
    found: dict[int, dict[str, Any]] = {}
    numbers = np.searchsorted(ends, documents, side="right")
    for number in np.unique(numbers).tolist():
        wanted = documents[numbers == number]
        table = pq.read_table(jobs[number].documents, columns=["id", "file", "line", "size"])
        rows = table.take(pa.array(wanted - (ends[number] - table.num_rows))).to_pylist()
        found |= {document: row | {"job": jobs[number]} for document, row in zip(wanted.tolist(), rows, strict=True)}
    return found
