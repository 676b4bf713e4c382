"""Split, train, merge: a Unigram for each chunk of a corpus on its own, all of them merged, as BloombergGPT's were."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from data.files import atomic_write
from data.parallel import in_parallel
from data.pretoken_counts import Splitting, count_texts, training_facts
from data.tokenizer_report import TrainingFacts
from data.tokenizer_text import RowGroup, read_groups, sample_texts
from data.unigram import Unigram, learn_unigram, merge

MERGED_AT_ONCE = 16
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

    Memory is that of one chunk for each worker, and of all distinct pieces once.
    """
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [_Job(chunk, settings, folder / f"{number:06d}.parquet") for number, chunk in enumerate(chunks)]
    facts = TrainingFacts(chunks=len(chunks))
    models: list[Unigram] = []
    waiting: list[Unigram] = []
    for part in in_parallel(_learn_chunk, jobs, workers, "learning pieces", "chunks"):
        model, own = _load(part)
        facts = facts.add(own)
        waiting.append(model)
        if len(waiting) == MERGED_AT_ONCE:
            models, waiting = [merge([*models, *waiting])], []
    return merge([*models, *waiting]), facts


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
