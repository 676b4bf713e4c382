"""BM25 by counts, for a range of passages as if there were no others.

bm25s and most indexes keep finished scores, with the document frequencies of all that they hold: a search up to a day
would rank by what was written later. Here counts are kept, passages are in order of date, and each search takes number,
mean length and frequencies of its range, so that it gives what an index of that range alone would give.
"""

import math
from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from data.corpus.shingles import Hashes
from data.tokenizer.strings import Int64s

# Lucene's form of the formula with bm25s's defaults (Kamphuis et al. 2020, "Which BM25 do you mean?").
K1, B = 1.5, 0.75

Counts = npt.NDArray[np.uint16]
Passages = npt.NDArray[np.uint32]
Scores = npt.NDArray[np.float64]


class Postings(NamedTuple):
    """Which passages have which words."""

    vocabulary: Hashes
    """(words,) ascending."""
    firsts: Int64s
    """(words + 1,): word i has entries firsts[i] to firsts[i + 1] - 1."""
    passages: Passages
    """(entries,) ascending for each word."""
    counts: Counts
    """(entries,)"""
    ends: Int64s
    """(passages + 1,): words of all passages before each."""


def score(postings: Postings, words: Hashes, times: Int64s, first: int, end: int) -> Scores:
    """The score of each passage from `first` to `end` - 1, in float64: 0 for one that has none of the words.

    Args:
        words: those of the question, each once.
        times: how often it has each.
    """
    number = end - first
    scores = np.zeros(number)
    places = np.minimum(np.searchsorted(postings.vocabulary, words), max(len(postings.vocabulary) - 1, 0))
    known = postings.vocabulary[places] == words if len(postings.vocabulary) else np.zeros(len(words), bool)
    mean = (postings.ends[end] - postings.ends[first]) / max(number, 1)
    for place, weight in zip(places[known].tolist(), times[known].tolist(), strict=True):
        begin, stop = postings.firsts[place], postings.firsts[place + 1]
        of_word = postings.passages[begin:stop]
        # Of the type of the entries, or all of them would be converted.
        low, high = np.searchsorted(of_word, np.array([first, end], of_word.dtype)).tolist()
        if low < high:
            frequency = high - low
            rarity = math.log(1 + (number - frequency + 0.5) / (frequency + 0.5))
            counts = postings.counts[begin + low : begin + high]
            _add(scores, of_word[low:high], counts, postings.ends, first, mean, weight * rarity)
    return scores


@numba.njit(cache=True, nogil=True)
def _add(
    scores: Scores, passages: Passages, counts: Counts, ends: Int64s, first: int, mean: float, weight: float
) -> None:
    base, slope = K1 * (1 - B), K1 * B / mean
    for entry in range(len(passages)):
        passage = np.int64(passages[entry])
        count = np.float64(counts[entry])
        length = ends[passage + 1] - ends[passage]
        scores[passage - first] += weight * count / (count + base + slope * length)


def best(scores: npt.NDArray[np.floating], number: int, above: float = 0.0) -> Int64s:
    """The places of the `number` highest scores above a value, the highest first; of equal ones the first."""
    found = np.flatnonzero(scores > above)
    if len(found) > number:
        least = np.partition(scores[found], len(found) - number)[len(found) - number]
        found = found[scores[found] >= least]
    return found[np.argsort(-scores[found], kind="stable")][:number]


@numba.njit(cache=True, nogil=True)
def invert(
    order: Int64s, firsts: Int64s, words: Passages, counts: Counts, heads: Int64s, out: Passages, out_counts: Counts
) -> None:
    """Write the entries of passages, in a new order of these, under their words.

    Args:
        order: (passages,) the passage that comes first, second ...
        firsts, words, counts: the entries of each passage, as `Counted` has them.
        heads: (words,) where the entries of each word begin; moved on behind its last one.
        out, out_counts: (entries,), are filled.
    """
    for place in range(len(order)):
        passage = order[place]
        for entry in range(firsts[passage], firsts[passage + 1]):
            word = words[entry]
            out[heads[word]], out_counts[heads[word]] = place, counts[entry]
            heads[word] += 1
