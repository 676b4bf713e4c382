"""The first pieces are all repeated substrings that branch, found again by looking at every substring."""

import random
from collections import Counter
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.tokenizer.unigram_seed import BYTES, Seeds, find_seeds


def seeds_of(words: Mapping[bytes, int], size: int, longest: int) -> Seeds:
    text = np.frombuffer(b"".join(words), np.uint8)
    return find_seeds(text, np.cumsum([0, *map(len, words)]), np.array([*words.values()], np.int64), size, longest)


def expected(words: Mapping[bytes, int], longest: int) -> dict[bytes, int]:
    """Frequency of each substring of 2 to `longest` bytes that occurs twice and is not always followed by one byte."""
    frequencies: Counter[bytes] = Counter()
    for word, count in words.items():
        for begin in range(len(word)):
            for end in range(begin + 2, min(begin + longest + 1, len(word)) + 1):
                frequencies[word[begin:end]] += count
    return {
        piece: frequency
        for piece, frequency in frequencies.items()
        if frequency >= 2
        and len(piece) <= longest
        and all(frequencies[piece + bytes([byte])] < frequency for byte in range(BYTES))
    }


def check(words: Mapping[bytes, int], longest: int) -> None:
    text, seeds = b"".join(words), seeds_of(words, 1_000_000, longest)
    pieces = [text[place : place + length] for place, length in zip(seeds.places, seeds.lengths, strict=True)]
    assert dict(zip(pieces[BYTES:], seeds.frequencies[BYTES:], strict=True)) == expected(words, longest)
    single = Counter(byte for word, count in words.items() for byte in word * count)
    assert seeds.frequencies[:BYTES].tolist() == [single[byte] for byte in range(BYTES)]
    lattice, wanted, place = seeds.lattice, set(pieces[BYTES:]), 0
    for word in words:
        for begin in range(len(word)):
            here = slice(lattice.begins[place], lattice.begins[place + 1])
            found = [pieces[piece] for piece in lattice.pieces[here]]
            rest = range(begin + 2, min(begin + longest, len(word)) + 1)
            assert found == [word[begin : begin + 1], *(word[begin:end] for end in rest if word[begin:end] in wanted)]
            assert lattice.lengths[here].tolist() == list(map(len, found))
            place += 1
    assert len(lattice.begins) == place + 1


@given(
    st.dictionaries(st.text("abc", min_size=1, max_size=9).map(str.encode), st.integers(1, 4), max_size=8),
    st.integers(2, 6),
)
@settings(max_examples=200, deadline=None)
def test_seeds_are_the_repeated_substrings_that_branch(words: dict[bytes, int], longest: int) -> None:
    check(words, longest)


def test_real_bytes_and_long_repeats() -> None:
    draw = random.Random(1)
    words = {
        bytes(draw.choices(b"ab \xc3\xa9\x00\xff", k=draw.randrange(1, 60))): draw.randrange(1, 9) for _ in range(60)
    }
    check(words | {b"x" * 300: 1, b"the bank of england": 7}, 40)


@pytest.mark.parametrize("size", [0, 1, 5])
def test_the_best_are_chosen(size: int) -> None:
    words = {b"banana": 5, b"bandana": 3, b"an": 9}
    seeds = seeds_of(words, size, 8)
    scores = sorted((count * len(piece) for piece, count in expected(words, 8).items()), reverse=True)
    assert sorted(seeds.frequencies[BYTES:] * seeds.lengths[BYTES:], reverse=True) == scores[:size]
