"""The pairs of neighbouring pieces in counted pre-tokens: how often each occurs, where, and what a merge changes."""

from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]

NONE = -1
RIGHT = (1 << 32) - 1
USED, CHANGED, FREE, SPARE = range(4)  # of Book.state
LOST_BEFORE, MADE_BEFORE, LOST_AFTER, MADE_AFTER = range(4)  # of Book.near


class Words(NamedTuple):
    """Pre-tokens as pieces, of which each becomes fewer."""

    symbols: Int32s
    offsets: Int64s
    lengths: Int32s
    counts: Int64s


class Book(NamedTuple):
    """Pairs of neighbouring pieces in the order in which they were met, the words that hold each, and room for more."""

    keys: Int64s  # the left piece's number << 32 | the right one's
    counts: Int64s
    heads: Int32s  # the first node of the list of words that hold the pair, or did
    words: Int32s  # the word that was added to that list last
    merges: Int32s  # the merge that added to it last
    changed: Int32s  # the pairs that the present merge has added to
    node_words: Int32s
    node_nexts: Int32s  # free nodes form a list of their own
    near: Int32s  # (4, pieces): pairs that the present merge changes, by kind of change and the piece beside
    met: Int32s  # (4, pieces): the last merge that set `near`
    state: Int64s  # pairs used, pairs changed by the present merge, the first free node, and how many are free


@numba.njit(cache=True)
def count_pairs(words: Words, slots: "numba.typed.Dict", pieces: int) -> Book:
    few, near = np.empty(0, np.int32), np.full((4, pieces), NONE, np.int32)
    none, state = np.empty(0, np.int64), np.array([0, 0, NONE, 0])
    book, word = Book(none, none, few, few, few, few, few, few, near, near.copy(), state), 0
    while word < len(words.lengths):
        book = _with_room(book, words.lengths[word])
        word = _count_while_room(words, slots, book, word)
    return book


@numba.njit(cache=True)
def _count_while_room(words: Words, slots: "numba.typed.Dict", book: Book, word: int) -> Any:
    """Count the pairs of words from this one on, up to the first that the book may have no room for."""
    while word < len(words.lengths) and _has_room(book, words.lengths[word]):
        begin = words.offsets[word]
        for place in range(begin, begin + words.lengths[word] - 1):
            slot = _slot(book, slots, np.int64(words.symbols[place]) << 32 | words.symbols[place + 1])
            _add(book, slot, words.counts[word], word, 0)
        word += 1
    return word


@numba.njit(cache=True)
def merge_pair(
    words: Words,
    slots: "numba.typed.Dict",
    book: Book,
    slot: int,
    piece: int,
    piece_lengths: Int32s,
    longest: int,
    merge: int,
) -> Book:
    """Put `piece` wherever the pair stands; the pairs that this makes are book.changed[: state[CHANGED]]."""
    key, node = book.keys[slot], book.heads[slot]
    book.heads[slot], book.state[CHANGED] = NONE, 0
    while node != NONE:
        book = _with_room(book, 2 * words.lengths[book.node_words[node]])
        node = _merge_while_room(words, slots, book, node, key, piece, piece_lengths, longest, merge)
    book.counts[slot] = 0
    return book


@numba.njit(cache=True)
def _merge_while_room(
    words: Words,
    slots: "numba.typed.Dict",
    book: Book,
    node: int,
    key: int,
    piece: int,
    piece_lengths: Int32s,
    longest: int,
    merge: int,
) -> Any:
    """Merge in the words of the list from this node on, up to the first that the book may have no room for."""
    while node != NONE:
        word = book.node_words[node]
        if not _has_room(book, 2 * words.lengths[word]):
            break
        words.lengths[word] = _merge_in_word(words, slots, book, word, key, piece, piece_lengths, longest, merge)
        after, book.node_nexts[node] = book.node_nexts[node], book.state[FREE]
        book.state[FREE], node = node, after
        book.state[SPARE] += 1
    return node


@numba.njit(cache=True)
def _has_room(book: Book, more: int) -> Any:
    return book.state[USED] + more <= len(book.keys) and more <= book.state[SPARE]


