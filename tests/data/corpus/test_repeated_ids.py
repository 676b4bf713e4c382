"""Repeated ids are found as soon as they can be, with both places; what is only allowed goes on."""

import json
from pathlib import Path

import numpy as np
import pytest

from data.config import DataConfig
from data.corpus.counts import Counts
from data.corpus.repeated_ids import staged_rows, watch_ids
from data.corpus.staging import StagingJob, stage_part, staging_job
from data.errors import DataError
from data.sources.documents import input_parts

TEXT = "the committee decided to raise the target range for the federal funds rate by a quarter of a point in"


def jobs_of(tmp_path: Path, ids: list[range], fraction: float = 0.01) -> list[StagingJob]:
    """A file for each range of ids, and a job for each file."""
    for number, names in enumerate(ids):
        lines = (json.dumps({"id": name, "text": f"{TEXT} {number} {name}"}) + "\n" for name in names)
        (tmp_path / f"{number}.jsonl").write_text("".join(lines))
    content = {"sources": [{"name": "news", "path": str(tmp_path / "*.jsonl")}], "maximum_bad_fraction": fraction}
    config = DataConfig.model_validate(content | {"near_duplicates": None})
    source = config.sources[0]
    return [staging_job(config, source, [part], tmp_path / "corpus", 1, {}) for part in input_parts(source)]


def watched(jobs: list[StagingJob]) -> list[tuple[StagingJob, Counts]]:
    return list(watch_ids((job, stage_part(job)) for job in jobs))


def test_numbers_within_a_file_are_no_ids(tmp_path: Path) -> None:
    jobs = jobs_of(tmp_path, [range(400)] * 20)
    message = (
        r"^source 'news': 800 of the first 1,200 documents have the id of another, such as 1\.jsonl:1: duplicate id: "
        r"0, which 0\.jsonl:1 has: name a field"
    )
    with pytest.raises(DataError, match=message):
        watched(jobs)
    assert not jobs[3].counts.exists()  # not staged any more


def test_ids_that_differ_and_those_that_may_be_repeated_pass(tmp_path: Path) -> None:
    different = jobs_of(tmp_path, [range(0, 600), range(600, 1200), range(900, 1500)])
    assert [job for job, _ in watched(different)] == different
    allowed = jobs_of(tmp_path, [range(600)] * 4, fraction=0.8)
    assert [counts.read for _, counts in watched(allowed)] == [600] * 4


def test_rows_are_found_by_their_number_over_all_groups(tmp_path: Path) -> None:
    jobs = jobs_of(tmp_path, [range(3), range(0), range(5, 9)])
    watched(jobs)
    found = staged_rows(jobs, np.array([6, 0, 3]))
    size = len(f"{TEXT} 0 0")
    assert found == {
        0: {"id": "0", "file": "0.jsonl", "line": 1, "size": size, "job": jobs[0]},
        3: {"id": "5", "file": "2.jsonl", "line": 1, "size": size, "job": jobs[2]},
        6: {"id": "8", "file": "2.jsonl", "line": 4, "size": size, "job": jobs[2]},
    }
