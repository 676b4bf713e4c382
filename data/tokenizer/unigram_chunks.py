"""Split, train, merge: a Unigram for each chunk of a corpus on its own, all of them merged, as BloombergGPT's were."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from data.corpus.files import RowGroup
from data.files import atomic_write, file_stamp, new_digest, value_digest
from data.parallel import in_parallel
from data.tokenizer.pretoken_counts import count_texts, training_facts
from data.tokenizer.pretokens import Splitting
from data.tokenizer.report import TrainingFacts
from data.tokenizer.text import read_groups, sample_texts
from data.tokenizer.unigram import Unigram, cut, learn_unigram, merge

MERGED_AT_ONCE = 1 << 19  # pieces of chunks that wait to be merged
MOST_PIECES = 1 << 20  # of merged chunks
FACTS = b"facts"


class ChunkSettings(NamedTuple):
    """How each chunk is learnt."""

    split: Splitting
    fraction: float  # of the text that is learnt from
    size: int  # pieces wanted, the bytes included
    longest: int


class _Job(NamedTuple):
    groups: Sequence[RowGroup]
    settings: ChunkSettings
    target: Path


def learn_chunks(
    chunks: Sequence[Sequence[RowGroup]], settings: ChunkSettings, folder: Path, workers: int | None
) -> tuple[Unigram, TrainingFacts]:
    """Learn a Unigram of each chunk and merge them; what an earlier call has left in `folder` is not learnt again.

    Memory is that of one chunk for each worker, and of MOST_PIECES and MERGED_AT_ONCE pieces. Where the merged chunks
    have more different pieces, the least probable go and are counted in the facts; while none went, merging some
    chunks after others is merging all at once.
    """
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [_Job(chunk, settings, folder / f"{_key(chunk, settings)}.parquet") for chunk in chunks]
    facts = TrainingFacts(chunks=len(chunks))
    models: list[Unigram] = []
    for done, part in enumerate(in_parallel(_learn_chunk, jobs, workers, "learning pieces", "chunks"), start=1):
        model, own = _load(part)
        facts = facts.add(own)
        models.append(model)
        if done == len(jobs) or sum(len(waiting.pieces) for waiting in models[1:]) >= MERGED_AT_ONCE:
            merged = merge(models)
            models = [cut(merged, MOST_PIECES)]
            facts = facts._replace(cut_pieces=facts.cut_pieces + len(merged.pieces) - len(models[0].pieces))
    return models[0], facts


def _key(chunk: Sequence[RowGroup], settings: ChunkSettings) -> str:
    """A name for what is learnt from a chunk, which files or settings that differ do not have."""
    classes, *split = settings.split
    groups = [[str(group.file), *file_stamp(group.file), group.number] for group in chunk]
    return value_digest([new_digest(classes.tobytes()).hexdigest(), *split, *settings[1:], groups])


def _learn_chunk(job: _Job) -> Path:
    if job.target.exists():
        return job.target
    split, fraction, size, longest = job.settings
    counts = count_texts(sample_texts(read_groups(job.groups), fraction), split)
    model = learn_unigram(counts.text, counts.offsets, counts.counts, size, longest)
    table = pa.table({"piece": model.pieces, "mass": model.masses})
    facts = training_facts(counts)
    with atomic_write(job.target) as file:
        pq.write_table(table.replace_schema_metadata({FACTS: json.dumps(facts._asdict())}), file)
    return job.target


def _load(file: Path) -> tuple[Unigram, TrainingFacts]:
    table = pq.read_table(file).combine_chunks()
    model = Unigram(table["piece"].chunk(0), table["mass"].to_numpy())
    return model, TrainingFacts(**json.loads(table.schema.metadata[FACTS]))
