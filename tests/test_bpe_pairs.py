"""After any merges the book's counts and lists of words are those of a count from nothing."""

import itertools
import random
from collections import Counter

import numba
import numpy as np
import pytest

from data.bpe_pairs import CHANGED, RIGHT, USED, Book, Words, count_pairs, merge_pair

PIECES = 40


def counted(words: Words) -> tuple[Counter[int], dict[int, set[int]]]:
    totals: Counter[int] = Counter()
    holders: dict[int, set[int]] = {}
    for number, (begin, length) in enumerate(zip(words.offsets, words.lengths, strict=False)):
        for place in range(begin, begin + length - 1):
            key = int(words.symbols[place]) << 32 | int(words.symbols[place + 1])
            totals[key] += int(words.counts[number])
            holders.setdefault(key, set()).add(number)
    return totals, holders


def listed(book: Book, slot: int) -> list[int]:
    found, node = [], book.heads[slot]
    while node >= 0:
        found.append(int(book.node_words[node]))
        node = book.node_nexts[node]
    return found


def check(words: Words, book: Book) -> None:
    totals, holders = counted(words)
    slots = {int(book.keys[slot]): slot for slot in range(book.state[USED])}
    assert len(slots) == book.state[USED]
    assert {key: book.counts[slot] for key, slot in slots.items() if book.counts[slot]} == totals
    for key, numbers in holders.items():
        assert numbers <= set(listed(book, slots[key]))


@pytest.mark.parametrize("seed", range(4))
def test_counts_stay_exact(seed: int) -> None:
    draw = random.Random(seed)
    texts = [draw.choices(range(3), k=draw.randrange(0, 30)) for _ in range(60)]
    lengths = np.array([*map(len, texts)])
    words = Words(
        np.array([*itertools.chain(*texts)], np.int32),
        np.concatenate([[0], np.cumsum(lengths)]),
        lengths.astype(np.int32),
        np.array(draw.choices(range(1, 9), k=60), np.int64),
    )
    slots = numba.typed.Dict.empty(numba.int64, numba.int64)
    book = count_pairs(words, slots, PIECES)
    check(words, book)
    piece_lengths = np.ones(PIECES, np.int32)
    for merge, piece in enumerate(range(3, PIECES), start=1):
        slot = int(np.argmax(book.counts[: book.state[USED]]))
        if not book.counts[slot]:
            break
        key = int(book.keys[slot])
        piece_lengths[piece] = piece_lengths[key >> 32] + piece_lengths[key & RIGHT]
        before = counted(words)[0]
        book = merge_pair(words, slots, book, slot, piece, piece_lengths, 1_000, merge)
        check(words, book)
        after = counted(words)[0]
        changed = {int(book.keys[slot]) for slot in book.changed[: book.state[CHANGED]]}
        assert {key for key in after if after[key] > before[key]} <= changed
