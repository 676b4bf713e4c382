import datetime

from hypothesis import given
from hypothesis import strategies as st

from data.interval import Interval

days = st.dates(datetime.date(1990, 1, 1), datetime.date(2030, 12, 31))


@given(first=st.none() | days, last=days, cutoff=days)
def test_no_day_of_an_interval_is_on_the_other_side(
    first: datetime.date | None, last: datetime.date, cutoff: datetime.date
) -> None:
    if first is not None:
        first, last = sorted((first, last))
    interval = Interval(first, last)
    assert interval.lies_before(cutoff) == (last < cutoff)
    assert interval.lies_from(cutoff) == (first is not None and first >= cutoff)
    assert not (interval.lies_before(cutoff) and interval.lies_from(cutoff))


def test_the_cutoff_itself_is_after_it() -> None:
    day = Interval.of_day(datetime.date(2020, 1, 1))
    assert not day.lies_before(datetime.date(2020, 1, 1))
    assert day.lies_from(datetime.date(2020, 1, 1))
    assert day.lies_before(datetime.date(2020, 1, 2))


def test_a_month_about_the_cutoff_is_on_neither_side() -> None:
    month = Interval(datetime.date(2020, 1, 1), datetime.date(2020, 1, 31))
    cutoff = datetime.date(2020, 1, 15)
    assert (month.lies_before(cutoff), month.lies_from(cutoff)) == (False, False)
