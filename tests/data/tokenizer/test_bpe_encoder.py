"""Merging is that of the plain algorithm: the pair of the lowest rank, the leftmost of equal ones, until none is."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from data.tokenizer.bpe_encoder import LONGEST, merge_piece, merge_table

LETTERS = "abc"


def plain(text: bytes, ranks: dict[tuple[int, int], tuple[int, int]]) -> list[int]:
    ids = list(text)
    while pairs := [pair for pair in itertools.pairwise(ids) if pair in ranks]:
        best = min(pairs, key=lambda pair: ranks[pair][0])
        place = next(place for place, pair in enumerate(itertools.pairwise(ids)) if pair == best)
        ids[place : place + 2] = [ranks[best][1]]
    return ids


@given(
    choices=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=25, unique=True),
    text=st.text(LETTERS, min_size=1, max_size=40),
)
@settings(max_examples=300, deadline=None)
def test_the_plain_algorithm(choices: list[tuple[int, int]], text: str) -> None:
    known, merges = list(map(ord, LETTERS)), []
    for left, right in choices:
        pair = known[left % len(known)], known[right % len(known)]
        if pair not in {tuple(merge[:2]) for merge in merges}:
            merges.append((*pair, 256 + len(merges)))
            known.append(merges[-1][2])
    table = merge_table(np.arange(256, dtype=np.int32), np.array(merges, np.int64).reshape(-1, 3))
    ids, room = np.empty(LONGEST, np.int32), np.empty(LONGEST, np.int64)
    content = np.frombuffer(b"__" + text.encode(), np.uint8)
    count = merge_piece(table, content, 2, len(content), ids, room)
    ranks = {(left, right): (rank, merged) for rank, (left, right, merged) in enumerate(merges)}
    assert ids[:count].tolist() == plain(text.encode(), ranks)


def test_the_longest_piece() -> None:
    table = merge_table(np.arange(256, dtype=np.int32), np.array([[97, 97, 300], [300, 300, 301]]))
    ids, room = np.empty(LONGEST, np.int32), np.empty(LONGEST, np.int64)
    text = np.full(LONGEST, ord("a"), np.uint8)
    count = merge_piece(table, text, 0, LONGEST, ids, room)
    assert ids[:count].tolist() == [301] * (LONGEST // 4)


def test_large_ids_are_not_cut() -> None:
    table = merge_table(np.full(256, 2**31 - 9, np.int32), np.array([[2**31 - 9, 2**31 - 9, 2**31 - 1]]))
    ids, room = np.empty(LONGEST, np.int32), np.empty(LONGEST, np.int64)
    assert merge_piece(table, np.frombuffer(b"xyz", np.uint8), 0, 3, ids, room) == 2
    assert ids[:2].tolist() == [2**31 - 1, 2**31 - 9]
