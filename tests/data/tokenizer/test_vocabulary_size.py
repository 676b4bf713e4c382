"""Smaller vocabularies are what training would have given, and tokens are counted as the tokenizer would cut them."""

import random

import numpy as np
import pyarrow as pa
import pytest

from data.tokenizer.bpe import Bpe, learn_bpe
from data.tokenizer.model import BYTE_ORDER, bpe_tokenizer
from data.tokenizer.pretoken_counts import PretokenCounts, Splitting, count_texts, splitting
from data.tokenizer.vocabulary_size import count_tokens, first_pieces, sweep_point


@pytest.fixture(scope="module")
def split() -> Splitting:
    return splitting("words", "single")


def make_texts() -> list[str]:
    draw = random.Random(5)
    return [" ".join("".join(draw.choices("abcé1.", k=draw.randrange(1, 7))) for _ in range(100)) for _ in range(50)]


def learn(counts: PretokenCounts, size: int) -> Bpe:
    return learn_bpe(counts.text, counts.offsets, counts.counts, BYTE_ORDER, size, 16)


@pytest.mark.parametrize("size", [256, 257, 300, 419, 420, 1_000])
def test_first_pieces_are_a_smaller_training(split: Splitting, size: int) -> None:
    counts = count_texts([pa.array(make_texts())], split)
    largest = learn(counts, 420)
    smaller = learn(counts, min(size, 420))
    assert first_pieces(largest, size) == smaller


def test_pieces_that_are_made_twice_are_counted_once() -> None:
    pieces = [*(bytes([byte]) for byte in range(256)), b"ab", b"bc", b"abc", b"xy"]
    merges = [(97, 98), (98, 99), (256, 99), (97, 257), (120, 121)]
    assert first_pieces(Bpe(pieces, merges), 259) == Bpe(pieces[:259], merges[:3])
    assert first_pieces(Bpe(pieces, merges), 260) == Bpe(pieces, merges)
    assert first_pieces(Bpe(pieces, merges), 258) == Bpe(pieces[:258], merges[:2])


def test_tokens_of_counts_are_tokens_of_the_text(split: Splitting) -> None:
    texts = make_texts()
    counts = count_texts([pa.array(texts)], split)
    tokenizer = bpe_tokenizer(learn(counts, 350), ["<|endoftext|>"], "words", "single")
    expected = sum(len(tokenizer.encode(text).ids) for text in texts)
    assert count_tokens(tokenizer, counts) == expected
    size = sum(len(text.encode()) for text in texts)
    assert sweep_point(tokenizer, counts) == {"vocabulary_size": 351, "bytes": size, "tokens": expected}
    assert np.sum(counts.counts) >= expected / 10
