"""The token stream of a run: any sample of it, computed from the packed shards, the mixtures and the seed alone."""

import difflib
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from data.errors import DataError
from data.files import value_digest
from data.mixture import build_mixture, mixture_shares
from data.order import Integers, Order, Stage
from data.packing import ROW_NUMBERS, SPLIT, packing_folder, read_packing, verify_packing
from data.shard_cache import ShardCache
from data.shard_reader import DTYPES, OpenFiles, shard_name

BLOCK = 512  # samples whose places are computed together: one call to numpy costs as much as tens of samples


class Piece(NamedTuple):
    """A stretch of one shard file's tokens that a sample predicts."""

    source: str
    file: int  # number among the source's files
    first_token: int  # counted within the file
    tokens: int


class Batch(NamedTuple):
    """Rows to train on. Position t of a row is to predict token t + 1, unless its document is -1."""

    tokens: Integers
    """(rows, L + 1) int64. A document is preceded by the end-of-text token and followed by its own; padding is 0."""
    documents: npt.NDArray[np.int32]
    """(rows, L) int32: the document, numbered within the row, that position t predicts a token of. The end-of-text
    token before a document belongs to it, as in evaluation. -1: nothing is predicted, because padding follows, or the
    repeated first token of a document that goes on from another row."""


class TokenStream:
    """Rows of `sequence_length` + 1 tokens from the `train` split, mixed by weight and shuffled within each pass.

    Sample g is a row of a source, as `data.order.Order` says. What a row is made of is in the packing (`data.packing`):
    pieces of documents of one shard file, each of whose tokens it predicts. In front of the first stands the token
    before it in the file (the end-of-text token, in front of a file's first), and so it does in front of a later piece
    that goes on with a document from another row, where it is not predicted.

    `weights` of None mix the sources in proportion to their tokens. A weight of 0 leaves a source out.
    """

    def __init__(
        self,
        folder: Path,
        weights: Mapping[str, float] | None,
        sequence_length: int,
        seed: int,
        *,
        policy: str = "best_fit",
        stages: Mapping[int, Mapping[str, float]] | None = None,
        reshuffles: Mapping[int, int] | None = None,
        cache: ShardCache | None = None,
    ) -> None:
        """Opens the packing; no shard is touched before it is needed.

        Args:
            stages: {first sample: weights}, other mixtures from there on.
            reshuffles: {first sample: seed}, another order for what a source's pass has not shown by then.
            cache: what fetches the files of `folder`, where they are copies of remote ones.

        Raises:
            DataError: the shards are not packed for this, or a weight is wrong.
        """
        self.folder, self.sequence_length, self.seed = folder, sequence_length, seed
        self.packing = read_packing(folder, policy, sequence_length)
        self._dtype = DTYPES[self.packing.dtype]
        self._end_of_text = np.array(self.packing.end_of_text, self._dtype).tobytes()
        present = self.packing.sources
        if weights is None:
            weights = {source: float(sum(packed.tokens)) for source, packed in present.items()}
        self.shares = {0: _shares(weights, list(present))} | {
            first: _shares(changed, list(present)) for first, changed in sorted((stages or {}).items())
        }
        self.reshuffles = dict(sorted((reshuffles or {}).items()))
        self.sources = sorted(set().union(*self.shares.values()))
        rows = [present[source].rows for source in self.sources]
        self.order = Order(
            self.sources,
            [sum(of_source) for of_source in rows],
            [Stage(first, build_mixture([shares.get(source, 0) for source in self.sources]))
             for first, shares in self.shares.items()],
            self.reshuffles,
            seed,
        )  # fmt: skip
        # The files of all sources behind one another: a row's file is found by one search
        self._first_files = np.cumsum([0, *map(len, rows)])
        self._first_rows = np.cumsum(np.concatenate([[0], *rows]))
        self._cache = cache
        self._packed = str(packing_folder(Path(), policy, sequence_length))
        self._files = OpenFiles(self.local)
        self._block = functools.lru_cache(8)(self._compute_block)

    @property
    def weights(self) -> dict[str, float]:
        """Each source's share of the samples of the first stage, as it is in effect."""
        shares = self.shares[0]
        return {source: share / sum(shares.values()) for source, share in shares.items()}

    @property
    def passes(self) -> Mapping[str, int]:
        """Rows of a pass over each source."""
        return dict(zip(self.sources, self.order.rows.tolist(), strict=True))

    def digest(self, samples: int) -> str:
        """Two streams of equal digest have the same first `samples` samples, whatever is to change after these."""
        stages = {first: shares for first, shares in self.shares.items() if first < max(samples, 1)}
        reshuffles = {first: seed for first, seed in self.reshuffles.items() if first < samples}
        return value_digest([self.packing.digest, stages, reshuffles, self.seed])

    def epochs(self, samples: int) -> dict[str, float]:
        """Passes over each source in the first `samples` samples."""
        return dict(zip(self.sources, (self.order.counts(samples) / self.order.rows).tolist(), strict=True))

    def batch(self, first: int, count: int) -> Batch:
        """Samples first..first+count-1 of the run."""
        width, itemsize = self.sequence_length + 1, self._dtype.itemsize
        read, parts = self._files.read, []
        ends: list[int] = []  # tokens of each row
        repeated: list[tuple[int, int]] = []  # row and position of tokens that are there as context only
        for row, (source, file, number) in enumerate(self._places(first, count)):
            name = f"{shard_name(SPLIT, source, file)}.bin"
            used = 0
            for first_token, tokens in self._row(source, file, number):
                before = not used or tokens < 0
                if before and used:
                    repeated.append((row, used))
                start, size = first_token - before, abs(tokens) + before
                used += size
                if start < 0:
                    parts.append(self._end_of_text)  # that is thought before the file
                    start, size = 0, size - 1
                parts.append(read(name, start * itemsize, size * itemsize))
            parts.append(bytes((width - used) * itemsize))
            ends.append(used)
        rows = np.frombuffer(b"".join(parts), self._dtype).astype(np.int64).reshape(count, width)
        return Batch(rows, _documents(rows, self.packing.end_of_text, ends, repeated))

    def pieces(self, first: int, count: int) -> list[list[Piece]]:
        """The pieces of each of the samples first..first+count-1: every token that it predicts, in order."""
        return [
            [Piece(source, file, start, abs(tokens)) for start, tokens in self._row(source, file, number)]
            for source, file, number in self._places(first, count)
        ]

    def samples_with(self, piece: Piece, end: int) -> Integers:
        """Which of the first `end` samples predict any token of `piece`, ascending: the inverse of `pieces`."""
        if piece.source not in self.sources:
            return np.empty(0, dtype=np.int64)
        source = self.sources.index(piece.source)
        first_file = self._first_files[source]
        before = self._first_rows[first_file + piece.file] - self._first_rows[first_file]
        return self.order.samples(source, before + self.rows_with(piece), end)

    def rows_with(self, piece: Piece) -> Integers:
        """The rows of the piece's file that predict any token of it, ascending."""
        last_token = piece.first_token + piece.tokens - 1
        if self.packing.policy == "concatenate":
            return np.arange(piece.first_token // self.sequence_length, last_token // self.sequence_length + 1)
        offsets, first, tokens = self._all_rows(piece.source, piece.file)
        touched = (first <= last_token) & (first + np.abs(tokens) > piece.first_token)
        return np.unique(np.searchsorted(offsets, np.flatnonzero(touched), side="right") - 1)

    def local(self, name: str) -> str:
        """Where a file of the shards lies, after it has been fetched if they are remote."""
        return str(self._cache.fetch(name)) if self._cache else f"{self.folder}/{name}"

    def verify(self, part: int = 0, parts: int = 1) -> None:
        """Compare every byte of the shards and the packing with their digests, or one of `parts` parts of the files.

        Remote files are left to be compared as they are fetched. Raises DataError naming the first that differs.
        """
        from data.shards import verify_digests

        if not self._cache:
            verify_digests(self.folder, part, parts)
            verify_packing(self.folder, self.packing, part, parts)

    def shortage(self) -> str | None:
        """What is to be said when the local copies of remote shards have less room than a pass needs."""
        tokens = sum(sum(packed.tokens) for name, packed in self.packing.sources.items() if name in self.sources)
        needed = tokens * self._dtype.itemsize
        if self._cache is None or self._cache.room > needed:
            return None
        return (
            f"the cache of {self._cache.room / 1e9:.1f} GB is smaller than the {needed / 1e9:.1f} GB of shards of a "
            "pass: files will be fetched again and again; raise data.cache_gigabytes"
        )

    def prefetch(self, samples: Integers) -> None:
        """Have the files of these samples fetched in the background, where they are remote."""
        if self._cache:
            sources, files, _ = self._locate(samples)
            for number, file in dict.fromkeys(zip(sources.tolist(), files.tolist(), strict=True)):
                source = self.sources[number]
                self._cache.prefetch(f"{shard_name(SPLIT, source, file)}.bin")
                if self.packing.policy == "best_fit":
                    self._cache.prefetch(self._rows_name(source, file))

    def _locate(self, samples: Integers) -> tuple[Integers, Integers, Integers]:
        """Of each sample the source, the number of its file and the row within that."""
        sources, rows = self.order.locate(samples)
        first_files = self._first_files[sources]
        rows += self._first_rows[first_files]
        files = np.searchsorted(self._first_rows, rows, side="right") - 1
        return sources, files - first_files, rows - self._first_rows[files]

    def _compute_block(self, number: int) -> list[tuple[str, int, int]]:
        sources, files, rows = self._locate(np.arange(number * BLOCK, (number + 1) * BLOCK))
        names = [self.sources[source] for source in sources.tolist()]
        return list(zip(names, files.tolist(), rows.tolist(), strict=True))

    def _places(self, first: int, count: int) -> list[tuple[str, int, int]]:
        """Source, file and row within the file of each of the samples first..first+count-1."""
        end = first + count
        places = []
        for number in range(first // BLOCK, -(-end // BLOCK)):
            places += self._block(number)[max(first - number * BLOCK, 0) : end - number * BLOCK]
        return places

    def _row(self, source: str, file: int, row: int) -> list[tuple[int, int]]:
        """First token and tokens of each piece of a row; tokens are negative where a document goes on."""
        packed = self.packing.sources[source]
        if self.packing.policy == "concatenate":
            first = row * self.sequence_length
            return [(first, min(self.sequence_length, packed.tokens[file] - first))]
        name, size = self._rows_name(source, file), ROW_NUMBERS.itemsize
        offset, end = np.frombuffer(self._files.read(name, row * size, 2 * size), ROW_NUMBERS).tolist()
        begin = (packed.rows[file] + 1 + 2 * offset) * size
        numbers = np.frombuffer(self._files.read(name, begin, 2 * (end - offset) * size), ROW_NUMBERS).tolist()
        return list(zip(numbers[::2], numbers[1::2], strict=True))

    def _all_rows(self, source: str, file: int) -> tuple[Integers, Integers, Integers]:
        """Offsets (rows + 1,), and first token and tokens (pieces,) of a whole file."""
        numbers = np.fromfile(self.local(self._rows_name(source, file)), ROW_NUMBERS).astype(np.int64)
        rows = self.packing.sources[source].rows[file]
        pieces = numbers[rows + 1 :].reshape(-1, 2)
        return numbers[: rows + 1], pieces[:, 0], pieces[:, 1]

    def _rows_name(self, source: str, file: int) -> str:
        return f"{self._packed}/{shard_name(SPLIT, source, file)}.rows"


def _documents(
    rows: Integers, end_of_text: int, ends: list[int], repeated: list[tuple[int, int]]
) -> npt.NDArray[np.int32]:
    documents = np.cumsum(rows[:, :-1] == end_of_text, axis=1, dtype=np.int32)
    documents -= documents[:, :1].copy()
    for row, end in enumerate(ends):
        documents[row, end - 1 :] = -1
    for row, position in repeated:
        documents[row, position - 1] = -1
    return documents


def _shares(weights: Mapping[str, float], present: list[str]) -> dict[str, int]:
    """Samples of each source in a period of the mixture; sources without weight are left out."""
    for source in weights:
        if source not in present:
            close = difflib.get_close_matches(source, present, n=1)
            hint = f"did you mean '{close[0]}'?" if close else f"they have {sorted(present)}"
            raise DataError(f"the mixture has source '{source}', but no training text has that name: {hint}")
    for source in present:
        if source not in weights:
            raise DataError(f"source '{source}' has no weight: give it one, or 0 to leave it out")
    try:
        return mixture_shares({source: weights[source] for source in sorted(weights) if weights[source]})
    except ValueError as error:
        raise DataError(f"the mixture cannot be made: {error}") from None
