"""Documents to corpus: cleaned, de-duplicated, decontaminated, split by date and by chance, and every loss counted.

Three phases: each group of parts of the input (a large file, some small ones, or a shard of a hub dataset) is staged on
its own; digests and signatures alone decide which documents stay; each group writes those. The first and the last run
on all CPUs and go on, after an interruption, where they were; the first can be spread over the tasks of a Slurm array.
"""

import contextlib
import itertools
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data.config import CANARIES, DataConfig
from data.corpus import canaries
from data.corpus.counts import Counts, merged
from data.corpus.decontaminate import item_stamps
from data.corpus.deduplicate import Decision, Fate, Forgotten, Staged, decide, decide_by_name
from data.corpus.doubts import doubts
from data.corpus.files import CARD, dataset_card
from data.corpus.inputs import NOT_OF_A_SOURCE, corpus_settings
from data.corpus.misdated import find_misdated, leak_report, leak_warnings, misdated_records
from data.corpus.near_duplicates import ALGORITHM, map_signatures
from data.corpus.repeated_ids import read_digests, repeated_records, staged_rows, watch_ids
from data.corpus.report import (
    balance,
    check_dates,
    check_fields,
    check_left,
    check_malformed,
    check_splits,
    check_sum,
    contamination_report,
    corpus_report,
    empty_files,
)
from data.corpus.samples import shown_samples
from data.corpus.shingles import Hashes
from data.corpus.split import SPLITS
from data.corpus.staging import (
    STAGING,
    StagingJob,
    check_encoded,
    evaluation_items,
    finished_counts,
    quarantine_line,
    stage_part,
    staging_job,
)
from data.corpus.tombstones import TOMBSTONES, read_tombstones
from data.corpus.write_kept import KeepJob, Kept, keep_part, sampled_rows
from data.errors import UnreachableError
from data.files import (
    atomic_write,
    begin_stage,
    file_digest,
    finish_stage,
    finished_inputs,
    is_finished,
    new_digest,
    write_atomically,
)
from data.lock import only_writer
from data.parallel import in_parallel
from data.progress import say
from data.sources.documents import input_parts
from data.sources.parts import Part, grouped

FORMAT = 4
REPORT = "report.json"
QUARANTINE = "quarantine.jsonl"
WRITTEN = (QUARANTINE, REPORT, CARD)  # beside the documents
DECIDED_OVER_ALL = {"tombstones", "maximum_bad_fraction", "damaged_files", "canaries", "leaks"}
Shard = tuple[int, int]


def prepare_corpus(config: DataConfig, folder: Path, seed: int, shard: Shard | None = None) -> dict[str, Any]:
    """Make the corpus of a configuration in `folder`, or recognise that it is there already.

    Written are {train,past,future}/{source}/{part}.parquet (CORPUS_COLUMNS) where there are such documents,
    quarantine.jsonl, report.json, README.md, and manifest.json last. The same inputs give the same bytes, whatever the
    number of workers and shards. What `data.corpus.tombstones` has noted beside `folder` is left out.
    Canaries are planted last, as a source of their own.

    Args:
        shard: (i, n) stages every n-th group from the i-th on (from 0) and no more; a call without it finishes.

    Returns:
        The report: for each source the records read, those kept by split (documents, characters, bytes of UTF-8, first
        and last date), and those dropped and quarantined by reason; read = kept + dropped + quarantined. Of a shard,
        the number of `parts`, which are groups of files, that are `staged`, of all.

    Raises:
        DataError: a source is missing, undated under a cutoff, or of too many malformed records or repeated ids; or no
            document is left to train on, or, under a cutoff, to hold out; or another process writes to `folder`.
    """
    parts, unreachable = _parts(config, folder)
    tombstones = folder.parent / TOMBSTONES
    inputs = _inputs(config, parts, seed, tombstones)
    if is_finished("corpus", folder, inputs):
        report: dict[str, Any] = json.loads((folder / REPORT).read_bytes())
        _say_other_leak_test(config, report, folder)
        return report if shard is None else {"parts": 0, "staged": 0}
    if unreachable:
        raise unreachable
    jobs = _staging_jobs(config, parts, inputs, folder, seed)
    with only_writer(folder, shard):
        if shard is not None:
            return _stage_shard(jobs, shard, config.workers)
        forgotten = read_tombstones(tombstones, config.near_duplicates)
        _say_no_longer_forgotten(folder, len(forgotten.texts), tombstones)
        begin_stage(folder, WRITTEN)
        counts = _stage(config, jobs, folder / QUARANTINE)
        keeping, common, leaks = _decide(config, jobs, forgotten, counts, folder)
        kept = list(in_parallel(keep_part, keeping, config.workers, "writing"))
        results = _results(config, counts, dict(zip(jobs, kept, strict=True)), forgotten)
        for source in config.sources:
            check_sum(source, results[source.name])
        check_splits(results, config)
        contamination = None
        if met := config.decontamination:
            contamination = contamination_report(met, evaluation_items(met, config.cleaning), common, results)
        files = {job.file(split) for job, written in zip(keeping, kept, strict=True) for split in written.splits}
        if config.canaries:
            file, results[CANARIES] = canaries.plant(config.canaries, seed, folder)
            files.add(file)
        report = corpus_report(config, seed, results, contamination, len(forgotten.texts)) | {"leaks": leaks}
        _finish(folder, inputs, report, files)
    lines = [*_summary(results), *doubts(config, results, contamination), *leak_warnings(leaks)]
    for line in [*lines, str(folder / REPORT)]:
        say(f"corpus: {line}")
    return report


