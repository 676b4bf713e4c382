"""Likelihoods of choices are theirs alone, whatever window and batch; intervals of accuracies hold the truth."""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from evaluation.continuations import Request, Scored, in_batches
from evaluation.language_model import LanguageModel
from evaluation.questions.items import Item
from evaluation.questions.score import accuracy, choice_nats, costs, credit, difference


def test_nats_are_those_of_the_choice_alone(byte_model: Callable[..., LanguageModel]) -> None:
    model = byte_model(loved=["rose"])
    (nats,) = choice_nats(model, [("Prices ", ["rose.", "fell a lot.", "Ü"])])
    assert nats == pytest.approx([4 * 0.1 + 1, 11, 2])
    assert choice_nats(model, [("", ["rose", "it"])])[0] == pytest.approx([0.4, 2])


def pairs(text: str) -> list[int]:
    """Ids of two bytes each, so that a prompt's last id may be another one with its choice."""
    raw = text.encode()
    return [0, *(1 + int.from_bytes(raw[place : place + 2], "big") for place in range(0, len(raw), 2))]


def test_an_id_across_prompt_and_choice_is_scored_for_all(byte_model: Callable[..., LanguageModel]) -> None:
    model = replace(byte_model(), encode=pairs, token_losses=lambda inputs, targets: targets * 1e-3 + inputs * 1e-6)
    for nats, choice in zip(choice_nats(model, [("abc", ["de", "df", "x"])])[0], ("de", "df", "x"), strict=True):
        ids = pairs("abc" + choice)
        assert nats == pytest.approx(sum(ids[place] * 1e-3 + ids[place - 1] * 1e-6 for place in range(2, len(ids))))


@pytest.mark.parametrize("window", [7, 16, 64])
def test_a_window_cuts_the_prompt_and_loses_no_byte_of_a_choice(
    byte_model: Callable[..., LanguageModel], window: int
) -> None:
    seen: list[tuple[int, int]] = []

    def losses(inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        seen.extend((int((targets[row] != -100).sum()), inputs.shape[1]) for row in range(len(inputs)))
        return np.ones(inputs.shape)

    model = replace(byte_model(window=window), token_losses=losses)
    questions = [("p" * length, ["a" * 5, "b" * 40]) for length in (0, 3, 30, 90)]
    assert choice_nats(model, questions) == [[5, 40]] * 4
    assert all(length <= window for _, length in seen)
    assert sum(scored for scored, _ in seen) == 4 * 45


def test_batches_change_nothing(byte_model: Callable[..., LanguageModel]) -> None:
    losses = lambda inputs, targets: 1 + np.sin(inputs * 1.3 + targets * 0.7)  # noqa: E731
    questions = [("p" * (3 * number), [f"{number} is it", "or not", "x" * number]) for number in range(1, 20)]
    model = replace(byte_model(), token_losses=losses)
    alone = [choice_nats(model, [question])[0] for question in questions]
    for size in (1, 100, 1 << 20):
        together = choice_nats(replace(model, batch_tokens=size), questions)
        assert all(np.allclose(one, other) for one, other in zip(alone, together, strict=True))


@pytest.mark.parametrize("window", [30, 64])
def test_what_choices_share_is_read_once_where_they_fit(byte_model: Callable[..., LanguageModel], window: int) -> None:
    """By the model's own way with prefixes, and to the same nats; what does not fit goes through windows as before."""
    asked: list[Request] = []
    model = byte_model(loved=["rose"], window=window)

    def behind(requests: Sequence[Request]) -> list[Scored]:
        asked.extend(requests)
        return [Scored(nats, False) for nats in in_batches(model.token_losses, requests, 1)]

    questions = [("Prices ", ["rose.", "fell a lot.", ""]), ("x" * 25, ["rose", "rose again"]), ("y", ["z" * 40])]
    found = choice_nats(replace(model, continuation_losses=behind), questions)
    for nats, expected in zip(found, choice_nats(model, questions), strict=True):
        assert nats == pytest.approx(expected)
    texts = [(bytes(i - 1 for i in each.prefix[1:]), bytes(i - 1 for i in each.continuation)) for each in asked]
    fits = [(b"Prices ", b"rose."), (b"Prices ", b"fell a lot."), (b"x" * 25, b"rose"), (b"x" * 25, b"rose again")]
    assert texts == (fits[:2] if window == 30 else [*fits, (b"y", b"z" * 40)])


def test_a_credit_is_shared_among_equals(item: Callable[..., Item]) -> None:
    assert [credit(1, nats) for nats in ([3, 1, 2], [1, 2, 3], [2, 2, 2], [1, 1, 2])] == [1, 0, 1 / 3, 1 / 2]
    one = item("It", [" is", " was so"], 0)
    assert costs(one, [3, 14]) == [3, 14]
    assert costs(replace(one, kind="next_sentence"), [3, 14]) == costs(one, [3, 14], per_byte=True) == [1, 2]


def of_documents(item: Callable[..., Item], documents: int) -> list[Item]:
    return [
        item("It", [" a", " b", " c", " d"], 0, f"d{index}", number)
        for index in range(documents)
        for number in range(1 + index % 4)
    ]


def test_an_oracle_is_right_and_sure_as_far_as_documents_go(item: Callable[..., Item]) -> None:
    items = of_documents(item, 40)
    found = accuracy(items, [1.0] * len(items), seed=0)
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(0.025 ** (1 / 40))
    assert accuracy(items, [0.0] * len(items), seed=0).high == pytest.approx(1 - 0.025 ** (1 / 40))
    assert accuracy(items[:3], [1.0] * 3, seed=0).low is None


def test_intervals_hold_what_is_true_of_all_documents(item: Callable[..., Item]) -> None:
    """Items of a document are alike: each document has a chance of its own, 0.4 on average."""
    items, held = of_documents(item, 60), 0
    for draw in range(100):
        chance = random.Random(draw)
        of_document = {each.document: chance.betavariate(2, 3) for each in items}
        found = accuracy(items, [float(chance.random() < of_document[each.document]) for each in items], seed=draw)
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 0.4 <= found.high
    assert 0.92 <= held / 100 <= 0.98


def test_a_difference_is_paired(item: Callable[..., Item]) -> None:
    items = of_documents(item, 30)
    own: Sequence[float] = [float(index % 2) for index in range(len(items))]
    others = [right if index % 10 else 1 - right for index, right in enumerate(own)]
    found = difference(items, own, others, seed=0)
    assert found.value == pytest.approx(accuracy(items, own, 0).value - accuracy(items, others, 0).value)
    assert found.low is not None
    assert found.high is not None
    assert found.high - found.low < 0.25
    assert math.isclose(difference(items, own, own, 0).value, 0)
