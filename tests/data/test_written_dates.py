"""Every form in which a date may be written, and all days that it may mean; and what is refused."""

import datetime
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.interval import Interval
from data.written_dates import LONGEST, of_month, of_year, read_written

READ = {
    # One day, and times: the day as it is written, of a zone in UTC.
    "2018-12-31": "2018-12-31",
    "20181231": "2018-12-31",
    "2018-W05-3": "2018-01-31",
    "2018W053": "2018-01-31",
    "2018-12-31 10:00": "2018-12-31",
    "2018-12-31T23:30:00": "2018-12-31",
    "2018-12-31T23:59:59.999Z": "2018-12-31",
    "2018-12-31T23:30:00-05:00": "2019-01-01",
    "2019-01-01T00:30+01:00": "2018-12-31",
    "5 March 1995": "1995-03-05",
    "5th March 1995": "1995-03-05",
    "March 5, 1995": "1995-03-05",
    "Mar. 5 1995": "1995-03-05",
    "1995 MAR 05": "1995-03-05",
    "05-Mar-1995": "1995-03-05",
    "1995-Mar-05": "1995-03-05",
    "2000 Feb 29": "2000-02-29",
    # A day or an hour in a zone may be of two days in UTC.
    "2018-12-31Z": "2018-12-31",
    "2018-12-31+05:00": "2018-12-30 to 2018-12-31",
    "2018-12-31-05:00": "2018-12-31 to 2019-01-01",
    "2018-12-31T05+05:30": "2018-12-30 to 2018-12-31",
    "2018-12-31T05": "2018-12-31",
    # Months, years, weeks, quarters.
    "1995-03": "1995-03-01 to 1995-03-31",
    "2000-02": "2000-02-01 to 2000-02-29",
    "2004-05": "2004-05-01 to 2004-05-31",
    "March 1995": "1995-03-01 to 1995-03-31",
    "1995 Mar": "1995-03-01 to 1995-03-31",
    "Mar-1995": "1995-03-01 to 1995-03-31",
    "1995-Mar": "1995-03-01 to 1995-03-31",
    "Sept. 2019": "2019-09-01 to 2019-09-30",
    "May, 2019": "2019-05-01 to 2019-05-31",
    "1995": "1995-01-01 to 1995-12-31",
    " 1995 ": "1995-01-01 to 1995-12-31",
    "2018-W05": "2018-01-29 to 2018-02-04",
    "2020-W53": "2020-12-28 to 2021-01-03",
    "Q1 2020": "2020-01-01 to 2020-03-31",
    "2020Q4": "2020-10-01 to 2020-12-31",
    "2020-Q1": "2020-01-01 to 2020-03-31",
    "2020 q3": "2020-07-01 to 2020-09-30",
    "1st Quarter 2020": "2020-01-01 to 2020-03-31",
    "1974 2d Quart": "1974-04-01 to 1974-06-30",
    "Q1-Q2 2020": "2020-01-01 to 2020-06-30",
    # Seasons: of either hemisphere, and of publishers that name either year.
    "Spring 2020": "2020-01-01 to 2020-12-31",
    "2020 Fall": "2020-01-01 to 2020-12-31",
    "Autumn 2019": "2019-01-01 to 2019-12-31",
    "Summer 2020": "2019-12-01 to 2021-03-31",
    "2020 Winter": "2019-12-01 to 2021-03-31",
    "2020-Spring": "2020-01-01 to 2020-12-31",
    "Spring-Summer 2018": "2017-12-01 to 2019-03-31",
    "Spring/Autumn 2018": "2018-01-01 to 2018-12-31",
    "Winter 1998-1999": "1997-12-01 to 1999-12-31",
    # Ranges.
    "2018 Jul-Aug": "2018-07-01 to 2018-08-31",
    "Jul/Aug 2018": "2018-07-01 to 2018-08-31",
    "July–August 2018": "2018-07-01 to 2018-08-31",
    "Jan to Mar 2020": "2020-01-01 to 2020-03-31",
    "1998 Dec-1999 Jan": "1998-12-01 to 1999-01-31",
    "Dec 1998 - Jan 1999": "1998-12-01 to 1999-01-31",
    "2018 Jul 1-15": "2018-07-01 to 2018-07-15",
    "July 1-15, 2018": "2018-07-01 to 2018-07-15",
    "1-15 July 2018": "2018-07-01 to 2018-07-15",
    "2000 Dec 23- 30": "2000-12-23 to 2000-12-30",
    "2018 Jul 25-Aug 3": "2018-07-25 to 2018-08-03",
    "1998 Dec 30-1999 Jan 5": "1998-12-30 to 1999-01-05",
    "1998 Dec-1999": "1998-12-01 to 1999-12-31",
    "1998-1999": "1998-01-01 to 1999-12-31",
    "1998–1999": "1998-01-01 to 1999-12-31",
    "1998/1999": "1998-01-01 to 1999-12-31",
    "2019-01-01/2019-12-31": "2019-01-01 to 2019-12-31",
    "2019-01/2019-03": "2019-01-01 to 2019-03-31",
    "2019-06-30/2020": "2019-06-30 to 2020-12-31",
    "2019-01-01T00:00Z/2019-01-02T00:00Z": "2019-01-01 to 2019-01-02",
    "../2019-12-31": "until 2019-12-31",
}
REFUSED = [
    *("201912", "2019123", "2018365", "1998-99", "12/31/2018", "2018/12/31", "31.12.2018", "12-2018", "5"),
    *("2018-13", "2019-02-30", "Mar 32, 1995", "2018 Feb 29", "Q5 2020", "2018-W54", "0000", "2018-00"),
    *("2018 Dec-Jan", "1999-1998", "2018 Aug-Jul", "15-1 Jul 2018", "2019-06-30/2018", "20190630/0702"),
    *("2019-01-01/..", "2019-01-01/P1Y", "2019-06-30/07", "2019-06-30T20:20/21:00", "2018-2019-2020"),
    *("Spring", "Dec", "Mar 5", "Jul-Aug", "1 Spring 2018", "2018 Jul Aug", "Jul 1995 1996", "1995 1 2 Mar"),
    *("c. 1995", "2018?", "2018-XX", "201X", "1990s", "last week", "Julyish 2018", "octobre 2018", "Mayor 2018"),
    *("2018-12-31T", "2018-12-31x10:00", "2001W05 10:00", "2019-06-30_20:20", "2019-06-30 2020", "2019-06-30-07"),
    *("", " ", "-", ",", "to", "2018 to", "/", "٢٠١٩", "２０１９", "1995–٢٠١٩", "2018\n\n12"),
    *("Tue, 05 Mar 1995 10:00:00 GMT", "2019-06-30\t20:20", "20190630\u20130702", "9999 Winter", "0001 Winter"),
]


