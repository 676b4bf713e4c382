"""Equal strings have one number, in the order in which they came, and a full table takes no others."""

import random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from data.tokenizer.strings import EMPTY, Strings, apart, keep_strings, new_strings, string_number


def number(strings: Strings, text: bytes) -> int:
    return int(string_number(strings, np.frombuffer(b"<" + text + b">", np.uint8), 1, 1 + len(text)))


@given(st.lists(st.binary(max_size=3) | st.sampled_from([b"ab", b"abc", b"\0", b"\0\0"]), max_size=60))
def test_strings_are_numbered_as_they_are_met(texts: list[bytes]) -> None:
    strings = new_strings(60, 180)
    distinct = list(dict.fromkeys(texts))
    assert [number(strings, text) for text in texts] == [distinct.index(text) for text in texts]
    assert apart(*strings.content) == distinct


def test_a_full_table_knows_what_it_has() -> None:
    few, short = new_strings(2, 100), new_strings(100, 5)
    assert [number(few, text) for text in (b"a", b"b", b"c", b"b")] == [0, 1, EMPTY, 1]
    assert [number(short, text) for text in (b"abc", b"def", b"de", b"abc")] == [0, EMPTY, 1, 0]
    assert (apart(*few.content), apart(*short.content)) == ([b"a", b"b"], [b"abc", b"de"])


@given(st.lists(st.binary(max_size=3), unique=True, max_size=60), st.randoms())
def test_what_is_kept_is_found_again_and_leaves_room(texts: list[bytes], draw: random.Random) -> None:
    strings = new_strings(len(texts) + 1, 3 * len(texts) + 3)
    for text in texts:
        number(strings, text)
    kept = np.array([draw.random() < 0.5 for _ in texts], bool)
    keep_strings(strings, kept)
    left = [text for text, stays in zip(texts, kept, strict=True) if stays]
    assert apart(*strings.content) == left
    assert [number(strings, text) for text in left] == list(range(len(left)))
    assert number(strings, b"new") == (left.index(b"new") if b"new" in left else len(left))
