"""Which items share words with the training text, as contaminated benchmarks do: data/corpus/decontaminate.py's search.

An item is touched when a training document has 13 words in a row of its prompt with any of its choices, however common
they are: it is left out, and the next one takes its place.
"""

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq

from data.config import DecontaminationConfig
from data.corpus.decontaminate import Items, load_items
from data.corpus.files import RowGroup, corpus_files, row_groups
from data.files import file_stamp, write_atomically
from data.parallel import in_parallel
from evaluation.questions.items import Item


class _Job(NamedTuple):
    candidates: Path
    stamp: tuple[int, ...]
    group: RowGroup


def touched_items(items: Sequence[Item], corpus: Path, folder: Path, workers: int | None) -> set[str]:
    """The ids of the items that training documents of a corpus touch.

    Args:
        folder: where a file of the items may stand meanwhile.
        workers: processes; None for one for each CPU.

    Raises:
        DataError: a worker was killed, or no item has words enough to be looked for.
    """
    if not items:
        return set()
    candidates = folder / "candidates.jsonl"
    texts = ([item.prompt + choice for choice in item.choices] for item in items)
    write_atomically(candidates, "".join(json.dumps(each) + "\n" for each in texts))
    files = (file for files in corpus_files(corpus, "train").values() for file in files)
    stamp = tuple(file_stamp(candidates))
    jobs = [_Job(candidates, stamp, group) for group, _ in row_groups(files)]
    lines: set[int] = set()
    for found in in_parallel(_search, jobs, workers, "questions' words in the training text"):
        lines |= found
    candidates.unlink()
    return {items[line - 1].id for line in lines}


def _search(job: _Job) -> set[int]:
    """The lines of the candidates that documents of a row group touch, counted from 1."""
    items = _candidates(job.candidates, job.stamp)
    with pq.ParquetFile(job.group.file) as file:
        texts = file.read_row_group(job.group.number, columns=["text"]).column("text")
    names = {name for text in texts for name in items.names_of(items.found(text.as_py()))}
    return {int(name.rpartition(":")[2]) for name in names}


@functools.lru_cache(1)
def _candidates(path: Path, stamp: tuple[int, ...]) -> Items:
    """Read once by each process; the stamp tells another file of the same name."""
    return load_items(DecontaminationConfig(paths=(str(path),)))
