"""Heuristics: what each goes by, what is thinned out, and what is refused."""

import random
from collections.abc import Callable
from statistics import mean

import pytest

from evaluation.questions.heuristics import chance, heuristic_credits, ngram_nats, solving, thin
from evaluation.questions.items import Item
from evaluation.questions.score import figure


def test_each_goes_by_its_own(item: Callable[..., Item]) -> None:
    items = [
        item("Some prices of timber", [" rose by a lot.", " of timber."], 0, "d0"),
        item("And wages", [" of the wages.", " it."], 0, "d1"),
        item("But then", [" was.", " is."], 1, "d2"),
    ]
    nats = ngram_nats(items, [b"Some prices of timber rose by a lot. And wages of the wages. But then was."] * 3)
    found = heuristic_credits(items, nats)
    assert found == {
        "longest": [1, 1, 0],
        "shortest": [0, 0, 1],
        "shared_words": [0, 1, 0.5],
        "place": [1, 1, 0],
        "ngram": [1, 1, 0],
    }
    assert chance(items) == 0.5
    assert ngram_nats(items, []) == ngram_nats([], [b"text"]) == {}


def many(item: Callable[..., Item]) -> list[Item]:
    return [item("It", [" a", " b", " c", " d"], 0, f"d{number % 40}", number) for number in range(200)]


def test_thinning_leaves_what_chance_has_right(item: Callable[..., Item]) -> None:
    items = many(item)
    right = {each.id: float(number % 2 == 0) for number, each in enumerate(items)}
    kept = thin(items, list(right.values()), random.Random(0))
    assert mean(right[each.id] for each in kept) == pytest.approx(0.25, abs=0.01)
    assert sum(not right[each.id] for each in kept) == 100
    assert thin(items, [0.25] * 200, random.Random(0)) == items
    assert thin(items, [0.0] * 200, random.Random(0)) == items


def test_what_is_surely_ten_points_above_chance_is_solved(item: Callable[..., Item]) -> None:
    items = many(item)
    drawn = random.Random(0)
    for share, solved in ((1.0, True), (0.55, True), (0.36, False), (0.25, False)):
        found = figure(items, [float(drawn.random() < share) for _ in items], seed=0)
        assert bool(solving({"longest": found}, 0.25)) is solved
    assert solving({"longest": {"value": 1.0, "low": None, "high": None}}, 0.25) == []
