"""Texts with characters of a newer Unicode are found, and every run of the known ones is probed."""

import random
import unicodedata

import numpy as np
import pyarrow as pa

from data.tokenizer.code_points import has_unsure, probed_characters


def unsure(texts: list[str]) -> list[bool]:
    return has_unsure(pa.array(texts, pa.large_string())).tolist()


def test_unassigned_characters_are_found_wherever_they_stand() -> None:
    texts = ["plain", "", "\u0378 is probed", "\u088f", "a \u4e2d\uffff", "\U0001f600 \ue000 \U0010fffd", "x\U000323b0"]
    assert unsure(texts) == [False, False, False, unicodedata.category("\u088f") == "Cn", True, False, True]
    assert unsure([]) == []
    assert unsure([""]) == [False]


def test_any_text_is_judged_as_its_characters_are_one_by_one() -> None:
    chance = random.Random(1)
    points = [chance.randrange(0x110000) for _ in range(4_000)] + [chance.randrange(0x800) for _ in range(4_000)]
    texts = ["é" + chr(point) + "." for point in points if not 0xD800 <= point < 0xE000]
    expected = [ord(text[1]) >= 0x800 and unicodedata.category(text[1]) == "Cn" for text in texts]
    assert unsure(texts) == expected
    sliced = pa.array(texts, pa.large_string())[100:300]
    assert has_unsure(sliced).tolist() == expected[100:300]
    assert 0 < np.mean(expected) < 1


def test_both_ends_of_every_run_of_a_category_are_probed() -> None:
    probed = set(probed_characters())
    assert {"\u0378", "A", "Z", "a", "z", "0", "9", "\u088e", "\u4e00"} <= probed
    assert "\ud800" not in probed
    assert len(probed) < 10_000