@pytest.mark.parametrize(("text", "expected"), READ.items())
def test_what_is_written_is_read_as_all_days_that_it_may_mean(text: str, expected: str) -> None:
    assert str(read_written(text)) == expected
    if re.search("[A-Za-z]{3}", text):
        assert str(read_written(text.lower())) == str(read_written(text.upper())) == expected


@pytest.mark.parametrize("text", REFUSED)
def test_what_may_be_something_else_is_refused(text: str) -> None:
    with pytest.raises((ValueError, OverflowError)):
        read_written(text)


def test_the_table_is_of_every_form() -> None:
    assert len(READ) >= 60
    assert len(REFUSED) == len({*REFUSED})


@given(
    st.dates(datetime.date(1000, 1, 1)), st.sampled_from(["%Y-%m-%d", "%Y%m%d", "%d %B %Y", "%B %d, %Y", "%Y %b %d"])
)
def test_a_day_is_that_day_in_every_form(day: datetime.date, form: str) -> None:
    assert read_written(day.strftime(form)) == Interval.of_day(day)
    assert read_written(f"{day:%b %Y}") == of_month(day.year, day.month)
    assert read_written(f"{day:%Y}") == of_year(day.year)


@given(st.text(max_size=LONGEST) | st.text("0123456789-/ ,TZWQ.:+JanFebMrsptio", max_size=LONGEST))
def test_any_text_is_days_in_their_order_or_refused(text: str) -> None:
    try:
        first, last = read_written(text)
    except (ValueError, OverflowError):
        return
    assert first is None or first <= last
