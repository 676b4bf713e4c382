from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.cleaning.words import DUPLICATE_NGRAMS, TOP_NGRAMS, WordCounts, _find_words, count_words

WHITE_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2000\u2003\u200a\u2028\u2029\u202f\u205f\u3000"
# neighbours of white space in the code table, information separators that Python alone splits at, and every width
NO_WHITE_SPACE = "\x08\x0e\x1c\x1f\x84\x86\x9f\xa1\u167f\u1681\u1fff\u200b\u202e\u2030\u205e\u2060\u2fff\u3001"
few_words = st.text(st.sampled_from("ab \n"), max_size=400)
any_text = st.text(
    st.sampled_from(WHITE_SPACE + NO_WHITE_SPACE + "aé1ßЖ中😀") | st.characters(exclude_categories=["Cs"])
)


def words_of(text: str) -> list[str]:
    words, word = [], ""
    for character in text + " ":
        if character in WHITE_SPACE or "\u2000" <= character <= "\u200a":
            words += [word] if word else []
            word = ""
        else:
            word += character
    return words


def reference(text: str) -> WordCounts:
    """What the compiled pass counts, written out."""
    words = words_of(text)
    top, duplicates = [], []
    for n in TOP_NGRAMS:
        grams = Counter(" ".join(words[i : i + n]) for i in range(len(words) - n + 1))
        top.append(max((count * len(gram) for gram, count in grams.most_common(1)), default=0))
    for n in DUPLICATE_NGRAMS:
        met, characters, place = set(), 0, 0
        while place + n <= len(words):
            gram = tuple(words[place : place + n])
            if gram in met:
                characters += sum(map(len, gram))
                place += n
            else:
                met.add(gram)
                place += 1
        duplicates.append(characters)
    alphabetic = sum(any(map(str.isalpha, word)) for word in words)
    return WordCounts(len(words), sum(map(len, words)), alphabetic, top, duplicates)


def test_white_space_is_that_of_unicode() -> None:
    spaces = "".join(chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000 and chr(code).isspace())
    assert set(spaces) - set("\x1c\x1d\x1e\x1f") == {*WHITE_SPACE, *map(chr, range(0x2000, 0x200B))}
    for character in spaces:
        expected = 1 if character in "\x1c\x1d\x1e\x1f" else 2
        assert count_words(f"a{character}b".encode()).words == expected


@given(any_text)
def test_words_are_where_they_should_be(text: str) -> None:
    encoded = text.encode()
    spans = _find_words(np.frombuffer(encoded, np.uint8))
    words = [encoded[start:end].decode() for start, end in zip(spans.starts, spans.ends, strict=True)]
    assert words == words_of(text)
    assert spans.characters.tolist() == [len(word) for word in words]


@given(any_text | few_words)
def test_counts_equal_the_reference(text: str) -> None:
    assert count_words(text.encode()) == reference(text)


@given(st.integers(1, 30), st.lists(st.sampled_from(["the", "committee", "é", "1", "a"]), min_size=1, max_size=30))
def test_counts_of_repeated_sentences_equal_the_reference(times: int, words: list[str]) -> None:
    text = "\n".join([" ".join(words)] * times + words[::-1])
    assert count_words(text.encode()) == reference(text)


@pytest.mark.parametrize("text", ["", " \n\u3000", "one", "one two", "a b a b a b a b a b a b a b a b a b a b a b"])
def test_small_texts(text: str) -> None:
    assert count_words(text.encode()) == reference(text)


def test_every_letter_counts() -> None:
    letters = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000 and chr(code).isalpha()]
    others = ["0", "½", "²", "Ⅷ", "_", "\u0301", "\u093f", "-", "😀"]
    assert count_words(" ".join(letters).encode()).alphabetic == len(letters)
    assert count_words(" ".join(others).encode()).alphabetic == 0
