import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.interval import Interval
from data.readers.publication import first_public, written_date
from data.readers.rows import MalformedError

DAYS = st.dates(datetime.date(2000, 1, 1), datetime.date(2003, 12, 31))
INTERVALS = st.tuples(DAYS, DAYS).map(lambda days: Interval(min(days), max(days)))


def between(first: str, last: str) -> Interval:
    return Interval(datetime.date.fromisoformat(first), datetime.date.fromisoformat(last))


@pytest.mark.parametrize(
    ("parts", "first", "last"),
    [
        (("2000", "Feb", "24"), "2000-02-24", "2000-02-24"),
        (("2000", "2", "4"), "2000-02-04", "2000-02-04"),
        (("2000", "Feb"), "2000-02-01", "2000-02-29"),
        (("2000",), "2000-01-01", "2000-12-31"),
        (("", "", "", "2018 Jul-Aug"), "2018-07-01", "2018-08-31"),
        (("", "", "", "1998 Dec-1999 Jan"), "1998-12-01", "1999-01-31"),
        (("", "", "", "1981 Annual"), "1981-01-01", "1981-12-31"),
        (("", "", "", "1976-1977"), "1976-01-01", "1977-12-31"),
        (("", "", "", "2019 Dec-Jan"), "2018-01-01", "2020-12-31"),  # it ends in 2020, or begins in 2018
        (("2019", "", "", "Invierno"), "2018-01-01", "2020-12-31"),
    ],
)
def test_a_date_in_parts_is_all_the_days_that_it_may_be(parts: tuple[str, ...], first: str, last: str) -> None:
    assert written_date(*parts) == between(first, last)


def test_a_season_is_no_shorter_than_it_may_be_in_the_south() -> None:
    spring = written_date("2020", "", "", "Spring")
    assert spring.first
    assert spring.first <= datetime.date(2020, 3, 1) <= datetime.date(2020, 11, 30) <= spring.last


@pytest.mark.parametrize("parts", [("",), ("20x0",), ("2000", "13"), ("2000", "Feb", "30"), ("", "", "", "1998-99")])
def test_what_may_be_another_date_is_none(parts: tuple[str, ...]) -> None:
    with pytest.raises(MalformedError, match="unreadable date: "):
        written_date(*parts)


MARCH = between("2013-03-01", "2013-03-31")
YEAR = between("2013-01-01", "2013-12-31")
DAY = between("2013-02-28", "2013-02-28")


@pytest.mark.parametrize(
    ("issues", "online", "expected"),
    [
        ([], [], None),
        ([MARCH], [], MARCH),
        ([], [DAY], DAY),
        ([YEAR], [DAY], DAY),  # the day is within the year
        ([MARCH], [DAY], DAY),  # ahead of print
        ([YEAR, MARCH], [], between("2013-01-01", "2013-03-31")),
        ([between("2012-01-01", "2012-12-31")], [DAY], between("2012-01-01", "2013-02-28")),  # they contradict
        ([MARCH], [YEAR], YEAR),
    ],
)
def test_when_a_paper_was_first_public(issues: list[Interval], online: list[Interval], expected: Interval) -> None:
    assert first_public(issues, online) == expected


@given(st.lists(INTERVALS, max_size=3), st.lists(INTERVALS, max_size=3))
def test_the_first_days_of_all_events_are_never_left_out(issues: list[Interval], online: list[Interval]) -> None:
    """Whatever days the events on the net were of, the earliest of them is no later than the last day."""
    found = first_public(issues, online)
    if found is None:
        assert not issues
        assert not online
        return
    assert found.first
    assert found.first <= found.last
    if online:
        assert found.last >= min(one.last for one in online) or found.last >= max(one.last for one in online)
        assert all(found.first <= one.first for one in online if one.first)
