"""The pairs of neighbouring pieces in counted pre-tokens: how often each occurs, where, and what a merge changes.

A piece of n bytes fills n places of the text. Each place begins one pair at most, so that the places of each pair form
a list through two arrays as long as the text, from which a place is taken at once, and nothing is stale or made anew.
"""

from typing import Any, NamedTuple

import numba
import numpy as np

from data.hashing import GOLDEN
from data.tokenizer.strings import Int32s, Int64s

NONE = -1
RIGHT = (1 << 32) - 1
FIBONACCI = np.int64(GOLDEN - (1 << 64))
ROOM = 1 << 17  # pairs to begin with; more than two bytes can make
MADE_AT_ONCE = 4  # pairs that a run of merges may make: before, within and after it
BLOCK = 6  # bits of a place within a block
USED, CHANGED, MERGED = range(3)  # of Pairs.state
LOST_BEFORE, MADE_BEFORE, LOST_AFTER, MADE_AFTER = range(4)  # of Pairs.near


class Words(NamedTuple):
    """Pre-tokens as pieces, of which each becomes fewer."""

    symbols: Int32s  # the number of a piece, at its first and its last byte; at others it means nothing
    nexts: Int32s  # the place after each in the list of its pair, at the first byte of the pair
    befores: Int32s  # the place before it
    offsets: Int64s
    counts: Int64s
    blocks: Int32s  # the word of every (1 << BLOCK)th place


class Pairs(NamedTuple):
    """Pairs of neighbouring pieces in the order in which they were met, and room for more."""

    keys: Int64s  # the left piece's number << 32 | the right one's
    counts: Int64s
    heads: Int32s  # the first place in the list of each
    merges: Int32s  # the merge that added to it last
    changed: Int32s  # the pairs that the present merge has added to
    slots: Int32s  # a hash table: the number of the pair at this place, or NONE; a power of two of them
    near: Int32s  # (4, pieces): pairs that the present merge changes, by kind of change and the piece beside
    met: Int32s  # (4, pieces): the last merge that set `near`
    state: Int64s  # pairs used, pairs changed by the present merge, and how often it was made


class Merge(NamedTuple):
    """What is merged, and with what it may be merged on."""

    slot: int  # of the pair
    piece: int  # that it becomes
    number: int  # of the merge, from 1
    longest: int  # bytes that a piece may have
    lengths: Int32s  # of the pieces


@numba.njit(cache=True)
def begin_words(symbols: Int32s, offsets: Int64s, counts: Int64s) -> Words:
    """Words of pieces, of which each stands at its first and its last byte."""
    blocks, word = np.empty((len(symbols) >> BLOCK) + 1, np.int32), 0
    for block in range(len(blocks)):
        while word + 1 < len(counts) and offsets[word + 1] <= block << BLOCK:
            word += 1
        blocks[block] = word
    return Words(symbols, np.empty_like(symbols), np.empty_like(symbols), offsets, counts, blocks)


@numba.njit(cache=True)
def count_pairs(words: Words, lengths: Int32s, longest: int) -> Pairs:
    """The pairs that may be merged; `lengths` has room for all pieces that there will be."""
    near, numbers = np.full((4, len(lengths)), NONE, np.int32), np.empty(ROOM, np.int32)
    slots, state = np.full(2 * ROOM, NONE, np.int32), np.zeros(3, np.int64)
    keys, counts = np.empty(ROOM, np.int64), np.empty(ROOM, np.int64)
    pairs = Pairs(keys, counts, numbers, numbers.copy(), numbers.copy(), slots, near, near.copy(), state)
    for word in range(len(words.counts) - 1, -1, -1):  # backwards, so that each list begins with its first place
        pairs = _with_room_for(pairs, words.offsets[word + 1] - words.offsets[word])
        begin, place = words.offsets[word], words.offsets[word + 1]
        if place > begin:
            place -= lengths[words.symbols[place - 1]]
        while place > begin:
            left, right = np.int64(words.symbols[place - 1]), words.symbols[place]
            place -= lengths[left]
            if lengths[left] + lengths[right] <= longest:
                _add(words, pairs, _slot(pairs, left << 32 | right), place, words.counts[word], 0)
    return pairs


@numba.njit(cache=True)
def merge_pair(words: Words, pairs: Pairs, merge: Merge) -> Pairs:
    """Put the piece wherever the pair stands; the pairs that this makes are pairs.changed[: state[CHANGED]]."""
    pairs.state[CHANGED] = pairs.state[MERGED] = 0
    while pairs.heads[merge.slot] != NONE:
        pairs = _with_room_for(pairs, MADE_AT_ONCE)
        _merge_while_room(words, pairs, merge)
    pairs.counts[merge.slot] = 0
    return pairs


@numba.njit(cache=True)
def _merge_while_room(words: Words, pairs: Pairs, merge: Merge) -> None:
    """Merge at the places of the list up to the first that there may be no room for."""
    left, right = pairs.keys[merge.slot] >> 32, pairs.keys[merge.slot] & RIGHT
    step = merge.lengths[left]
    while pairs.heads[merge.slot] != NONE and pairs.state[USED] + MADE_AT_ONCE <= len(pairs.keys):
        place = pairs.heads[merge.slot]
        word = words.blocks[place >> BLOCK]
        while words.offsets[word + 1] <= place:
            word += 1
        begin, end = words.offsets[word], words.offsets[word + 1]
        if left == right:  # of a run of equal pieces the first two are merged, then the next two
            while place > begin and words.symbols[place - 1] == left:
                place -= step
        _merge_at(words, pairs, merge, left, right, place, begin, end, words.counts[word])
        while left == right:
            place += 2 * step
            if place + step >= end or words.symbols[place] != left or words.symbols[place + step] != left:
                break
            _merge_at(words, pairs, merge, left, right, place, begin, end, words.counts[word])


