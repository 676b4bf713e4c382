import random
import time
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from data.clean import normalise

PROSE = "The Committee decided to keep the target range for the federal funds rate where it was, for now."


def cleaned(text: str) -> str | None:
    return normalise(text, 1, 10_000_000)[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a plain text", "a plain text"),
        (
            "one\r\ntwo\rthree\u2028four\u2029five\x85six\x0cseven\x0beight",
            "one\ntwo\nthree\nfour\nfive\nsix\nseven\neight",
        ),
        ("Cafe\u0301 Zu\u0308rich", "Café Zürich"),
        (
            "\ufeffmark \u200bzero\u200b-width\u2060 bell\x07 null\x00 del\x7f csi\x9b",
            "mark zero-width bell null del csi",
        ),
        ("tabs\tstay, ends  \t\nof lines\u00a0\ndo not  ", "tabs\tstay, ends\nof lines\ndo not"),
        ("first\n\n\n\n\n\nsecond\n\n\nthird", "first\n\n\nsecond\n\n\nthird"),
        ("\n \n  indented\n", "  indented"),
        ("می\u200cخواهم", "می\u200cخواهم"),
    ],
)
def test_normalisation(text: str, expected: str) -> None:
    assert cleaned(text) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        (" \n\t\u200b\x00\ufeff\r\n ", "empty"),
        ("just 13 chars", "too short"),
        (PROSE * 20, "too long"),
        ("\\" * 500, "repetitive"),
        ("Ab" + "-" * 80, "repetitive"),
        ("\u2592" * 100 + "shaded", "repetitive"),
        ("\u0301\u0323" * 500, "repetitive"),
    ],
)
def test_reasons(text: str, reason: str) -> None:
    assert normalise(text, 50, 1_000) == (None, reason)


def test_limits_are_inclusive() -> None:
    assert normalise(PROSE, len(PROSE), len(PROSE)) == (PROSE, None)
    assert normalise(PROSE, len(PROSE) + 1, 1_000) == (None, "too short")
    assert normalise(PROSE, 1, len(PROSE) - 1) == (None, "too long")


def test_the_published_accident_is_dropped() -> None:
    # OPT-175B's logbook: documents of half a million backslashes
    assert normalise("\\" * 500_000, 50, 10_000_000) == (None, "repetitive")
    assert normalise(PROSE + "\\" * 500_000, 50, 10_000_000) == (None, "repetitive")
    assert normalise("buy now " * 500, 50, 10_000_000) == (None, "repetitive")
    assert normalise("\\x5c" * 100_000, 50, 10_000_000) == (None, "repetitive")


def test_real_kinds_of_text_are_kept() -> None:
    words = random.Random(1).choices(PROSE.split(), k=20_000)
    table = "\n".join(f"{row:6d} {row * 37 % 1009:8d} {row * row % 997:8d}" for row in range(500))
    for text in (
        " ".join(words),
        table,
        "统计数据显示经济增长放缓，" * 4,
        "שלום עולם זהו טקסט בעברית " * 3,
        "if x:\n    return y\n" * 9,
    ):
        assert normalise(text, 50, 10_000_000)[1] is None


def test_a_stack_of_marks_takes_no_time() -> None:
    begin = time.monotonic()
    assert normalise("a" + "\u0301\u0323" * 200_000, 50, 10_000_000) == (None, "repetitive")
    assert time.monotonic() - begin < 2.0


text_of_all_kinds = (
    st.text(st.sampled_from("ab \t\n\r\x00\x0b\x0c\x85\u2028\u200b\ufeff\u0301\u0323\u0344é\u1100\u1161\xa0😀"))
    | st.text()
)


@given(text_of_all_kinds)
@example("a\u200b\u0301")  # removing the character in between joins letter and mark
@example(" \u0344" * 2)
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    once = cleaned(text)
    assert once is None or cleaned(once) == once


@given(text_of_all_kinds)
def test_what_a_cleaned_text_never_holds(text: str) -> None:
    once = cleaned(text)
    if once is not None:
        assert unicodedata.is_normalized("NFC", once)
        assert not any(unicodedata.category(character) == "Cc" for character in once if character not in "\n\t")
        assert not any(line != line.rstrip() for line in once.split("\n"))
        assert "\n\n\n\n" not in once
        assert once.strip()
