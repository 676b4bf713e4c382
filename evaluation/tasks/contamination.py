"""Which items of a task stand in training text: runs of 13 words, as decontamination finds them.

Words in a row that more than ten training documents share are common phrases and do not count (Brown et al. 2020,
appendix C). Every string of an item counts, its answers too, but for those of fewer than eight words.
"""

import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.cleaning.clean import make_rewriter
from data.config import CleaningConfig, DecontaminationConfig
from data.corpus.decontaminate import load_items
from data.corpus.files import corpus_batches, corpus_files
from data.errors import DataError
from data.progress import progress
from evaluation.tasks.harness import LoadedTask


@dataclass(frozen=True)
class Touch:
    """A training document that shares words in a row with items of a task, by their numbers from 0."""

    source: str
    document: str
    items: tuple[int, ...]


@dataclass(frozen=True)
class Contamination:
    """Of a task by a training text.

    Attributes:
        too_short: items of which nothing is long enough to be looked for.
    """

    touches: tuple[Touch, ...]
    too_short: int


def find_contamination(tasks: Sequence[LoadedTask], corpus: Path, cleaning: CleaningConfig) -> dict[str, Contamination]:
    """Read the training text, which was cleaned so, once for all tasks.

    Raises:
        DataError: a file of the corpus is damaged.
    """
    with tempfile.TemporaryDirectory() as folder:
        files = {task.name: Path(folder) / f"{number}.jsonl" for number, task in enumerate(tasks)}
        for task in tasks:
            lines = (json.dumps(item, default=str) + "\n" for item in task.items)
            files[task.name].write_text("".join(lines), "utf-8")
        config = DecontaminationConfig(paths=tuple(map(str, files.values())))
        try:
            items = load_items(config, make_rewriter(cleaning))
        except DataError:  # nothing of any item is long enough
            return {task.name: Contamination((), len(task.items)) for task in tasks}
    begins = np.cumsum([0, *(len(task.items) for task in tasks)])
    long_enough = np.unique(items.owners)
    found, documents_with = [], Counter[int]()
    for source, parts in corpus_files(corpus, "train").items():
        for batch in progress(corpus_batches(parts, ["id", "text"]), f"training text, {source}", unit="batches"):
            for document, text in zip(batch.column(0).to_pylist(), batch.column(1), strict=True):
                grams = items.found(text.as_py())
                if len(grams):
                    documents_with.update(grams.tolist())
                    found.append((source, document, grams))
    common = np.array([gram for gram, n in documents_with.items() if n > config.common_documents], np.uint64)
    touches: dict[str, list[Touch]] = {task.name: [] for task in tasks}
    numbers = {name: number for number, name in enumerate(items.names)}
    for source, document, grams in found:
        touched = np.array([numbers[name] for name in items.names_of(np.setdiff1d(grams, common))], np.int64)
        for task, begin, end in zip(tasks, begins, begins[1:], strict=False):
            if own := [int(item - begin) for item in touched if begin <= item < end]:
                touches[task.name].append(Touch(source, document, tuple(own)))
    return {
        task.name: Contamination(
            tuple(touches[task.name]),
            len(task.items) - int(((long_enough >= begin) & (long_enough < end)).sum()),
        )
        for task, begin, end in zip(tasks, begins, begins[1:], strict=False)
    }
