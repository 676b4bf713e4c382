import itertools
import random
import re

import pytest

from data.cleaning.phones import DASHES, DOMESTIC, LENGTHS, MAYBE_DOMESTIC, SPACES, find_phones


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
        ("Net income (loss) (949) 277 6853", "Tel. (949) 277 6853"),
        ("Total (312) 440 1205 (220)", "Total (312) 440-1205 (220)"),
        ("(212) 555 2671", "(212) 555.2671"),
        ("CD4 T: 703 770 402", "T: 703 770 4021"),
        ("M: 300 345 988", "M: 0300 345 988"),
        ("Cell 317 254 7993", "Cell 317-254-7993"),
        ("Mobile: 300 345 988", "Móvil: 612 555 012"),
        ("Fax 819 980 4396", "Fax (819) 980 4396"),
        ("Phone 819 980 4396", "Phone: 819 980 4396"),
        ("Phone 819\n980 4396", "PHONE NUMBER 819 980 4396"),
    ],
)
def test_what_stands_beside_a_number_decides(figure: str, number: str) -> None:
    assert phones(figure) == []
    assert len(phones(number)) == 1


def test_rows_of_figures_in_the_north_american_form_stay_whatever_they_are() -> None:
    chance = random.Random(1)
    for _ in range(2_000):
        area, exchange, line = chance.randint(100, 999), chance.randint(100, 999), chance.randint(1000, 9999)
        assert phones(f"Net income (loss) ({area}) {exchange} {line}") == []
        assert phones(f"Cell {area} {exchange} {line}") == []


def test_what_a_domestic_number_has_at_least_is_in_every_one() -> None:
    chance = random.Random(1)
    found = 0
    for _ in range(20_000):
        text = "".join(chance.choices("0123456789012345678900112 -./() \xa0\u2011", k=26))
        if DOMESTIC.search(text):
            found += 1
            assert MAYBE_DOMESTIC.search(text)
    assert found > 100
