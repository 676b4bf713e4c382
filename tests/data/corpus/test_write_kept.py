import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from data.config import DataConfig
from data.corpus.deduplicate import Fate
from data.corpus.staging import stage_part, staging_job
from data.corpus.write_kept import KeepJob, Kept, keep_part, sampled_rows
from data.sources.documents import input_parts

FATES = [
    Fate.KEPT,
    Fate.DUPLICATE,
    Fate.NEAR_DUPLICATE_OF_HELD_OUT_TEXT,
    Fate.REPEATED_ID,
    Fate.FORGOTTEN,
    Fate.KEPT,
    Fate.KEPT,
]


def job_of(tmp_path: Path, fates: list[int]) -> KeepJob:
    records = [
        {"id": f"d{index}", "text": f"{index} is the number of this text among the texts of the source in question"}
        | {"date": "2001-01-01" if index == 6 else "1999-01-01"}
        | ({"licence": "CC0"} if index == 5 else {})
        for index in range(len(FATES))
    ]
    file = tmp_path / "a.jsonl"
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    content = {"sources": [{"name": "news", "path": str(file)}], "cutoff": "2000-01-01", "past_fraction": 0.0}
    config = DataConfig.model_validate(content)
    source = config.sources[0]
    staged = staging_job(config, source, input_parts(source), tmp_path / "corpus", 1, {})
    stage_part(staged)
    resembled = dict.fromkeys(sampled_rows(np.array(fates, np.uint8)), "other/x7")
    return KeepJob(staged, 4, np.array(fates, np.uint8), resembled, np.empty(0, np.uint64))


def test_each_document_goes_where_its_fate_and_its_date_say(tmp_path: Path) -> None:
    job = job_of(tmp_path, list(FATES))
    kept = keep_part(job)
    assert pq.read_table(job.file("train"))["id"].to_pylist() == ["d0", "d5"]
    assert pq.read_table(job.file("future"))["id"].to_pylist() == ["d6"]
    assert job.file("train") == tmp_path / "corpus" / "train" / "news" / "00004.parquet"
    assert {split: figures["documents"] for split, figures in kept.splits.items()} == {"train": 2, "future": 1}
    assert kept.splits["train"]["last_date"] == "1999-01-01"
    assert kept.licences == {"unknown": 2, "CC0": 1}
    dropped = {"duplicate": 1, "near-duplicate of held-out text": 1, "forgotten": 1}
    assert {reason: count for reason, count in kept.counts.dropped.items() if count} == dropped
    assert set(kept.counts.samples) == {"duplicate", "near-duplicate of held-out text"}  # nothing of what is forgotten
    assert [(one["id"], one["resembles"]) for one in kept.counts.samples["duplicate"]] == [("d1", "other/x7")]


def test_a_written_part_is_kept_until_its_fates_change(tmp_path: Path) -> None:
    job = job_of(tmp_path, list(FATES))
    kept = keep_part(job)
    job.file("train").write_bytes(b"not written again")
    assert keep_part(job) == kept
    assert job.file("train").read_bytes() == b"not written again"
    job.file("train").unlink()
    assert keep_part(job) == kept
    assert pq.read_table(job.file("train")).num_rows == 2
    none = keep_part(job_of(tmp_path, [Fate.DUPLICATE] * len(FATES)))
    assert none.documents == 0
    assert not job.file("train").exists()
    assert not job.file("future").exists()


def test_parts_add_up() -> None:
    whole = Kept()
    for documents, first, last in ((2, "1999-01-01", "2001-01-01"), (3, "1998-01-01", "1998-02-01"), (1, None, None)):
        part = Kept()
        part.add(
            "train",
            {"documents": documents, "characters": 10, "bytes": 11, "first_date": first, "last_date": last},
        )
        whole.merge(part)
    expected = {"documents": 6, "characters": 30, "bytes": 33, "first_date": "1998-01-01", "last_date": "2001-01-01"}
    assert whole.splits == {"train": expected}
