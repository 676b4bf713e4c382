"""A Unigram language model of byte pieces (Kudo 2018), learnt by EM from counted pre-tokens, with chunks merged.

Pieces begin as repeated substrings. Rounds of expectation-maximisation over every way to cut the text give them
probabilities; after each round those go whose loss makes the text least improbable. It is SentencePiece's procedure on
counts, with two differences: how often a piece is used is its expected number, not its number in the best cut, and the
bytes always stay. Chunks of text are learnt apart and merged as BloombergGPT's were: the mean of a piece's
probabilities, weighted by bytes (arXiv 2303.17564 §2.3).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from data.tokenizer.strings import EMPTY, Bytes, Floats, Int32s, Int64s
from data.tokenizer.unigram_seed import BYTES, LONGEST, Lattice, find_seeds

SEEDS_PER_PIECE = 10
KEPT = 0.75  # of the pieces, in a round; SentencePiece's shrinking_factor
NEARLY = 1.1  # pruning by loss ends at this times the size wanted; then the least probable go
STEPS = 2  # of EM in a round
LEAST = 0.5  # expected occurrences below which a piece goes, and that a byte has at least
SMALL = 1e-100  # numbers are scaled up when they fall below


class Unigram(NamedTuple):
    """Distinct pieces in the order of their bytes; a mass is a probability × the bytes of text it was learnt from."""

    pieces: pa.Array  # large_binary (pieces,)
    masses: Floats  # (pieces,)

    @property
    def probabilities(self) -> Floats:
        shares: Floats = self.masses / self.masses.sum()
        return shares


def learn_unigram(text: Bytes, offsets: Int64s, counts: Int64s, size: int, longest: int) -> Unigram:
    """Learn the 256 bytes and as many pieces as make `size`, or fewer where the text repeats too little.

    Args:
        text, offsets, counts: pre-token i is text[offsets[i] : offsets[i + 1]] and occurs counts[i] times.
        longest: bytes that a piece may have, up to 255.

    Returns:
        Pieces whose masses sum to the bytes of all occurrences, but at least 1.
    """
    seeds = find_seeds(text, offsets, counts, SEEDS_PER_PIECE * size, longest)
    lattice, lengths, places = seeds.lattice, seeds.lengths, seeds.places
    weights = np.maximum(seeds.frequencies * lengths, LEAST)
    probabilities = weights / weights.sum()
    while True:
        for _ in range(STEPS):
            expected = _expect(*lattice, offsets, counts, probabilities)
            expected[:BYTES] = np.maximum(expected[:BYTES], LEAST)
            kept = expected >= LEAST
            lattice, lengths, places, expected = _keep(lattice, lengths, places, expected, kept)
            probabilities = np.exp(_digamma(expected) - _digamma(expected.sum()))
        if len(lengths) <= NEARLY * size:
            break
        losses = _losses(*lattice, places, lengths, expected, probabilities)
        kept = _best(losses, max(int(NEARLY * size), int(KEPT * len(lengths))))
        lattice, lengths, places, probabilities = _keep(lattice, lengths, places, probabilities, kept)
    kept = _best(probabilities, size)
    content = text.tobytes()
    learnt = [content[place : place + length] for place, length in zip(places[kept], lengths[kept], strict=True)]
    pieces = pa.array([*(bytes([byte]) for byte in range(BYTES)), *learnt[BYTES:]], pa.large_binary())
    order = pc.sort_indices(pieces).to_numpy()
    masses = probabilities[kept] / probabilities[kept].sum() * max(1, int(counts @ np.diff(offsets)))
    return Unigram(pieces.take(order), masses[order])


def merge(models: Sequence[Unigram]) -> Unigram:
    """All pieces of some models; a piece's probability is the mean of theirs, weighted by bytes, 0 where it is not.

    As masses are added, merging merged models is merging all at once, but for rounding.
    """
    table = pa.table(
        {
            "piece": pa.chunked_array([model.pieces for model in models]),
            "mass": np.concatenate([model.masses for model in models]),
        }
    )
    # One thread adds in the order of the models, so that the last digits are always the same.
    merged = table.group_by("piece", use_threads=False).aggregate([("mass", "sum")]).sort_by("piece").combine_chunks()
    return Unigram(merged["piece"].chunk(0), merged["mass_sum"].to_numpy())


def cut(model: Unigram, size: int) -> Unigram:
    """The bytes and the most probable other pieces, `size` in all; of equally probable ones the first in order."""
    single = pc.equal(pc.binary_length(model.pieces), 1).to_numpy(zero_copy_only=False)
    order = np.lexsort((-model.masses, ~single))[:size]
    chosen = np.sort(order)
    return Unigram(model.pieces.take(chosen), model.masses[chosen])


def _best(values: Floats, size: int) -> npt.NDArray[np.bool_]:
    """The bytes and those of the highest values, `size` in all, as a mask."""
    order = np.argsort(-values[BYTES:], kind="stable")[: max(0, size - BYTES)]
    kept = np.zeros(len(values), bool)
    kept[:BYTES] = kept[BYTES + order] = True
    return kept


def _keep(
    lattice: Lattice, lengths: Int64s, places: Int64s, values: Floats, kept: npt.NDArray[np.bool_]
) -> tuple[Lattice, Int64s, Int64s, Floats]:
    """Leave the other pieces out everywhere."""
    if kept.all():
        return lattice, lengths, places, values
    numbers = np.where(kept, np.cumsum(kept) - 1, EMPTY).astype(np.int32)
    return _renumber(*lattice, numbers), lengths[kept], places[kept], values[kept]


@numba.njit(cache=True, nogil=True)
def _renumber(begins: Int64s, pieces: Int32s, lengths: Bytes, numbers: Int32s) -> Lattice:
    """The lattice with other numbers for its pieces, those without one left out; in the memory of the old one."""
    used, begin = 0, 0
    for place in range(len(begins) - 1):
        end = begins[place + 1]
        for entry in range(begin, end):
            number = numbers[pieces[entry]]
            if number >= 0:
                pieces[used], lengths[used] = number, lengths[entry]
                used += 1
        begins[place + 1], begin = used, end
    return Lattice(begins, pieces[:used], lengths[:used])


def _digamma(values: Any) -> Any:
    """The logarithmic derivative of the gamma function, from LEAST on (Abramowitz and Stegun 6.3.5 and 6.3.18)."""
    shifted = np.asarray(values, np.float64)
    result = np.zeros_like(shifted)
    for _ in range(6):
        result, shifted = result - 1 / shifted, shifted + 1
    square = 1 / (shifted * shifted)
    return result + np.log(shifted) - 0.5 / shifted - square * (1 / 12 - square * (1 / 120 - square / 252))


@numba.njit(cache=True, nogil=True)
def _expect(
    begins: Int64s, pieces: Int32s, lengths: Bytes, offsets: Int64s, counts: Int64s, probabilities: Floats
) -> Floats:
    """How often each piece is expected to be used, over all ways to cut the pre-tokens: forward and backward sums."""
    expected = np.zeros(len(probabilities))
    room = np.diff(offsets).max() + 1 if len(counts) else 1
    forward, backward, scales = np.empty(room), np.empty(room), np.empty(room, np.int32)
    for word in range(len(counts)):
        begin, size = offsets[word], offsets[word + 1] - offsets[word]
        _go_forward(begins, pieces, lengths, begin, size, probabilities, forward, scales)
        backward[size], share = 1.0, counts[word] / forward[size]
        for place in range(size - 1, -1, -1):
            total = 0.0
            for entry in range(begins[begin + place], begins[begin + place + 1]):
                after = place + lengths[entry]
                rest = probabilities[pieces[entry]] * backward[after]
                for _ in range(scales[after] - scales[place]):
                    rest /= SMALL
                expected[pieces[entry]] += forward[place] * rest * share
                total += rest
            backward[place] = total
    return expected


@numba.njit(cache=True, nogil=True)
def _go_forward(
    begins: Int64s,
    pieces: Int32s,
    lengths: Bytes,
    begin: int,
    size: int,
    probabilities: Floats,
    forward: Floats,
    scales: Int32s,
) -> None:
    """Probability of a pre-token's beginning up to each place, divided by SMALL to the power of the place's scale."""
    forward[: size + 1] = 0.0
    forward[0], scale = 1.0, 0
    for place in range(size):
        if forward[place] < SMALL:
            ahead = forward[place : min(size, place + LONGEST) + 1]
            if ahead.max() < SMALL:
                ahead /= SMALL
                scale += 1
        scales[place] = scale
        for entry in range(begins[begin + place], begins[begin + place + 1]):
            forward[place + lengths[entry]] += forward[place] * probabilities[pieces[entry]]
    scales[size] = scale


@numba.njit(cache=True, nogil=True)
def _losses(
    begins: Int64s,
    pieces: Int32s,
    lengths: Bytes,
    places: Int64s,
    sizes: Int64s,
    expected: Floats,
    probabilities: Floats,
) -> Floats:
    """What the text's log-probability loses when a piece goes and the best other cut of it takes its place.

    As in SentencePiece, what the piece was used for is then added to the pieces of that cut.
    """
    losses, total, logarithms = np.zeros(len(sizes)), expected.sum(), np.log(probabilities)
    best, back = np.empty(LONGEST + 1), np.empty(LONGEST + 1, np.int64)
    for piece in range(BYTES, len(sizes)):
        begin, size = places[piece], sizes[piece]
        best[: size + 1] = -np.inf
        best[0] = 0.0
        for place in range(size):
            for entry in range(begins[begin + place], begins[begin + place + 1]):
                after = place + lengths[entry]
                if after > size or pieces[entry] == piece:
                    continue
                if best[place] + logarithms[pieces[entry]] > best[after]:
                    best[after], back[after] = best[place] + logarithms[pieces[entry]], entry
        uses, parts, other, place = expected[piece], 0, 0.0, size
        while place > 0:
            other += np.log(expected[pieces[back[place]]] + uses)
            parts += 1
            place -= lengths[back[place]]
        other -= parts * np.log(total + uses * (parts - 1))
        losses[piece] = uses * (np.log(uses / total) - other)
    return losses
