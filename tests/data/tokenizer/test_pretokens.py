"""The compiled cuts are those that `tokenizers` makes with the same pattern."""

import functools
import itertools
import random
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, pre_tokenizers

from data.tokenizer.pretokens import (
    CODE_POINTS,
    MOST_DIGITS,
    Digits,
    Pretokenization,
    character_classes,
    pattern,
    pretoken_end,
)
from train.config import CHECKOUT

SCHEMES = [(cuts, digits) for cuts in get_args(Pretokenization) for digits in get_args(Digits)]
classes = functools.cache(character_classes)


def cut(text: str, pretokenization: Pretokenization, digits: Digits) -> list[str]:
    content = text.encode()
    array, places = np.frombuffer(content, np.uint8), [0]
    while places[-1] < len(content):
        words, most = pretokenization == "words", MOST_DIGITS[digits]
        places.append(pretoken_end(array, places[-1], len(content), classes(pretokenization), words, most))
        assert places[-1] > places[-2]
    return [content[begin:end].decode() for begin, end in itertools.pairwise(places)]


@functools.cache
def library(pretokenization: Pretokenization, digits: Digits) -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Split(Regex(pattern(pretokenization, digits)), "isolated")


def check(text: str, pretokenization: Pretokenization, digits: Digits) -> None:
    expected = [piece for piece, _ in library(pretokenization, digits).pre_tokenize_str(text)]
    assert cut(text, pretokenization, digits) == expected


@pytest.mark.parametrize(("pretokenization", "digits"), SCHEMES)
@given(
    text=st.text()
    | st.text("aZ é\u0301中1٣½ \n\t\r\u00a0\u2028.-_'\x00\U0001f600", max_size=30)
    | st.text("''sStTmMdDrReEvVlL\u017f\u212a xß", max_size=30)
)
@settings(max_examples=300, deadline=None)
def test_any_text_is_cut_as_by_the_library(pretokenization: Pretokenization, digits: Digits, text: str) -> None:
    check(text, pretokenization, digits)


@pytest.mark.parametrize(("pretokenization", "digits"), SCHEMES)
def test_every_block_of_unicode_is_cut_as_by_the_library(pretokenization: Pretokenization, digits: Digits) -> None:
    draw = random.Random(f"{pretokenization} {digits}")
    assigned = [*range(0xD800), *range(0xE000, 0x33480), *range(0xE0000, 0xE0200)]
    text = "".join(chr(point) + draw.choice(["", " ", "a", "7", "\n", "."]) for point in assigned[::7])
    check(text, pretokenization, digits)


@pytest.mark.parametrize(("pretokenization", "digits"), SCHEMES)
def test_real_text_is_cut_as_by_the_library(pretokenization: Pretokenization, digits: Digits) -> None:
    for file in sorted((CHECKOUT / "tests").rglob("test_*.py"))[::6]:
        check(file.read_text("utf-8"), pretokenization, digits)


@pytest.mark.parametrize(
    ("digits", "expected"),
    [
        ("single", [" x", " ", "1", "2", "3", "4", "5", ",", "6", "7"]),
        ("triples", [" x", " ", "123", "45", ",", "67"]),
        ("runs", [" x", " ", "12345", ",", "67"]),
    ],
)
def test_digits(digits: Digits, expected: list[str]) -> None:
    assert cut(" x 12345,67", "words", digits) == expected


def test_words_are_cut_from_endings_line_ends_and_space() -> None:
    text = "It's 'Twas WE'LL\n\n  (end).\r\n\tx  \n"
    expected = ["It", "'s", " '", "Twas", " WE", "'LL", "\n\n", " ", " (", "end", ").\r\n", "\tx", "  \n"]
    assert cut(text, "words", "single") == expected


def test_classes_cover_unicode() -> None:
    assert classes("words").shape == classes("bloomberggpt").shape == (CODE_POINTS,)
    assert len(np.unique(classes("words"))) == 6
