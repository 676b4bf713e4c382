"""Questions with passages: a model that copies has them right where they are told, and nothing later is looked at."""

import datetime
import itertools
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.config import DataConfig
from data.corpus.build import prepare_corpus
from data.retrieval.build import build_index, index_inputs
from data.retrieval.search import Passage, Search, open_index
from evaluation.bits_per_byte import NOT_SCORED
from evaluation.intervals import Interval
from evaluation.language_model import LanguageModel
from evaluation.questions.answers import Answers, answer, item_credits, tasks
from evaluation.questions.build import Questions
from evaluation.questions.documents import Document
from evaluation.questions.items import KINDS, Item, with_answer_at
from evaluation.questions.make import make_items
from evaluation.questions.open_book import (
    WITHOUT,
    Found,
    OpenAnswers,
    answer_open,
    book_for,
    bound_of,
    in_all,
    look_up,
    open_tasks,
    query,
    sign_test,
    verdict,
)

LONGEST = 24
"""Bytes that a copier compares."""
DAY = datetime.timedelta(days=1)
PASSAGE = Passage(0, "p", "news", None, None, None, "A text.", 1.0)


def copied(before: bytes, byte: int) -> float:
    """Probability of the next byte: what followed the longest end of the text wherever it stood before, or any."""
    for length in range(min(LONGEST, len(before) - 1), 0, -1):
        end, place, followers = before[-length:], -1, []
        while (place := before.find(end, place + 1, len(before) - 1)) >= 0:
            followers.append(before[place + length])
        if followers:
            return 0.9 * followers.count(byte) / len(followers) + 0.1 / 256
    return 1 / 256


