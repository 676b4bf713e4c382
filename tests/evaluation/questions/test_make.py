"""Items of every kind: the answer is the document's, the others are not, nothing is given away, and all repeatable."""

import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest

from evaluation.questions.documents import Document
from evaluation.questions.items import KINDS, Item, Kind
from evaluation.questions.make import make_items


@pytest.fixture(scope="module")
def made(documents: Sequence[Document]) -> dict[Kind, list[Item]]:
    return {kind: make_items(kind, documents, 150, seed=1) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_an_item_is_a_fair_question(made: dict[Kind, list[Item]], documents: Sequence[Document], kind: Kind) -> None:
    texts = {document.id: document.text for document in documents}
    assert len(made[kind]) > 100
    assert len({item.id for item in made[kind]}) == len(made[kind])
    for item in made[kind]:
        right = item.choices[item.answer]
        wrong = [choice for index, choice in enumerate(item.choices) if index != item.answer]
        assert len(set(item.choices)) == len(item.choices) == (2 if kind == "order" else 4)
        assert item.document not in item.others
        if kind == "order":
            continue
        assert item.text in texts[item.document]
        assert all(item.prompt + choice not in texts[item.document] for choice in wrong)
        if kind == "next_sentence":
            assert len(item.others) == 3
            assert all(any(choice.strip() in texts[other] for other in item.others) for choice in wrong)
            assert right.strip() not in item.prompt
        else:
            assert_masked(item)


def assert_masked(item: Item) -> None:
    """The choices differ in what is masked alone, of which nothing stands elsewhere in the item."""
    begin = next(place for place in range(99) if len({choice[: place + 1] for choice in item.choices}) > 1)
    fills = [re.findall(r"[\w.,-]*\w", choice[choice.rfind(" ", 0, begin) + 1 :])[0] for choice in item.choices]
    endings = {choice.partition(fill)[2] for choice, fill in zip(item.choices, fills, strict=True)}
    assert len(endings) == 1
    assert len(set(fills)) == 4
    assert not set(re.findall(r"\w+", item.prompt + endings.pop())).intersection(fills)


def test_orders_put_two_texts_under_their_dates(made: dict[Kind, list[Item]], documents: Sequence[Document]) -> None:
    by_id = {document.id: document for document in documents}
    for item in made["order"]:
        days = [by_id[id_].date for id_ in (item.document, *item.others)]
        first, passage, second, other = item.text.split("\n\n")
        assert {first, second} == {str(day) for day in days}
        for day, text in ((first, passage), (second, other)):
            assert any(str(each.date) == day and text in each.text for each in documents)
            assert not re.search(r"\b(19|20)\d\d\b", text)
        assert Counter(item.choices[0]) == Counter(item.choices[1])


def test_the_same_documents_and_seed_make_the_same_items(documents: Sequence[Document]) -> None:
    mixed = random.Random(3).sample(documents, len(documents))
    for kind in KINDS:
        items = make_items(kind, documents, 10, seed=1)
        assert make_items(kind, mixed, 10, seed=1) == items
        assert make_items(kind, documents, 10, seed=2) != items
        assert make_items(kind, documents, 20, seed=1)[:10] == items


def test_lengths_of_next_sentences_say_nothing(made: dict[Kind, list[Item]]) -> None:
    ranks = Counter(
        sum(len(choice.encode()) < len(item.choices[item.answer].encode()) for choice in item.choices)
        for item in made["next_sentence"]
    )
    assert all(20 < ranks[rank] < 60 for rank in range(4))


def test_items_come_from_all_documents(made: dict[Kind, list[Item]]) -> None:
    for items in made.values():
        counts = Counter(item.document for item in items)
        assert len(counts) == 30
        assert max(counts.values()) <= 6


def test_undated_documents_have_no_order(documents: Sequence[Document]) -> None:
    undated = [replace(document, date=None) for document in documents]
    assert make_items("order", undated, 10, seed=1) == []
    assert len(make_items("next_sentence", undated, 10, seed=1)) == 10
    assert make_items("name", documents[:1], 10, seed=1) == make_items("name", [], 10, seed=1) == []
