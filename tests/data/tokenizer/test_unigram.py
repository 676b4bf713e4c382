"""A Unigram learnt from counts: sums over cuts are exact, merging is a mean, and the bytes are always there."""

import itertools
import math
import random
from collections import Counter
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.tokenizer.unigram import Unigram, _digamma, _expect, cut, learn_unigram, merge
from data.tokenizer.unigram_seed import BYTES, find_seeds

SINGLE = [bytes([byte]) for byte in range(BYTES)]


def arrays(words: Mapping[bytes, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    offsets = np.cumsum([0, *map(len, words)])
    return np.frombuffer(b"".join(words), np.uint8), offsets, np.array([*words.values()], np.int64)


def cuts(word: bytes, pieces: Mapping[bytes, float]) -> list[list[bytes]]:
    if not word:
        return [[]]
    begins = [word[:size] for size in range(1, len(word) + 1) if word[:size] in pieces]
    return [[piece, *rest] for piece in begins for rest in cuts(word[len(piece) :], pieces)]


@given(st.dictionaries(st.text("abc", min_size=1, max_size=7).map(str.encode), st.integers(1, 4), max_size=6))
@settings(max_examples=100, deadline=None)
def test_expected_numbers_are_those_over_all_cuts(words: dict[bytes, int]) -> None:
    text, offsets, counts = arrays(words)
    seeds = find_seeds(text, offsets, counts, 100, 5)
    joined = text.tobytes()
    places = zip(seeds.places.tolist(), seeds.lengths.tolist(), strict=True)
    pieces = [joined[place : place + size] if place >= 0 else b"" for place, size in places]
    pieces[:BYTES] = SINGLE
    probabilities = np.random.default_rng(1).random(len(pieces)) / 10
    of_piece = dict(zip(pieces, probabilities.tolist(), strict=True))
    expected: Counter[bytes] = Counter()
    for word, count in words.items():
        ways = cuts(word, of_piece)
        weights = [math.prod(of_piece[piece] for piece in way) for way in ways]
        for way, weight in zip(ways, weights, strict=True):
            for piece in way:
                expected[piece] += count * weight / sum(weights)
    found = _expect(*seeds.lattice, offsets, counts, probabilities)
    assert found == pytest.approx([expected[piece] for piece in pieces], rel=1e-9, abs=1e-12)


def test_long_improbable_words_do_not_vanish() -> None:
    words = {bytes(range(1, 250)) * 40: 3, b"ab" * 4_000: 2}
    text, offsets, counts = arrays(words)
    seeds = find_seeds(text, offsets, counts, 0, 5)
    probabilities = np.full(BYTES, 1e-9)
    found = _expect(*seeds.lattice, offsets, counts, probabilities)
    assert found == pytest.approx(np.bincount(text, np.repeat(counts, np.diff(offsets)), BYTES), rel=1e-9)


def test_digamma() -> None:
    # Abramowitz and Stegun, 6.3.2 and 6.3.3
    euler = 0.57721566490153286
    values = [0.5, 1.0, 2.0, 10.0, 1e9]
    expected = [-euler - 2 * math.log(2), -euler, 1 - euler, sum(1 / n for n in range(1, 10)) - euler, math.log(1e9)]
    assert _digamma(np.array(values)) == pytest.approx(expected, rel=1e-8)


def make_words(seed: int, count: int = 400) -> dict[bytes, int]:
    draw = random.Random(seed)
    stems = ["".join(draw.choices("abcdefg", k=draw.randrange(2, 7))) for _ in range(40)]
    return {
        ("".join(draw.choices(stems, k=draw.randrange(1, 4))) + draw.choice(["", "s", "ing"])).encode(): number
        for number in range(1, count)
    }


def test_learning_finds_the_parts_of_words() -> None:
    words = make_words(1)
    model = learn_unigram(*arrays(words), 350, 64)
    pieces = model.pieces.to_pylist()
    assert pieces == sorted(set(pieces))
    assert len(pieces) == 350
    assert set(SINGLE) <= set(pieces)
    assert model.masses.min() > 0
    assert model.masses.sum() == pytest.approx(sum(len(word) * count for word, count in words.items()))
    by_length = learn_unigram(*arrays(words), 350, 3).pieces.to_pylist()
    assert max(map(len, by_length)) == 3 < max(map(len, pieces))
    again = learn_unigram(*arrays(words), 350, 64)
    assert again.masses.tobytes() == model.masses.tobytes()


def test_a_better_cut_than_bytes_is_found() -> None:
    parts = [b"the", b"bank", b"rate"]
    words = {b"".join(way): 1 for size in range(2, 7) for way in itertools.product(parts, repeat=size)}
    model = learn_unigram(*arrays(words), BYTES + 3, 64)
    assert set(parts) <= set(model.pieces.to_pylist())


def test_no_text_gives_the_bytes() -> None:
    model = learn_unigram(np.empty(0, np.uint8), np.zeros(1, np.int64), np.empty(0, np.int64), 300, 64)
    assert model.pieces.to_pylist() == SINGLE
    assert model.probabilities == pytest.approx([1 / BYTES] * BYTES)


models = st.dictionaries(st.binary(min_size=2, max_size=3), st.floats(0.01, 100), max_size=8).map(
    lambda longer: Unigram(
        pa.array(sorted([*SINGLE, *longer]), pa.large_binary()),
        np.array([longer.get(piece, 0.5) for piece in sorted([*SINGLE, *longer])]),
    )
)


@given(st.lists(models, min_size=1, max_size=6), st.integers(1, 5))
@settings(max_examples=50, deadline=None)
def test_merging_in_groups_is_merging_at_once(some: list[Unigram], group: int) -> None:
    flat = merge(some)
    grouped = merge([merge(some[first : first + group]) for first in range(0, len(some), group)])
    assert grouped.pieces.equals(flat.pieces)
    assert grouped.masses == pytest.approx(flat.masses)
    mean: Counter[bytes] = Counter()
    total = sum(model.masses.sum() for model in some)
    for model in some:
        weight = model.masses.sum() / total
        for piece, probability in zip(model.pieces.to_pylist(), model.probabilities, strict=True):
            mean[piece] += weight * probability
    assert dict(zip(flat.pieces.to_pylist(), flat.probabilities, strict=True)) == pytest.approx(mean)


@given(models, st.integers(BYTES, BYTES + 10))
@settings(max_examples=50, deadline=None)
def test_cutting_keeps_the_bytes_and_the_most_probable(model: Unigram, size: int) -> None:
    kept = cut(model, size)
    pieces = kept.pieces.to_pylist()
    assert pieces == sorted(pieces)
    assert set(SINGLE) <= set(pieces)
    assert len(pieces) == min(size, len(model.pieces))
    assert kept.probabilities.sum() == pytest.approx(1)
    mass = dict(zip(model.pieces.to_pylist(), model.masses, strict=True))
    gone = [mass[piece] for piece in mass.keys() - set(pieces)]
    longer = [mass[piece] for piece in pieces if len(piece) > 1]
    assert not gone or not longer or min(longer) >= max(gone)
    smaller = cut(kept, BYTES + 1)
    assert smaller.pieces.equals(cut(model, BYTES + 1).pieces) or size == BYTES
    assert list(itertools.islice(pieces, 1)) == [b"\x00"]
