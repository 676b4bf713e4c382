"""A conversation at a terminal: prompts as they come; a model that knows turns has what was said before."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any, TextIO

from data.errors import DataError
from data.examples.records import Turn
from data.progress import say
from domainlm.generate import Continuation, GenerationSettings, InOrder, Prompt, Writer, continue_texts
from domainlm.retrieval.open_book import Find, cited, describe_sources
from train.config_file import ConfigError


def converse(
    writer: Writer, settings: GenerationSettings, output: TextIO, find: Find | None = None
) -> list[dict[str, Any]]:
    """Ask for prompts and continue each as it comes, until the input ends; each takes a seed of its own.

    A model that knows turns is given what was said before, without the passages that stood there, as far as it fits
    (`remembered`). What cannot be asked is said, and the conversation goes on.

    Args:
        find: passages to set before a prompt, and to show behind its answer; None sets none.

    Returns:
        Of each answer the fields of `Continuation`, with `question`, `open_book` and `citations` where there is `find`.
    """
    import readline  # noqa: F401  gives `input` a history and the keys of an editor

    what = "ask, and ask on" if writer.chat else "write how a text begins"
    say(f"step {writer.step}: {what}; Ctrl-C ends an answer, which is then forgotten, Ctrl-D the conversation")
    samples: list[dict[str, Any]] = []
    turns: tuple[Turn, ...] = ()
    for number, question in enumerate(_asked()):
        changed = replace(settings, seed=settings.seed + number)
        try:
            turns = remembered(writer, turns, question, settings.new_tokens, with_passages=find is not None)
            done, sources = _answer(writer, turns, question, changed, output, find)
        except KeyboardInterrupt:
            output.write("\n")
            continue
        except (ConfigError, DataError) as error:
            say(f"generate: {error}")
            continue
        samples.append(asdict(done) | sources)
        if writer.chat:
            turns = (*turns, Turn("user", question), Turn("assistant", done.text))
    output.write("\n")
    return samples


def remembered(
    writer: Writer, turns: Sequence[Turn], question: str, new_tokens: int, *, with_passages: bool
) -> tuple[Turn, ...]:
    """The last of the turns, as many questions with their answers as fit into the context with what is asked now.

    Args:
        with_passages: half of the room is left to passages.
    """
    room = writer.model.config.sequence_length - new_tokens
    room = room // 2 if with_passages else room
    kept = tuple(turns)
    while kept and len(writer.encode((*kept, Turn("user", question)))) > room:
        kept = kept[2:]
    if len(kept) < len(turns):
        say(f"generate: the context has no room for the first {(len(turns) - len(kept)) // 2:,} answers: forgotten")
    return kept


def _answer(
    writer: Writer,
    turns: Sequence[Turn],
    question: str,
    settings: GenerationSettings,
    output: TextIO,
    find: Find | None,
) -> tuple[Continuation, dict[str, Any]]:
    """Show an answer, and its sources; what is said of them."""
    book = find(writer, turns, question, settings.new_tokens) if find else None
    text = book.prompt if book else question
    prompt: Prompt = (*turns, Turn("user", text)) if writer.chat else text
    shown = InOrder([question], output, is_first=True)
    (done,), speed = continue_texts(writer, [prompt], settings, shown.add)
    shown.finish()
    say(f"generate: {speed}")
    if book is None:
        return done, {}
    citations = cited(book)
    output.write(f"{describe_sources(citations)}\n")
    return done, {"question": question, "open_book": bool(citations), "citations": citations}


def _asked() -> Iterator[str]:
    while True:
        try:
            prompt = input("> ")
        except EOFError:
            return
        except KeyboardInterrupt:
            print()
            continue
        if prompt.strip():
            yield prompt