@numba.njit(cache=True)
def _merge_at(
    words: Words, pairs: Pairs, merge: Merge, left: int, right: int, place: int, begin: int, end: int, count: int
) -> None:
    """Merge at one place of a word from `begin` to `end`, and correct the counts and lists of the pairs beside."""
    lengths, longest, size = merge.lengths, merge.longest, merge.lengths[merge.piece]
    middle, after = place + lengths[left], place + size
    _take(words, pairs, merge.slot, place)
    if place > begin:
        piece = np.int64(words.symbols[place - 1])
        before = place - lengths[piece]
        if lengths[piece] + lengths[left] <= longest:
            slot = _near(pairs, LOST_BEFORE, piece, piece << 32 | left, merge.number)
            pairs.counts[slot] -= count
            _take(words, pairs, slot, before)
        if lengths[piece] + size <= longest:
            slot = _near(pairs, MADE_BEFORE, piece, piece << 32 | merge.piece, merge.number)
            _add(words, pairs, slot, before, count, merge.number)
    if after < end:
        piece = np.int64(words.symbols[after])
        if lengths[right] + lengths[piece] <= longest:
            slot = _near(pairs, LOST_AFTER, piece, right << 32 | piece, merge.number)
            pairs.counts[slot] -= count
            _take(words, pairs, slot, middle)
        if size + lengths[piece] <= longest:
            slot = _near(pairs, MADE_AFTER, piece, np.int64(merge.piece) << 32 | piece, merge.number)
            _add(words, pairs, slot, place, count, merge.number)
    words.symbols[place] = words.symbols[after - 1] = merge.piece
    pairs.state[MERGED] += count


@numba.njit(cache=True)
def _add(words: Words, pairs: Pairs, slot: int, place: int, count: int, merge: int) -> None:
    """Count a pair `count` times more, and put the place on its list."""
    pairs.counts[slot] += count
    if pairs.merges[slot] != merge:
        pairs.merges[slot] = merge
        pairs.changed[pairs.state[CHANGED]] = slot
        pairs.state[CHANGED] += 1
    head = pairs.heads[slot]
    words.nexts[place], words.befores[place] = head, NONE
    if head != NONE:
        words.befores[head] = place
    pairs.heads[slot] = place


@numba.njit(cache=True)
def _take(words: Words, pairs: Pairs, slot: int, place: int) -> None:
    """Take a place off the list of its pair."""
    before, after = words.befores[place], words.nexts[place]
    if before == NONE:
        pairs.heads[slot] = after
    else:
        words.nexts[before] = after
    if after != NONE:
        words.befores[after] = before


@numba.njit(cache=True)
def _near(pairs: Pairs, change: int, beside: int, key: int, merge: int) -> Any:
    """Number of a pair, looked up once in a merge: all pairs of one kind of change differ in the piece beside."""
    if pairs.met[change, beside] != merge:
        pairs.met[change, beside], pairs.near[change, beside] = merge, _slot(pairs, key)
    return pairs.near[change, beside]


@numba.njit(cache=True)
def _slot(pairs: Pairs, key: int) -> Any:
    """Number of a pair, which is added to the others if it is not there."""
    place = _place(pairs.slots, key)
    while pairs.slots[place] != NONE:
        if pairs.keys[pairs.slots[place]] == key:
            return pairs.slots[place]
        place = (place + 1) & (len(pairs.slots) - 1)
    slot = pairs.state[USED]
    pairs.state[USED] += 1
    pairs.slots[place], pairs.keys[slot], pairs.counts[slot] = slot, key, 0
    pairs.heads[slot] = pairs.merges[slot] = NONE
    return np.int32(slot)


@numba.njit(cache=True)
def _place(slots: Int32s, key: int) -> Any:
    return (key * FIBONACCI >> 32) & (len(slots) - 1)


@numba.njit(cache=True)
def _with_room_for(pairs: Pairs, more: int) -> Pairs:
    """The pairs, with room for twice as many, or for so many more, if there is none for these."""
    keys, counts, heads, merges, changed, slots, near, met, state = pairs
    if state[USED] + more <= len(keys):
        return pairs
    room = 2 * len(keys)
    while state[USED] + more > room:
        room *= 2
    slots = np.full(2 * room, NONE, np.int32)
    for slot in range(state[USED]):
        place = _place(slots, keys[slot])
        while slots[place] != NONE:
            place = (place + 1) & (len(slots) - 1)
        slots[place] = slot
    keys, counts = longer(keys, room), longer(counts, room)
    heads, merges, changed = longer(heads, room), longer(merges, room), longer(changed, room)
    return Pairs(keys, counts, heads, merges, changed, slots, near, met, state)


@numba.njit(cache=True)
def longer(array: Any, room: int) -> Any:
    """The array with room for so many items, of which the new ones are not set."""
    longer = np.empty(room, array.dtype)
    longer[: len(array)] = array
    return longer
