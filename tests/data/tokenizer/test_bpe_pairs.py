"""After any merges the counts and lists of places are those of a count from nothing."""

import itertools
import random
from collections import Counter

import numpy as np
import pytest

from data.tokenizer import bpe_pairs
from data.tokenizer.bpe_pairs import (
    CHANGED,
    NONE,
    RIGHT,
    USED,
    Merge,
    Pairs,
    Words,
    begin_words,
    count_pairs,
    merge_pair,
)
from data.tokenizer.strings import Int32s

PIECES, LONGEST = 60, 9


def counted(words: Words, lengths: Int32s) -> tuple[Counter[int], dict[int, set[int]]]:
    """Occurrences of each pair that may be merged, and the places where it begins."""
    totals: Counter[int] = Counter()
    places: dict[int, set[int]] = {}
    for number, (begin, end) in enumerate(itertools.pairwise(words.offsets.tolist())):
        place = begin
        while place < end:
            left = int(words.symbols[place])
            after = place + int(lengths[left])
            assert words.symbols[after - 1] == left
            if after < end and lengths[left] + lengths[words.symbols[after]] <= LONGEST:
                key = left << 32 | int(words.symbols[after])
                totals[key] += int(words.counts[number])
                places.setdefault(key, set()).add(place)
            place = after
        assert place == end
    return totals, places


def listed(words: Words, pairs: Pairs, slot: int) -> list[int]:
    found, place, before = [], int(pairs.heads[slot]), NONE
    while place != NONE:
        assert words.befores[place] == before
        found.append(place)
        before, place = place, int(words.nexts[place])
    return found


def check(words: Words, pairs: Pairs, lengths: Int32s) -> None:
    totals, places = counted(words, lengths)
    slots = {int(pairs.keys[slot]): slot for slot in range(pairs.state[USED])}
    assert len(slots) == pairs.state[USED]
    assert {key: pairs.counts[slot] for key, slot in slots.items() if pairs.counts[slot]} == totals
    for key, slot in slots.items():
        found = listed(words, pairs, slot)
        assert len(found) == len(set(found))
        assert set(found) == places.get(key, set())


@pytest.mark.parametrize("seed", range(6))
def test_counts_stay_exact(seed: int) -> None:
    draw = random.Random(seed)
    texts = [draw.choices(range(1 + seed % 3), k=draw.randrange(0, 200)) for _ in range(60)]
    offsets = np.concatenate([[0], np.cumsum([*map(len, texts)])])
    counts = np.array(draw.choices(range(1, 9), k=60), np.int64)
    words = begin_words(np.array([*itertools.chain(*texts)], np.int32), offsets, counts)
    lengths = np.ones(PIECES, np.int32)
    pairs = count_pairs(words, lengths, LONGEST)
    check(words, pairs, lengths)
    for number, piece in enumerate(range(3, PIECES), start=1):
        slot = int(np.argmax(pairs.counts[: pairs.state[USED]]))
        if not pairs.counts[slot]:
            break
        key = int(pairs.keys[slot])
        before = counted(words, lengths)[0]
        lengths[piece] = lengths[key >> 32] + lengths[key & RIGHT]
        pairs = merge_pair(words, pairs, Merge(slot, piece, number, LONGEST, lengths))
        check(words, pairs, lengths)
        after = counted(words, lengths)[0]
        changed = {int(pairs.keys[slot]) for slot in pairs.changed[: pairs.state[CHANGED]]}
        assert {key for key in after if after[key] > before[key]} <= changed


def test_pairs_outgrow_their_room() -> None:
    """More pairs than there was room for: each pair of one piece with another is a pair of its own."""
    draw = np.random.default_rng(1)
    symbols = draw.integers(1, 400, 1_000_000).astype(np.int32)
    symbols[::2] = 0
    offsets = np.arange(0, 1_000_001, 10)
    words = begin_words(symbols, offsets, np.ones(100_000, np.int64))
    lengths = np.ones(2_000, np.int32)
    pairs = count_pairs(words, lengths, LONGEST)
    rooms = {len(pairs.keys)}
    for number in range(1, 1_600):
        slot = int(np.argmax(pairs.counts[: pairs.state[USED]]))
        piece = 399 + number
        lengths[piece] = lengths[pairs.keys[slot] >> 32] + lengths[pairs.keys[slot] & RIGHT]
        pairs = merge_pair(words, pairs, Merge(slot, piece, number, LONGEST, lengths))
        rooms.add(len(pairs.keys))
    assert rooms == {bpe_pairs.ROOM, 2 * bpe_pairs.ROOM}
    check(words, pairs, lengths)


def test_words_may_begin_with_pieces_of_several_bytes() -> None:
    """Of more pairs than there is room for at first; none that would be too long together."""
    draw, pieces = np.random.default_rng(2), 700
    lengths = draw.integers(1, 4, pieces).astype(np.int32)
    numbers = draw.integers(0, pieces, 200_000).astype(np.int32)
    offsets = np.concatenate(([0], np.cumsum(lengths[numbers])))[::10].copy()
    words = begin_words(np.repeat(numbers, lengths[numbers]), offsets, np.ones(20_000, np.int64))
    pairs = count_pairs(words, lengths, 5)
    inside = np.arange(199_999) % 10 != 9
    left, right = numbers[:-1][inside], numbers[1:][inside]
    fitting = lengths[left] + lengths[right] <= 5
    keys, counts = np.unique(left[fitting].astype(np.int64) << 32 | right[fitting], return_counts=True)
    used = pairs.state[USED]
    assert used > bpe_pairs.ROOM
    order = np.argsort(pairs.keys[:used])
    assert np.array_equal(pairs.keys[:used][order], keys)
    assert np.array_equal(pairs.counts[:used][order], counts)
