"""Byte-level BPE (Sennrich et al. 2016) learnt from counted pre-tokens: the pieces of `tokenizers`' BpeTrainer.

The best pair is the most frequent one, of equally frequent ones the one with the smallest pieces, by number. That rule
and the order of the first pieces are BpeTrainer's, so that the same text gives the same merges. It differs in three
ways: counts have 64 bits, not 32; a pair of pieces is merged everywhere at once even if another pair has made the same
piece before, where BpeTrainer may leave some of its places to a second, equal merge; and pieces are no longer than
asked, which BpeTrainer(max_token_length=n + 1) does for n.
"""

from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

NONE = -1
RIGHT = (1 << 32) - 1
USED, CHANGED, FREE, SPARE = range(4)  # of _Book.state
FNV_OFFSET, FNV_PRIME = -3750763034362895579, 1099511628211  # Fowler, Noll and Vo's hash 1a of 64 bits, signed


class Bpe(NamedTuple):
    """What was learnt; pieces are numbered from 0 in the order in which they were made."""

    pieces: list[bytes]  # the 256 bytes, then what the merges made
    merges: list[tuple[int, int]]  # of two pieces each, in the order in which they were learnt


def learn_bpe(text: Bytes, offsets: Int64s, counts: Int64s, byte_order: bytes, size: int, longest: int) -> Bpe:
    """Learn pieces until there are `size`, or nothing is left to merge.

    Memory is about 16 bytes for each byte of `text`.

    Args:
        text, offsets: uint8 and int64 (pretokens + 1,): pre-token i is text[offsets[i] : offsets[i + 1]].
        counts: int64 (pretokens,): how often each occurs.
        byte_order: all 256 bytes, in the order in which they are numbered.
        size: pieces wanted in all, at least 256.
        longest: bytes that a piece may have, at least 2.
    """
    numbers = np.empty(256, np.int32)
    numbers[np.frombuffer(byte_order, np.uint8)] = np.arange(256, dtype=np.int32)
    texts = np.zeros((size, longest), np.uint8)
    texts[:256, 0] = np.frombuffer(byte_order, np.uint8)
    lengths = np.ones(size, np.int32)
    learnt, merges = _learn(numbers[text], offsets, counts, texts, lengths)
    pieces = [row[:length].tobytes() for row, length in zip(texts[:learnt], lengths[:learnt].tolist(), strict=True)]
    return Bpe(pieces, [(left, right) for left, right in merges.tolist()])


class _Book(NamedTuple):
    """Pairs of neighbouring pieces in the order in which they were met, the words that hold each, and room for more."""

    keys: Int64s  # the left piece's number << 32 | the right one's
    counts: Int64s
    heads: Int32s  # the first node of the list of words that hold the pair, or did
    words: Int32s  # the word that was added to that list last
    merges: Int32s  # the merge that added to it last
    changed: Int32s  # the pairs that the present merge has added to
    node_words: Int32s
    node_nexts: Int32s  # free nodes form a list of their own
    state: Int64s  # pairs used, pairs changed by the present merge, the first free node, and how many are free