def _say_no_longer_forgotten(folder: Path, number: int, tombstones: Path) -> None:
    """Say how many tombstones are missing of those that the corpus that lies there was made with, or that some are."""
    try:
        before = json.loads((folder / REPORT).read_bytes())["tombstones"]
    except (OSError, ValueError, KeyError):
        return
    made_with = finished_inputs(folder).get("tombstones")
    missing = f"up to {before - number:,}"
    if number >= before:
        lines = tombstones.read_bytes().splitlines(keepends=True)[:before] if before else []
        if made_with in (None, new_digest(b"".join(lines)).hexdigest()):
            return
        missing = "those of lines that were replaced or changed"
    say(
        f"corpus: {tombstones} has {number:,} documents to be forgotten, {folder} was made with {before:,}: {missing} "
        "come back, with their copies and what resembles them: restore the file, and run this again, if they must not"
    )


def _say_other_leak_test(config: DataConfig, report: Mapping[str, Any], folder: Path) -> None:
    """Say where a finished corpus has no leak test that is asked for, or one that is not, as no document changes."""
    is_asked, is_there = bool(config.cutoff and config.leaks), report.get("leaks") is not None
    if is_asked != is_there:
        said = "without the leak test that" if is_asked else "with a leak test, whose findings it still reports, and"
        asked = "asks for" if is_asked else "asks for none"
        say(
            f"corpus: {folder} was made {said} data.leaks {asked}: remove that folder, and run this again, to mend this"
        )


def _summary(results: Mapping[str, Kept]) -> Iterator[str]:
    """What became of each source, and how much each split has."""
    for name, result in results.items():
        yield f"{name}: {balance(result)}{_dated(result)}"
        yield from (f"{name}: {line}" for line in empty_files(result))
    for split in SPLITS:
        found = [result.splits[split] for result in results.values() if split in result.splits]
        documents, characters = (sum(figures[unit] for figures in found) for unit in ("documents", "characters"))
        yield f"{split}: {documents:,} documents, {characters:,} characters"


def _dated(result: Kept) -> str:
    """Of which days a source's documents are: the first look at a wrong epoch, century or unit."""
    firsts, lasts = ([split[which] for split in result.splits.values()] for which in ("first_date", "last_date"))
    first, last = min(filter(None, firsts), default=None), max(filter(None, lasts), default=None)
    return f"; dates {first or 'open'} to {last}" if last else ""


