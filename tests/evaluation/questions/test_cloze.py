"""Near numbers and dates: of the same form, never the same, and the right one of any rank."""

import random
import re
from collections import Counter
from collections.abc import Callable

import pytest

from evaluation.questions.cloze import count_names, near_dates, near_numbers
from evaluation.questions.documents import Document

CHANCE = random.Random(0)


@pytest.mark.parametrize("number", ["25", "9", "150", "2,500", "1.250,5", "0.5", "2.0", "4,5", "12,345,678", "50"])
def test_near_numbers_are_of_the_same_form(number: str) -> None:
    made = [near_numbers(number, " tons", CHANCE) for _ in range(200)]
    assert all(found is not None and len({number, *found}) == 4 for found in made)
    for other in {other for found in made for other in found or ()}:
        assert re.sub(r"\d+", "", other) == re.sub(r"\d+", "", number)
        assert not re.match(r"0\d", other)
        assert 0 < value(other) <= 2.5 * value(number)


def value(number: str) -> float:
    return float(re.sub(r"\D", "", number))


@pytest.mark.parametrize(
    ("make", "right"),
    [
        (near_numbers, "25"),
        (near_numbers, "4"),
        (near_numbers, "12.5"),
        (near_dates, "1998"),
    ],
)
def test_the_right_one_is_of_every_rank_equally_often(make: Callable[..., list[str] | None], right: str) -> None:
    ranks = Counter(
        sum(float(other) < float(right) for other in make(right, " tons", CHANCE) or ()) for _ in range(2000)
    )
    assert sorted(ranks) == [0, 1, 2, 3]
    assert all(430 < count < 570 for count in ranks.values())


def test_what_has_no_room_on_both_sides_is_not_asked() -> None:
    assert all(near_numbers(number, " tons", CHANCE) is None for number in ("1", "3", "200", "0", "1,003"))
    assert near_numbers("99", " percent", CHANCE) is None
    assert all(value(other) <= 100 for _ in range(50) for other in near_numbers("92", " % of", CHANCE) or ())


def test_near_dates_keep_form_and_day() -> None:
    for right, form in {
        "March 2003": r"[A-Z][a-z]+ \d{4}",
        "March 15, 2003": r"[A-Z][a-z]+ 15, \d{4}",
        "15 March 2003": r"15 [A-Z][a-z]+ \d{4}",
        "2003-03-15": r"200[1-4]-(0[1-9]|1[0-2])-15",
    }.items():
        found = near_dates(right, "", CHANCE)
        assert found is not None
        assert len({right, *found}) == 4
        assert all(re.fullmatch(form, other) for other in found)
    assert near_dates("March 31, 2003", "", CHANCE) is None
    assert near_dates("2003-03-31", "", CHANCE) is None


def test_names_are_told_by_their_proper_words_alone() -> None:
    text = (
        "We met the Bank of Japan and a bank in Tokyo today. Then the Bank of Japan left the other bank in Tokyo alone."
    )
    known = count_names([Document("d", "news", None, text)])
    assert known.is_name("Bank of Japan")
    assert known.is_name("Tokyo")
    assert not known.is_name("Osaka")
    assert known.is_told("Bank of Japan", "in Japan")
    assert not known.is_told("Bank of Japan", "the Bank said")
