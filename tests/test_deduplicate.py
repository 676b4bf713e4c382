import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.deduplicate import (
    DUPLICATE,
    HELD_OUT_DUPLICATE,
    KEPT,
    REPEATED_ID,
    Digests,
    as_digests,
    find_duplicates,
    keep_one_of_each,
)


def digests(names: str) -> Digests:
    return as_digests(b"".join(hashlib.blake2b(name.encode(), digest_size=16).digest() for name in names))


def splits(levels: str) -> np.ndarray:
    return np.array([int(level) for level in levels], np.uint8)


@pytest.mark.parametrize(
    ("texts", "ids", "levels", "expected"),
    [
        ("abc", ["uvw"], "000", [KEPT, KEPT, KEPT]),
        ("aba", ["uvw"], "000", [KEPT, KEPT, DUPLICATE]),
        ("aab", ["uv", "u"], "000", [KEPT, DUPLICATE, KEPT]),  # the same id in two sources is no repetition
        ("aa", ["u", "v"], "02", [HELD_OUT_DUPLICATE, KEPT]),  # over the date's border the held-out copy stays
        ("aaaa", ["uvwx"], "0220", [HELD_OUT_DUPLICATE, KEPT, DUPLICATE, HELD_OUT_DUPLICATE]),
        ("aba", ["uuv"], "000", [KEPT, REPEATED_ID, DUPLICATE]),
        ("abb", ["uuv"], "000", [KEPT, REPEATED_ID, KEPT]),  # a repeated id takes no text with it
        ("aa", ["uu"], "02", [KEPT, REPEATED_ID]),
        ("", ["", ""], "", []),
    ],
)
def test_what_becomes_of_each(texts: str, ids: list[str], levels: str, expected: list[int]) -> None:
    fates = find_duplicates(digests(texts), [digests(source) for source in ids], splits(levels))
    assert fates.dtype == np.uint8
    assert fates.tolist() == expected


def test_equal_halves_are_no_equal_digests() -> None:
    same_half = as_digests(b"\1" * 16 + b"\1" * 8 + b"\2" * 8 + b"\2" * 8 + b"\1" * 8)
    assert keep_one_of_each(same_half, np.zeros(3, np.uint8))[0].all()


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 3)), max_size=30))
def test_the_first_of_the_lowest_rank_is_kept(documents: list[tuple[str, int]]) -> None:
    names = "".join(name for name, _ in documents)
    ranks = [rank for _, rank in documents]
    is_kept, chosen = keep_one_of_each(digests(names), np.array(ranks, np.uint8))
    for index, name in enumerate(names):
        equals = [other for other, its in enumerate(names) if its == name]
        best = min(equals, key=lambda other: (ranks[other], other))
        assert (is_kept[index], chosen[index]) == (index == best, best)
