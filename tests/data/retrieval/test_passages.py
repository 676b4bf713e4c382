"""Passages are cut at the borders that people see, and lose nothing."""

import re

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from data.retrieval.passages import BYTES_PER_WORD, STRETCH, cut_passages

TEXTS = st.lists(
    st.sampled_from(["rate", "Zins", "利", "。", ".", "!”", " ", "\n", "\n\n", "\t", "é" * 40]), max_size=300
)


def cut(texts: list[str], words: int) -> list[list[str]]:
    """The passages of each document."""
    encoded = [text.encode() for text in texts]
    content = np.frombuffer(b"".join(encoded), np.uint8)
    offsets = np.cumsum([0, *map(len, encoded)])
    begins, ends, counts = cut_passages(content, offsets, words)
    passages = [bytes(content[begin:end]).decode() for begin, end in zip(begins, ends, strict=True)]
    lasts = np.cumsum(counts).tolist()
    return [passages[last - count : last] for last, count in zip(lasts, counts.tolist(), strict=True)]


@given(st.lists(TEXTS.map("".join), max_size=4), st.sampled_from([20, 21, 50]))
@example([], 20)
@example(["", " \n\n "], 20)
@example(["x" * 5000], 20)
def test_together_they_have_all_and_none_is_too_long_or_of_two_documents(texts: list[str], words: int) -> None:
    for text, passages in zip(texts, cut(texts, words), strict=True):
        place = 0
        for passage in passages:
            found = text.index(passage, place)
            assert not text[place:found].strip(" \t\n")
            assert passage == passage.strip(" \t\n")
            assert passage
            assert len(passage.split()) <= words * STRETCH
            assert len(passage.encode()) <= int(words * STRETCH) * BYTES_PER_WORD
            place = found + len(passage)
        assert not text[place:].strip(" \t\n")


def paragraph(words: int, ending: str = ".") -> str:
    return " ".join(f"w{number}" for number in range(words)) + ending


def test_paragraphs_are_joined_up_to_the_words_and_not_beyond() -> None:
    paragraphs = [paragraph(30), paragraph(40), paragraph(60), paragraph(90)]
    assert cut(["\n\n".join(paragraphs)], 100) == [["\n\n".join(paragraphs[:2]), paragraphs[2], paragraphs[3]]]


def test_a_heading_goes_with_what_follows_it() -> None:
    text = "Summary\n\n" + paragraph(95)
    assert cut([text], 80) == [[text]]


def test_a_long_paragraph_is_cut_at_a_line_else_at_a_sentence_else_at_a_space() -> None:
    assert cut([f"{paragraph(70)}\n{paragraph(20)} {paragraph(90)}"], 100)[0][0] == paragraph(70)
    assert cut([" ".join([paragraph(20)] * 20)], 100)[0][0] == " ".join([paragraph(20)] * 5)
    assert cut([paragraph(400)], 100)[0][0] == paragraph(100, "")


def test_what_has_no_spaces_is_cut_between_characters() -> None:
    (passages,) = cut(["利率上升。" * 200], 100)
    assert "".join(passages) == "利率上升。" * 200
    assert all(re.fullmatch("(利率上升。)+", passage) for passage in passages), "a sentence ends each"
