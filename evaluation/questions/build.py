"""The questions of a corpus, kept in a folder: made, checked, thinned out, and refused where a heuristic solves them.

KIND.jsonl has the items of each kind, KIND.yaml is a task of lm-eval, summary.json what became of all that were made.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path
from random import Random
from typing import Any

from data.errors import DataError
from data.files import begin_stage, finish_stage, is_finished, stage_digest, value_digest, write_atomically
from data.lock import only_writer
from data.progress import say
from evaluation.intervals import FEWEST
from evaluation.questions.documents import Document, read_documents
from evaluation.questions.heuristics import COUNTING, NgramNats, chance, heuristic_credits, ngram_nats, solving, thin
from evaluation.questions.items import KINDS, Item, Kind, read_items, with_answer_at, write_items
from evaluation.questions.make import make_items
from evaluation.questions.overlap import touched_items
from evaluation.questions.score import PER_BYTE, count_documents, figure

FORMAT = 2
SUMMARY = "summary.json"
ITEMS = 200
"""Of each kind, unless others are asked for: an accuracy is then known to about 7 points either way."""
FEWEST_ITEMS = 20
SPARE = 3
"""Times as many items are made as are asked for: some are touched, some thinned out."""
TRAINING_BYTES = 8_000_000
"""Of training text that the n-gram model is counted on, in equal parts of all sources."""


@dataclass(frozen=True)
class Questions:
    """Items that are kept, those of the kinds that were not refused.

    Attributes:
        items: by kind.
        summary: as summary.json.
        digest: of all items.
    """

    items: Mapping[Kind, Sequence[Item]]
    summary: Mapping[str, Any]
    digest: str


def make_questions(
    corpus: Path, folder: Path, *, domain: Collection[str], most: int, seed: int, workers: int | None
) -> Questions:
    """Make the questions, or read those that were made before from the same corpus, with the same settings.

    Args:
        domain: the sources to ask about; of all where none of these has held-out documents.
        most: items of each kind.
        workers: processes; they change nothing.

    Raises:
        DataError: the corpus is missing, or no documents are held out.
    """
    inputs = {"format": FORMAT, "corpus": stage_digest(corpus), "domain": sorted(domain), "items": most, "seed": seed}
    with only_writer(folder):
        if not is_finished("questions", folder, inputs):
            begin_stage(folder, [SUMMARY, *(f"{kind}.{form}" for kind in KINDS for form in ("jsonl", "yaml"))])
            split, documents = _held_out(corpus, domain)
            made = {kind: _candidates(kind, documents, most, seed) for kind in KINDS}
            everything = [item for items in made.values() for item in items]
            touched = touched_items(everything, corpus, folder, workers)
            ngram = ngram_nats(everything, _training_text(corpus))
            kinds = {}
            for kind, items in made.items():
                kept, kinds[kind] = _choose(kind, items, touched, ngram, most, seed)
                write_items(folder / f"{kind}.jsonl", kept)
            summary = {"split": split, "sources": {source: len(each) for source, each in documents.items()}}
            write_atomically(folder / SUMMARY, json.dumps(summary | {"kinds": kinds}, indent=1))
            for kind in KINDS:
                write_atomically(folder / f"{kind}.yaml", lm_eval_task(kind, folder / f"{kind}.jsonl"))
            finish_stage(folder, inputs, [folder / SUMMARY, *(folder / f"{kind}.jsonl" for kind in KINDS)])
    return _read(folder)


def of_kinds(questions: Questions, kinds: Collection[Kind]) -> Questions:
    """Those of some kinds; the digest stays that of all that were made, so that answers are kept under it."""
    items = {kind: each for kind, each in questions.items.items() if kind in kinds}
    about = {kind: each for kind, each in questions.summary["kinds"].items() if kind in kinds}
    return Questions(items, {**questions.summary, "kinds": about}, questions.digest)


def lm_eval_task(kind: Kind, items: Path) -> str:
    """A task of lm-eval for items, which `--include_path` finds; JSON, which is YAML."""
    task = {
        "task": f"questions_{kind}",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(items.absolute())}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "prompt",
        "doc_to_choice": "choices",
        "doc_to_target": "answer",
        "target_delimiter": "",
        "metric_list": [{"metric": "acc_norm" if kind in PER_BYTE else "acc"}],
    }
    return json.dumps(task, indent=1)


def _read(folder: Path) -> Questions:
    summary = json.loads((folder / SUMMARY).read_bytes())
    asked = {kind: read_items(folder / f"{kind}.jsonl") for kind in KINDS}
    items = {kind: each for kind, each in asked.items() if summary["kinds"][kind]["refused"] is None}
    return Questions(items, summary, stage_digest(folder, "questions"))


def _held_out(corpus: Path, domain: Collection[str]) -> tuple[str, dict[str, list[Document]]]:
    """The documents after the cutoff, and where there are none those of the time before; of the domain's sources."""
    for split in ("future", "past"):
        found = read_documents(corpus, split)
        if found:
            if split == "past":
                say(
                    "questions: no document is of the cutoff or later, so that they are made of those of the split past"
                )
            return split, {source: each for source, each in found.items() if source in domain} or found
    raise DataError(f"{corpus}: no documents are held out to make questions of (data.cutoff, data.past_fraction)")


