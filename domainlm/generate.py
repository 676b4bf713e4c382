"""Continues texts with a trained model: as they come, cut at stop strings, in conversation or many in order."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TextIO, TypeAlias

from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream

from data.examples.chat import TEMPLATE, Chat, encode_prompt, load_chat
from data.examples.records import Turn
from data.progress import say
from data.readers.rows import MalformedError
from data.tokenizer.build import end_of_text_id, load_tokenizer
from model.generate import generate
from model.transformer import Transformer
from train.checkpoints.identity import tokenizer_folder
from train.checkpoints.trained import load_trained
from train.config import RunConfig
from train.config_file import ConfigError

Ending = Literal["end of text", "end of turn", "stop string", "length"]

Prompt: TypeAlias = str | tuple[Turn, ...]
"""A text, or of a model that knows turns also all that was said so far."""

BATCH = 16
"""Prompts that are continued together."""


@dataclass(frozen=True)
class GenerationSettings:
    """How texts are continued.

    Attributes:
        new_tokens: most tokens of a continuation.
        temperature: 0 takes the likeliest token.
        top_k: sample among the k likeliest tokens only; None among all.
        top_p: sample among the likeliest tokens that together have this probability.
        stops: strings that end a continuation; they are not part of it.
    """

    new_tokens: int
    temperature: float
    top_k: int | None
    top_p: float | None
    stops: tuple[str, ...]
    seed: int

    def __post_init__(self) -> None:
        if "" in self.stops:
            raise ConfigError("a stop string is empty: leave it out, or name a text that ends a continuation")


def sample_settings(config: RunConfig) -> GenerationSettings:
    """Those of the run's configuration."""
    wanted = config.evaluation
    return GenerationSettings(wanted.new_tokens, wanted.temperature, None, wanted.top_p, (), config.seed)


@dataclass(frozen=True)
class Continuation:
    """What the model wrote behind one prompt."""

    prompt: str
    text: str
    tokens: int
    ended_by: Ending


@dataclass(frozen=True)
class Speed:
    """Tokens written, prompts not counted, and the seconds that it took."""

    tokens: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.tokens:,} tokens in {self.seconds:.1f} s, {self.tokens / max(self.seconds, 1e-9):,.1f} tokens/s"


@dataclass(frozen=True)
class Writer:
    """A trained model and its tokenizer."""

    model: Transformer
    tokenizer: Tokenizer
    end_of_text: int
    step: int
    chat: Chat | None = None
    """Its template, where a prompt is what a user says."""

    def encode(self, prompt: Prompt) -> list[int]:
        """What the model reads. Raises ConfigError: the template refuses it."""
        if self.chat is None:  # every training document begins behind an end-of-text token, and so does a prompt
            return [self.end_of_text, *self.tokenizer.encode(said(prompt)).ids]
        try:
            return encode_prompt(self.chat, [Turn("user", prompt)] if isinstance(prompt, str) else prompt)
        except MalformedError as error:
            raise ConfigError(f"a prompt cannot be asked: {error}") from None


def said(prompt: Prompt) -> str:
    """What was said last."""
    return prompt if isinstance(prompt, str) else prompt[-1].content


def load_writer(config: RunConfig, step: int | None = None, *, chat: bool | None = False) -> Writer:
    """The model of the newest checkpoint, or of that of a step, with its tokenizer.

    Args:
        chat: prompts are what a user says, and the end of a turn ends an answer. None: where it knows turns.

    Raises:
        CheckpointError: there is no such checkpoint, or its tokenizer is not there.
        DataError: the tokenizer has no chat template.
    """
    trained = load_trained(config, step)
    folder = tokenizer_folder(trained.checkpoint, config)
    template = load_chat(folder) if chat or (chat is None and (folder / TEMPLATE).exists()) else None
    return Writer(trained.model, load_tokenizer(folder), end_of_text_id(folder), trained.step, template)


def continue_texts(
    writer: Writer,
    prompts: Sequence[Prompt],
    settings: GenerationSettings,
    on_text: Callable[[int, str], object] = lambda place, text: None,
) -> tuple[list[Continuation], Speed]:
    """Continue each prompt.

    Args:
        on_text: is told the place of a prompt and the next piece of its continuation as soon as it is certain: whole
            characters, and nothing that may turn out to begin a stop string. The pieces together are the continuation.

    Raises:
        ConfigError: a setting is out of range, or the continuation would leave the context of a RoPE model.
    """
    encoded = [writer.encode(prompt) for prompt in prompts]
    texts = [ComingText(writer.tokenizer, settings.stops) for _ in prompts]

    def on_token(place: int, token: int) -> bool:
        if certain := texts[place].add(token):
            on_text(place, certain)
        return texts[place].stopped

    begin = time.perf_counter()
    try:
        written = generate(
            writer.model,
            encoded,
            max_new_tokens=settings.new_tokens,
            temperature=settings.temperature,
            top_k=settings.top_k,
            top_p=settings.top_p,
            seed=settings.seed,
            stop_token={writer.end_of_text, *([writer.chat.end_of_turn] if writer.chat else [])},
            on_token=on_token,
        )
    except ValueError as error:
        raise ConfigError(str(error)) from None
    seconds = time.perf_counter() - begin
    continuations = []
    for place, (prompt, text, tokens) in enumerate(zip(prompts, texts, written, strict=True)):
        if rest := text.finish():
            on_text(place, rest)
        own_end: Ending = "end of turn" if writer.chat else "end of text"
        ended: Ending = "length" if len(tokens) == settings.new_tokens else own_end
        ended = "stop string" if text.stopped else ended
        continuations.append(Continuation(said(prompt), text.given, len(tokens), ended))
    return continuations, Speed(sum(len(tokens) for tokens in written), seconds)


@dataclass
class ComingText:
    """The text of tokens that come one by one, given out only when it is certain.

    A character's bytes may come in several tokens, and a stop string may begin in one and end in another: what may
    still become either is held back.
    """

    tokenizer: Tokenizer
    stops: Sequence[str]
    given: str = ""
    stopped: bool = False
    _held: str = ""
    _tokens: list[int] = field(default_factory=list)
    _decoder: DecodeStream = field(default_factory=lambda: DecodeStream(skip_special_tokens=False))

    def add(self, token: int) -> str:
        """The text that has become certain with this token; nothing more once a stop string is met."""
        if self.stopped:
            return ""
        self._tokens.append(token)
        self._held += self._decoder.step(self.tokenizer, token) or ""
        return self._give(len(self._held) - self._possible_beginning())

    def finish(self) -> str:
        """What was held back when no more tokens come; the bytes of an unfinished character become U+FFFD."""
        if self.stopped:
            return ""
        self._held = self.tokenizer.decode(self._tokens, skip_special_tokens=False)[len(self.given) :]
        return self._give(len(self._held))

    def _give(self, length: int) -> str:
        found = [(place + len(stop), place) for stop in self.stops if (place := self._held.find(stop)) >= 0]
        if found:
            # The first to be complete, so that the result does not depend on how the text came in tokens.
            self.stopped, length = True, min(found)[1]
        certain, self._held = self._held[:length], self._held[length:]
        self.given += certain
        return certain

    def _possible_beginning(self) -> int:
        """Characters at the end of the held text that a stop string may begin with, the most of them."""
        longest = max((len(stop) - 1 for stop in self.stops), default=0)
        for length in range(min(longest, len(self._held)), 0, -1):
            if any(stop.startswith(self._held[-length:]) for stop in self.stops):
                return length
        return 0


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