def _parts(config: DataConfig, folder: Path) -> tuple[dict[str, list[Part]], UnreachableError | None]:
    """The parts of each source; of one that cannot be reached, those that a finished corpus was made from, and why.

    So a finished corpus is recognised on a node without a network.
    """
    known = finished_inputs(folder)
    parts: dict[str, list[Part]] = {}
    unreachable = None
    for source in config.sources:
        try:
            parts[source.name] = input_parts(source)
        except UnreachableError as error:
            unreachable = error
            files = known.get(f"sources.{source.name}.files", {})
            parts[source.name] = [Part(name, "", stamp) for name, stamp in files.items()]
    return parts, unreachable


def _stage(config: DataConfig, jobs: Sequence[StagingJob], quarantine: Path) -> dict[str, Counts]:
    """Phase one; returns what became of each source's records, after which dates and malformed records are checked."""
    with closing(in_parallel(stage_part, jobs, config.workers, "reading")) as staging:
        staged = dict(watch_ids(zip(jobs, staging, strict=True)))
    _write_quarantine(quarantine, jobs)
    counts = {source.name: merged(staged[job] for job in jobs if job.source == source) for source in config.sources}
    for source in config.sources:
        check_fields(source, counts[source.name])
        check_dates(source, counts[source.name], config, quarantine)
        check_malformed(source, counts[source.name], config, quarantine)
        check_encoded(source, counts[source.name])
        check_left(source, counts[source.name])
    return counts


def _decide(
    config: DataConfig,
    jobs: Sequence[StagingJob],
    forgotten: Forgotten,
    counts: Mapping[str, Counts],
    folder: Path,
) -> tuple[list[KeepJob], Hashes, dict[str, Any] | None]:
    """Phase two: what is to be written of each group, which phrases of evaluation items are common, what the leak test
    has found.

    Documents with repeated ids or wrong dates are counted and set aside before similar texts are looked for.
    """
    near = config.near_duplicates
    grams = pa.concat_tables(pq.read_table(job.documents, columns=["grams"]) for job in jobs)["grams"].combine_chunks()
    documents = Staged(
        texts=read_digests(jobs, "text_digest"),
        keys=read_digests(jobs, "key"),
        splits=np.concatenate([pq.read_table(job.documents, columns=["split"])["split"].to_numpy() for job in jobs]),
        signatures=lambda: (map_signatures(job.signatures, near) for job in jobs if near),
        grams=pc.list_flatten(grams).to_numpy(),
        touched=pc.list_parent_indices(grams).to_numpy(),
    )
    named = decide_by_name(documents, forgotten)
    lines, leaks, records = [], None, repeated_records(jobs, named)
    if config.cutoff and config.leaks:
        misdated = find_misdated(jobs, named, folder, config.workers)
        leaks = leak_report(jobs, misdated, config.leaks)
        if config.leaks == "quarantine":
            named.fates[list(misdated.found)] = Fate.MISDATED
            records = itertools.chain(records, misdated_records(jobs, misdated))
    quarantine = folder / QUARANTINE
    for job, record in records:
        counts[job.source.name].quarantine(record)
        lines.append(quarantine_line(job.source, record))
    _write_quarantine(quarantine, jobs, lines)
    for source in config.sources:
        check_malformed(source, counts[source.name], config, quarantine)
    say(f"corpus: looking for duplicates among {len(documents.splits):,} documents")
    decision = decide(documents, named, forgotten, near, config.decontamination)
    return _keep_jobs(config, jobs, decision), decision.common, leaks


def _keep_jobs(config: DataConfig, jobs: Sequence[StagingJob], decision: Decision) -> list[KeepJob]:
    """What is to be written of each group."""
    ends = np.cumsum([pq.read_metadata(job.documents).num_rows for job in jobs])
    numbers = [number for source in config.sources for number in range(sum(job.source == source for job in jobs))]
    fates, resembles = np.split(decision.fates, ends[:-1]), np.split(decision.resembles, ends[:-1])
    rows = [sampled_rows(of_group) for of_group in fates]
    resembled = [of_group[chosen] for of_group, chosen in zip(resembles, rows, strict=True)]
    others = np.unique(np.concatenate(resembled))
    found = staged_rows(jobs, others[others >= 0])  # what is contaminated resembles none
    names = {document: f"{row['job'].source.name}/{row['id']}" for document, row in found.items()}
    shown = [
        {row: names[other] for row, other in zip(chosen, of_group.tolist(), strict=True) if other >= 0}
        for chosen, of_group in zip(rows, resembled, strict=True)
    ]
    return list(map(KeepJob, jobs, numbers, fates, shown, itertools.repeat(decision.common)))


