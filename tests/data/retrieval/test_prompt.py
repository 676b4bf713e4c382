"""Passages before a question: the best nearest to it, whole or cut behind a sentence, never more than there is room."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import DataError
from data.interval import Interval
from data.retrieval.prompt import MARK, open_book
from data.retrieval.search import Passage

DAY = Interval.of_day(datetime.date(2012, 1, 24))
SENTENCES = st.lists(
    st.sampled_from(["Rates rose.", "Wool fell!", "Did it?", "U.S. 5 % of all."]), min_size=1, max_size=6
)


def passage(text: str, date: Interval | None = DAY) -> Passage:
    return Passage(0, "d1", "news", date, None, None, text, 1.0)


def count(text: str) -> int:
    return len(text)


def test_the_template() -> None:
    found = [passage("The best."), passage("The second.", None)]
    assert open_book("And so?", found, count, 1000).prompt == "[2]\nThe second.\n\n[1] 2012-01-24\nThe best.\n\nAnd so?"
    assert open_book("And so?", [], count, 1000).prompt == "And so?"


@given(st.lists(SENTENCES.map(" ".join), max_size=5), st.integers(7, 200))
def test_a_prompt_fits_and_has_the_best_first(texts: list[str], room: int) -> None:
    book = open_book("And so?", [passage(text) for text in texts], count, room)
    assert count(book.prompt) <= room
    assert book.prompt.endswith("And so?")
    for number, (cited, text) in enumerate(zip(book.citations, texts, strict=False), start=1):
        assert cited.number == number
        assert f"[{number}] 2012-01-24\n{cited.shown}\n\n" in book.prompt
        assert cited.is_cut == (cited.shown != text)
        assert not cited.is_cut or (cited.shown.endswith(MARK) and text.startswith(cited.shown.removesuffix(MARK)))
    assert all(not cited.is_cut for cited in book.citations[:-1]), "what is cut fills the room"
    if len(book.citations) < len(texts):
        following = texts[len(book.citations)]
        least = f"[{len(book.citations) + 1}] 2012-01-24\n{following}\n\n"
        assert any(cited.is_cut for cited in book.citations) or count(book.prompt + least) > room


def test_a_passage_is_not_cut_behind_an_abbreviation() -> None:
    text = "The U.S. economy grew. Wages rose."
    for room in range(len("And so?"), 120):
        for cited in open_book("And so?", [passage(text)], count, room).citations:
            assert cited.shown in (text, f"The U.S. economy grew.{MARK}")


def test_a_question_that_does_not_fit_is_refused() -> None:
    with pytest.raises(DataError, match="the question has 7 tokens, and the context has room for 6"):
        open_book("And so?", [passage("A.")], count, 6)
