"""Numbers become short without saying something else."""

import pytest

from evaluation.pages.wording import axis_number, number_in_words, share, short_number, text_size


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1.00 K"),
        (45_600, "45.6 K"),
        (789e6, "789 M"),
        (1.234e9, "1.23 B"),
        (2e12, "2.00 T"),
    ],
)
def test_short_numbers(value: float, text: str) -> None:
    assert short_number(value) == text


def test_numbers_in_words() -> None:
    values = (999_999, 1_234_567, 45_600_000_000, 789 * 10**12)
    assert [number_in_words(value) for value in values] == ["999,999", "1.23 million", "45.6 billion", "789 trillion"]


@pytest.mark.parametrize(
    ("size", "text"),
    [(812, "812 bytes"), (1234, "1.23 kB"), (45_600_000, "45.6 MB"), (10**9, "1.00 GB"), (10**13, "10.0 TB")],
)
def test_text_sizes(size: int, text: str) -> None:
    assert text_size(size) == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [(0, 0, "–"), (0, 9, "0.0%"), (1, 9999, "<0.1%"), (1, 3, "33.3%"), (9998, 9999, ">99.9%"), (9999, 9999, "100.0%")],
)
def test_what_is_not_nothing_never_looks_like_it(part: int, whole: int, text: str) -> None:
    assert share(part, whole) == text


def test_numbers_beside_ticks() -> None:
    assert [axis_number(value) for value in (0, 7, 50_000, 2.5e6, 1e9)] == ["0", "7", "50 K", "2.5 M", "1 B"]
