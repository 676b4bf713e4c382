"""Continuations on a terminal: as they come, one prompt after another, or for the lines of standard input."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TextIO

from data.progress import say
from domainlm.continuation import Continuation, GenerationSettings, Speed, Writer, continue_texts

BATCH = 16
"""Prompts that are continued together."""


def continue_in_order(
    writer: Writer, prompts: Sequence[str], settings: GenerationSettings, output: TextIO | None
) -> list[Continuation]:
    """Continue the prompts in batches, showing each behind its prompt, in their order, and the speed at the end.

    Args:
        output: where to show them; None shows nothing.
    """
    continuations: list[Continuation] = []
    tokens, seconds = 0, 0.0
    for first in range(0, len(prompts), BATCH):
        batch = prompts[first : first + BATCH]
        shown = _InOrder(batch, output, is_first=first == 0) if output else None
        changed = replace(settings, seed=settings.seed + first)
        done, speed = continue_texts(writer, batch, changed, shown.add if shown else lambda place, text: None)
        if shown:
            shown.finish()
        continuations += done
        tokens, seconds = tokens + speed.tokens, seconds + speed.seconds
    say(f"generate: {Speed(tokens, seconds)}")
    return continuations


def converse(writer: Writer, settings: GenerationSettings, output: TextIO) -> list[Continuation]:
    """Ask for prompts and continue each as it comes, until the input ends; each takes a seed of its own."""
    import readline  # noqa: F401  gives `input` a history and the keys of an editor

    say(f"step {writer.step}: write how a text begins; Ctrl-C ends a continuation, Ctrl-D the conversation")
    continuations: list[Continuation] = []
    for number, prompt in enumerate(_asked()):
        changed = replace(settings, seed=settings.seed + number)
        shown = _InOrder([prompt], output, is_first=True)
        try:
            done, speed = continue_texts(writer, [prompt], changed, shown.add)
        except KeyboardInterrupt:
            output.write("\n")
            continue
        shown.finish()
        continuations += done
        say(f"generate: {speed}")
    output.write("\n")
    return continuations


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


@dataclass
class _InOrder:
    """Shows several continuations one below the other although their pieces come in any order."""

    prompts: Sequence[str]
    output: TextIO
    is_first: bool
    _pieces: list[list[str]] = field(default_factory=list)
    _shown: int = -1

    def __post_init__(self) -> None:
        self._pieces = [[] for _ in self.prompts]
        self._begin_next()

    def add(self, place: int, text: str) -> None:
        if place == self._shown:
            self.output.write(text)
            self.output.flush()
        else:
            self._pieces[place].append(text)

    def finish(self) -> None:
        """Show what is left of all of them."""
        while self._shown < len(self.prompts) - 1:
            self._begin_next()
        self.output.write("\n")
        self.output.flush()

    def _begin_next(self) -> None:
        self._shown += 1
        self.output.write("" if self.is_first and self._shown == 0 else "\n\n" if self._shown else "\n")
        self.output.write(f"{self.prompts[self._shown]}▸{''.join(self._pieces[self._shown])}")
        self.output.flush()
