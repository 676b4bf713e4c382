"""Examples of training documents: in the form of what is asked, with passages of earlier days, nothing held out."""

import datetime
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from data.config import DataConfig
from data.corpus.build import prepare_corpus
from data.errors import DataError
from data.retrieval.build import build_index, index_inputs
from data.retrieval.search import Search, open_index
from evaluation.language_model import LanguageModel
from evaluation.questions.documents import read_documents
from evaluation.questions.examples import Passages, make_examples, training_documents
from evaluation.questions.items import KINDS
from evaluation.questions.make import make_items
from tests.evaluation.questions.conftest import prose

ROOM = 900


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Search]:
    """A corpus of dated and undated documents, of the domain and not, some of them held out; and its index."""
    folder = tmp_path_factory.mktemp("examples")
    for name, count in (("news", 48), ("notes", 24), ("other", 12)):
        records = [{"id": f"{name}{number}", "text": prose(hash_of(name) + number)} for number in range(count)]
        for number, record in enumerate(records if name == "news" else []):
            record["date"] = f"{2010 + number // 4}-0{1 + number % 4}-03"
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(each) + "\n" for each in records), "utf-8")
    sources = [
        {"name": name, "path": str(folder / f"{name}.jsonl"), "undated": "train", "domain": name != "other"}
        for name in ("news", "notes", "other")
    ]
    config = DataConfig.model_validate(
        {"sources": sources, "cutoff": "2018-01-01", "past_fraction": 0.2, "near_duplicates": None, "workers": 1}
    )
    prepare_corpus(config, folder / "corpus", seed=1)
    build_index(config, folder / "corpus", folder / "retrieval", 40)
    index = open_index(folder / "retrieval", index_inputs(config, folder / "corpus", 40, None))
    return folder / "corpus", Search(index, "bm25")


def hash_of(name: str) -> int:
    return 1000 * len(name) + ord(name[-1])


@pytest.fixture(scope="module")
def records(data: tuple[Path, Search], byte_model: Callable[..., LanguageModel]) -> list[dict[str, Any]]:
    corpus, search = data
    documents = training_documents(corpus, {"news", "notes"}, None)
    made = make_examples(documents, 24, Passages(search, 2, byte_model().encode, ROOM), seed=3)
    return [record for record, _ in made]


def test_nothing_held_out_has_a_part_in_them(data: tuple[Path, Search], records: list[dict[str, Any]]) -> None:
    corpus, _ = data
    trained = {each.id: each for found in read_documents(corpus, "train").values() for each in found}
    held_out = [
        each for split in ("past", "future") for found in read_documents(corpus, split).values() for each in found
    ]
    assert len(held_out) > 15
    sentences = {each[piece] for each in held_out for piece in each.pieces}
    for record in records:
        assert {record["document"], *record["passages"]} <= trained.keys()
        assert not record["document"].startswith("other"), "the domain alone is asked about"
        assert not any(sentence in record["prompt"] + record["response"] for sentence in sentences)
        assert record["date"] is None or record["date"] < "2018"


def test_they_are_what_is_asked_with_the_right_answer(data: tuple[Path, Search], records: list[dict[str, Any]]) -> None:
    corpus, _ = data
    documents = training_documents(corpus, {"news", "notes"}, None)
    asked = {
        item.id: item for kind in KINDS for each in documents.values() for item in make_items(kind, each, 24, seed=3)
    }
    assert {record["kind"] for record in records} == set(KINDS)
    assert len({record["id"] for record in records}) == len(records)
    for record in records:
        item = asked[record["id"]]
        assert record["response"] == item.choices[item.answer]
        assert record["prompt"].endswith(item.prompt)
        assert record["passages"] or record["prompt"] == item.prompt
    per_kind = [sum(record["kind"] == kind for record in records) for kind in KINDS]
    assert max(per_kind) == 24, "no more than are asked for"


def test_half_have_passages_of_earlier_days_which_fit(
    records: list[dict[str, Any]], byte_model: Callable[..., LanguageModel]
) -> None:
    encode, dates = byte_model().encode, [f"{2010 + number // 4}-0{1 + number % 4}-03" for number in range(48)]
    opened = [record for record in records if record["passages"]]
    could = [record for record in records if record["kind"] != "order"]
    assert 0.35 < len(opened) / len(could) < 0.6
    assert not any(record["passages"] for record in records if record["kind"] == "order")
    for record in opened:
        assert len(encode(record["prompt"] + record["response"])) <= ROOM
        assert record["document"] not in record["passages"]
        if record["document"].startswith("news"):
            days = [dates[int(name.removeprefix("news"))] for name in record["passages"]]
            assert all(day < record["date"] for day in days), "nor of its own day"
    assert any(record["document"].startswith("notes") for record in opened), "without a day, all but its own document"


def test_the_same_seed_gives_the_same_and_since_leaves_out_what_is_older(
    data: tuple[Path, Search], records: list[dict[str, Any]], byte_model: Callable[..., LanguageModel]
) -> None:
    corpus, search = data
    documents = training_documents(corpus, {"news", "notes"}, None)
    passages = Passages(search, 2, byte_model().encode, ROOM)
    assert [record for record, _ in make_examples(documents, 24, passages, seed=3)] == records
    assert [record for record, _ in make_examples(documents, 24, passages, seed=4)] != records
    narrow = list(make_examples(documents, 24, replace(passages, room=60), seed=3))
    assert not any(record["passages"] for record, _ in narrow)
    assert sum(found > 0 for _, found in narrow) >= sum(bool(record["passages"]) for record in records)
    assert {record["kind"] for record, _ in make_examples(documents, 9, None, seed=3, kinds=["date"])} == {"date"}
    since = datetime.date(2014, 1, 1)
    late = training_documents(corpus, {"news", "notes"}, since)
    assert all(each.date and each.date.lies_from(since) for found in late.values() for each in found)
    assert all(record["date"] >= "2014" for record, _ in make_examples(late, 9, None, seed=3))
    with pytest.raises(DataError, match="no training documents of 2018-06-01 and later to ask about"):
        training_documents(corpus, {"news"}, datetime.date(2018, 6, 1))
