import datetime
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from data.date_format import check_date_format, full_width
from data.source_config import SourceConfig

GOOD = [
    "%Y-%m-%d",
    "%d.%m.%Y",
    "%Y%m%d",
    "%d%b%Y",
    "%B %d, %Y",
    "%A, %d %B %Y",
    "%Y%j",
    "%G-W%V-%u",
    "%Y %U %a",
    "%Y%m%dT%H%M%S%z",
    "%I:%M:%S.%f %p %d/%m/%Y",
    "100%% on %Y-%m-%dT%H:%M:%SZ",
    "%Y-%m-%d %H:%M UTC",
    "%Y-%m-%d %H:%M (GMT)",
    "%Y-%m-%d %H:%M UT",
    "%H:%M - %d %b %Y",
    "%H:%M T%Y-%m-%d",
    "%H:%M:%S,%f %Y-%m-%d",
]


@pytest.mark.parametrize("written", GOOD)
@given(day=st.dates(datetime.date(1400, 1, 1), datetime.date(2099, 12, 31)))
def test_what_a_format_writes_it_reads_as_the_same_day(written: str, day: datetime.date) -> None:
    check_date_format(written)
    text = datetime.datetime.combine(day, datetime.time(3, 4, 5, 6), datetime.UTC).strftime(written)
    assert datetime.datetime.strptime(text, written).date() == day
    assert full_width(written).fullmatch(text)
    assert full_width(written).fullmatch(text.upper())


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("%d.%m.", r"has no year \(%Y\)"),
        ("%Y-%m %H", r"has no day of the month \(%d\), so it names no day"),
        ("%Y %a", r"has no month and day \(%m and %d\)"),
        ("%d %Y", r"has no month \(%m, %b or %B\)"),
        ("%Y %U", r"has no day of the week \(%u, %w, %a or %A\)"),
        ("%Y-W%W", r"has no day of the week"),
        ("%G-W%V", r"has no day of the week"),
        ("%G-%u", r"has no week \(%V\)"),
        ("%Y %H:%M", r"has no month and day"),
        ("%%Y-%m-%d", r"has no year"),
        ("%Y-%m-%d %Z", r"%Z, the name of a time zone, which not every machine knows: write %z"),
        ("%x", r"%c, %x or %X, which are the machine's own"),
        ("%F", r"%F, which is no letter of strptime"),
        ("%-d.%m.%Y", r"%-, which is no letter of strptime"),
        ("%Y-%m-%d %", r"cannot be read back: stray %"),
        ("%Y %Y-%m-%d", r"cannot be read back: redefinition"),
        ("%y%m%d", r"%y, which leaves the century open: set earliest_date and latest_date"),
        ("second", r"has no year"),
        ("%Y-%m-%d %I:%M %z", r"has one of %I and %p, which together are the hour: write both, or %H alone"),
        ("%Y-%m-%d %H:%M %p", r"has one of %I and %p"),
        ("%Y-%m-%d %H:%M -0500", r"has -0500 as a part of each date, but not as its zone: write %z"),
        ("%d.%m.%Y %I:%M %p EST", r"has EST as a part of each date"),
        ("%Y-%m-%d %H:%M PT", r"has PT as a part of each date"),
        ("%Y-%m-%d %I:%M %p (ET)", r"has ET as a part of each date"),
        ("%Y-%m-%d %H:%M (Europe/Berlin)", r"has Europe/Berlin as a part of each date"),
        ("%Y-%m-%d %H:%M:%S America/Argentina/Buenos_Aires", r"has America/Argentina/Buenos_Aires as a part"),
        ("%Y-%m-%dT%H:%M:%S+02", r"has \+02 as a part of each date"),
        ("%Y-%m-%d %H:%M UTC+2", r"has UTC\+2 as a part of each date"),
    ],
)
def test_a_format_that_names_no_day_is_refused_with_what_is_missing(written: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        SourceConfig(name="news", path="a", date_format=written)


def test_a_year_of_two_digits_goes_with_a_century() -> None:
    limits = {"earliest_date": "1970-01-01", "latest_date": "2026-12-31"}
    SourceConfig.model_validate({"name": "news", "path": "a", "date_format": "%y%m%d", **limits})
    with pytest.raises(ValidationError, match="earliest_date 2000-01-02 is after latest_date 2000-01-01"):
        SourceConfig.model_validate(
            {"name": "news", "path": "a", "earliest_date": "2000-01-02", "latest_date": "2000-01-01"}
        )


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("%Y%m%d", "201912"),
        ("%Y%m%d", "2019123"),
        ("%d%m%Y", "1022001"),
        ("%Y%j", "20195"),
        ("%H:%M %Y%m%d", "1:02 201912"),
    ],
)
def test_numbers_that_nothing_separates_have_all_their_digits(written: str, text: str) -> None:
    datetime.datetime.strptime(text, written)  # reads it
    assert not full_width(written).fullmatch(text)


@pytest.mark.parametrize("text", ["3.2.2001", "03.02.2001", " 3.02.2001"])
def test_numbers_between_signs_may_lack_zeros(text: str) -> None:
    assert full_width("%d.%m.%Y").fullmatch(text)


def test_long_texts_take_no_longer_than_their_length() -> None:
    start = time.perf_counter()
    full_width("%A %d %B %Y%m%d %H %M").fullmatch("a" + " " * 100_000 + "1" * 100_000)
    assert time.perf_counter() - start < 1
