"""The questions of a corpus: made once, the same again, checked, thinned, refused where a heuristic solves them."""

import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from data.errors import DataError
from data.files import finish_stage
from evaluation.questions import build
from evaluation.questions.build import Questions, make_questions, of_kinds
from evaluation.questions.documents import Document
from evaluation.questions.items import KINDS, Item
from tests.evaluation.questions.conftest import prose
from tests.evaluation.questions.test_documents import write


def write_corpus(folder: Path, documents: Sequence[Document], split: str = "future") -> Path:
    """With training text of the same kind, and one held-out document among it."""
    write(folder, documents, split)
    training = [Document(f"t{number}", "news", None, prose(500 + number)) for number in range(20)]
    write(folder, [*training, Document("leak", "news", None, documents[3].text)], "train")
    finish_stage(folder, {}, list(folder.rglob("*.parquet")))
    return folder


def make(corpus: Path, folder: Path, most: int = 20) -> Questions:
    return make_questions(corpus, folder, domain=["news"], most=most, seed=1, workers=1)


@pytest.fixture
def one_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is the same with all."""
    monkeypatch.setattr(build, "KINDS", ("number",))


@pytest.fixture(scope="module")
def corpus(documents: Sequence[Document], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("questions") / "corpus", documents)


@pytest.fixture(scope="module")
def made(corpus: Path) -> Questions:
    return make(corpus, corpus.parent / "questions")


def test_all_kinds_are_made_and_none_is_touched(made: Questions) -> None:
    assert set(made.items) == set(KINDS)
    assert made.summary["split"] == "future"
    for kind, items in made.items.items():
        about = made.summary["kinds"][kind]
        assert about["made"] == 60
        assert about["touched"] >= 2
        assert "d03" not in {item.document for item in items}
        assert about["items"] == len(items) == 20
        assert len(set(Counter(item.answer for item in items).values())) == 1
        assert about["heuristics"]["ngram"]["value"] <= about["chance"] + 0.2


def test_the_same_corpus_gives_the_same_files(
    made: Questions, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert make(corpus, corpus.parent / "questions") == made
    assert "up to date" in capsys.readouterr().err
    assert make(corpus, tmp_path / "again").digest == made.digest


def test_some_kinds_are_the_same_questions(made: Questions) -> None:
    some = of_kinds(made, ("name", "date"))
    assert list(some.items) == list(some.summary["kinds"]) == ["name", "date"]
    assert some.items["name"] is made.items["name"]
    assert (some.digest, some.summary["split"]) == (made.digest, made.summary["split"])
    assert set(made.items) == set(KINDS), "the others stay"


@pytest.mark.usefixtures("one_kind")
def test_without_a_cutoff_it_is_made_of_the_past_and_says_so(
    documents: Sequence[Document], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = write_corpus(tmp_path / "corpus", documents, "past")
    questions = make(corpus, tmp_path / "questions")
    assert questions.summary["split"] == "past"
    assert "no document is of the cutoff or later" in capsys.readouterr().err
    empty = write_corpus(tmp_path / "empty", documents, "elsewhere")
    with pytest.raises(DataError, match="no documents are held out"):
        make(empty, tmp_path / "others")


@pytest.mark.usefixtures("one_kind")
def test_a_set_that_the_longest_choice_solves_is_refused(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Items whose right choice is made longer than the wrong ones, as a careless maker would make them."""

    def lengthen(item: Item) -> Item:
        places = range(len(item.choices))
        return replace(
            item,
            choices=tuple(
                item.choices[place] + " Yes, so it was, as all of them agreed on that day." * (place == item.answer)
                for place in places
            ),
        )

    honest = build.make_items
    monkeypatch.setattr(build, "make_items", lambda kind, *rest: list(map(lengthen, honest(kind, *rest))))
    questions = make(corpus, tmp_path / "questions")
    assert questions.items == {}
    reason = json.loads((tmp_path / "questions" / "summary.json").read_bytes())["kinds"]["number"]["refused"]
    assert reason.startswith("no model is needed for them, drawing lots has 25% right, longest 100%")


@pytest.mark.usefixtures("one_kind")
def test_too_few_documents_are_refused(documents: Sequence[Document], tmp_path: Path) -> None:
    questions = make(write_corpus(tmp_path / "corpus", documents[:4]), tmp_path / "questions")
    assert questions.items == {}
    assert (
        "4 documents are left" in questions.summary["kinds"]["number"]["refused"]
        or "3 documents" in (questions.summary["kinds"]["number"]["refused"])
    )


def test_places_are_even_and_random(item: Callable[..., Item]) -> None:
    items = [item("It", [" a", " b", " c", " d"], 0, number=number) for number in range(40)]
    placed = build.in_even_places(items, random.Random(0))
    assert Counter(each.answer for each in placed) == dict.fromkeys(range(4), 10)
    assert [each.text for each in placed] == ["It a"] * 40
    assert [each.answer for each in placed] != [number % 4 for number in range(40)]
