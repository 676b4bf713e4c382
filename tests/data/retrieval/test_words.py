"""Words that are looked for: of one character and with signs too, and counted as Python counts them."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from data.retrieval.words import count_words, question_words


def hashes(text: str) -> set[int]:
    return set(question_words(text)[0].tolist())


@pytest.mark.parametrize("question", ["AT&T", "R&D", "5 %", "%", "€", "§ 7", "x", "利"])
def test_words_that_a_default_pattern_drops_are_words(question: str) -> None:
    assert hashes(question)
    assert hashes(question) <= hashes(f"before {question} after")


def test_what_is_one_word_and_what_is_not() -> None:
    assert len(hashes("R&D")) == 1
    assert hashes("R&D") == hashes("r&d")
    assert hashes("R&D").isdisjoint(hashes("R D"))
    assert hashes("5%") == hashes("5 %") == hashes("% 5")
    assert hashes("Zinsen") == hashes("ZINSEN")
    assert hashes("cafe\u0301") == hashes("café"), "NFC"
    assert not hashes("… — ()")


@given(st.lists(st.lists(st.sampled_from(["bank", "rate", "r&d", "%", "5", "é", "i"]), max_size=30), max_size=20))
@example([[]])
def test_counts_are_those_of_a_counter(passages: list[list[str]]) -> None:
    texts = [" ".join(passage).encode() for passage in passages]
    sizes = np.array([len(text) for text in texts], np.int64)
    ends = np.cumsum(sizes)
    begins = ends - sizes
    counted = count_words(np.frombuffer(b"".join(texts), np.uint8), begins, ends)
    name = {next(iter(hashes(word))): word for passage in passages for word in passage}
    for place, passage in enumerate(passages):
        part = slice(counted.firsts[place], counted.firsts[place + 1])
        words = [name[key] for key in counted.vocabulary[counted.words[part]].tolist()]
        assert dict(zip(words, counted.counts[part].tolist(), strict=True)) == Counter(passage)
        assert counted.lengths[place] == len(passage)


def test_a_large_vocabulary_keeps_its_words() -> None:
    words = [f"w{number}" for number in range(50_000)]
    text = " ".join(words).encode()
    counted = count_words(np.frombuffer(text, np.uint8), np.array([0]), np.array([len(text)]))
    assert set(counted.vocabulary.tolist()) == hashes(text.decode())
    assert (counted.counts == 1).all()
    assert len(counted.words) == len(words)