def losses(inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Of a model of bytes that has learnt nothing, and copies what it reads."""
    found = np.zeros(inputs.shape)
    for row, column in zip(*np.nonzero(targets != NOT_SCORED), strict=True):
        before = bytes((inputs[row, 1 : column + 1] - 1).tolist())
        found[row, column] = -np.log(copied(before, int(targets[row, column]) - 1))
    return found


@pytest.fixture
def copier(byte_model: Callable[..., LanguageModel]) -> LanguageModel:
    return replace(byte_model(name="copier"), token_losses=losses)


@pytest.fixture(scope="module")
def questions(documents: Sequence[Document]) -> Questions:
    items = {kind: make_items(kind, documents, 40 if kind in ("number", "date") else 12, seed=1) for kind in KINDS}
    about = {
        kind: {"items": len(each), "documents": 30, "chance": 1 / len(each[0].choices)} for kind, each in items.items()
    }
    return Questions(items, {"kinds": about}, "digest")


@pytest.fixture(scope="module")
def told(questions: Questions) -> Questions:
    """Those whose answers are numbers and years."""
    return replace(questions, items={kind: questions.items[kind] for kind in ("number", "date")})


def tell(item: Item, choice: int) -> str:
    """The sentence of an item with one of its choices, from a few words before: fewer than make it a copy."""
    return f"{' '.join(item.prompt.split()[-5:])}{item.choices[choice]}"


def search_of(folder: Path, records: Sequence[tuple[str, datetime.date | None]]) -> Search:
    """Of a corpus of these texts."""
    folder.mkdir()
    lines = [
        json.dumps({"id": f"p{place}", "text": text, "date": day and day.isoformat()})
        for place, (text, day) in enumerate([*records, ("Nobody reads this.", datetime.date(2030, 1, 2))])
    ]
    (folder / "news.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    config = DataConfig.model_validate(
        {
            "sources": [{"name": "news", "path": str(folder / "news.jsonl"), "undated": "train"}],
            "cutoff": "2030-01-01",
            "past_fraction": 0.0,
            "near_duplicates": None,
            "workers": 1,
            "minimum_characters": 1,
        }
    )
    prepare_corpus(config, folder / "corpus", seed=1)
    build_index(config, folder / "corpus", folder / "retrieval", 40)
    return Search(open_index(folder / "retrieval", index_inputs(config, folder / "corpus", 40, None)), "bm25")


def day_of(item: Item) -> datetime.date:
    assert item.first_date
    return datetime.date.fromisoformat(item.first_date)


def planted(told: Questions, folder: Path, right_until: int, wrong_until: int) -> Search:
    """Right answers until so many days behind a question's, wrong ones likewise."""
    items = [item for each in told.items.values() for item in each]
    records = [(tell(item, item.answer), day_of(item) + right_until * DAY) for item in items]
    records += [(tell(item, (item.answer + 1) % 4), day_of(item) + wrong_until * DAY) for item in items]
    return search_of(folder, records)


def asked(
    model: LanguageModel, questions: Questions, search: Search, folder: Path, most: int = 3
) -> tuple[Answers, Found, dict[str, Any], dict[str, Any]]:
    closed, found = answer(model, questions, folder), look_up(questions, search, most, "index")
    opened = answer_open(closed, questions, found, folder)
    return (
        closed,
        found,
        open_tasks(closed, opened, None, found, questions, 0),
        in_all(closed, opened, found, questions, 0),
    )


def test_a_model_that_copies_is_right_where_a_passage_of_the_day_tells_it(
    told: Questions, copier: LanguageModel, tmp_path: Path
) -> None:
    """And is not misled by what is written a day later."""
    search = planted(told, tmp_path / "right", 0, 1)
    closed, found, figures, together = asked(copier, told, search, tmp_path / "answers")
    opened = answer_open(closed, told, found, tmp_path / "answers")
    without = tasks(closed, None, told, 0)
    for kind, items in told.items.items():
        right = item_credits(items, opened.nats[kind])
        is_told = [
            any(tell(each, each.answer) in passage.text for passage in passages)
            for each, passages in zip(items, found.passages[kind], strict=True)
        ]
        assert sum(is_told) > 0.8 * len(items)
        assert all(credit == 1 for credit, told_it in zip(right, is_told, strict=True) if told_it)
        task = figures[f"questions/{kind}"]
        assert task["open_book"]["value"] == pytest.approx(sum(right) / len(right))
        assert without[f"questions/{kind}"]["accuracy"]["value"] < 0.5
        assert task["open_less_closed"]["low"] > 0.3
        assert task["open_less_closed"]["value"] == pytest.approx(
            task["open_book"]["value"] - without[f"questions/{kind}"]["accuracy"]["value"]
        )
        assert task["passages_found"]["value"] == task["passages_shown"]["value"] == 1
        assert task["right_in_passages"]["value"] >= sum(is_told) / len(items)
        assert task["open_where_said"]["value"] > 0.9 > 0.6 > task["closed_where_said"]["value"]
        shares = {"where_said": (said := task["right_in_passages"]["value"]), "elsewhere": 1 - said}
        for way, whole in (("open", task["open_book"]), ("closed", without[f"questions/{kind}"]["accuracy"])):
            parts = [share * task[f"{way}_{where}"]["value"] for where, share in shares.items() if share]
            assert sum(parts) == pytest.approx(whole["value"])
        assert task["wrong_in_passages"]["value"] < 0.2, "what is written a day later is not shown"
    assert together["verdict"].startswith("with 3 passages better: +")
    assert together["items"] == sum(map(len, told.items.values()))


def test_a_model_that_copies_is_wrong_where_passages_are(
    told: Questions, copier: LanguageModel, tmp_path: Path
) -> None:
    search = planted(told, tmp_path / "wrong", 1, 0)
    _, _, found, together = asked(copier, told, search, tmp_path / "answers")
    assert all(task["open_book"]["value"] < 0.1 for task in found.values())
    assert all(task["right_in_passages"]["value"] < 0.3 for task in found.values())
    assert all(0.25 < task["wrong_in_passages"]["value"] < 0.6 for task in found.values()), "one of three is there"
    assert together["verdict"].startswith("with 3 passages worse: -")


def test_passages_that_nobody_finds_or_has_room_for_change_nothing(
    told: Questions, copier: LanguageModel, tmp_path: Path
) -> None:
    elsewhere = search_of(tmp_path / "elsewhere", [("Zebras graze.", datetime.date(2001, 1, 1))])
    _, found, figures, together = asked(copier, told, elsewhere, tmp_path / "answers")
    assert not any(map(any, found.passages.values()))
    for task in figures.values():
        assert task["passages_found"]["value"] == task["open_less_closed"]["value"] == 0
        assert task["open_less_closed"]["low"] < 0 < task["open_less_closed"]["high"]
    assert together["verdict"] == "no passage was found for any question"
    narrow = replace(copier, window=100)
    search = planted(told, tmp_path / "right", 0, 1)
    _, _, figures, together = asked(narrow, told, search, tmp_path / "answers")
    for task in figures.values():
        assert task["passages_found"]["value"] == 1
        assert task["passages_shown"]["value"] == task["open_less_closed"]["value"] == 0
        assert task["right_in_passages"]["value"] == task["wrong_in_passages"]["value"] == 0
        assert task["open_elsewhere"]["value"] == task["open_book"]["value"]
        assert "open_where_said" not in task, "of no question nothing is right"
    assert together["verdict"] == "no passage fits beside a question into the 100 tokens that it reads at once"


def test_no_passage_is_later_than_its_question(questions: Questions, tmp_path: Path) -> None:
    """Whatever the days; and one without a date is looked up for questions without one alone."""
    chance = random.Random(0)
    days = [datetime.date(2018, 1, 1) + chance.randrange(1100) * DAY for _ in range(40)]
    items = [item for each in questions.items.values() for item in each]
    records = [(tell(chance.choice(items), 0), day) for day in [*days, *[None] * 5]]
    search, seen = search_of(tmp_path / "corpus", records), 0
    found = look_up(questions, search, 50, "index")
    assert set(found.passages) == set(KINDS) - set(WITHOUT)
    for kind, passages in found.passages.items():
        for item, of_item in zip(questions.items[kind], passages, strict=True):
            seen += len(of_item)
            assert all(passage.date and passage.date.last <= day_of(item) for passage in of_item)
            on_the_day = search.find(query(item), 50, bound_of(replace(item, first_date=days[0].isoformat())))
            assert all(passage.date and passage.date.last <= days[0] for passage in on_the_day)
    assert seen > 500
    undated = replace(questions, items={"date": [replace(item, first_date=None) for item in questions.items["date"]]})
    assert None in {each.date for of_item in look_up(undated, search, 50, "").passages["date"] for each in of_item}


def test_what_is_looked_up_by_is_what_all_choices_leave_open(questions: Questions, item: Callable[..., Item]) -> None:
    one = item("Prices in", [" Rome, rose by a half.", " Oslo rose by a half.", " New Bern rose by a half."], 0)
    assert query(one) == "Prices in rose by a half."
    assert query(item("It", [" is so.", " was not."], 1)) == "It"
    assert query(item("It", [" is", " is so"], 1)) == "It"
    for kind, items in questions.items.items():
        for each in items:
            assert len({query(with_answer_at(each, place)) for place in range(len(each.choices))}) == 1
            words = query(each).split()
            for choice in each.choices if kind in ("number", "date") else ():
                assert choice.split()[0].strip(",.") not in words, "what is asked for"


@pytest.mark.parametrize("window", [300, 500, 700, 4096])
def test_prompts_fit_with_each_of_their_choices_and_lose_nothing(
    told: Questions, copier: LanguageModel, tmp_path: Path, window: int
) -> None:
    rows: list[tuple[int, int]] = []

    def seen(inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        rows.extend((int(ids[0]), inputs.shape[1]) for ids in inputs)
        return np.ones(inputs.shape)

    search, model = planted(told, tmp_path / "right", 0, 1), replace(copier, window=window, token_losses=seen)
    found = look_up(told, search, 5, "index")
    closed = Answers(model, {kind: [[1.0] * 4] * len(items) for kind, items in told.items.items()})
    opened = answer_open(closed, told, found, tmp_path / "answers")
    count = sum(each > 0 for shown in opened.shown.values() for each in shown)
    assert len(rows) == 4 * count, "each choice in one window"
    assert all(first == 0 and length <= window for first, length in rows), "the beginning is there"
    assert count > 0 if window > 300 else count < len(told.items["number"])
    for kind, items in told.items.items():
        for each, passages, shown in zip(items, found.passages[kind], opened.shown[kind], strict=True):
            book = book_for(model.encode, model.window + 1, each, passages)
            assert len(book.citations) == shown
            assert book.prompt.endswith(each.prompt)
            assert all(len(model.encode(book.prompt + choice)) <= window + 1 for choice in each.choices) or not shown


def test_what_is_answered_with_passages_is_kept_by_index_and_number(
    told: Questions, copier: LanguageModel, tmp_path: Path
) -> None:
    calls = []

    def counted(inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        calls.append(inputs.size)
        return np.ones(inputs.shape)

    search, model = planted(told, tmp_path / "right", 0, 1), replace(copier, token_losses=counted)
    closed = answer(model, told, tmp_path / "answers")
    found = look_up(told, search, 2, "index")
    first = answer_open(closed, told, found, tmp_path / "answers")
    once = len(calls)
    assert answer_open(closed, told, look_up(told, search, 2, "index"), tmp_path / "answers") == first
    assert answer(model, told, tmp_path / "answers").nats == closed.nats
    assert len(calls) == once
    for other in (look_up(told, search, 1, "index"), look_up(told, search, 2, "another")):
        before = len(calls)
        answer_open(closed, told, other, tmp_path / "answers")
        assert len(calls) > before
    kept = next(file for file in tmp_path.glob("answers/*/date.json") if b"shown" in file.read_bytes())
    kept.write_text('{"items": [], "nats": [], "shown": [], "said": []}', "utf-8")
    assert answer_open(closed, told, found, tmp_path / "answers") == first


@pytest.mark.parametrize(
    ("change", "better", "says"),
    [
        (Interval(0.041, 0.012, 0.07), 10, "better: +4.1 points (+1.2 to +7.0), 10 documents better and 2 worse"),
        (Interval(-0.05, -0.08, -0.02), 0, "no difference shown: -5.0 points (-8.0 to -2.0), 0 documents better and 2"),
        (Interval(0.041, 0.012, 0.07), 7, "no difference shown: +4.1 points (+1.2 to +7.0), 7 documents better"),
        (Interval(0.01, -0.02, 0.04), 90, "no difference shown: +1.0 points (-2.0 to +4.0)"),
        (Interval(0.01), 9, "no difference shown: +1.0 points, and too few documents for an interval"),
    ],
)
def test_each_verdict_has_its_words(change: Interval, better: int, says: str) -> None:
    assert verdict(3, change, better, 2).startswith(f"with 3 passages {says}")
    assert verdict(1, Interval(-0.1, -0.2, -0.05), 0, 6).startswith("with 1 passage worse: -10.0 points")


def test_the_sign_test_counts_all_splits_that_are_as_uneven() -> None:
    for number in range(10):
        splits = [abs(2 * sum(signs) - number) for signs in itertools.product((0, 1), repeat=number)]
        for better in range(number + 1):
            as_uneven = sum(split >= abs(2 * better - number) for split in splits) / len(splits)
            assert sign_test(better, number - better) == pytest.approx(as_uneven)


def test_where_nothing_is_gained_a_verdict_seldom_says_so(item: Callable[..., Item], copier: LanguageModel) -> None:
    """Few answers change, which an interval alone takes for a difference in 8 of 100 cases."""
    items = [item("It", [" a", " b"], 0, f"d{index // 3}", index) for index in range(54)]
    questions = Questions({"name": items}, {}, "")
    found, spoken, intervals = Found({"name": [[PASSAGE]] * 54}, 3, ""), 0, 0
    for draw in range(100):
        chance = np.random.default_rng(draw)
        before = chance.random(54) < 0.5
        after = np.where(chance.random(54) < 0.1, ~before, before)
        closed, opened = ([[0.0, 1.0] if right else [1.0, 0.0] for right in each] for each in (before, after))
        made = in_all(
            Answers(copier, {"name": closed}),
            OpenAnswers({"name": opened}, {"name": [1] * 54}, {"name": [[]] * 54}),
            found,
            questions,
            0,
        )
        spoken += "no difference shown" not in made["verdict"]
        intervals += made["difference"]["low"] * made["difference"]["high"] > 0
    assert spoken <= 5 < intervals
