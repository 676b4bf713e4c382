import random
import time
import unicodedata
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from data.cleaning.clean import Cleaned, has_symbol_run, is_repetitive, make_cleaner
from data.config import CleaningConfig, DataConfig
from data.errors import DataError
from data.source_config import SourceConfig

PROSE = "The Committee decided to keep the target range for the federal funds rate where it was, for now."


def clean(
    text: str, shortest: int = 1, longest: int = 10_000_000, language: str | None = None, **cleaning: Any
) -> Cleaned:
    """What becomes of a text, without the text of one that is dropped."""
    cleaned = cleaner(shortest, longest, language, **cleaning)(text)
    return cleaned._replace(text="") if cleaned.reason else cleaned


def cleaner(
    shortest: int = 1, longest: int = 10_000_000, language: str | None = None, **cleaning: Any
) -> Callable[[str], Cleaned]:
    source = SourceConfig(name="news", path="news.jsonl", language=language)
    config = DataConfig(
        sources=(source,),
        minimum_characters=shortest,
        maximum_characters=longest,
        cleaning=CleaningConfig(**cleaning),
    )
    return make_cleaner(config, source)


def dropped(reason: str) -> Cleaned:
    return Cleaned("", reason, {}, 0, {})


def kept(text: str) -> Cleaned:
    return Cleaned(text, None, {}, 0, {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a plain text", "a plain text"),
        (
            "one\r\ntwo\rthree\u2028four\u2029five\x0csix\x0bseven",
            "one\ntwo\nthree\nfour\nfive\nsix\nseven",
        ),
        ("Cafe\u0301 Zu\u0308rich", "Café Zürich"),
        (
            "\ufeffmark \u200bzero\u200b-width\u2060 bell\x07 null\x00 del\x7f",
            "mark zero-width bell  null  del",
        ),
        ("tabs\tstay, ends  \t\nof lines\u00a0\ndo not  ", "tabs\tstay, ends\nof lines\ndo not"),
        ("first\n\n\n\n\n\nsecond\n\n\nthird", "first\n\n\nsecond\n\n\nthird"),
        ("\n \n  indented\n", "  indented"),
        ("می\u200cخواهم", "می\u200cخواهم"),
    ],
)
def test_normalisation(text: str, expected: str) -> None:
    assert clean(text)._replace(altered=frozenset()) == kept(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8=FIX.4.2\x019=178\x0135=8\x01", "8=FIX.4.2 9=178 35=8"),
        ("245 10\x1faMarbury\x1fbv. Madison\x1e100 1\x1faMarshall\x1d", "245 10 aMarbury bv. Madison\n100 1 aMarshall"),
        ("12\x0213\x0314\x1c15", "12 13 14\n15"),
        ("Total\x072018\x072019\x07", "Total 2018 2019"),
        ("SMITH\x00\x00\x00JOHN\x0012345\x0067", "SMITH   JOHN 12345 67"),
        ("\x00".join("UTF-16 read as Latin-1") + "\x00", "UTF-16 read as Latin-1"),
        ("2018\x9d2019 at 10\x8120 %", "2018 2019 at 10 20 %"),
    ],
)
def test_control_characters_that_separate_join_no_numbers(text: str, expected: str) -> None:
    assert clean(text) == kept(expected)._replace(altered={"control characters"})


def test_without_mending_mojibake_its_control_characters_stay() -> None:
    text = "The years 2018\x962019, 10\x9620 % and \x93Agreement\x94"
    assert clean(text, fix_mojibake=False) == kept(text)
    assert clean(text) == kept("The years 2018–2019, 10–20 % and “Agreement”")._replace(altered={"mojibake"})
    assert clean("form\x0cfeed, end of line\r\n\u200bzero").altered == set()


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
    assert clean(text, 50, 1_000)._replace(altered=frozenset()) == dropped(reason)


def test_limits_are_inclusive() -> None:
    assert clean(PROSE, len(PROSE), len(PROSE)) == kept(PROSE)
    assert clean(PROSE, len(PROSE) + 1, 1_000) == dropped("too short")
    assert clean(PROSE, 1, len(PROSE) - 1) == dropped("too long")


def test_what_is_dropped_is_given_as_it_was_cleaned() -> None:
    assert cleaner(shortest=9)("a\r\nb \n") == Cleaned("a\nb", "too short", {}, 0, {})


def test_the_published_accident_is_dropped() -> None:
    # OPT-175B's logbook: documents of half a million backslashes
    assert clean("\\" * 500_000) == dropped("repetitive")
    assert clean(PROSE + "\\" * 500_000) == dropped("repetitive")
    assert clean("buy now " * 500) == dropped("repetitive")
    assert clean("\\x5c" * 100_000) == dropped("repetitive")


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
        assert clean(text, 50).reason is None


