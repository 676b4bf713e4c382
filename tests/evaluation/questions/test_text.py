"""Sentences, names, numbers and dates of real prose, by rules."""

import pytest

from evaluation.questions.text import Span, dates, is_whole, names, numbers, sentences

SPEECH = (
    "As Mr. Greenspan said on Oct. 5, the U.S. economy grew.\nWhat follows? A heading\nThe Bank of England and the "
    "ECB, like St. Louis, raised rates by 25 basis points in March 2003.4 Prices rose 2.5 percent\nfrom a year before, "
    "to $1,250 in 1998. “Growth of 10 percent,” she said.\n\n"
    "Next: the FOMC's view since 2001.\n"
)


def pieces(text: str) -> list[str]:
    return [text[slice(*span)] for span in sentences(text)]


def test_sentences_end_where_people_end_them() -> None:
    assert pieces(SPEECH) == [
        "As Mr. Greenspan said on Oct. 5, the U.S. economy grew.",
        "What follows?",
        "A heading",
        "The Bank of England and the ECB, like St. Louis, raised rates by 25 basis points in March 2003.4 Prices rose "
        "2.5 percent\nfrom a year before, to $1,250 in 1998.",
        "“Growth of 10 percent,” she said.",
        "Next: the FOMC's view since 2001.",
    ]
    assert pieces("Rates were cut.12 Prices fell by 0.25 points. Then 3. More") == [
        "Rates were cut.12",
        "Prices fell by 0.25 points.",
        "Then 3.",
        "More",
    ]
    assert pieces("物价上涨。利率不变！") == ["物价上涨。", "利率不变！"]
    assert pieces("") == pieces(" \n ") == []


@pytest.mark.parametrize(
    ("piece", "whole"),
    [
        ("Prices rose by two percent in most of the districts.", True),
        ("“Prices rose by two percent in most of the districts.”", True),
        ("Prices rose by two percent in most of the districts.12", True),
        ("prices rose by two percent in most of the districts.", False),
        ("Consumer Prices and Wages in Most of the Districts", False),
        ("Prices rose.", False),
        (f"Prices rose {'and rose ' * 60}.", False),
    ],
)
def test_whole_sentences_can_be_asked_about(piece: str, whole: bool) -> None:
    assert is_whole(piece) is whole


def found(find: object, text: str) -> list[str]:
    return [text[slice(*getattr(each, "span", each))] for each in find(text, Span(0, len(text)))]  # type: ignore[operator]


def test_names_are_runs_of_capitals_behind_a_small_word() -> None:
    text = (
        "Later the Bank of England met Jerome Powell's staff in St. Louis, where the ECB and Mario, in March, I think."
    )
    assert found(names, text) == ["Bank of England", "Jerome Powell", "St. Louis", "ECB", "Mario"]
    kinds = {text[slice(*name.span)]: name.kind for name in names(text, Span(0, len(text)))}
    assert kinds["Bank of England"] == ("the", "3", "small word")
    assert kinds["ECB"] == ("the", "capitals", "small word")
    assert kinds["St. Louis"] == ("in", "2", "mark")
    assert found(names, "Prices rose. Now it said: Rates fell, and U.S. firms or COVID-19 in Year-to-date data.") == []
    assert found(names, "It is in Baden-Baden.") == ["Baden-Baden"]


def test_numbers_count_something_and_are_no_part_of_dates() -> None:
    text = "About 25 basis points, $1,250 or 2.5 % of 3M, 1,000 firms on October 11 in 1998, 007 agents, note 12."
    assert found(numbers, text) == ["25", "1,250", "2.5", "1,000"]


def test_dates_in_words_and_digits() -> None:
    text = (
        "From March 2003 to 5 May 2004, on June 3, 2005 and 2001-09-11, in 1998, by 2020–21 or 1,998 and 1999.5 tons."
    )
    assert found(dates, text) == ["March 2003", "5 May 2004", "June 3, 2005", "2001-09-11", "1998"]
