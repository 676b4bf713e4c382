"""The words that passages are found by, as hashes of 64 bits, and how often each is in each passage.

Words are those that near-duplicates are compared by (`data.corpus.shingles`), in folded case, of one character too,
with two additions: & is a letter, so that AT&T and R&D are one word each, and signs of percent, paragraphs and
currencies are words of their own. bm25s's default pattern, `(?u)\\b\\w\\w+\\b`, drops words of one character and all
signs: a question of "R&D" or "5 %" has no word left there.
"""

import functools
import unicodedata
from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from data.corpus.shingles import MOST_WORDS_PER_BYTE, Folding, Hashes, composed, folding, hash_words
from data.tokenizer.strings import Bytes, Int64s

SIGNS = "%‰§¶$€£¥₹₽₩₺"
MOST_COUNT = 65_535


class Counted(NamedTuple):
    """Which words passages have."""

    vocabulary: Hashes
    """(words,) in the order in which they are met."""
    firsts: Int64s
    """(passages + 1,): passage i has entries firsts[i] to firsts[i + 1] - 1."""
    words: npt.NDArray[np.uint32]
    """(entries,) places in the vocabulary, each once in a passage."""
    counts: npt.NDArray[np.uint16]
    """(entries,) how often the passage has it, MOST_COUNT the most."""
    lengths: npt.NDArray[np.uint32]
    """(passages,) words, those that repeat too."""


@functools.cache
def word_folding() -> Folding:
    """What each character counts as."""
    shared = folding()
    table, first_bytes = shared.table.copy(), shared.first_bytes.copy()
    table[ord("&")] = first_bytes[ord("&")] = ord("&")
    for sign in SIGNS:
        table[ord(sign)] = -ord(sign)
        if ord(sign) < 0x80:
            first_bytes[ord(sign)] = -1
    return Folding(table, shared.expansions, first_bytes)


def question_words(question: str) -> tuple[Hashes, Int64s]:
    """The different words of a question and how often it has each."""
    utf8 = np.frombuffer(composed(unicodedata.normalize("NFC", question)).encode(), np.uint8)
    words = np.empty(MOST_WORDS_PER_BYTE * len(utf8) + 1, np.uint64)
    count, _ = hash_words(utf8, 0, len(utf8), word_folding(), True, words)
    return np.unique(words[:count], return_counts=True)


def count_words(text: Bytes, begins: Int64s, ends: Int64s) -> Counted:
    """Find the words of passages, text[begins[i] : ends[i]] each, and count them."""
    return Counted(*_count(text, begins, ends, word_folding()))


@numba.njit(cache=True, nogil=True)
def _count(text: Bytes, begins: Int64s, ends: Int64s, folding: Folding) -> Any:
    passages = len(begins)
    longest = 0
    for passage in range(passages):
        longest = max(longest, ends[passage] - begins[passage])
    found = np.empty(MOST_WORDS_PER_BYTE * longest + 1, np.uint64)
    slots, keys = np.zeros(1 << 12, np.int64), np.zeros(1 << 12, np.uint64)  # places in the vocabulary plus one
    vocabulary, seen, size = np.empty(1 << 11, np.uint64), np.full(1 << 11, -1, np.int64), 0
    firsts, lengths = np.zeros(passages + 1, np.int64), np.zeros(passages, np.uint32)
    words, counts = np.empty(1 << 12, np.uint32), np.empty(1 << 12, np.uint16)
    for passage in range(passages):
        number, _ = hash_words(text, begins[passage], ends[passage], folding, True, found)
        first = entry = firsts[passage]
        lengths[passage] = number
        while entry + number > len(words):
            words, counts = np.append(words, np.empty_like(words)), np.append(counts, np.empty_like(counts))
        for index in range(number):
            slot = _slot(keys, slots, found[index])
            if slots[slot] == 0:
                if 2 * size == len(slots):
                    keys, slots = _grown(vocabulary[:size])
                    slot = _slot(keys, slots, found[index])
                    vocabulary = np.append(vocabulary, np.empty_like(vocabulary))
                    seen = np.append(seen, np.full_like(seen, -1))
                vocabulary[size] = keys[slot] = found[index]
                size += 1
                slots[slot] = size
            word = slots[slot] - 1
            if seen[word] >= first:
                counts[seen[word]] = min(counts[seen[word]] + 1, MOST_COUNT)
            else:
                words[entry], counts[entry], seen[word] = word, 1, entry
                entry += 1
        firsts[passage + 1] = entry
    return vocabulary[:size].copy(), firsts, words[: firsts[-1]].copy(), counts[: firsts[-1]].copy(), lengths


@numba.njit(cache=True, nogil=True, inline="always")
def _slot(keys: Hashes, slots: Int64s, key: Any) -> Any:
    """Where in the table a word is, or would be."""
    mask = len(keys) - 1
    slot = np.int64(key & np.uint64(mask))
    while slots[slot] != 0 and keys[slot] != key:
        slot = (slot + 1) & mask
    return slot


@numba.njit(cache=True, nogil=True)
def _grown(vocabulary: Hashes) -> Any:
    """A table of four places for each word that is there."""
    keys, slots = np.zeros(4 * len(vocabulary), np.uint64), np.zeros(4 * len(vocabulary), np.int64)
    for index in range(len(vocabulary)):
        slot = _slot(keys, slots, vocabulary[index])
        keys[slot], slots[slot] = vocabulary[index], index + 1
    return keys, slots