def test_a_table_of_round_amounts_is_no_repetition_and_one_digit_over_and_over_is() -> None:
    rows = [f"{n}00,000,000 {n + 1}00,000,000 {n + 2}00,000,000" for n in range(1, 40)]
    for table in (rows, [f"JPY {n},000,000,000,000" for n in range(1, 90)], [f"{n:05d} 0000 0000" for n in range(200)]):
        text = "\n".join(table)
        assert max(text.count(digit) for digit in "0123456789") > len(text) / 2
        assert clean(text).text == text
    for text in (
        "0" * 500,
        "000\n" * 200,
        "1,000,000,000 " * 40,
        "1000002000000300000" * 9,
        "1" + "0" * 500 + "2\n\n3\n4",
    ):
        assert clean(text) == dropped("repetitive")


def test_runs_of_symbols_are_found_wherever_they_are() -> None:
    for place in (0, 1, 998, 999, 1_000, 1_001, 5_555):
        around = "中文é" * 2_000
        for count, expected in ((999, False), (1_000, True), (2_500, True)):
            assert has_symbol_run(around[:place] + "\u0301" * count + around[place:]) is expected
    assert not has_symbol_run("-" * 5_000)


def test_a_stack_of_marks_takes_no_time() -> None:
    begin = time.process_time()
    assert clean("a" + "\u0301\u0323" * 200_000) == dropped("repetitive")
    assert clean("a" + "\u0301\x00\u0323\x00" * 200_000).reason == "repetitive"
    assert time.process_time() - begin < 4.0


text_of_all_kinds = (
    st.text(st.sampled_from("ab \t\n\r\x00\x0b\x0c\x85\u2028\u200b\ufeff\u0301\u0323\u0344é\u1100\u1161\xa0😀"))
    | st.text()
)


everything = {
    "boilerplate_lines": ("[ab ]*", "Page [0-9]+"),
    "filters": ("c4", "gopher_repetition"),
    "scrub": ("email", "phone", "ip", "card", "iban"),
}


@given(text_of_all_kinds, st.booleans())
@example("a\u200b\u0301", False)  # removing the character in between joins letter and mark
@example(" \u0344" * 2, False)
@example("â\u200b\x80\x99", False)  # mojibake once the character in between is gone
@example("Ã\x83Â©", False)  # mojibake of mojibake
@example("one [[1]1] is here to be read. " * 9, True)
def test_cleaning_twice_is_cleaning_once(text: str, with_everything: bool) -> None:
    options = everything if with_everything else {}
    once = clean(text, **options)
    assert once.reason or clean(once.text, **options) == kept(once.text)


@given(text_of_all_kinds)
def test_what_a_cleaned_text_never_holds(text: str) -> None:
    once = clean(text).text
    if once:
        assert unicodedata.is_normalized("NFC", once)
        assert not any(unicodedata.category(character) == "Cc" for character in once if character not in "\n\t")
        assert not any(line != line.rstrip() for line in once.split("\n"))
        assert "\n\n\n\n" not in once
        assert once.strip()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the Fedâ€™s supplyâ€“demand balance", "the Fed’s supply–demand balance"),
        ("cafÃ© Ã  la carte", "café à la carte"),
        ("Ð\x9fÑ\x80Ð¸Ð²ÐµÑ‚", "Привет"),
        ("fine – “as it is”, naïve, £5, São Tomé", "fine – “as it is”, naïve, £5, São Tomé"),
        ("Acmeâ„¢, MÃ¼nchen", "Acme™, München"),
        ("Ø±5 %, Ü§ 4, 5 Å²", "Ø±5 %, Ü§ 4, 5 Å²"),
        ("PRIX À€10", "PRIX À€10"),
        ("it â€™s\nÄÖÜ «là» 中文 Ελλάδα", "it ’s\nÄÖÜ «là» 中文 Ελλάδα"),  # line by line
    ],
)
def test_mojibake_is_mended(text: str, expected: str) -> None:
    assert clean(text).text == expected


def test_mojibake_can_be_left() -> None:
    assert clean("one\x85two csi\x9b", fix_mojibake=False).text == "one\ntwo csi\x9b"
    assert clean("the Fedâ€™s balance", fix_mojibake=False).text == "the Fedâ€™s balance"


def test_boilerplate_lines_go_and_are_counted() -> None:
    lines = ("Page 1 of 9", PROSE, "", "share THIS", "Page 2 of 9 is about pages", "Page 3 of 9")
    result = clean("\n".join(lines), boilerplate_lines=(r"Page (\d) of 9", "(?i)share this"))
    matched = {r"Page (\d) of 9": 2, "(?i)share this": 1}
    assert result == Cleaned(f"{PROSE}\n\nPage 2 of 9 is about pages", None, {}, 3, matched)


def test_a_line_counts_for_each_boilerplate_expression_that_matches_it() -> None:
    expressions = ("Page .*", r"Page \d", r"page \d", "Page 1 of 9 ")
    result = clean(f"{PROSE}\nPage 1\nPage 1\nPage one", boilerplate_lines=expressions)
    assert (result.removed_lines, result.boilerplate) == (3, {"Page .*": 3, r"Page \d": 2})


