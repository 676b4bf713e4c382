"""Near-duplicates: MinHash signatures of texts, and which documents resemble one that is kept.

A signature has one byte for each hash: the lowest eight bits of the least hash of the text's word n-grams under one of
`bands * rows` permutations (Broder 1997; one byte of it: b-bit minwise hashing, Li and König 2010). Two texts agree in
a byte with the probability J + (1 - J) / 256, where J is the Jaccard similarity of their sets of n-grams.
"""

import functools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from rensa import RMinHash

from data.config import NearDuplicateConfig
from data.corpus.shingles import shingle
from data.hashing import GOLDEN

Signatures = npt.NDArray[np.uint8]  # (documents, bands * rows)
Indices = npt.NDArray[np.int64]
Parts = Callable[[], Iterable[Signatures]]  # called for each reading; gives the parts in order

# Signatures of different algorithms cannot be compared. Those of EARLIER were made of words that were told apart by
# ligatures, soft hyphens and ends of lines, or by markup and numbers of lines: they are of the same kind, but such
# texts have others now.
EARLIER: tuple[int, ...] = (RMinHash.ALGORITHM_VERSION, 100 + RMinHash.ALGORITHM_VERSION)
ALGORITHM: int = 200 + RMinHash.ALGORITHM_VERSION
SEED = 1  # of the permutations; signatures of different seeds cannot be compared
CHANCE = 1 / 256  # that two different hashes agree in their lowest byte
MARGIN = 2  # standard errors that an estimate may lie below the threshold
# Ranks of documents that are kept whatever they resemble, and of those that are neither compared nor kept.
ALWAYS_KEPT, TAKES_NO_PART = 0, 255
_STEP = np.uint64(GOLDEN)  # odd: the base of the polynomial that a band's key is


def signatures(texts: Sequence[str], settings: NearDuplicateConfig) -> Signatures:
    """The MinHash signature of each text, uint8 (documents, bands * rows).

    A text of fewer words than an n-gram has is one n-gram as a whole; see `data.corpus.shingles` for what a word is.
    """
    hashes = settings.bands * settings.rows
    if not len(texts):
        return np.empty((0, hashes), np.uint8)
    shingles = shingle(texts, settings.ngram)
    offsets = shingles.offsets.astype(np.uint64)
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(shingles.hashes, offsets, hashes, SEED)
    return np.array(matrix.to_rows(), np.uint32).astype(np.uint8)


def map_signatures(file: Path, settings: NearDuplicateConfig) -> Signatures:
    """Map a file of signatures, one after the other and nothing else, uint8 (documents, bands * rows)."""
    width = settings.bands * settings.rows
    if not file.stat().st_size:  # nothing cannot be mapped
        return np.empty((0, width), np.uint8)
    return np.memmap(file, np.uint8, mode="r").reshape(-1, width)


def required_agreements(settings: NearDuplicateConfig) -> int:
    """Bytes in which two signatures must agree: those of the threshold less MARGIN standard errors of the estimate."""
    threshold, hashes = settings.threshold, settings.bands * settings.rows
    similarity = max(threshold - MARGIN * (threshold * (1 - threshold) / hashes) ** 0.5, 0.0)
    return int(np.ceil(hashes * (similarity + (1 - similarity) * CHANCE)))


def share_found(similarity: float, settings: NearDuplicateConfig) -> float:
    """The probability that two documents of this Jaccard similarity of their n-grams are found to resemble each other.

    They must agree in the whole of a band and in `required_agreements` bytes: the probability of the latter, less that
    of it without a whole band, with the bytes as independent.
    """
    agrees = similarity + (1 - similarity) * CHANCE
    rows = settings.rows
    of_band = np.array([math.comb(rows, k) * agrees**k * (1 - agrees) ** (rows - k) for k in range(rows + 1)])
    enough = [
        functools.reduce(np.convolve, [band] * settings.bands)[required_agreements(settings) :].sum()
        for band in (of_band, np.append(of_band[:-1], 0))
    ]
    return float(enough[0] - enough[1])


def find_near_duplicates(parts: Parts, rank: npt.NDArray[np.uint8], settings: NearDuplicateConfig) -> Indices:
    """For each document the kept one that it resembles, or -1 if it is kept itself.

    Documents are gone through by rank, and within a rank in their order. Two are compared when they agree in a whole
    band, and resemble each other when their signatures agree in `required_agreements` bytes. A document that resembles
    one that was kept before goes, and of several it is matched with the first; what resembles only a document that
    went itself stays, so there are no chains.

    Memory at the most: 35 bytes for each document; and for each one that agrees with another in a band, 64 bytes, its
    signature, and 32 bytes for each such band. Time: for each band one reading of the parts and one sort of the
    documents, and for each bucket of documents that agree in a band the product of those in it and those of it that are
    kept.

    Args:
        parts: called bands + 1 times; gives signatures, uint8 (documents of the part, bands * rows), one part after the
            other. Only one is held at a time, so that parts may be read from disk as they are asked for; arrays may be
            memory maps.
        rank: uint8 (documents,), lower first; those of ALWAYS_KEPT and TAKES_NO_PART get -1.

    Returns:
        int64 (documents,), indices that count over all parts.
    """
    taking = np.flatnonzero(rank != TAKES_NO_PART)
    members, buckets = _collisions(parts, taking, settings)
    by_member = np.argsort(members, kind="stable")
    members = members[by_member]
    buckets = buckets[by_member]
    del by_member
    is_first = np.diff(members, prepend=-1) != 0
    owners = np.cumsum(is_first) - 1  # of each bucket's entry, the document as a position in `colliding`
    colliding = taking[members[is_first]]
    del taking, members
    offsets = np.append(np.flatnonzero(is_first), len(owners))
    ranks = rank[colliding]
    order = np.argsort(ranks, kind="stable")
    pinned = np.count_nonzero(ranks == ALWAYS_KEPT)
    rows = _rows(parts, colliding, settings.bands * settings.rows)
    chosen = _choose(order, pinned, offsets, buckets, owners, rows, required_agreements(settings))
    resembled = np.full(len(rank), -1, np.int64)
    gone = chosen >= 0
    resembled[colliding[gone]] = colliding[chosen[gone]]
    return resembled


