"""The likeliest label: which one is taken, and figures equal to those of scikit-learn."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score

from data.examples.build import Limits, build_examples
from data.examples.chat import load_chat
from data.examples.config import ExamplesConfig
from data.examples.marks import build_chat_tokenizer
from evaluation.continuations import Request, Scored
from evaluation.labels import held_out_labels, label_figures, score_labels


@pytest.mark.parametrize("labels", [2, 5])
def test_figures_are_those_of_scikit_learn(labels: int) -> None:
    chance = np.random.default_rng(labels)
    right, answers = chance.integers(0, labels, 60), chance.integers(0, labels, 60)
    answers[::2] = right[::2]
    figures = label_figures(right, answers)
    assert figures["items"] == 60
    assert figures["accuracy"]["value"] == pytest.approx((right == answers).mean())
    assert figures["macro_f1"]["value"] == pytest.approx(f1_score(right, answers, average="macro"))
    for name in ("accuracy", "macro_f1"):
        assert figures[name]["low"] < figures[name]["value"] < figures[name]["high"]


def test_a_label_that_never_occurs_does_not_count_and_few_items_have_no_interval() -> None:
    right, answers = np.array([0, 0, 3]), np.array([0, 3, 3])
    figures = label_figures(right, answers)
    assert figures["macro_f1"]["value"] == pytest.approx(f1_score(right, answers, average="macro"))
    assert figures["accuracy"]["low"] is None


def test_the_likelihood_of_a_label_is_that_of_all_its_tokens_and_its_end(data_folder: Path, tmp_path: Path) -> None:
    """`rates up` begins as `rates` does: without the end of the turn the shorter one would always win."""
    labels = ("rates", "rates up")
    records = [{"prompt": f"the bank {number}", "response": labels[number % 2]} for number in range(40)]
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    build_chat_tokenizer(data_folder / "tokenizer", "<|endoftext|>", tmp_path / "tokenizer")
    source = ExamplesConfig(name="desk", path=str(tmp_path / "x.jsonl"), form="pairs", labels=labels)
    limits = Limits(64, None, 0.5, 0.0, 1)
    build_examples([source], tmp_path / "tokenizer", tmp_path, limits)
    items, chat = held_out_labels(tmp_path, tmp_path / "tokenizer"), load_chat(tmp_path / "tokenizer")
    assert len(items) > 2
    for item in items:
        read = [chat.tokenizer.decode([*item.prefix, *label], False) for label in item.labels]
        assert [text.partition("<|assistant|>")[2] for text in read] == ["rates<|end|>", "rates up<|end|>"]

    def losses(requests: Sequence[Request]) -> list[Scored]:
        """Ends are unlikely behind the shorter one, where `up` is to follow."""
        return [Scored(9.0 if len(request.continuation) == shorter else 5.0, False) for request in requests]

    shorter = min(len(label) for label in items[0].labels)
    figures = score_labels(items, losses)
    assert figures["desk"]["accuracy"]["value"] == np.mean([item.right == 1 for item in items])
    assert held_out_labels(tmp_path / "nothing", tmp_path / "tokenizer") == []
