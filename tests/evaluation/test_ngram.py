"""The n-gram baseline against a dictionary implementation of the same formula, and against what must hold of any."""

import random
import time
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.ngram import probabilities

START = 255
Gram = tuple[int, ...]


class Reference:
    """Interpolated modified Kneser–Ney, one byte at a time, as Chen and Goodman write it."""

    def __init__(self, training: list[bytes], order: int) -> None:
        self.order = order
        padded = [[START] * (order - 1) + list(document) for document in training]
        self.counts: dict[int, dict[Gram, int]] = {}
        for length in range(order, 0, -1):
            if length == order:
                grams = (
                    tuple(text[end - order + 1 : end + 1]) for text in padded for end in range(order - 1, len(text))
                )
                self.counts[length] = Counter(grams)
            else:
                self.counts[length] = Counter(gram[1:] for gram in self.counts[length + 1])
        self.followers: dict[int, dict[Gram, list[int]]] = {}
        for length, counts in self.counts.items():
            followers = defaultdict(list)
            for gram, count in counts.items():
                followers[gram[:-1]].append(count)
            self.followers[length] = followers

    def discounts(self, length: int) -> list[float]:
        times = Counter(self.counts[length].values())
        n1, n2, n3, n4 = (max(times[count], 1) for count in (1, 2, 3, 4))
        y = n1 / (n1 + 2 * n2)
        d1, d2, d3 = 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3
        return [0.0, d1, max(d1, d2), max(d1, d2, d3)]

    def probability(self, context: Gram, symbol: int, length: int) -> float:
        if length == 0:
            return 1 / 256
        context = context[len(context) - (length - 1) :]
        shorter = self.probability(context, symbol, length - 1)
        counts = self.followers[length].get(context)
        if not counts:
            return shorter
        discounts = self.discounts(length)
        count = self.counts[length].get((*context, symbol), 0)
        kept = count - discounts[min(count, 3)]
        return (kept + sum(discounts[min(each, 3)] for each in counts) * shorter) / sum(counts)

    def score(self, document: bytes) -> list[float]:
        text = [START] * (self.order - 1) + list(document)
        return [
            self.probability(tuple(text[end - self.order + 1 : end]), text[end], self.order)
            for end in range(self.order - 1, len(text))
        ]


@pytest.mark.parametrize("order", [1, 2, 3, 5, 9])
def test_equals_the_reference(order: int) -> None:
    chance = random.Random(order)
    words = ["rate", "rates", "rise", " the ", " a ", "bank", "é", "fed", "\n"]
    training = ["".join(chance.choices(words, k=60)).encode() for _ in range(5)]
    held_out = ["".join(chance.choices([*words, "unseen", "☃"], k=20)).encode() for _ in range(3)] + [b"", b"z"]
    reference = Reference(training, order)
    for found, document in zip(probabilities(training, held_out, order), held_out, strict=True):
        np.testing.assert_allclose(found, reference.score(document), rtol=1e-10)


@settings(deadline=None, max_examples=40)
@given(
    training=st.lists(st.binary(min_size=1, max_size=30), min_size=1, max_size=4),
    context=st.binary(max_size=8),
    order=st.integers(1, 7),
)
def test_probabilities_of_the_next_byte_sum_to_one(training: list[bytes], context: bytes, order: int) -> None:
    following = probabilities(training, [context + bytes([symbol]) for symbol in range(256)], order)
    last = np.array([document[-1] for document in following])
    assert last.sum() == pytest.approx(1.0, abs=1e-9)
    assert last.min() > 0


def test_uniform_text_takes_eight_bits() -> None:
    chance = np.random.default_rng(0)
    training, held_out = (chance.integers(0, 255, 200_000).astype(np.uint8).tobytes() for _ in range(2))
    bits = -np.log2(np.concatenate(probabilities([training], [held_out], 6))).mean()
    # No model can do better; contexts that were seen once cost a little.
    assert np.log2(255) < bits < np.log2(255) + 0.1


def test_text_that_was_learnt_by_heart_takes_almost_nothing() -> None:
    training = [b"The committee decided to raise the target range for the federal funds rate." * 20] * 3
    bits = -np.log2(np.concatenate(probabilities(training, training[:1]))).mean()
    assert bits < 0.05


def test_documents_know_nothing_of_each_other() -> None:
    training = [b"prices rose", b"prices fell in May", b"wages rose"]
    together = probabilities(training, [b"prices", b"rose in May"], 4)
    np.testing.assert_array_equal(together[1], probabilities(training, [b"rose in May"], 4)[0])


def test_the_start_of_a_document_is_a_context() -> None:
    training = [b"Xabc abc abc abc"] * 5
    first, later = probabilities(training, [b"X", b" X"], 3)
    assert first[0] > 10 * later[1]


def test_more_context_helps_on_regular_text() -> None:
    chance = random.Random(1)
    words = ["inflation", "employment", "interest", "committee", "monetary", "policy"]
    training, held_out = (" ".join(chance.choices(words, k=3000)).encode() for _ in range(2))
    bits = [-np.log2(probabilities([training], [held_out], order)[0]).mean() for order in (1, 2, 4)]
    assert bits == sorted(bits, reverse=True)
    # a word of six every 8.7 bytes or so: log2(6) / 8.7 = 0.3 bits, the rest is known
    assert bits[-1] == pytest.approx(0.3, abs=0.03)


def test_a_megabyte_takes_seconds() -> None:
    chance = np.random.default_rng(0)
    words = [bytes(word) for word in chance.integers(97, 123, (5000, 6)).astype(np.uint8)]
    text = b" ".join(words[index] for index in (chance.pareto(1.0, 150_000) % 5000).astype(int))
    begin = time.process_time()
    probabilities([text], [text[:100_000]])
    assert time.process_time() - begin < 10
