"""The prompt that has passages before a question, the most relevant nearest to it, inside the context window.

    [2] 2011-01-25
    text of the second best passage

    [1] 2012-01-24
    text of the best passage

    question

So the model reads on from the question. A passage that does not fit is cut behind a sentence, with a mark.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from data.errors import DataError
from data.retrieval.search import Passage

MARK = " […]"
SENTENCE_END = re.compile(r"[.!?]['\"”’)\]]*(?=\s+[^\sa-z])|[。！？]")


@dataclass(frozen=True)
class Citation:
    """A passage in a prompt, by its number there.

    Attributes:
        shown: what of the passage the prompt has, with the mark if it is cut.
    """

    number: int
    passage: Passage
    shown: str

    @property
    def is_cut(self) -> bool:
        return self.shown != self.passage.text


@dataclass(frozen=True)
class OpenBook:
    """A prompt and the passages that it has, the most relevant first; none: it is the question alone, closed-book."""

    prompt: str
    citations: tuple[Citation, ...]


def open_book(question: str, passages: Sequence[Passage], count: Callable[[str], int], room: int) -> OpenBook:
    """Put as many passages before a question as there is room for, in the order of their relevance.

    Args:
        passages: the most relevant first.
        count: tokens of a text.
        room: most tokens of the prompt.

    Raises:
        DataError: the question alone does not fit.
    """
    if (alone := count(question)) > room:
        raise DataError(
            f"the question has {alone:,} tokens, and the context has room for {max(room, 0):,} beside the answer: "
            "shorten it, or ask for fewer new tokens"
        )
    citations: tuple[Citation, ...] = ()
    for number, passage in enumerate(passages, start=1):
        whole = (*citations, Citation(number, passage, passage.text))
        if count(render(question, whole)) <= room:
            citations = whole
            continue
        if cut := _cut_to_fit(question, citations, passage, count, room):
            citations = (*citations, cut)
        break  # what comes next is less relevant, and would stand further from the question
    return OpenBook(render(question, citations), citations)


def render(question: str, citations: Sequence[Citation]) -> str:
    """The text of a prompt."""
    parts = [f"{_heading(citation)}\n{citation.shown}\n\n" for citation in reversed(citations)]
    return "".join([*parts, question])


def _heading(citation: Citation) -> str:
    date = citation.passage.date
    return f"[{citation.number}] {date}" if date else f"[{citation.number}]"


def _cut_to_fit(
    question: str, before: tuple[Citation, ...], passage: Passage, count: Callable[[str], int], room: int
) -> Citation | None:
    """The passage's first sentences, as many as fit; None where not even one does."""
    ends = [match.end() for match in SENTENCE_END.finditer(passage.text)]
    for end in reversed(ends):
        cut = Citation(len(before) + 1, passage, passage.text[:end] + MARK)
        if count(render(question, (*before, cut))) <= room:
            return cut
    return None
