"""Records to conversations: what a turn must be, and what is wrong with a record that is none."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from data.errors import DataError
from data.examples.config import ExamplesConfig
from data.interval import Interval
from data.readers.rows import MalformedError
from data.sources.dates import interval_of
from data.sources.documents import DATE_KIND, BadRecord, date_kind_of, id_of, input_parts, read_rows
from data.sources.fields import value_at
from data.sources.parts import DAMAGED, string_of

ROLES = ("system", "user", "assistant")


class Turn(NamedTuple):
    """What one side says; the role is one of ROLES."""

    role: str
    content: str


@dataclass(frozen=True)
class Example:
    """A conversation: a system text or none, then user and assistant by turns, the assistant last."""

    id: str
    source: str
    date: Interval | None
    turns: tuple[Turn, ...]
    file: str
    line: int


def read_examples(source: ExamplesConfig) -> Iterator[Example | BadRecord]:
    """Every record of a source, in order: an example, or what is wrong with it.

    Raises:
        DataError: nothing is at the source's path, or a file is damaged or cannot be read.
    """
    for part in input_parts(source):
        for line, fields in read_rows(source, part, _wanted(source)):
            try:
                yield _example(source, part.name, line, fields)
            except MalformedError as error:
                if str(error).startswith(DAMAGED):
                    raise DataError(f"{part.location}: {error}: mend it, or take it out") from None
                yield BadRecord(part.name, line, str(error), error.size)


def _wanted(source: ExamplesConfig) -> list[str]:
    """The fields that an example is made of, the one first that it cannot be without."""
    of_a_pair = [source.response_field, source.prompt_field, source.system_field]
    return [
        *([source.messages_field] if source.form == "messages" else of_a_pair),
        source.id_field,
        source.date_field,
        DATE_KIND,
    ]


def _example(source: ExamplesConfig, file: str, line: int, fields: object) -> Example:
    if isinstance(fields, MalformedError):
        raise fields
    if not isinstance(fields, Mapping):
        raise MalformedError(f"not an object: a value of type {type(fields).__name__}")
    turns = _messages(source, fields) if source.form == "messages" else _pair(source, fields)
    _check_order(turns)
    for turn in turns:
        if not turn.content.strip():
            raise MalformedError("empty response" if turn.role == "assistant" else f"empty turn: of the {turn.role}")
    if source.labels and (len(turns) > 3 or turns[-1].content not in source.labels):
        said = f"{turns[-1].content!r:.40} is none of them" if len(turns) <= 3 else "more than one response"
        raise MalformedError(f"no label: {said}")
    date = interval_of(source, value_at(fields, source.date_field), date_kind_of(source, fields))
    return Example(id_of(source, value_at(fields, source.id_field), file, line), source.name, date, turns, file, line)


def _pair(source: ExamplesConfig, fields: Mapping[str, object]) -> tuple[Turn, ...]:
    turns = []
    for role, field in zip(ROLES, (source.system_field, source.prompt_field, source.response_field), strict=True):
        value = value_at(fields, field)
        if value is not None:
            turns.append(Turn(role, string_of(value, field)))
        elif role != "system":
            raise _missing(fields, field)
    return tuple(turns)


def _messages(source: ExamplesConfig, fields: Mapping[str, object]) -> tuple[Turn, ...]:
    messages = value_at(fields, source.messages_field)
    if messages is None:
        raise _missing(fields, source.messages_field)
    if not isinstance(messages, list):
        raise MalformedError(f"'{source.messages_field}' is no list: its type is {type(messages).__name__}")
    return tuple(_turn(number, message) for number, message in enumerate(messages, start=1))


def _missing(fields: Mapping[str, object], field: str) -> MalformedError:
    present = ", ".join(str(name) for name, value in fields.items() if value is not None) or "none"
    return MalformedError(f"no field '{field}': the record has {present:.200}")


def _turn(number: int, message: object) -> Turn:
    """Whatever else a turn holds, such as calls of tools, would be lost: it is refused."""
    if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
        raise MalformedError(f"a turn without a role: turn {number}")
    if message["role"] not in ROLES:
        raise MalformedError(f"unknown role: turn {number} is of '{message['role']:.40}', known are {', '.join(ROLES)}")
    others = [str(key) for key, value in message.items() if key not in ("role", "content") and value is not None]
    if others:
        raise MalformedError(f"more than text in a turn: turn {number} has {', '.join(others):.100}")
    return Turn(message["role"], string_of(message.get("content"), "content"))


def _check_order(turns: Sequence[Turn]) -> None:
    roles = [turn.role for turn in turns]
    spoken = roles[1:] if roles[:1] == ["system"] else roles
    wrong = next((place for place, role in enumerate(spoken) if role != ROLES[1 + place % 2]), None)
    if wrong is not None:
        place = len(roles) - len(spoken) + wrong
        raise MalformedError(f"turns out of order: turn {place + 1} is of the {roles[place]}")
    if not spoken or spoken[-1] != "assistant":
        raise MalformedError("no response at the end")
