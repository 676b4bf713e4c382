"""Answers: an oracle has all right, a model that knows nothing what chance has; kept group by group, paired."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evaluation.language_model import LanguageModel
from evaluation.questions import answers
from evaluation.questions.answers import answer, tasks
from evaluation.questions.build import Questions
from evaluation.questions.documents import Document
from evaluation.questions.items import KINDS
from evaluation.questions.make import make_items


@pytest.fixture(scope="module")
def questions(documents: Sequence[Document]) -> Questions:
    items = {kind: make_items(kind, documents, 60, seed=1) for kind in KINDS}
    about = {
        kind: {"items": len(each), "documents": 30, "chance": 1 / len(each[0].choices)} for kind, each in items.items()
    }
    return Questions(items, {"kinds": about}, "digest")


def test_an_oracle_has_all_right_and_who_knows_nothing_guesses(
    questions: Questions, byte_model: Callable[..., LanguageModel], tmp_path: Path
) -> None:
    oracle = byte_model([item.text for items in questions.items.values() for item in items], name="oracle")
    random = np.random.default_rng(0)
    guessing = replace(byte_model(name="guessing"), token_losses=lambda inputs, targets: random.random(inputs.shape))
    first, other = (answer(model, questions, tmp_path) for model in (oracle, guessing))
    found, beside = tasks(first, None, questions, seed=0), tasks(other, first, questions, seed=0)
    for kind in KINDS:
        task, guessed = found[f"questions/{kind}"], beside[f"questions/{kind}"]
        assert task["accuracy"]["value"] == 1.0
        assert guessed["accuracy"]["low"] <= task["chance"] <= guessed["accuracy"]["high"]
        assert guessed["difference"]["high"] < 0
        assert guessed["difference"]["value"] == pytest.approx(guessed["accuracy"]["value"] - 1)
        assert "difference" not in task
        assert guessed["by_nats" if kind != "next_sentence" else "by_nats_per_byte"] == guessed["accuracy"]


def test_what_is_answered_is_kept(
    questions: Questions, byte_model: Callable[..., LanguageModel], tmp_path: Path
) -> None:
    calls = []

    def losses(inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        calls.append(inputs.size)
        return np.ones(inputs.shape)

    model = replace(byte_model(), token_losses=losses)
    first = answer(model, questions, tmp_path)
    asked = len(calls)
    assert answer(model, questions, tmp_path) == first
    assert len(calls) == asked
    next(tmp_path.glob("*/date.json")).write_text('{"items": ', "utf-8")  # as a process that died might leave it
    assert answer(model, questions, tmp_path).nats == first.nats
    assert asked < len(calls) < 2 * asked
    again = len(calls)
    answer(replace(model, digest="another"), questions, tmp_path)
    answer(model, replace(questions, digest="others"), tmp_path)
    assert len(calls) == again + 2 * asked


def test_what_was_answered_before_a_stop_is_not_asked_again(
    questions: Questions, byte_model: Callable[..., LanguageModel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "AT_ONCE", 7)
    rows: list[int] = []

    def losses(inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        if len(rows) == 3:
            raise KeyboardInterrupt
        rows.append(len(inputs))
        return 1 + np.sin(inputs * 1.3 + targets * 0.7)

    names = questions.items["name"]
    model = replace(byte_model(), token_losses=losses, batch_tokens=1 << 20)  # a call for each group
    with pytest.raises(KeyboardInterrupt):
        answer(model, replace(questions, items={"name": names}), tmp_path)
    (file,) = tmp_path.glob("*/name.json")
    assert json.loads(file.read_bytes())["items"] == [item.id for item in names[:21]]
    assert rows == [28] * 3
    model = replace(model, token_losses=lambda inputs, targets: 1 + np.sin(inputs * 1.3 + targets * 0.7))
    for items in (names, names[::-1]):  # of other items nothing is taken
        asked = replace(questions, items={"name": items})
        assert answer(model, asked, tmp_path).nats == answer(model, asked, tmp_path / "whole").nats
