"""Scores are bm25s's, and those of a range are what an index of the range alone gives."""

import bm25s
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.retrieval.bm25 import Postings, best, invert, score
from data.retrieval.words import count_words, question_words

WORDS = ["bank", "rate", "r&d", "5", "wool", "tariff", "of", "the"]
PASSAGES = st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=12), min_size=1, max_size=25)
QUESTION = st.lists(st.sampled_from([*WORDS, "unknown"]), min_size=1, max_size=6)


def indexed(passages: list[list[str]]) -> Postings:
    texts = [" ".join(passage).encode() for passage in passages]
    sizes = np.array([len(text) for text in texts], np.int64)
    ends = np.cumsum(sizes)
    counted = count_words(np.frombuffer(b"".join(texts), np.uint8), ends - sizes, ends)
    order = np.argsort(counted.vocabulary)
    words = np.argsort(order).astype(np.uint32)[counted.words]
    firsts = np.concatenate([[0], np.cumsum(np.bincount(words, minlength=len(order)))])
    found, counts = np.empty(len(words), np.uint32), np.empty(len(words), np.uint16)
    invert(np.arange(len(passages)), counted.firsts, words, counted.counts, firsts[:-1].copy(), found, counts)
    lengths = np.concatenate([[0], np.cumsum(counted.lengths, dtype=np.int64)])
    return Postings(counted.vocabulary[order], firsts, found, counts, lengths)


@given(PASSAGES, QUESTION)
def test_scores_are_those_of_bm25s(passages: list[list[str]], question: list[str]) -> None:
    peer = bm25s.BM25(dtype="float64")
    peer.index(passages, show_progress=False)
    known = [word for word in question if word in peer.vocab_dict]
    expected = peer.get_scores(known) if known else np.zeros(len(passages))
    words, times = question_words(" ".join(question))
    ours = score(indexed(passages), words, times, 0, len(passages))
    np.testing.assert_allclose(ours, expected, rtol=1e-12, atol=1e-12)


@given(PASSAGES, QUESTION, st.data())
def test_scores_of_a_range_are_those_of_an_index_of_the_range_alone(
    passages: list[list[str]], question: list[str], data: st.DataObject
) -> None:
    first = data.draw(st.integers(0, len(passages) - 1))
    end = data.draw(st.integers(first + 1, len(passages)))
    words, times = question_words(" ".join(question))
    ours = score(indexed(passages), words, times, first, end)
    alone = score(indexed(passages[first:end]), words, times, 0, end - first)
    np.testing.assert_array_equal(ours, alone)


@pytest.mark.parametrize("number", [1, 3, 5, 100])
def test_the_best_come_in_order_and_none_without_a_score(number: int) -> None:
    scores = np.array([0.0, 2.0, 1.0, 2.0, 0.0, 3.0, 2.0])
    assert best(scores, number).tolist() == [5, 1, 3, 6, 2][:number]
    assert best(scores, number, above=2.0).tolist() == [5]
    assert best(scores[:0], number).tolist() == []
