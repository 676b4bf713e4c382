"""Items in their file: what is written is read, and what has no answer is refused."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from data.errors import DataError
from evaluation.questions.items import Item, read_items, with_answer_at, write_items


def test_what_is_written_is_read(item: Callable[..., Item], tmp_path: Path) -> None:
    items = [item("Zürich\u2028 is", [" in\nUri.", " here."], answer, number=answer) for answer in (0, 1)]
    write_items(tmp_path / "items.jsonl", items)
    assert read_items(tmp_path / "items.jsonl") == items
    assert items[1].text == "Zürich\u2028 is here."


@pytest.mark.parametrize("change", [{"answer": 2}, {"answer": -1}, {"choices": [" a"]}, {"answer": None}, {"more": 1}])
def test_an_item_without_an_answer_is_named(
    item: Callable[..., Item], tmp_path: Path, change: dict[str, object]
) -> None:
    good = asdict(item("It", [" is", " was"], 0))
    file = tmp_path / "items.jsonl"
    file.write_text(json.dumps(good) + "\n" + json.dumps(good | change) + "\n", "utf-8")
    with pytest.raises(DataError, match=r"items\.jsonl:2 is no item with an answer"):
        read_items(file)


def test_an_answer_is_moved(item: Callable[..., Item]) -> None:
    moved = with_answer_at(item("It", ["a", "b", "c"], 0), 2)
    assert (moved.choices, moved.answer) == (("b", "c", "a"), 2)
