"""A question to the passages that are about it: none later than its date, none of score 0, the best first."""

import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from data.errors import DataError
from data.files import finished_inputs
from data.interval import Interval
from data.retrieval.bm25 import Postings, best, score
from data.retrieval.build import NOT_BUILT, TEXTS, UNDATED
from data.retrieval.config import Method
from data.retrieval.vectors import Embedder, vectors_file
from data.retrieval.words import question_words
from data.tokenizer.strings import Int64s

RANK_CONSTANT = 60
"""Of reciprocal rank fusion (Cormack, Clarke & Büttcher 2009, SIGIR, "Reciprocal rank fusion outperforms Condorcet and
individual rank learning methods"): a passage's score is the sum of 1 / (60 + its rank) over the rankings."""
CANDIDATES = 100  # of each ranking that are fused, or as many as are asked for

EPOCH = datetime.date(1970, 1, 1)


@dataclass(frozen=True)
class Passage:
    """A passage that was found.

    Attributes:
        number: its place in the index, in which passages are in order of their last day.
        score: of BM25, the cosine, or the sum of reciprocal ranks.
    """

    number: int
    id: str
    source: str
    date: Interval | None
    date_kind: str | None
    url: str | None
    text: str
    score: float


@dataclass(frozen=True)
class Bound:
    """What a question may see.

    Attributes:
        date: the latest that the last day of a document may be; None: any.
        undated: whether documents without a date are among them.
    """

    date: datetime.date | None = None
    undated: bool = True


@dataclass(frozen=True)
class Index:
    """The index of a corpus, mapped."""

    postings: Postings
    days: npt.NDArray[np.int32]  # the last of each passage, ascending
    vectors: npt.NDArray[np.float32] | None
    _passages: npt.NDArray[np.void]
    _documents: pa.Table
    _texts: Sequence[npt.NDArray[np.uint8]]

    def range_of(self, bound: Bound) -> tuple[int, int]:
        """First of the passages that a question may see and the one behind the last."""
        first = 0 if bound.undated else int(np.searchsorted(self.days, UNDATED, "right"))
        if bound.date is None:
            return first, len(self.days)
        return first, int(np.searchsorted(self.days, np.int32((bound.date - EPOCH).days), "right"))

    def passage(self, number: int, score: float) -> Passage:
        document, begin, end = self._passages[number].tolist()
        row = self._documents.slice(document, 1).to_pylist()[0]
        text = self._texts[row.pop("piece")][begin:end].tobytes().decode()
        date = Interval.of_columns(row.pop("first_date"), row.pop("last_date"))
        return Passage(number=number, score=score, text=text, date=date, **row)


def open_index(folder: Path, wanted: Mapping[str, Any]) -> Index:
    """The finished index in `folder`, if it was made of what is there now.

    Args:
        wanted: what it has to be made of (`build.index_inputs`).

    Raises:
        DataError: there is none, or it is of another corpus, an older one, other settings or another embedding model.
    """
    made = finished_inputs(folder)
    if not made:
        raise DataError(f"{folder} is no finished index of the corpus: {NOT_BUILT}")
    if changed := sorted(name for name, value in wanted.items() if made.get(name) != value):
        raise DataError(
            f"{folder} is the index of another or an older corpus, or was made with other settings (changed: "
            f"{', '.join(changed)}): {NOT_BUILT}"
        )
    arrays = {name: _mapped(folder / f"{name}.npy") for name in ("passages", "days", "entries", "counts", "ends")}
    postings = Postings(
        _mapped(folder / "vocabulary.npy"),
        _mapped(folder / "firsts.npy"),
        arrays["entries"],
        arrays["counts"],
        arrays["ends"],
    )
    digest = made["retrieval.embedding"]
    texts = [folder / name for name in json.loads((folder / TEXTS).read_bytes())]
    return Index(
        postings,
        arrays["days"],
        _mapped(vectors_file(folder, digest)) if digest else None,
        arrays["passages"],
        pa.ipc.open_file(pa.memory_map(str(folder / "documents.arrow"))).read_all(),
        [
            np.asarray(np.memmap(text, np.uint8, "r")) if text.stat().st_size else np.empty(0, np.uint8)
            for text in texts
        ],
    )


def _mapped(file: Path) -> npt.NDArray[Any]:
    return np.asarray(np.load(file, mmap_mode="r"))  # a plain array: compiled code is made for each type


@dataclass(frozen=True)
class Search:
    """How passages are found in an index."""

    index: Index
    method: Method
    embedder: Embedder | None = None
    least_similarity: float = 0.0

    def find(self, question: str, number: int, bound: Bound = Bound()) -> list[Passage]:
        """Up to `number` passages for a question, the best first; none where nothing relevant is there.

        What is ranked is what an index of the passages within the bound would rank: no later text has a part in it.

        Raises:
            DataError: the question is empty, or has no word.
        """
        words, times = question_words(_checked(question))
        if not len(words):
            raise DataError(f"the question {question!r} has no word: ask with one")
        first, end = self.index.range_of(bound)
        if end <= first:
            return []
        wanted = max(number, CANDIDATES) if self.method == "hybrid" else number
        rankings = []
        if self.method != "dense":
            rankings.append(_ranked(score(self.index.postings, words, times, first, end), wanted, 0.0))
        if self.method != "bm25":
            rankings.append(_ranked(self._likeness(question, first, end), wanted, self.least_similarity))
        places, scores = rankings[0] if len(rankings) == 1 else _fused(rankings)
        found = zip(places[:number].tolist(), scores[:number].tolist(), strict=True)
        return [self.index.passage(first + place, value) for place, value in found]

    def _likeness(self, question: str, first: int, end: int) -> npt.NDArray[np.floating]:
        if self.embedder is None or self.index.vectors is None:
            raise DataError(f"the index has no embeddings, which method {self.method} needs: {NOT_BUILT}")
        return self.index.vectors[first:end] @ self.embedder.question(question)


Ranking = tuple[Int64s, npt.NDArray[np.floating[Any]]]


def _ranked(scores: npt.NDArray[np.floating[Any]], number: int, above: float) -> Ranking:
    places = best(scores, number, above)
    return places, scores[places]


def _fused(rankings: Sequence[Ranking]) -> Ranking:
    """Reciprocal rank fusion; of passages with equal sums the first in the index comes first."""
    places, inverse = np.unique(np.concatenate([found for found, _ in rankings]), return_inverse=True)
    reciprocals = np.concatenate([1 / (RANK_CONSTANT + 1 + np.arange(len(found))) for found, _ in rankings])
    sums = np.asarray(np.bincount(inverse, reciprocals, len(places)), np.float64)
    order = np.argsort(-sums, kind="stable")
    return places[order], sums[order]


def _checked(question: str) -> str:
    """The question. Raises DataError: it is empty, or not Unicode."""
    if not question.strip():
        raise DataError("the question is empty: ask with words")
    try:
        question.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"the question is not UTF-8 ({error.reason} at character {error.start})") from None
    return question