@numba.njit(cache=True)
def _learn(symbols: Int32s, offsets: Int64s, counts: Int64s, texts: Bytes, piece_lengths: Int32s) -> tuple[int, Int32s]:
    """How many pieces there are in the end, their texts and lengths filled in, and the merges (merges, 2)."""
    lengths = np.diff(offsets).astype(np.int32)
    slots = numba.typed.Dict.empty(numba.int64, numba.int64)
    book = _count_pairs(symbols, offsets, counts, slots)
    heap_counts, heap_slots = np.empty(book.state[USED], np.int64), np.empty(book.state[USED], np.int32)
    waiting = 0
    for slot in range(book.state[USED]):
        waiting = _push(heap_counts, heap_slots, waiting, book, slot)
    known = numba.typed.Dict.empty(numba.int64, numba.int64)
    learnt, merged, merges = 256, 0, np.empty((len(texts), 2), np.int32)
    while learnt < len(texts) and waiting:
        slot, count = heap_slots[0], heap_counts[0]
        waiting = _pop(heap_counts, heap_slots, waiting, book)
        if count != book.counts[slot]:  # it has become rarer, or was merged, since it was put there
            waiting = _push(heap_counts, heap_slots, waiting, book, slot)
            continue
        left, right = book.keys[slot] >> 32, book.keys[slot] & RIGHT
        piece = _piece(known, texts, piece_lengths, left, right, learnt)
        learnt = max(learnt, piece + 1)
        if merged == len(merges):
            merges = np.concatenate((merges, merges))
        merges[merged, 0], merges[merged, 1] = left, right
        merged += 1
        book = _merge(
            symbols, offsets, lengths, counts, slots, book, slot, piece, piece_lengths, texts.shape[1], merged
        )
        if waiting + book.state[CHANGED] > len(heap_slots):
            heap_counts = _longer(heap_counts, waiting + book.state[CHANGED])
            heap_slots = _longer(heap_slots, waiting + book.state[CHANGED])
        for place in range(book.state[CHANGED]):
            waiting = _push(heap_counts, heap_slots, waiting, book, book.changed[place])
    return learnt, merges[:merged]


@numba.njit(cache=True)
def _count_pairs(symbols: Int32s, offsets: Int64s, counts: Int64s, slots: "numba.typed.Dict") -> _Book:
    few = np.empty(0, np.int32)
    state = np.array([0, 0, NONE, 0])
    book = _Book(np.empty(0, np.int64), np.empty(0, np.int64), few, few, few, few, few, few, state)
    for word in range(len(counts)):
        book = _with_room(book, offsets[word + 1] - offsets[word])
        for place in range(offsets[word], offsets[word + 1] - 1):
            _add(book, slots, np.int64(symbols[place]) << 32 | symbols[place + 1], counts[word], word, 0)
    return book


@numba.njit(cache=True)
def _merge(
    symbols: Int32s,
    offsets: Int64s,
    lengths: Int32s,
    counts: Int64s,
    slots: "numba.typed.Dict",
    book: _Book,
    slot: int,
    piece: int,
    piece_lengths: Int32s,
    longest: int,
    merge: int,
) -> _Book:
    """Put `piece` wherever the pair stands; the pairs that this makes are book.changed[: state[CHANGED]]."""
    left, right = book.keys[slot] >> 32, book.keys[slot] & RIGHT
    node, book.heads[slot], book.state[CHANGED] = book.heads[slot], NONE, 0
    while node != NONE:
        word, after = book.node_words[node], book.node_nexts[node]
        book.node_nexts[node], book.state[FREE] = book.state[FREE], node
        book.state[SPARE] += 1
        node = after
        book = _with_room(book, 2 * lengths[word])
        here = symbols[offsets[word] : offsets[word] + lengths[word]]
        lengths[word] = _merge_in_word(
            here, slots, book, left, right, piece, piece_lengths, longest, counts[word], word, merge
        )
    book.counts[slot] = 0
    return book


@numba.njit(cache=True)
def _merge_in_word(
    word: Int32s,
    slots: "numba.typed.Dict",
    book: _Book,
    left: int,
    right: int,
    piece: int,
    piece_lengths: Int32s,
    longest: int,
    count: int,
    number: int,
    merge: int,
) -> int:
    """Merge within a word, from the left, and correct the counts of the pairs beside; returns its new length."""
    size, read, written = piece_lengths[piece], 0, 0
    while read < len(word):
        if read + 1 == len(word) or word[read] != left or word[read + 1] != right:
            word[written] = word[read]
            read, written = read + 1, written + 1
            continue
        if written:
            before = np.int64(word[written - 1])
            if piece_lengths[before] + piece_lengths[left] <= longest:
                book.counts[slots[before << 32 | left]] -= count
            if piece_lengths[before] + size <= longest:
                _add(book, slots, before << 32 | piece, count, number, merge)
        if read + 2 < len(word):
            after = np.int64(word[read + 2])
            if piece_lengths[right] + piece_lengths[after] <= longest:
                book.counts[slots[right << 32 | after]] -= count
            if size + piece_lengths[after] <= longest:
                _add(book, slots, piece << 32 | after, count, number, merge)
        word[written] = piece
        read, written = read + 2, written + 1
    return written


