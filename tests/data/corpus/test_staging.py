import datetime
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from data.config import DataConfig
from data.corpus import staging
from data.corpus.decontaminate import load_items
from data.corpus.near_duplicates import map_signatures, signatures
from data.corpus.split import NOT_SAMPLED, SPLITS
from data.corpus.staging import StagingJob, finished_counts, stage_part, staging_job
from data.errors import DataError
from data.files import new_digest
from data.sources.documents import input_parts

TEXT = "the committee decided to raise the target range for the federal funds rate by a quarter of a point in March"


def write(file: Path, records: list[Any]) -> Path:
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    return file


def job_of(tmp_path: Path, records: list[Any], settings: int = 1, **changes: Any) -> StagingJob:
    path = write(tmp_path / "a.jsonl", records)
    content = {"sources": [{"name": "news", "path": str(path), **changes.pop("source", {})}], **changes}
    config = DataConfig.model_validate(content)
    source = config.sources[0]
    return staging_job(config, source, input_parts(source), tmp_path / "corpus", 1, {"settings": settings})


def test_what_is_left_is_staged_with_what_decides_its_fate(tmp_path: Path) -> None:
    days = ["1999-05-01", "2001-05-01"]
    job = job_of(tmp_path, [{"id": day, "text": f"{TEXT} {day}", "date": day} for day in days], cutoff="2000-01-01")
    counts = stage_part(job)
    assert (counts.read, counts.dropped, counts.quarantined) == (2, {}, {})
    rows = pq.read_table(job.documents).to_pylist()
    assert [row["text"] for row in rows] == [f"{TEXT} {day}" for day in days]
    assert [SPLITS[row["split"]] for row in rows] == ["train", "future"]
    assert rows[0]["first_date"] == rows[0]["last_date"] == datetime.date(1999, 5, 1)
    assert [row["text_digest"] for row in rows] == [new_digest(row["text"].encode()).digest() for row in rows]
    near = job.config.near_duplicates
    assert near is not None
    expected = signatures([row["text"] for row in rows], near)
    assert map_signatures(job.signatures, near).tolist() == expected.tolist()


def test_a_staged_part_is_kept_until_its_input_or_settings_change(tmp_path: Path) -> None:
    records = [{"text": f"{TEXT} {index}"} for index in range(3)]
    job = job_of(tmp_path, records)
    assert finished_counts(job) is None
    counts = stage_part(job)
    job.documents.write_bytes(b"not read again")
    assert stage_part(job) == finished_counts(job) == counts
    assert job.documents.read_bytes() == b"not read again"
    assert finished_counts(job_of(tmp_path, records, settings=2)) is None
    assert finished_counts(job_of(tmp_path, records[:2])) is None


def test_the_sample_of_the_held_out_text(tmp_path: Path) -> None:
    records = [{"text": f"{TEXT} {index}", "date": "2001-01-01"} for index in range(400)]
    job = job_of(tmp_path, records, cutoff="2000-01-01", future_fraction=0.25)
    stage_part(job)
    splits = pq.read_table(job.documents)["split"].to_pylist()
    assert 250 < splits.count(NOT_SAMPLED) < 350
    assert splits.count(NOT_SAMPLED) + splits.count(SPLITS.index("future")) == 400


def test_evaluation_items_in_the_training_text(tmp_path: Path) -> None:
    items = write(tmp_path / "items.jsonl", [{"question": f"Q: {TEXT.upper()}, or not?"}, {"question": "other " * 20}])
    records = [
        {"id": "old", "text": f"As was said, {TEXT}.", "date": "1999-01-01"},
        {"id": "new", "text": f"Then, {TEXT}.", "date": "2001-01-01"},
        {"id": "clean", "text": "nothing of the kind stands here " * 3, "date": "1999-01-01"},
    ]
    settings = {"paths": [str(items)]}
    job = job_of(tmp_path, records, cutoff="2000-01-01", past_fraction=0.0, decontamination=settings)
    assert not stage_part(job).dropped  # that is decided when all parts are staged
    found = {row["id"]: row["grams"] for row in pq.read_table(job.documents, columns=["id", "grams"]).to_pylist()}
    assert job.config.decontamination
    assert load_items(job.config.decontamination).names_of(np.array(found["old"], np.uint64)) == [f"{items}:1"]
    assert (found["new"], found["clean"]) == (None, [])  # held-out text is measured, not trained on


def test_a_part_of_nothing_but_broken_records_stops_early(tmp_path: Path) -> None:
    job = job_of(tmp_path, [{"body": TEXT}] * 3_000)
    with pytest.raises(DataError, match=r"^source 'news': the first 1,000 records of a\.jsonl are all malformed"):
        stage_part(job)
    assert finished_counts(job) is None
    assert list(job.counts.parent.iterdir()) == []  # nothing half


def test_what_is_held_at_a_time_is_bounded_in_rows_and_in_characters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "ROWS_PER_GROUP", 4)
    monkeypatch.setattr(staging, "CHARACTERS_PER_GROUP", 1_000)
    job = job_of(tmp_path, [{"text": f"{number} {TEXT * (5 if number < 6 else 1)}"} for number in range(12)])
    stage_part(job)
    footer = pq.read_metadata(job.documents)
    assert [footer.row_group(group).num_rows for group in range(footer.num_row_groups)] == [2, 2, 2, 4, 2]


@pytest.mark.parametrize("fraction", [0.01, 1.0])
def test_ids_that_cannot_be_meant_stop_it_early(tmp_path: Path, fraction: float) -> None:
    records = [{"id": index % 400, "text": f"{TEXT} {index}"} for index in range(3_000)]
    job = job_of(tmp_path, records, maximum_bad_fraction=fraction)
    if fraction == 1:
        assert stage_part(job).read == 3_000
        return
    message = (
        r"^source 'news': 501 of the first 901 documents have the id of another, such as a\.jsonl:901: duplicate id: "
        r"100, which a\.jsonl:101 has: name a field that differs in data\.sources\.news\.id_field, or \"\" there to "
        r"name documents by file and line$"
    )
    with pytest.raises(DataError, match=message):
        stage_part(job)
    assert list(job.counts.parent.iterdir()) == []
