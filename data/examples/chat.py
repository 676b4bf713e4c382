"""Conversations to ids by a chat template, which is jinja as transformers renders it, and which of them count.

The model reads marks that no text becomes: what spells one in a turn stays text. So the text between marks is encoded
by itself, which gives the ids that a tokenizer gives for the whole wherever no turn spells a mark.
"""

import functools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import numpy as np
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer

from data.errors import DataError, one_line
from data.examples.records import Turn
from data.readers.rows import MalformedError
from data.shards.reader import Tokens
from data.sources.parts import byte_length
from data.tokenizer.build import DESCRIPTIONS, REPORT, load_tokenizer

DESCRIPTION, _, TEMPLATE = DESCRIPTIONS
OF_THE_END = ("bos_token", "eos_token", "pad_token", "unk_token")
"""Marks of a tokenizer's description that are the end of text where it does not name them."""
GUARD = "\ufdd1"
"""A noncharacter, which no text may hold: put into what spells a mark until the template has been rendered."""


class Encoded(NamedTuple):
    """A conversation without the end-of-text token that every document stands behind."""

    ids: Tokens
    counted: Tokens
    """uint8, 1 for each id that the model is to write: responses, each with the mark that ends its turn."""
    response_bytes: int
    """Of the responses' text in UTF-8."""


@dataclass(frozen=True)
class Chat:
    """A tokenizer and its chat template."""

    tokenizer: Tokenizer
    """That makes no marks of text."""
    template: jinja2.Template
    variables: Mapping[str, str]
    """The marks that a template may name: bos_token and its like."""
    marks: Mapping[str, int]
    """Every special piece, with its id."""
    end_of_text: str

    @functools.cached_property
    def pattern(self) -> re.Pattern[str]:
        """Any mark; of those that begin alike, the longest."""
        return re.compile("|".join(map(re.escape, sorted(self.marks, key=len, reverse=True))))

    @functools.cached_property
    def plain(self) -> Tokenizer:
        """As transformers encodes with it: what spells a mark in a text becomes the mark."""
        plain = Tokenizer.from_str(self.tokenizer.to_str())
        plain.encode_special_tokens = False
        return plain

    @functools.cached_property
    def end_of_turn(self) -> int:
        """Id of the mark that ends a response. Raises DataError where the template has none."""
        try:
            rendered = _spans(self, (Turn("user", "0"), Turn("assistant", "1")))
        except MalformedError as error:
            raise DataError(f"the chat template cannot be used: {error}") from None
        return self.marks[self.pattern.findall(rendered.text[: rendered.spans[-1][1]])[-1]]

    def render(self, turns: Sequence[Turn], ask: bool = False) -> str:
        """The text of turns; with `ask` also what stands before a response. Raises MalformedError: it is refused."""
        messages = [turn._asdict() for turn in turns]
        try:
            return self.template.render(messages=messages, add_generation_prompt=ask, **self.variables)
        except (jinja2.TemplateError, TypeError, ValueError, ArithmeticError, LookupError) as error:
            raise MalformedError(f"the template refuses it: {one_line(error)}") from None


def load_chat(folder: Path) -> Chat:
    """The chat template of a tokenizer's folder.

    Raises:
        DataError: the tokenizer cannot be read, or it has no template.
    """
    if not (folder / TEMPLATE).exists():
        raise DataError(f"{folder} has no {TEMPLATE}: chat is for a run that `domainlm finetune` made")
    tokenizer = load_tokenizer(folder)
    end_of_text = str(tokenizer.id_to_token(json.loads((folder / REPORT).read_bytes())["end_of_text_id"]))
    description = json.loads((folder / DESCRIPTION).read_bytes())
    return make_chat(tokenizer, (folder / TEMPLATE).read_text("utf-8"), description, end_of_text)


def make_chat(tokenizer: Tokenizer, template: str, description: Mapping[str, Any], end_of_text: str) -> Chat:
    """Raises DataError: the template is no jinja."""
    try:
        compiled = _environment().from_string(template)
    except jinja2.TemplateError as error:
        raise DataError(f"the chat template cannot be read: {one_line(error)}") from None
    named = {name: description.get(name) or end_of_text for name in OF_THE_END}
    variables = {name: str(value["content"]) if isinstance(value, dict) else value for name, value in named.items()}
    marks = {piece.content: number for number, piece in tokenizer.get_added_tokens_decoder().items() if piece.special}
    marks[end_of_text] = int(tokenizer.token_to_id(end_of_text) or 0)
    if short := [mark for mark in marks if len(mark) < 2]:
        raise DataError(f"the tokenizer marks {short[0]!r} as special, which text can hardly be without: take another")
    return Chat(tokenizer, compiled, variables, marks, end_of_text)


class _Generation(Extension):
    """`{% generation %}`, by which templates name the model's part to transformers: only its content is rendered."""

    tags = {"generation"}  # noqa: RUF012  as jinja has it

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