@numba.njit(cache=True)
def _add(book: _Book, slots: "numba.typed.Dict", key: int, count: int, word: int, merge: int) -> None:
    """Count a pair `count` times more, and note that `word` holds it."""
    state = book.state
    if key in slots:
        slot = slots[key]
    else:
        slot = state[USED]
        state[USED] += 1
        slots[key] = slot
        book.keys[slot], book.counts[slot] = key, 0
        book.heads[slot] = book.words[slot] = book.merges[slot] = NONE
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
def _with_room(book: _Book, more: int) -> _Book:
    """The book, with room for so many more pairs and nodes."""
    pairs, nodes = book.state[USED] + more, len(book.node_words)
    keys, counts, heads, words, merges, changed, node_words, node_nexts, state = book
    if pairs > len(keys):
        keys, counts, heads = _longer(keys, pairs), _longer(counts, pairs), _longer(heads, pairs)
        words, merges, changed = _longer(words, pairs), _longer(merges, pairs), _longer(changed, pairs)
    if more > state[SPARE]:
        node_words, node_nexts = _longer(node_words, nodes + more), _longer(node_nexts, nodes + more)
        for node in range(nodes, len(node_nexts)):
            node_nexts[node] = node + 1
        node_nexts[-1] = state[FREE]
        state[FREE] = nodes
        state[SPARE] += len(node_nexts) - nodes
    return _Book(keys, counts, heads, words, merges, changed, node_words, node_nexts, state)


@numba.njit(cache=True)
def _longer(array: Int64s, needed: int) -> Int64s:
    """The array with room for at least so many items, which are not set."""
    longer = np.empty(max(needed, 3 * len(array) // 2), array.dtype)
    longer[: len(array)] = array
    return longer


@numba.njit(cache=True)
def _piece(known: "numba.typed.Dict", texts: Bytes, lengths: Int32s, left: int, right: int, learnt: int) -> int:
    """Number of the piece that a pair makes: that of an equal piece, or a new one, which is written down."""
    size = lengths[left] + lengths[right]
    text = np.concatenate((texts[left, : lengths[left]], texts[right, : lengths[right]]))
    key = np.int64(FNV_OFFSET)
    for byte in text:
        key = (key ^ np.int64(byte)) * np.int64(FNV_PRIME)
    while key in known:
        piece: int = known[key]
        if lengths[piece] == size and (texts[piece, :size] == text).all():
            return piece
        key += 1
    known[key] = learnt
    texts[learnt, :size], lengths[learnt] = text, size
    return learnt


@numba.njit(cache=True)
def _before(count: int, key: int, other_count: int, other_key: int) -> bool:
    """Whether a pair is merged before another."""
    return count > other_count or (count == other_count and key < other_key)


@numba.njit(cache=True)
def _push(counts: Int64s, slots: Int32s, size: int, book: _Book, slot: int) -> int:
    """Put a pair that still occurs on the heap of this size; returns the new size."""
    count, key = book.counts[slot], book.keys[slot]
    if count <= 0:
        return size
    place = size
    while place:
        parent = (place - 1) >> 1
        if not _before(count, key, counts[parent], book.keys[slots[parent]]):
            break
        counts[place], slots[place] = counts[parent], slots[parent]
        place = parent
    counts[place], slots[place] = count, slot
    return size + 1


@numba.njit(cache=True)
def _pop(counts: Int64s, slots: Int32s, size: int, book: _Book) -> int:
    """Take the first pair off the heap of this size; returns the new size."""
    size -= 1
    count, slot = counts[size], slots[size]
    key, place, child = book.keys[slot], 0, 1
    while child < size:
        if child + 1 < size and _before(
            counts[child + 1], book.keys[slots[child + 1]], counts[child], book.keys[slots[child]]
        ):
            child += 1
        if not _before(counts[child], book.keys[slots[child]], count, key):
            break
        counts[place], slots[place] = counts[child], slots[child]
        place, child = child, 2 * child + 1
    counts[place], slots[place] = count, slot
    return size
