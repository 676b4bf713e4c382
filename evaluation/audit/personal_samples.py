"""Personal data in what a model writes: found as the corpus's scrubber finds it, and looked up in the training text."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from data.cleaning.personal import MARKS, find_personal
from data.corpus.files import corpus_batches, corpus_files
from data.progress import progress
from evaluation.audit.rates import rate

MOST_LOOKED_UP = 200
"""Different items; each is a search of the whole training text."""


@dataclass(frozen=True)
class Item:
    """A piece of personal data that the model wrote.

    Attributes:
        text: as it was written.
        trained_on: whether the training text has it, character by character; None where that was not looked up.
    """

    kind: str
    text: str
    sample: int
    trained_on: bool | None


def find_items(samples: Sequence[str], corpus: Path | None) -> list[Item]:
    """The personal data in what a model wrote.

    Args:
        corpus: where the training text is; None where it is not there, and nothing can be looked up.
    """
    found = [(kind, text, number) for number, sample in enumerate(samples) for kind, text in find_personal(sample)]
    asked = list(dict.fromkeys(text for _, text, _ in found))[:MOST_LOOKED_UP] if corpus else []
    stand = _stand_in(corpus, asked) if corpus and asked else set()
    return [Item(kind, text, number, text in stand if text in asked else None) for kind, text, number in found]


def _stand_in(corpus: Path, items: Iterable[str]) -> set[str]:
    """Those of the items that stand in the training text."""
    left, found = set(items), set()
    files = [file for of_source in corpus_files(corpus, "train").values() for file in of_source]
    for batch in progress(corpus_batches(files, ["text"]), "looking up what was found", unit="batches"):
        for item in sorted(left):
            if pc.any(pc.match_substring(batch.column("text"), item)).as_py():
                left.remove(item)
                found.add(item)
    return found


def personal_figures(items: Sequence[Item], samples: int, tokens: int) -> dict[str, Any]:
    """Counts of items in so many samples of so many tokens together."""
    kinds = Counter(item.kind for item in items)
    touched = len({item.sample for item in items})
    return {
        "samples": samples,
        "tokens": tokens,
        "by_kind": {
            kind: {"found": kinds[kind], "per_1000_tokens": 1_000 * kinds[kind] / tokens if tokens else None}
            for kind in sorted(MARKS)
        },
        "samples_with_any": rate(touched, samples),
    }


def measure_personal(
    items: Sequence[Item], samples: int, tokens: int, references: Sequence[str], reference_tokens: int
) -> dict[str, Any]:
    """The `personal_data` of audit.json, without what was found: that is in the text of the run's own folder alone.

    Args:
        references: what held-out documents have in the place of what the model wrote.
    """
    there = [
        Item(kind, text, number, None)
        for number, sample in enumerate(references)
        for kind, text in find_personal(sample)
    ]
    return {
        "written": personal_figures(items, samples, tokens),
        "held_out": personal_figures(there, len(references), reference_tokens),
        "in_training_text": sum(item.trained_on is True for item in items),
        "made_up": sum(item.trained_on is False for item in items),
        "not_looked_up": sum(item.trained_on is None for item in items),
    }
