"""How many training documents have a run of tokens: one pass over the shards with a rolling hash, then exact."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data.progress import progress
from data.shards.packing import SPLIT
from data.shards.reader import DTYPES, OpenFiles, shard_name
from data.shards.reader import Tokens as Ids
from data.stream.stream import Piece, TokenStream
from evaluation.audit.memorisation import read_documents_of
from evaluation.bits_per_byte import Tokens

MOST_TOKENS = 500_000_000
"""Of training text that are searched, whole files; about 13 million a second."""
BLOCK = 1 << 20
TABLE = np.uint64((1 << 20) - 1)
BASE = 0x9E3779B97F4A7C15  # odd; two runs of equal hash are compared token by token

Words = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Copies:
    """Of each run, how many other training documents have it, and in how many of all tokens they were looked for."""

    documents: list[int]
    searched_tokens: int
    of_tokens: int


def count_others_with(stream: TokenStream, placed: Sequence[tuple[Tokens, Piece]], seed: int) -> Copies:
    """Count the training documents that have each of these runs of tokens, all of one length, anywhere.

    The document where a run stands, which its piece names, is not counted. Of more than MOST_TOKENS of text some files
    are searched, drawn with the seed, so that counts are the least there are.
    """
    runs = [run for run, _ in placed]
    counts = np.zeros(len(runs), np.int64)
    files = [(source, file) for source, packed in stream.packing.sources.items() for file in range(len(packed.tokens))]
    sizes = [stream.packing.sources[source].tokens[file] for source, file in files]
    order = np.random.default_rng([seed, 3]).permutation(len(files))
    before = np.cumsum([0, *(sizes[index] for index in order)])
    taken = [int(index) for index, size in zip(order, before, strict=False) if size < MOST_TOKENS] if len(runs) else []
    wanted = _Wanted(runs)
    for index in progress(taken, "looking for copies", unit="files"):
        source, file = files[index]
        starts = read_documents_of(stream, source, file)["first_token"].to_numpy()
        met: dict[int, list[Tokens]] = {}
        for run, places in wanted.found(_tokens(stream, source, file, sizes[index])):
            met.setdefault(run, []).append(places)
        for run, of_blocks in met.items():
            documents = np.unique(np.searchsorted(starts, np.concatenate(of_blocks), side="right"))
            _, piece = placed[run]
            is_here = (piece.source, piece.file) == (source, file)
            own = int(np.searchsorted(starts, piece.first_token, side="right")) if is_here else -1
            counts[run] += int((documents != own).sum())
    return Copies(counts.tolist(), sum(sizes[index] for index in taken), sum(sizes))


def _tokens(stream: TokenStream, source: str, file: int, size: int) -> Ids:
    opened = OpenFiles(stream.local)
    return opened.read_tokens(f"{shard_name(SPLIT, source, file)}.bin", DTYPES[stream.packing.dtype], 0, size)


class _Wanted:
    """The runs that are looked for, by their hashes."""

    def __init__(self, runs: Sequence[Tokens]) -> None:
        self.runs = runs
        self.length = len(runs[0]) if runs else 1
        self._by_hash: dict[int, list[int]] = {}
        for number, run in enumerate(runs):
            self._by_hash.setdefault(int(_hashes(run.astype(np.uint64), self.length)[0]), []).append(number)
        self._table = np.zeros(int(TABLE) + 1, np.bool_)
        self._sorted = np.array(sorted(self._by_hash), np.uint64)
        self._table[self._sorted & TABLE] = True

    def found(self, tokens: Ids) -> Iterator[tuple[int, Tokens]]:
        """Number of a run and the places where it stands, block by block."""
        for first in range(0, len(tokens), BLOCK):
            block = tokens[first : first + BLOCK + self.length - 1]
            if len(block) < self.length:
                return
            hashes = _hashes(block.astype(np.uint64), self.length)
            maybe = np.flatnonzero(self._table[hashes & TABLE])  # few
            maybe = maybe[np.isin(hashes[maybe], self._sorted)]
            for value in np.unique(hashes[maybe]).tolist():
                places = maybe[hashes[maybe] == np.uint64(value)]
                for number in self._by_hash[value]:
                    equal = (block[places[:, None] + np.arange(self.length)] == self.runs[number]).all(axis=1)
                    yield number, places[equal] + first


def _hashes(tokens: Words, length: int) -> Words:
    """Of each run of `length` tokens Σ tokens[i + j] BASE^(length - 1 - j) modulo 2^64, in about log₂ length steps."""
    whole, done = np.zeros(len(tokens) + 1, np.uint64), 0  # of the first `done` tokens from each place on
    power, size = tokens, 1  # of the next `size` tokens from each place on
    while True:
        if length & size:
            shift = np.uint64(pow(BASE, size, 1 << 64))
            count = len(tokens) - done - size + 1
            whole = whole[:count] * shift + power[done : done + count]
            done += size
        if done == length:
            return whole
        power = power[:-size] * np.uint64(pow(BASE, size, 1 << 64)) + power[size:]
        size *= 2
