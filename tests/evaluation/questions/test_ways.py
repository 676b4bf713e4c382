"""Ways beside each other: the figures are those of their questions, and the verdict says no more than they do."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from evaluation.figures import as_json
from evaluation.intervals import ratio_interval
from evaluation.language_model import LanguageModel
from evaluation.questions.answers import Answers
from evaluation.questions.build import Questions
from evaluation.questions.items import Item
from evaluation.questions.open_book import OpenAnswers
from evaluation.questions.ways import compare_ways

Made = Callable[..., dict]  # type: ignore[type-arg]


@pytest.fixture
def compared(item: Callable[..., Item], byte_model: Callable[..., LanguageModel]) -> Made:
    """Compares two models by how often each has questions of 40 documents right, closed-book and with passages."""
    items = [item("It", [" a", " b"], 0, f"d{index // 5}", index) for index in range(200)]
    questions = Questions({"name": items, "order": items[:9]}, {}, "")

    def make(*shares: float) -> dict:  # type: ignore[type-arg]
        chance = np.random.default_rng(5)
        draws = chance.random(200)
        nats = [[[0.0, 1.0] if right else [1.0, 0.0] for right in draws < share] for share in shares]
        of_order = [[0.0, 1.0]] * 9
        asked = [
            (
                Answers(replace(byte_model(), name=name), {"name": closed, "order": of_order}),
                OpenAnswers({"name": opened}, {"name": [1] * 200}, {"name": [[]] * 200}),
            )
            for name, closed, opened in zip(("base", "tuned"), nats[::2], nats[1::2], strict=True)
        ]
        return compare_ways(asked, ["name"], questions, seed=2) or {}

    return make


def test_anyone_can_compute_the_figures_again(compared: Made) -> None:
    found = compared(0.3, 0.35, 0.5, 0.6)
    assert [each["way"] for each in found["ways"]] == [
        "base, closed-book",
        "base, with passages",
        "tuned, closed-book",
        "tuned, with passages",
    ]
    documents = found["documents"]
    counts = [each["items"] for each in documents]
    assert (sum(counts), len(documents), found["items"]) == (200, 40, 200)
    right = np.array([each["right"] for each in documents]).T
    names = [each["way"] for each in found["ways"]]
    nats = np.array([each["nats"] for each in documents]).T
    for way, sums, costs in zip(found["ways"], right, nats, strict=True):
        assert way["accuracy"] == as_json(ratio_interval(sums.tolist(), counts, 2))
        assert way["nats"] == as_json(ratio_interval(costs.tolist(), counts, 2))
        assert way["nats"]["value"] == pytest.approx(1 - way["accuracy"]["value"]), "0 where it is right, 1 elsewhere"
    assert len(found["differences"]) == 6
    for each in found["differences"]:
        gains = right[names.index(each["way"])] - right[names.index(each["less"])]
        assert each["difference"] == as_json(ratio_interval(gains.tolist(), counts, 2))
        less = nats[names.index(each["way"])] - nats[names.index(each["less"])]
        assert each["nats"] == as_json(ratio_interval(less.tolist(), counts, 2))
        assert (each["better"], each["worse"]) == ((gains > 0).sum(), (gains < 0).sum())


@pytest.mark.parametrize(
    ("shares", "says"),
    [
        (
            (0.3, 0.35, 0.5, 0.7),
            "tuned, with passages has most right, {best} %: shown to be better than base, closed-book; base, with "
            "passages; tuned, closed-book",
        ),
        (
            (0.3, 0.3, 0.5, 0.5),
            "tuned, closed-book has most right, {best} %: shown to be better than base, closed-book; base, with "
            "passages; not shown to be better than tuned, with passages",
        ),
        ((0.5, 0.5, 0.3, 0.3), "base, closed-book has most right, {best} %: shown to be better than tuned, closed"),
        (
            (0.3, 0.32, 0.3, 0.3),
            "no way is shown to be the best: base, with passages has most right, {best} %, and the difference from "
            "every other way may be chance",
        ),
    ],
)
def test_the_verdict_says_what_is_shown_and_no_more(compared: Made, shares: Sequence[float], says: str) -> None:
    found = compared(*shares)
    best = max(each["accuracy"]["value"] for each in found["ways"])
    assert found["verdict"].startswith(says.format(best=f"{100 * best:.1f}"))


def test_one_way_alone_is_beside_nothing(item: Callable[..., Item], byte_model: Callable[..., LanguageModel]) -> None:
    one = item("It", [" a", " b"], 0)
    assert (
        compare_ways(
            [(Answers(byte_model(), {"name": [[0.0, 1.0]]}), None)], ["name"], Questions({"name": [one]}, {}, ""), 0
        )
        is None
    )
