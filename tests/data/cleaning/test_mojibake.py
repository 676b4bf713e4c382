import itertools
import re
import time
import unicodedata
from pathlib import Path

import pytest
from ftfy import fix_encoding
from ftfy.badness import MOJIBAKE_CATEGORIES, is_bad
from hypothesis import assume, given
from hypothesis import strategies as st

from data.cleaning.mojibake import COMMON, LETTERS, MAYBE_MOJIBAKE, SIGNS, SYMBOLS, undo_mojibake


def read_table(name: str) -> list[str]:
    """The lines of a table, in which \\xXX and \\uXXXX stand for characters that are not seen."""
    text = Path(__file__).with_name(name).read_text("utf-8")
    text = re.sub(r"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4}))", lambda code: chr(int(code[1] or code[2], 16)), text)
    return [line for line in text.split("\n") if line and not line.startswith("#")]


def misread(text: str, encoding: str) -> str:
    return "".join(bytes([byte]).decode(encoding, "ignore") or chr(byte) for byte in text.encode())


@pytest.mark.parametrize("text", read_table("mojibake_sound.txt"))
def test_sound_text_stays_to_the_byte(text: str) -> None:
    assert undo_mojibake(text) == text
    assert undo_mojibake(f"before\n{text}\nbehind") == f"before\n{text}\nbehind"
    assert undo_mojibake(f"{text} Let Â be Ã and Â²") == f"{text} Let Â be Ã and Â²"
    composed = unicodedata.normalize("NFC", text)
    assert undo_mojibake(composed) == composed


@pytest.mark.parametrize("text", read_table("mojibake_meant.txt"))
@pytest.mark.parametrize("encoding", ["cp1252", "latin-1"])
def test_what_was_misread_becomes_what_was_meant(text: str, encoding: str) -> None:
    assert MAYBE_MOJIBAKE.search(misread(text, encoding))
    assert undo_mojibake(misread(text, encoding)) == text
    assert undo_mojibake(text) == text


@pytest.mark.parametrize("text", read_table("mojibake_meant.txt"))
@pytest.mark.parametrize("encoding", ["cp1252", "latin-1"])
def test_what_was_misread_twice_or_three_times_becomes_what_was_meant(text: str, encoding: str) -> None:
    twice = misread(misread(text, encoding), encoding)
    assert undo_mojibake(twice) == undo_mojibake(misread(twice, encoding)) == text


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1"])
def test_what_was_misread_twice_is_never_half_mended(encoding: str) -> None:
    """A character alone says little, so that some stay; but they stay as they do when they were misread once."""
    for character in [*COMMON, *SIGNS.values(), *LETTERS.values()]:
        for text in (character, f"{character} and more", f"the {character} x", f"pl{character}n", f"pla{character}"):
            once = misread(text, encoding)
            assert undo_mojibake(misread(once, encoding)) == undo_mojibake(once)


@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        ("ÃƒÂ© and more", "é and more"),
        ("Ã¢â€žÂ¢", "™"),
        ("5 Ã…Â², Ã˜Â±5 %", "5 Å², Ø±5 %"),
        ("Acmeâ„¢", "Acme™"),
        ("it â€™s", "it ’s"),
        ("MÃ¼nchen", "München"),
        ("Ø±5 % donâ€™t", "Ø±5 % don’t"),
        ("GarÃ§on, 5 Å²", "Garçon, 5 Å²"),
        ("cafÃ© Ã  la carte", "café à la carte"),
        ("the Fed‚Äôs and the ECBвЂ™s", "the Fed’s and the ECB’s"),
        ("Ã© is a letter, price 5 â‚¬ Â± 2", "é is a letter, price 5 € ± 2"),
        ("one\x85 \x93two\x94", "one… “two”"),
        ("ÐŸÑ€Ð¸Ð²ÐµÑ‚ Ð¸ Ð\xb0", "Привет и а"),  # the single letters after the others
        ("Привет\nÐ¸", "Привет\nÐ¸"),
        ("Let Â be\nitâ€™s", "Let Â be\nit’s"),
        ("the operator Ã‚ isnâ€™t", "the operator Â isn’t"),
        ("5 Å wide, 5 Å² isnâ€™t 10Â %", "5 Å wide, 5 Å² isn’t 10\xa0%"),
        ("it.Â  So Ø±5 %, Â£5", "it.\xa0 So Ø±5 %, £5"),
        ("voilÃ , cafÃ© Ã la carte", "voilà, café à la carte"),
        ("PRIX À€10, FICÃ? donâ€™t", "PRIX À€10, FICÃ? don’t"),
        ("ÐŸÑ€Ð¸Ð²ÐµÑ‚ Ð Ð¾Ñ\x81Ñ\x81Ð¸Ñ\x8f", "Привет Россия"),
        ("10 mÂ², Â² and ⟨Â²⟩", "10 m², Â² and ⟨Â²⟩"),
    ],
)
def test_each_piece_is_judged_by_itself(broken: str, expected: str) -> None:
    assert undo_mojibake(broken) == expected


@pytest.mark.parametrize("encoding", ["cp1252", "mac_roman", "cp437", "cp1251"])
def test_common_symbols_come_back_from_every_encoding(encoding: str) -> None:
    assert len(SYMBOLS) > 4 * len(COMMON) - 12
    for symbol in COMMON:
        broken = misread(symbol, encoding)
        if broken in SYMBOLS:
            assert undo_mojibake(f"Acme{broken} 5 {broken}") == f"Acme{symbol} 5 {symbol}"


MISREAD = st.text(
    st.sampled_from([chr(code) for code in range(0x20, 0x100)] + list("аяВГРСҐґўЂЃ€αβΒΓΞΟ’“”„–—…™š›œžŸˆ‰Š‹Œƒ√∂≈ﬁ�΄΅ā²"))
    | st.characters(exclude_categories=["Cs"])
)


@given(MISREAD)
def test_ftfy_changes_only_what_the_search_finds(text: str) -> None:
    assume(not MAYBE_MOJIBAKE.search(text))
    assert fix_encoding(text) == text


def test_the_search_finds_every_pair_that_ftfy_calls_bad() -> None:
    classes = "".join(MOJIBAKE_CATEGORIES.values())
    odd = [character for character in map(chr, range(0x80, 0x10000)) if character in classes or character < "\u0500"]
    for one, two in itertools.product([*odd, "a", "Z", " "], repeat=2):
        assert MAYBE_MOJIBAKE.search(one + two) or not is_bad(one + two)


def test_a_long_line_takes_no_time() -> None:
    begin = time.process_time()
    for piece in ("â€™", "é\xa0»", "Ø± ", "ÐŸ", "Å² ", "ÃÃ", "Â a"):
        undo_mojibake(piece * 20_000)
    assert time.process_time() - begin < 10
