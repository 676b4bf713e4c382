import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.corpus.shingles import FOLDED_CHARACTERS, Shingles, folded_characters, shingle

MASK = 2**64 - 1


def is_unspaced(character: str) -> bool:
    """By its name, where the code goes by ranges; planes 2 and 3 are for ideographs, named or not yet."""
    scripts = ("CJK UNIFIED", "CJK COMPATIBILITY IDEOGRAPH", "IDEOGRAPHIC", "HIRAGANA", "KATAKANA", "HENTAIGANA")
    name = unicodedata.name(character, "").removeprefix("HALFWIDTH ")
    is_letter = unicodedata.category(character) in ("Lo", "Lm", "Nl")
    return 0x20000 <= ord(character) <= 0x3FFFF or (is_letter and name.startswith(scripts))


def fold(character: str) -> str:
    folded = character.casefold()
    return folded if len(folded) == 1 else character.lower()[0]


def reference_words(text: str) -> list[str]:
    words, word = [], ""
    for character in text:
        if is_unspaced(character):
            words += [word, character]
            word = ""
        elif unicodedata.category(character)[0] in "LMN":
            word += fold(character)
        else:
            words.append(word)
            word = ""
    return [word for word in [*words, word] if word]


def mix(value: int) -> int:
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & MASK
    value = (value ^ value >> 27) * 0x94D049BB133111EB & MASK
    return value ^ value >> 31


def fnv(codes: list[int]) -> int:
    value = 0xCBF29CE484222325
    for code in codes:
        value = (value ^ code) * 0x100000001B3 & MASK
    return mix(value)


def reference_hashes(text: str, ngram: int) -> list[int]:
    words = [fnv([ord(character) for character in word]) for word in reference_words(text)]
    if not words:
        return [fnv(list(text.encode()))]
    size = min(ngram, len(words))
    grams = [words[first : first + size] for first in range(len(words) - size + 1)]
    return [
        mix(sum(word * 0x9E3779B97F4A7C15**power for power, word in enumerate(reversed(gram))) & MASK) for gram in grams
    ]


def of_each(shingles: Shingles) -> list[list[int]]:
    return [shingles.hashes[a:b].tolist() for a, b in zip(shingles.offsets, shingles.offsets[1:], strict=False)]


@settings(deadline=None)  # the first call compiles
@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"])) | st.text("aB9 -,éÉǅßİς१्中文カーไทย𠀀𝐀😀\n"), max_size=4
    ),
    st.integers(1, 4),
)
def test_the_hashes_are_those_of_a_plain_implementation(texts: list[str], ngram: int) -> None:
    shingles = shingle(texts, ngram)
    assert of_each(shingles) == [reference_hashes(text, ngram) for text in texts]
    assert shingles.words.tolist() == [len(reference_words(text)) for text in texts]


def test_every_character_is_a_letter_a_word_or_neither() -> None:
    table = folded_characters()
    for code in range(FOLDED_CHARACTERS):
        character = chr(code)
        letter = unicodedata.category(character)[0] in "LMN"
        sign = 0 if not letter else -1 if is_unspaced(character) else 1
        assert table[code] == sign * ord(fold(character)), hex(code)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The Fed's rate: 5.25 %", "the FED s rate 5 25"),
        ("ΟΔΟΣ οδος", "οδος ΟΔΟΣ"),  # the final sigma is a sigma
        ("利率上调。", "利率 上调"),
        ("हिन्दी", "हिन्दी!"),  # vowel signs and viramas do not part a word
        ("snake_case-word", "snake case word"),
    ],
)
def test_texts_of_the_same_words(one: str, other: str) -> None:
    first, second = of_each(shingle([one, other], 2))
    assert first == second


def test_other_words_are_other_hashes() -> None:
    texts = [f"{a} {b}" for a in ("a", "b", "ab", "ba", "1", "é") for b in ("a", "b", "ab", "ba", "1", "é")]
    assert len(np.unique(shingle(texts, 2).hashes)) == len(texts)


def test_no_texts() -> None:
    assert of_each(shingle([], 5)) == []
    assert len(of_each(shingle([""], 5))[0]) == 1


def test_texts_without_words_are_equal_only_if_their_bytes_are() -> None:
    hashes = of_each(shingle(["...", "...", "....", "", "- - -"], 5))
    assert hashes[0] == hashes[1]
    assert len({tuple(text) for text in hashes}) == 4