def _collisions(parts: Parts, taking: Indices, settings: NearDuplicateConfig) -> tuple[Indices, Indices]:
    """Which documents (positions in `taking`) share which buckets: pairs of a member and a bucket's number."""
    members, buckets = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    count = 0
    for band in range(settings.bands):
        of_band, numbers = _shared_keys(_band_keys(parts, taking, band * settings.rows, settings.rows))
        if len(of_band):
            members.append(of_band)
            buckets.append(numbers + count)
            count += int(numbers[-1]) + 1
    return np.concatenate(members), np.concatenate(buckets)


def _shared_keys(keys: npt.NDArray[np.uint64]) -> tuple[Indices, Indices]:
    """Positions of the keys that stand more than once, by key; and the number of the key of each, without gaps."""
    order = np.argsort(keys)
    keys = keys[order]
    is_repeated = np.zeros(len(keys) + 1, np.bool_)  # whether the key before is the same
    np.equal(keys[1:], keys[:-1], out=is_repeated[1:-1])
    is_shared = is_repeated[1:] | is_repeated[:-1]
    return order[is_shared], np.cumsum(~is_repeated[:-1][is_shared]) - 1


def _band_keys(parts: Parts, documents: Indices, first: int, rows: int) -> npt.NDArray[np.uint64]:
    """A hash of each document's bytes of a band, which begins at column `first`."""
    keys = np.empty(len(documents), np.uint64)
    for part, indices, place in _by_part(parts, documents):
        _fold_rows(part, indices, first, rows, keys[place])
    return keys


def _rows(parts: Parts, documents: Indices, width: int) -> Signatures:
    """The whole signatures of some documents."""
    rows = np.empty((len(documents), width), np.uint8)
    for part, indices, place in _by_part(parts, documents):
        np.take(part, indices, axis=0, out=rows[place], mode="clip")  # the mode that needs no buffer
    return rows


def _by_part(parts: Parts, documents: Indices) -> Iterator[tuple[Signatures, Indices, slice]]:
    """Each part with the rows of it that are asked for (in ascending order), and their place among all that are."""
    begin = 0
    for part in parts():
        first, last = np.searchsorted(documents, (begin, begin + len(part)))
        if first < last:
            yield part, documents[first:last] - begin, slice(int(first), int(last))
        begin += len(part)


@numba.njit(cache=True, nogil=True)
def _fold_rows(part: Any, indices: Any, first: int, rows: int, keys: Any) -> None:
    for position in range(len(indices)):
        index, key = indices[position], np.uint64(0)
        for column in range(first, first + rows):
            key = key * _STEP + np.uint64(part[index, column])
        keys[position] = key


@numba.njit(cache=True, nogil=True)
def _choose(order: Any, pinned: int, offsets: Any, buckets: Any, owners: Any, signatures: Any, required: int) -> Any:
    """For each colliding document, in `order`, the kept one that it resembles, or -1.

    A bucket is a chain of the entries of its kept documents, the first kept first.

    Args:
        pinned: so many documents at the beginning of `order` are kept whatever they resemble.
        offsets: document i has the entries offsets[i] to offsets[i + 1].
        buckets: bucket of each entry, numbered without gaps.
        owners: document of each entry.
    """
    heads = np.full(buckets.max() + 1 if len(buckets) else 0, -1)
    tails = heads.copy()
    following = np.full(len(buckets), -1)
    places = np.full(len(order), -1)  # when a document was kept
    compared = np.full(len(order), -1)  # the last document that a kept one was compared with
    chosen = np.full(len(order), -1)
    kept = 0
    for document in order:
        best, earliest = -1, kept
        end = offsets[document + 1] if kept >= pinned else offsets[document]
        for entry in range(offsets[document], end):
            node = heads[buckets[entry]]
            while node >= 0 and places[owners[node]] < earliest:
                other = owners[node]
                if compared[other] != document:
                    compared[other] = document
                    if _agreements(signatures, document, other) >= required:
                        best, earliest = other, places[other]
                node = following[node]
        chosen[document] = best
        if best >= 0:
            continue
        places[document] = kept
        kept += 1
        for entry in range(offsets[document], offsets[document + 1]):
            bucket = buckets[entry]
            if heads[bucket] < 0:
                heads[bucket] = entry
            else:
                following[tails[bucket]] = entry
            tails[bucket] = entry
    return chosen


@numba.njit(cache=True, nogil=True, inline="always")
def _agreements(signatures: Any, one: int, other: int) -> Any:
    count = 0
    for column in range(signatures.shape[1]):
        count += signatures[one, column] == signatures[other, column]
    return count