def test_a_boilerplate_expression_that_is_none_is_named() -> None:
    with pytest.raises(DataError, match=r"boilerplate_lines: '\(page' is no regular expression"):
        clean(PROSE, boilerplate_lines=("fine", "(page"))


def test_c4_takes_lines_and_pages() -> None:
    result = clean(f"Menu\n{PROSE}\n{PROSE}\n{PROSE} Again.", filters=("c4",))
    assert result == Cleaned(f"{PROSE}\n{PROSE}\n{PROSE} Again.", None, {}, 1, {})
    assert clean(f"Menu\n{PROSE}", filters=("c4",)) == Cleaned("", "c4: sentences", {}, 1, {})
    assert clean("Menu\nHome", filters=("c4",)) == Cleaned("", "no lines left", {}, 2, {})


def test_personal_data_is_replaced_and_counted() -> None:
    result = clean(f"{PROSE} Ask jane@example.org or joe@example.org, +1 212 555 0123.", scrub=("email", "phone"))
    assert result == Cleaned(f"{PROSE} Ask <EMAIL> or <EMAIL>, <PHONE>.", None, {"email": 2, "phone": 1}, 0, {})


def test_another_language_is_dropped() -> None:
    german = "Der Ausschuss beschloss heute, den Zins vorerst unverändert zu lassen, wie erwartet worden war."
    assert clean(german, language="en") == dropped("language: de")
    assert clean(german, language="de") == kept(german)
    assert clean(german) == kept(german)


def test_filters_are_asked_before_the_language() -> None:
    assert (
        clean("Der Ausschuss beschloss es.", language="en", filters=("gopher_quality",)).reason
        == "gopher_quality: words"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\\" * 51 + "".join(map(chr, range(0x100, 0x100 + 49))), True),  # 51 of 100 characters
        ("\\" * 50 + "".join(map(chr, range(0x100, 0x100 + 50))), False),
        ("中" * 51 + "".join(map(chr, range(0x100, 0x100 + 49))), True),
        ("中" * 50 + "".join(map(chr, range(0x100, 0x100 + 50))), False),
        (" " * 80 + "".join(map(chr, range(0x100, 0x100 + 20))), False),  # columns of a table
        ("1001010100110110" * 7, True),  # 1 bit a byte
        ("ACGTTGCAAC" * 4 + "GATTACA", False),  # 2 bits a byte
        ("".join(random.Random(5).choices("abc", (50, 41, 9), k=99)), True),  # 1.46 bits a byte
        ("".join(random.Random(5).choices("abc", (43, 33, 24), k=99)), False),  # 1.54
    ],
)
def test_limits_of_repetition(text: str, expected: bool) -> None:
    assert is_repetitive(text) is expected


PARTIES = ["seller", "buyer", "agent", "lender", "trustee", "issuer", "guarantor", "notary", "auditor", "broker"]
ROWS = [(party, 7919 * number + 1013) for number, party in enumerate(PARTIES)]
LAID_OUT = {
    "leaders": "\n".join(f"{party.title()} {'.' * 70} {number}" for party, number in ROWS),
    "spaced leaders": "\n".join(f"{party.title()} {'. ' * 60}{number}" for party, number in ROWS * 20),
    "ellipses": "\n".join(f"{party.title()} {'…' * 30} {number}" for party, number in ROWS),
    "rules": "\n".join(f"{'=' * 80}\n{party} {number}" for party, number in ROWS),
    "a table with rules": "\n".join(f"+{'-' * 20}+{'-' * 12}+\n|{party:20}|{number:12}|" for party, number in ROWS),
    "box drawing": f"{'─' * 60}\n".join(f"{party} {number}\n" for party, number in ROWS),
    "a long rule": f"{PROSE} {'─' * 1_000} {PROSE}",
    "wide spacing": "\n".join(f"{party:>90}{number:>40}" for party, number in ROWS),
    "a form": "\n".join(f"{party}: {'_' * 60}" for party in PARTIES),
}


@pytest.mark.parametrize("name", LAID_OUT)
def test_layout_is_no_repetition(name: str) -> None:
    assert clean(LAID_OUT[name]) == kept(LAID_OUT[name].strip("\n"))


def test_layout_with_next_to_nothing_in_it_is_repetitive() -> None:
    for text in ("-" * 500, "Ab" + "-" * 80, ". " * 5_000 + "end", " \n| |" * 900 + "x", "buy now ----- " * 500):
        assert is_repetitive(text), text[:20]


def test_repetition_can_be_kept() -> None:
    for text in ("\\" * 500, "buy now " * 500, "a" + "\u0301\u0323" * 20_000):
        assert clean(text, drop_repetitive=False) == kept(text.rstrip())


def test_a_page_over_and_over_is_repetitive_and_a_long_text_is_not() -> None:
    chance = random.Random(2)
    page = " ".join("".join(chance.choices("abcdefghijklmnop", k=6)) for _ in range(300))
    assert is_repetitive(f"{page}\n" * 500)
    assert not is_repetitive(f"{page}\n" * 20)
    assert not is_repetitive("\n".join(f"{row} {row * row} {row % 7}" for row in range(20_000)))
