import itertools
import re

import pytest

from data.cleaning.phones import DASHES, LENGTHS, SPACES, find_phones


def phones(text: str) -> list[str]:
    return [text[begin:end] for begin, end in sorted(set(find_phones(text)))]


def test_no_country_code_begins_with_another() -> None:
    assert all(re.fullmatch("[1-9][0-9]{0,2}", code) and len(code) + max(LENGTHS[code]) <= 15 for code in LENGTHS)
    for one, two in itertools.permutations(LENGTHS, 2):
        assert not one.startswith(two)


@pytest.mark.parametrize("code", LENGTHS)
def test_a_country_has_numbers_of_its_lengths(code: str) -> None:
    for length in range(4, 15 - len(code)):
        digits = "2345678901234567"[:length]
        found = phones(f"from +{code} {digits} on")
        assert found == ([f"+{code} {digits}"] if length in LENGTHS[code] else [])


def test_a_number_ends_where_its_country_s_end() -> None:
    assert phones("+1 212 555 0123 2018 2019") == ["+1 212 555 0123"]
    assert phones("+44 20 7946 0958 (2018)") == ["+44 20 7946 0958"]
    assert phones("+33 1 99 00 12 34, +33 1 99 00 56 78") == ["+33 1 99 00 12 34", "+33 1 99 00 56 78"]


@pytest.mark.parametrize("separator", [*SPACES, *DASHES.replace("\\", "")])
def test_spaces_and_hyphens_of_typeset_text_count_as_such(separator: str) -> None:
    for number in ("+49 30 23125 123", "+48 512 345 678", "+1 212 555 0123"):
        number = number.replace(" ", separator)
        assert phones(f"at {number}, now") == [number]


@pytest.mark.parametrize(
    ("figure", "number"),
    [
        ("+45 50 55 60 65", "Tel. +45 50 55 60 65"),
        ("+25 30 45 50 75 80 bps", "Tel: +25 30 45 50 75 80"),
        ("250-500-1000", "Fax 250-500-1000"),
        ("+48 123 456 789 PLN", "+48 123 456 789 Warszawa"),
        ("EUR +34 612 345 678", "Ana +34 612 345 678"),
        ("Call: 100 105 110 115", "Call: 100 1053 1102"),
        ("Phone 2018 2019 2020", "Phone: 2018 2019 2120"),
        ("Mobile 12 345 678", "Mobile 012 345 679"),
        ("(0123) 45", "(0123) 456789"),
    ],
)
def test_what_stands_beside_a_number_decides(figure: str, number: str) -> None:
    assert phones(figure) == []
    assert len(phones(number)) == 1
