"""Documents to corpus: cleaned, de-duplicated, decontaminated, split by date and by chance, and every loss counted.

Three phases: each part of the input (a file, or a shard of a hub dataset) is staged on its own; digests and signatures
alone decide which documents stay; and each part writes those. The first and the last run on all CPUs and go on, after an
interruption, where they were; the first can also be spread over the tasks of a Slurm array.
"""

import json
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from data.config import DataConfig, SourceConfig
from data.corpus_files import corpus_files
from data.counts import NO_DATE, Counts, by_reason
from data.deduplicate import Staged, decide
from data.documents import Part, input_parts
from data.errors import DataError
from data.files import atomic_write, begin_stage, file_digest, finish_stage, is_finished, write_atomically
from data.keep import Kept, KeepJob, keep_part
from data.parallel import in_parallel
from data.progress import say
from data.split import SPLITS
from data.staging import STAGING, StagingJob, finished_counts, stage_part, staging_job
from data.tombstones import read_tombstones

FORMAT = 2
REPORT = "report.json"
QUARANTINE = "quarantine.jsonl"
NOT_OF_THE_CORPUS = {"sources", "folder", "workers", "shards", "cache", "cache_gigabytes", "packing", "stages", "period"}
NOT_OF_THE_CORPUS |= {"reshuffles"}
NOT_OF_A_PART = {"name", "weight", "domain", "maximum_epochs"}
Shard = tuple[int, int]


def prepare_corpus(
    config: DataConfig, folder: Path, seed: int, *, tombstones: Path | None = None, shard: Shard | None = None
) -> dict[str, Any]:
    """Make the corpus of a configuration in `folder`, or recognise that it is there already.

    Written are {train,past,future}/{source}/{part}.parquet (id, text, source, date, licence, url) where there are such
    documents, quarantine.jsonl, report.json, and manifest.json last. The same inputs give the same bytes, whatever the
    number of workers and shards.

    Args:
        tombstones: documents that must go, with all that resembles them (`data.tombstones`).
        shard: (i, n) stages every n-th part from the i-th on (from 0) and no more; a call without it finishes.

    Returns:
        The report: for each source the records read, those kept by split (documents, characters, bytes of UTF-8, first
        and last date), and those dropped and quarantined by reason; read = kept + dropped + quarantined. Of a shard,
        the number of `parts` that are `staged`, of all.

    Raises:
        DataError: a source is missing, undated under a cutoff, or of too many malformed records; or no document is left
            to train on, or, under a cutoff, to hold out.
    """
    parts = {source.name: input_parts(source) for source in config.sources}
    inputs = _inputs(config, parts, seed, tombstones)
    if is_finished("corpus", folder, inputs):
        report: dict[str, Any] = json.loads((folder / REPORT).read_bytes())
        return report if shard is None else {"parts": 0, "staged": 0}
    jobs = _staging_jobs(config, parts, inputs, folder, seed)
    if shard is not None:
        return _stage_shard(jobs, shard, config.workers)
    begin_stage(folder, [QUARANTINE, REPORT])
    staged = dict(zip(jobs, in_parallel(stage_part, jobs, config.workers, "reading"), strict=True))
    _write_quarantine(folder, jobs)
    for source in config.sources:
        counts = merged(staged[job] for job in jobs if job.source == source)
        _check_dates(source, counts, config)
        _check_bad(source, counts, config, folder)
    keeping = _keep_jobs(config, jobs, tombstones)
    kept = dict(zip(jobs, in_parallel(keep_part, keeping, config.workers, "writing"), strict=True))
    _write_quarantine(folder, jobs)
    results = {}
    for source in config.sources:
        mine = [job for job in jobs if job.source == source]
        result = Kept(counts=merged(staged[job] for job in mine))
        for job in mine:
            result.merge(kept[job])
        _check_bad(source, result.counts, config, folder)
        _check_total(source, result)
        results[source.name] = result
    _check_splits(results.values(), config)
    return _finish(config, folder, inputs, keeping, kept, results)


def _finish(
    config: DataConfig,
    folder: Path,
    inputs: dict[str, Any],
    keeping: Sequence[KeepJob],
    kept: dict[StagingJob, Kept],
    results: dict[str, Kept],
) -> dict[str, Any]:
    """Leave the files of this corpus and no others, and the report and the manifest with them."""
    files = {job.file(split) for job in keeping for split in kept[job.staged].splits}
    for split in SPLITS:
        for file in (folder / split).rglob("*"):
            if file.is_file() and file not in files:
                file.unlink()
    shutil.rmtree(folder / STAGING)
    report = corpus_report(config, results, inputs)
    write_atomically(folder / REPORT, json.dumps(report, indent=1, ensure_ascii=False))
    finish_stage(folder, inputs, [*files, folder / QUARANTINE, folder / REPORT])
    for split in SPLITS:
        found = [result.splits[split] for result in results.values() if split in result.splits]
        documents, characters = (sum(figures[unit] for figures in found) for unit in ("documents", "characters"))
        say(f"corpus: {split}: {documents:,} documents, {characters:,} characters")
    return report


def _inputs(
    config: DataConfig, parts: dict[str, list[Part]], seed: int, tombstones: Path | None
) -> dict[str, Any]:
    """All that decides the corpus, under the names of the configuration; a part counts by its name and stamp."""
    inputs: dict[str, Any] = {"format": FORMAT, "seed": seed, "sources": [source.name for source in config.sources]}
    inputs |= config.model_dump(mode="json", exclude=NOT_OF_THE_CORPUS)
    if config.decontamination:
        inputs["decontamination.files"] = item_stamps(config.decontamination)
    if tombstones and tombstones.exists():
        inputs["tombstones"] = file_digest(tombstones)
    for source in config.sources:
        # The mixture is decided later: a weight may change without making the corpus anew.
        settings = source.model_dump(mode="json", exclude=NOT_OF_A_PART)
        inputs |= {f"sources.{source.name}.{key}": value for key, value in settings.items()}
        inputs[f"sources.{source.name}.files"] = {part.name: part.stamp for part in parts[source.name]}
    return inputs


def _staging_jobs(
    config: DataConfig, parts: dict[str, list[Part]], inputs: dict[str, Any], folder: Path, seed: int
) -> list[StagingJob]:
    """One job for each part, in the order of the sources and of their parts."""
    jobs = []
    for source in config.sources:
        # Not of a part: the other sources, its own other parts, and what is decided over all of them.
        settings = {
            key: value
            for key, value in inputs.items()
            if not key.startswith("sources") and key not in ("tombstones", "maximum_bad_fraction")
        }
        settings |= source.model_dump(mode="json", exclude=NOT_OF_A_PART - {"name"})
        jobs += [staging_job(config, source, part, folder, seed, settings) for part in parts[source.name]]
    return jobs


def _stage_shard(jobs: Sequence[StagingJob], shard: Shard, workers: int | None) -> dict[str, Any]:
    index, count = shard
    mine = jobs[index::count]
    for _ in in_parallel(stage_part, mine, workers, f"reading, shard {index} of {count}"):
        pass
    done = sum(finished_counts(job) is not None for job in jobs)
    say(f"corpus: {done:,} of {len(jobs):,} parts are staged; the same command without --shard finishes the corpus")
    return {"parts": len(jobs), "staged": done}