@numba.njit(cache=True)
def _merge_in_word(
    words: Words,
    slots: "numba.typed.Dict",
    book: Book,
    number: int,
    key: int,
    piece: int,
    piece_lengths: Int32s,
    longest: int,
    merge: int,
) -> Any:
    """Merge within a word, from the left, and correct the counts of the pairs beside; returns its new length."""
    left, right, count = key >> 32, key & RIGHT, words.counts[number]
    word = words.symbols[words.offsets[number] : words.offsets[number] + words.lengths[number]]
    size, read, written = piece_lengths[piece], 0, 0
    while read < len(word):
        if read + 1 == len(word) or word[read] != left or word[read + 1] != right:
            word[written] = word[read]
            read, written = read + 1, written + 1
            continue
        if written:
            before = np.int64(word[written - 1])
            if piece_lengths[before] + piece_lengths[left] <= longest:
                book.counts[_near(book, slots, LOST_BEFORE, before, before << 32 | left, merge)] -= count
            if piece_lengths[before] + size <= longest:
                slot = _near(book, slots, MADE_BEFORE, before, before << 32 | piece, merge)
                _add(book, slot, count, number, merge)
        if read + 2 < len(word):
            after = np.int64(word[read + 2])
            if piece_lengths[right] + piece_lengths[after] <= longest:
                book.counts[_near(book, slots, LOST_AFTER, after, right << 32 | after, merge)] -= count
            if size + piece_lengths[after] <= longest:
                slot = _near(book, slots, MADE_AFTER, after, piece << 32 | after, merge)
                _add(book, slot, count, number, merge)
        word[written] = piece
        read, written = read + 2, written + 1
    return written


@numba.njit(cache=True)
def _slot(book: Book, slots: "numba.typed.Dict", key: int) -> Any:
    """Place of a pair in the book, which it is added to if it is not there."""
    if key in slots:
        return slots[key]
    slot = book.state[USED]
    book.state[USED] += 1
    slots[key] = slot
    book.keys[slot], book.counts[slot] = key, 0
    book.heads[slot] = book.words[slot] = book.merges[slot] = NONE
    return slot


@numba.njit(cache=True)
def _near(book: Book, slots: "numba.typed.Dict", change: int, beside: int, key: int, merge: int) -> Any:
    """Place of a pair, looked up once in a merge: all pairs of one kind of change differ in the piece beside."""
    if book.met[change, beside] != merge:
        book.met[change, beside], book.near[change, beside] = merge, _slot(book, slots, key)
    return book.near[change, beside]


@numba.njit(cache=True)
def _add(book: Book, slot: int, count: int, word: int, merge: int) -> None:
    """Count a pair `count` times more, and note that `word` holds it."""
    state = book.state
    book.counts[slot] += count
    if book.merges[slot] != merge:
        book.merges[slot], book.words[slot] = merge, NONE
        book.changed[state[CHANGED]] = slot
        state[CHANGED] += 1
    if book.words[slot] != word:
        book.words[slot] = word
        node = state[FREE]
        state[FREE] = book.node_nexts[node]
        state[SPARE] -= 1
        book.node_words[node], book.node_nexts[node], book.heads[slot] = word, book.heads[slot], node


@numba.njit(cache=True)
def _with_room(book: Book, more: int) -> Book:
    """The book, with room for so many more pairs and nodes."""
    pairs, nodes = book.state[USED] + more, len(book.node_words)
    keys, counts, heads, words, merges, changed, node_words, node_nexts, near, met, state = book
    if pairs > len(keys):
        keys, counts, heads = longer(keys, pairs), longer(counts, pairs), longer(heads, pairs)
        words, merges, changed = longer(words, pairs), longer(merges, pairs), longer(changed, pairs)
    if more > state[SPARE]:
        node_words, node_nexts = longer(node_words, nodes + more), longer(node_nexts, nodes + more)
        for node in range(nodes, len(node_nexts)):
            node_nexts[node] = node + 1
        node_nexts[-1] = state[FREE]
        state[FREE] = nodes
        state[SPARE] += len(node_nexts) - nodes
    return Book(keys, counts, heads, words, merges, changed, node_words, node_nexts, near, met, state)


@numba.njit(cache=True)
def longer(array: Int64s, needed: int) -> Int64s:
    """The array with room for at least so many items, which are not set."""
    longer = np.empty(max(needed, 3 * len(array) // 2), array.dtype)
    longer[: len(array)] = array
    return longer