def _results(
    config: DataConfig, counts: Mapping[str, Counts], kept: Mapping[StagingJob, Kept], forgotten: Forgotten
) -> dict[str, Kept]:
    """What became of each source, with the samples that may be shown."""
    results = {name: Kept(counts=of_source) for name, of_source in counts.items()}
    for job, written in kept.items():
        results[job.source.name].merge(written)
    for name, result in results.items():
        samples = shown_samples(result.counts.samples, name, forgotten, config.near_duplicates)
        result.counts.samples = samples
    return results


def _write_quarantine(file: Path, jobs: Sequence[StagingJob], repeated: Iterable[bytes] = ()) -> None:
    """What was malformed in each group, and the documents whose id was there before, as one file."""
    with atomic_write(file) as whole:
        for job in jobs:
            with job.quarantine.open("rb") as part:
                shutil.copyfileobj(part, whole)
        whole.writelines(repeated)


def _finish(folder: Path, inputs: dict[str, Any], report: dict[str, Any], files: set[Path]) -> None:
    """Leave the files of this corpus and no others, and the report and the manifest with them."""
    wanted = files | {parent for file in files for parent in file.parents}
    for path in sorted((path for split in SPLITS for path in (folder / split).rglob("*")), reverse=True):
        if path not in wanted:
            path.rmdir() if path.is_dir() else path.unlink()
    for split in SPLITS:
        with contextlib.suppress(OSError):  # not empty, or not there
            (folder / split).rmdir()
    shutil.rmtree(folder / STAGING)
    write_atomically(folder / REPORT, json.dumps(report, indent=1, ensure_ascii=False))
    write_atomically(folder / CARD, dataset_card(report["sources"], report["cutoff"]))
    finish_stage(folder, inputs, [*files, *(folder / name for name in WRITTEN)])


def _inputs(config: DataConfig, parts: dict[str, list[Part]], seed: int, tombstones: Path) -> dict[str, Any]:
    """All that decides the corpus, under the names of the configuration; a part counts by its name and stamp."""
    inputs: dict[str, Any] = {"format": FORMAT, "seed": seed, **corpus_settings(config)}
    if config.near_duplicates or config.decontamination:
        inputs["near_duplicates.algorithm"] = ALGORITHM
    if config.leaks == "quarantine":  # a flag changes no document
        inputs["leaks"] = config.leaks
    if config.decontamination:
        inputs["decontamination.files"] = item_stamps(config.decontamination)
    if tombstones.exists():
        inputs["tombstones"] = file_digest(tombstones)
    for source in config.sources:
        inputs[f"sources.{source.name}.files"] = {part.name: part.stamp for part in parts[source.name]}
    return inputs


def _staging_jobs(
    config: DataConfig, parts: dict[str, list[Part]], inputs: dict[str, Any], folder: Path, seed: int
) -> list[StagingJob]:
    """One job for each group of parts, in the order of the sources and of their parts."""
    jobs = []
    for source in config.sources:
        # Not of a group: the other sources, its own other parts, and what is decided over all of them.
        settings = {
            key: value for key, value in inputs.items() if not key.startswith("sources") and key not in DECIDED_OVER_ALL
        }
        settings |= source.model_dump(mode="json", exclude=NOT_OF_A_SOURCE - {"name"})
        jobs += [staging_job(config, source, group, folder, seed, settings) for group in grouped(parts[source.name])]
    return jobs


def _stage_shard(jobs: Sequence[StagingJob], shard: Shard, workers: int | None) -> dict[str, Any]:
    index, count = shard
    mine = jobs[index::count]
    with closing(in_parallel(stage_part, mine, workers, f"reading, shard {index} of {count}")) as staging:
        for _ in watch_ids(zip(mine, staging, strict=True)):
            pass
    done = sum(finished_counts(job) is not None for job in jobs)
    say(f"corpus: {done:,} of {len(jobs):,} parts are staged; the same command without --shard finishes the corpus")
    return {"parts": len(jobs), "staged": done}