def _candidates(kind: Kind, documents: Mapping[str, Sequence[Document]], most: int, seed: int) -> list[Item]:
    """More items than are asked for, of one source after the other in turn."""
    by_source = [make_items(kind, each, SPARE * most, seed) for each in documents.values()]
    say(f"questions: {kind}: {sum(map(len, by_source)):,} made")
    turns = chain.from_iterable(zip_longest(*by_source))
    return [item for item in turns if item is not None]


def _training_text(corpus: Path) -> list[bytes]:
    sources = max(1, sum(1 for each in (corpus / "train").glob("*") if each.is_dir()))
    found = read_documents(corpus, "train", TRAINING_BYTES // sources)
    return [document.text.encode() for each in found.values() for document in each]


def _choose(
    kind: Kind, made: Sequence[Item], touched: Collection[str], ngram: NgramNats, most: int, seed: int
) -> tuple[list[Item], dict[str, Any]]:
    """The items of a kind that are kept, and what became of the others."""
    random = Random(value_digest([seed, kind, "kept"]))
    items = [item for item in made if item.id not in touched]
    clean = len(items)
    before, thinned = {}, {}
    for name in COUNTING:
        right = heuristic_credits(items, ngram).get(name, [])
        if right:
            before[name], count = figure(items, right, seed), len(items)
            items = thin(items, right, random)
            thinned[name] = count - len(items)
    kept = in_even_places(items[:most], random)
    heuristics = {name: figure(kept, each, seed) for name, each in heuristic_credits(kept, ngram).items() if kept}
    about = {
        "made": len(made),
        "touched": len(made) - clean,
        "thinned": thinned,
        "before_thinning": before,
        "items": len(kept),
        "documents": count_documents(kept),
        "scored_by": "nats per byte" if kind in PER_BYTE else "nats",
        "chance": chance(kept) if kept else None,
        "heuristics": heuristics,
    }
    return kept, about | {"refused": _refusal(kept, heuristics)}


def _refusal(items: Sequence[Item], heuristics: Mapping[str, Mapping[str, float | None]]) -> str | None:
    """Why the items of a kind are not asked; None where they are."""
    documents = count_documents(items)
    if len(items) < FEWEST_ITEMS or documents < FEWEST:
        return f"only {len(items)} items of {documents} documents are left, of {FEWEST_ITEMS} and {FEWEST} at least"
    solved = solving(heuristics, chance(items))
    if not solved:
        return None
    figures = ", ".join(f"{name} {_percents(heuristics[name])}" for name in solved)
    return f"no model is needed for them, drawing lots has {chance(items):.0%} right, {figures}"


def _percents(figure: Mapping[str, float | None]) -> str:
    value, low, high = (figure[end] or 0.0 for end in ("value", "low", "high"))
    return f"{value:.0%} ({low:.0%} to {high:.0%})"


def in_even_places(items: Sequence[Item], random: Random) -> list[Item]:
    """The items with their answers at each place equally often, in random order."""
    places = [number % len(item.choices) for number, item in enumerate(items)]
    random.shuffle(places)
    return [with_answer_at(item, place) for item, place in zip(items, places, strict=True)]
