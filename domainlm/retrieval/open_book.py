"""Answers with passages of the run's corpus before the question: which passages, what the model writes, its sources."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, TextIO, TypeAlias

from data.examples.records import Turn
from data.progress import say
from data.retrieval.prompt import OpenBook, open_book
from data.retrieval.search import Bound, Search
from domainlm.generate import GenerationSettings, Writer, continue_in_order
from domainlm.retrieval.index import NOTHING, current_search, describe_passage, describe_source
from train.config import RunConfig

CLOSED = f"{NOTHING} in the corpus: answered without passages (closed-book)"
NO_ROOM = "the context has no room for a passage beside the question: answered without passages (closed-book)"

Find: TypeAlias = Callable[[Writer, Sequence[Turn], str, int], OpenBook]
"""`book_for` by (the model, what was said before, a question, new tokens)."""


def finder(config: RunConfig, number: int, bound: Bound) -> Find:
    """Finds up to `number` passages in the run's index. Raises DataError: the index is not that of the corpus."""
    current = current_search(config)

    def find(writer: Writer, earlier: Sequence[Turn], question: str, new_tokens: int) -> OpenBook:
        return book_for(writer, current(), question, number, bound, new_tokens, earlier)

    return find


def book_for(
    writer: Writer,
    search: Search,
    question: str,
    number: int,
    bound: Bound,
    new_tokens: int,
    earlier: Sequence[Turn] = (),
) -> OpenBook:
    """The prompt for a question: up to `number` passages and the question, with room for `new_tokens` behind it.

    Args:
        earlier: what was said before it and stands there too: the user's last question of it is searched for as well,
            as "And in 1930?" has no word of what it is about.

    Raises:
        ConfigError: the model's template refuses these turns.
        DataError: the question is empty, or does not fit into the context with its new tokens.
    """
    before = [turn.content for turn in earlier if turn.role == "user"][-1:] if question.strip() else []
    passages = search.find("\n".join([*before, question]), number, bound)
    room = writer.model.config.sequence_length - new_tokens

    def count(text: str) -> int:
        return len(writer.encode((*earlier, Turn("user", text)) if earlier else text))

    book = open_book(question, passages, count, room)
    if not book.citations:
        say(f"generate: {NO_ROOM if passages else CLOSED}")
    return book


def cited(book: OpenBook) -> list[dict[str, Any]]:
    """The passages in a prompt, the most relevant first: `describe_passage` of what is shown, and whether it is cut."""
    return [describe_passage(each.passage) | {"passage": each.shown, "cut": each.is_cut} for each in book.citations]


def answer(
    writer: Writer, find: Find, questions: Sequence[str], settings: GenerationSettings, output: TextIO | None
) -> dict[str, Any]:
    """Answer questions one after the other, each with passages of its own; they are shown with their sources.

    Args:
        output: where to show them; None shows nothing.

    Returns:
        The checkpoint's `step`, and `samples`: of each question the fields of `Continuation` (`prompt` has the passages
        too), the `question`, whether it was answered `open_book`, and `citations`, the most relevant first
        (`describe_passage`, of what the prompt has, and whether that is `cut`). Of a single question they stand in the
        result itself as well.

    Raises:
        DataError: a question is empty or does not fit.
    """
    books = [find(writer, (), question, settings.new_tokens) for question in questions]
    samples = []
    for question, book in zip(questions, books, strict=True):
        written = continue_in_order(writer, [book.prompt], settings, output)[0]
        citations = cited(book)
        samples.append(asdict(written) | {"question": question, "open_book": bool(citations), "citations": citations})
        if output:
            output.write(f"\n{describe_sources(citations)}\n")
    return {"step": writer.step, "samples": samples, **(samples[0] if len(samples) == 1 else {})}


def describe_sources(citations: Sequence[dict[str, Any]]) -> str:
    """The citations of an answer, for people."""
    if not citations:
        return "no sources: answered without passages (closed-book)"
    return "\n".join(describe_source(number, cited) for number, cited in enumerate(citations, start=1))
