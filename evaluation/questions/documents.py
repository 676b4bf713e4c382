"""Held-out documents as questions are made of them: their texts, in order of time, cut into sentences."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from data.corpus.files import corpus_batches, corpus_files
from data.date_columns import intervals_of
from data.interval import Interval
from evaluation.bits_per_byte import choose_evenly
from evaluation.questions.text import Name, Span, is_whole, names, sentences

MOST_BYTES = 8_000_000
"""Of a source that questions are made of: whole documents, evenly spread over all of it."""
CONTEXT_BYTES = 500
"""Most text in front of a sentence that is asked about."""


@dataclass(frozen=True)
class Document:
    """A held-out document."""

    id: str
    source: str
    date: Interval | None
    text: str

    def __getitem__(self, span: Span) -> str:
        return self.text[span.begin : span.end]

    @cached_property
    def pieces(self) -> list[Span]:
        """Its sentences and what is none, such as headings."""
        return sentences(self.text)

    @cached_property
    def whole(self) -> tuple[int, ...]:
        """Indices of the pieces that are whole sentences."""
        return tuple(index for index, piece in enumerate(self.pieces) if is_whole(self[piece]))

    @cached_property
    def names(self) -> tuple[tuple[int, Name], ...]:
        """The names in its whole sentences, each with the index of its piece."""
        return tuple((index, name) for index in self.whole for name in names(self.text, self.pieces[index]))

    def context(self, index: int) -> int | None:
        """Where the text in front of a piece begins, at a piece; None unless a whole sentence stands just before."""
        if index - 1 not in self.whole:
            return None
        end, first = self.pieces[index].begin, index - 1
        while first and len(self.text[self.pieces[first - 1].begin : end].encode()) <= CONTEXT_BYTES:
            first -= 1
        return self.pieces[first].begin


def read_documents(corpus: Path, split: str, most_bytes: int = MOST_BYTES) -> dict[str, list[Document]]:
    """The documents of each source of a split, in order of time and then of id, of at most so many bytes.

    Raises:
        DataError: a file of the corpus is damaged.
    """
    found = {}
    for source, files in corpus_files(corpus, split).items():
        sizes = [
            size for batch in corpus_batches(files, ["text"]) for size in pc.binary_length(batch.column(0)).to_pylist()
        ]
        found[source] = in_order(_read(files, source, choose_evenly(sizes, most_bytes)))
    return {source: documents for source, documents in found.items() if documents}


def in_order(documents: Sequence[Document]) -> list[Document]:
    """By their last day, those without a date first; of one day in order of their ids."""
    return sorted(documents, key=lambda each: (each.date.last.toordinal() if each.date else 0, each.id))


def _read(files: list[Path], source: str, indices: Sequence[int]) -> list[Document]:
    wanted, first, documents = set(indices), 0, []
    for batch in corpus_batches(files, ["id", "first_date", "last_date", "text"]):
        inside = [row for row in range(len(batch)) if first + row in wanted]
        chosen = batch.take(pa.array(inside, pa.int64()))
        columns = (chosen.column("id").to_pylist(), intervals_of(chosen), chosen.column("text").to_pylist())
        documents += [Document(id_, source, date, text) for id_, date, text in zip(*columns, strict=True)]
        first += len(batch)
    return documents
