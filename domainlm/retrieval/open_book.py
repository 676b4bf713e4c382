"""Answers with passages of the run's corpus before the question: which passages, what the model writes, its sources."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, TextIO

from data.progress import say
from data.retrieval.prompt import OpenBook, open_book
from data.retrieval.search import Bound, Search
from domainlm.generate import GenerationSettings, Writer, continue_in_order, load_writer
from domainlm.retrieval.index import NOTHING, describe_passage, describe_source, open_search
from train.config import RunConfig
from train.config_file import ConfigError

CLOSED = f"{NOTHING} in the corpus: answered without passages (closed-book)"
NO_ROOM = "the context has no room for a passage beside the question: answered without passages (closed-book)"


def book_for(writer: Writer, search: Search, question: str, number: int, bound: Bound, new_tokens: int) -> OpenBook:
    """The prompt for a question: up to `number` passages and the question, with room for `new_tokens` behind it.

    Raises:
        DataError: the question is empty, or does not fit into the context with its new tokens.
    """
    passages = search.find(question, number, bound)
    room = writer.model.config.sequence_length - new_tokens

    book = open_book(question, passages, lambda text: len(writer.encode(text)), room)
    if not book.citations:
        say(f"generate: {NO_ROOM if passages else CLOSED}")
    return book


def cited(book: OpenBook) -> list[dict[str, Any]]:
    """The passages in a prompt, the most relevant first: `describe_passage` of what is shown, and whether it is cut."""
    return [describe_passage(each.passage) | {"passage": each.shown, "cut": each.is_cut} for each in book.citations]


def answer(
    config: RunConfig,
    step: int | None,
    questions: Sequence[str],
    number: int,
    bound: Bound,
    settings: GenerationSettings,
    output: TextIO | None,
    *,
    chat: bool = False,
) -> dict[str, Any]:
    """Answer questions one after the other, each with passages of its own; they are shown with their sources.

    Args:
        step: the checkpoint's; None takes the newest.
        number: most passages before a question.
        output: where to show them; None shows nothing.
        chat: a question is what a user says.

    Returns:
        The checkpoint's `step`, and `samples`: of each question the fields of `Continuation` (`prompt` has the passages
        too), the `question`, whether it was answered `open_book`, and `citations`, the most relevant first
        (`describe_passage`, of what the prompt has, and whether that is `cut`). Of a single question they stand in the
        result itself as well.

    Raises:
        ConfigError: there is no question.
        DataError: one is empty or does not fit, or the index is not that of the corpus.
        CheckpointError: there is no such checkpoint.
    """
    if not questions:
        raise ConfigError("there is no question: name one behind the configuration, or give lines on standard input")
    search = open_search(config)  # what is wrong with it is said before the model is loaded
    writer = load_writer(config, step, chat=chat)
    books = [book_for(writer, search, question, number, bound, settings.new_tokens) for question in questions]
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