@functools.cache
def _environment() -> ImmutableSandboxedEnvironment:
    """As transformers renders (utils/chat_template_utils.py), but without the day of today: a run knows of none."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )

    def refuse(message: str) -> None:
        raise jinja2.TemplateError(message)

    def to_json(value: Any, indent: int | None = None) -> str:
        return json.dumps(value, ensure_ascii=False, indent=indent)

    environment.globals["raise_exception"] = refuse
    environment.filters["tojson"] = to_json
    return environment


class _Rendered(NamedTuple):
    text: str
    """With GUARD in each piece of a turn that spells a mark."""
    spans: list[tuple[int, int]]
    """Of the text: where each response begins, and the mark behind it ends."""


def _spans(chat: Chat, turns: Sequence[Turn]) -> _Rendered:
    """Render a conversation, find the responses in it, and see that no turn's text is missing."""
    guarded = [_guard(chat, turn) for turn in turns]
    text = chat.render(guarded)
    spans: list[tuple[int, int]] = []
    place = 0
    for number, (role, content) in enumerate(guarded):
        if role == "assistant":
            before, until = chat.render(guarded[:number], ask=True), chat.render(guarded[: number + 1])
            ended = chat.pattern.search(until, len(before))
            if ended is None:
                raise MalformedError("the template has no mark, a special piece, that ends a response")
            if not until.startswith(before) or not text.startswith(until[: ended.end()]):
                raise MalformedError("the template writes a response otherwise where more follows or is asked for")
            spans.append((len(before), ended.end()))
            place = max(place, len(before))
        found = text.find(content.strip(), place, spans[-1][1] if role == "assistant" else None)
        if found < 0:
            raise MalformedError(f"the template drops text: turn {number + 1}, of the {role}")
        place = found + len(content.strip())
    return _Rendered(text, spans)


def _guard(chat: Chat, turn: Turn) -> Turn:
    if GUARD in turn.content:
        raise MalformedError("no text: a turn holds the noncharacter U+FDD1")
    return Turn(turn.role, chat.pattern.sub(lambda mark: mark[0][0] + GUARD + mark[0][1:], turn.content))


def encode(chat: Chat, conversations: Sequence[Sequence[Turn]]) -> list[Encoded | MalformedError]:
    """The ids of each conversation, or why it has none."""
    rendered: list[_Rendered | MalformedError] = []
    for turns in conversations:
        try:
            rendered.append(_spans(chat, turns))
        except MalformedError as error:
            rendered.append(error)
    whole = _ids(chat, [one.text for one in rendered if isinstance(one, _Rendered)])
    return [
        one if isinstance(one, MalformedError) else _count(one, next(whole), turns)
        for one, turns in zip(rendered, conversations, strict=True)
    ]


def encode_prompt(chat: Chat, turns: Sequence[Turn]) -> list[int]:
    """The ids that the model is to answer, the end-of-text token before them included.

    Raises:
        MalformedError: the template refuses these turns.
    """
    text = chat.render([_guard(chat, turn) for turn in turns], ask=True)
    return [number for number, _, _ in next(_ids(chat, [text]))]


def reads_alike(chat: Chat, turns: Sequence[Turn]) -> bool:
    """Whether a tokenizer that makes marks of text gives these ids for the whole; asked where no turn spells one."""
    text = _spans(chat, turns).text
    if GUARD in text:
        return True
    ours = [number for number, _, _ in next(_ids(chat, [text]))]
    return bool(chat.plain.encode(text, add_special_tokens=False).ids == ours)


def _ids(chat: Chat, texts: Sequence[str]) -> Iterator[list[tuple[int, int, int]]]:
    """Of each text its ids, each with the place where it begins and ends in the text without GUARD."""
    cut = [list(_pieces(chat, text)) for text in texts]
    between = [piece for pieces in cut for piece, mark in pieces if mark is None]
    encoded = iter(chat.tokenizer.encode_batch(between, add_special_tokens=False))
    for pieces in cut:
        found: list[tuple[int, int, int]] = []
        place = 0
        for piece, mark in pieces:
            if mark is None:
                one = next(encoded)
                found += [
                    (number, place + first, place + last)
                    for number, (first, last) in zip(one.ids, one.offsets, strict=True)
                ]
            else:
                found.append((mark, place, place + len(piece)))
            place += len(piece)
        yield found


def _pieces(chat: Chat, text: str) -> Iterator[tuple[str, int | None]]:
    """The marks of a text with their ids, and what stands between them."""
    place = 0
    for mark in chat.pattern.finditer(text):
        if between := text[place : mark.start()].replace(GUARD, ""):
            yield between, None
        yield mark[0], chat.marks[mark[0]]
        place = mark.end()
    if rest := text[place:].replace(GUARD, ""):
        yield rest, None


def _count(rendered: _Rendered, found: Sequence[tuple[int, int, int]], turns: Sequence[Turn]) -> Encoded:
    """A token that begins before a response, as one of a line's end and its first word may, does not count."""
    spans = [
        tuple(place - rendered.text.count(GUARD, 0, place) for place in span) for span in rendered.spans
    ]  # as the places of the ids are
    counted = [any(begin <= first and last <= end for begin, end in spans) for _, first, last in found]
    size = sum(byte_length(turn.content) for turn in turns if turn.role == "assistant")
    ids = np.array([number for number, _, _ in found], np.uint32)
    return Encoded(ids[1:], np.array(counted[1:], np.uint8), size)
