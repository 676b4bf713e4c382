"""An item: a question with one right answer among several; and its file, one item a line."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from data.errors import DataError
from data.files import value_digest, write_atomically

Kind = Literal["next_sentence", "name", "number", "date", "order"]
KINDS: tuple[Kind, ...] = ("next_sentence", "name", "number", "date", "order")


@dataclass(frozen=True)
class Item:
    """A question.

    Attributes:
        id: of its content.
        document: the document that the answer is from.
        others: further documents that the choices are from.
        source: of all of them.
        first_date, last_date: the days that the document may be of, as YYYY-MM-DD; None where there is none.
        kind: what is asked.
        prompt: what stands before every choice.
        choices: texts that may follow the prompt, their spaces with them.
        answer: index of the one that does.
    """

    id: str
    document: str
    others: tuple[str, ...]
    source: str
    first_date: str | None
    last_date: str | None
    kind: Kind
    prompt: str
    choices: tuple[str, ...]
    answer: int

    @property
    def text(self) -> str:
        """The prompt and its right answer."""
        return self.prompt + self.choices[self.answer]


def with_answer_at(item: Item, place: int) -> Item:
    """The same item with its right answer at another place; the others keep their order."""
    others = [choice for index, choice in enumerate(item.choices) if index != item.answer]
    choices = (*others[:place], item.choices[item.answer], *others[place:])
    return replace(item, choices=choices, answer=place)


def item_id(kind: Kind, prompt: str, choices: Iterable[str]) -> str:
    return f"{kind}-{value_digest([prompt, sorted(choices)])[:12]}"


def write_items(path: Path, items: Iterable[Item]) -> None:
    """Write items as JSON lines."""
    write_atomically(path, "".join(json.dumps(asdict(item), ensure_ascii=False) + "\n" for item in items))


def read_items(path: Path) -> list[Item]:
    """Read what `write_items` wrote.

    Raises:
        DataError: a line is no item, or its answer is none of its choices.
    """
    items = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            content = json.loads(line)
            item = Item(**content | {"others": tuple(content["others"]), "choices": tuple(content["choices"])})
            answered = len(item.choices) > 1 and 0 <= item.answer < len(item.choices)
        except (ValueError, TypeError, KeyError):
            answered = False
        if not answered:
            raise DataError(
                f"{path}:{number} is no item with an answer among its choices: remove {path.parent}, so that the items "
                "are made again"
            )
        items.append(item)
    return items
