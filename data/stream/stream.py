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
from data.shards.cache import ShardCache
from data.shards.packed_rows import PackedRows
from data.shards.packing import read_packing, verify_packing
from data.shards.reader import DTYPES, OPEN_FILES
from data.stream.mixture import Integers, build_mixture, mixture_shares
from data.stream.order import Order, Stage

BLOCK = 512  # samples whose places are computed together: one call to numpy costs as much as tens of samples
OPEN_COPIES = 16  # files that stay open where they are copies of remote ones


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
    counted: npt.NDArray[np.bool_] | None = None
    """(rows, L): whether what position t predicts counts in the loss. None: all that is predicted does."""


class TokenStream:
    """Rows of `sequence_length` + 1 tokens from the `train` split, mixed by weight and shuffled within each pass.

    Sample g is a row of a source, as `Order` says. What a row is made of is in the packing (`Packing`): pieces of
    documents of one shard file, each of whose tokens it predicts. In front of the first stands the token before it in
    the file (the end-of-text token, in front of a file's first), and so it does in front of a later piece that goes on
    with a document from another row, where it is not predicted.

    `weights` of None mix the sources by their tokens to the power of `alpha`. A weight of 0 leaves a source out.
    """

    def __init__(
        self,
        folder: Path,
        weights: Mapping[str, float] | None,
        sequence_length: int,
        seed: int,
        *,
        alpha: float = 1.0,
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
            weights = {source: float(sum(packed.tokens)) ** alpha for source, packed in present.items()}
        self.shares = {0: _shares(weights, list(present))} | {
            first: _shares(changed, list(present)) for first, changed in sorted((stages or {}).items())
        }
        self.reshuffles = dict(sorted((reshuffles or {}).items()))
        self.sources = sorted(set().union(*self.shares.values()))
        self.order = Order(
            self.sources,
            [sum(present[source].rows) for source in self.sources],
            [Stage(first, build_mixture([shares.get(source, 0) for source in self.sources]))
             for first, shares in self.shares.items()],
            self.reshuffles,
            seed,
        )  # fmt: skip
        self._cache = cache
        # A copy that was removed to make room takes it for as long as it is open
        self._rows = PackedRows(self.packing, self.sources, self.local, OPEN_COPIES if cache else OPEN_FILES)
        self._block = functools.lru_cache(8)(self._compute_block)

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
        length, itemsize = self.sequence_length, self._dtype.itemsize
        rows: list[bytes] = []
        numbers: list[int] = []  # of the documents in each row
        positions: list[int] = []  # how many of them each of these has
        counted: list[bytes] = []  # of each position a byte
        for number, row in self._places(first, count):
            file = self._rows.file(number)
            content = self._rows.tokens(file)
            counts = self._rows.counted(file) if self.packing.has_counted else None
            parts: list[bytes | memoryview] = []
            for document, (start, tokens) in enumerate(self._rows.pieces(file, row)):
                begin, end = start, start + abs(tokens)
                if not document or tokens < 0:  # the token before it comes first
                    begin -= 1
                    if document:
                        numbers.append(-1)
                        positions.append(1)
                        counted.append(bytes(1))
                    if begin < 0:
                        begin = 0
                        parts.append(self._end_of_text)  # that is thought before the file
                numbers.append(document)
                positions.append(end - start)
                counted += [] if counts is None else [bytes(counts[start:end])]
                parts.append(content[begin * itemsize : end * itemsize])
            joined = b"".join(parts)  # a copy, so that no more files stay mapped than are to
            if padding := (length + 1) * itemsize - len(joined):
                numbers.append(-1)
                positions.append(padding // itemsize)
                counted.append(bytes(padding // itemsize))
                joined += bytes(padding)
            rows.append(joined)
        tokens_of_rows = np.frombuffer(b"".join(rows), self._dtype).reshape(count, length + 1)
        documents = np.repeat(np.array(numbers, np.int32), positions).reshape(count, length)
        if self.packing.policy == "concatenate":  # where a piece is not a document
            begins = tokens_of_rows[:, :-1] == self.packing.end_of_text
            begins[:, 0] = False
            documents |= np.cumsum(begins, axis=1, dtype=np.int32)  # -1 remains
        does_count = None
        if self.packing.has_counted:
            does_count = (np.frombuffer(b"".join(counted), np.uint8) == 1).reshape(count, length)
        return Batch(tokens_of_rows.astype(np.int64), documents, does_count)

    def counted_tokens(self, first: int, count: int) -> int | None:
        """How many tokens of samples first..first+count-1 count in the loss; None where all that are predicted do."""
        if not self.packing.has_counted:
            return None
        total = 0
        for number, row in self._places(first, count):
            file = self._rows.file(number)
            counts = np.frombuffer(self._rows.counted(file), np.uint8)
            total += sum(int(counts[start : start + abs(size)].sum()) for start, size in self._rows.pieces(file, row))
        return total

    def pieces(self, first: int, count: int) -> list[list[Piece]]:
        """The pieces of each of the samples first..first+count-1: every token that it predicts, in order."""
        return [
            [Piece(file.source, file.number, start, abs(tokens)) for start, tokens in self._rows.pieces(file, row)]
            for file, row in ((self._rows.file(number), row) for number, row in self._places(first, count))
        ]

    def samples_with(self, piece: Piece, end: int) -> Integers:
        """Which of the first `end` samples predict any token of `piece`, ascending: the inverse of `pieces`."""
        if piece.source not in self.sources:
            return np.empty(0, dtype=np.int64)
        source = self.sources.index(piece.source)
        before = self._rows.rows_before(source, piece.file)
        return self.order.samples(source, before + self.rows_with(piece), end)

    def rows_with(self, piece: Piece) -> Integers:
        """The rows of the piece's file that predict any token of it, ascending."""
        return self._rows.touching(self._rows.describe(piece.source, piece.file), piece.first_token, piece.tokens)

    def local(self, name: str) -> str:
        """Where a file of the shards lies, after it has been fetched if they are remote."""
        return str(self._cache.fetch(name)) if self._cache else f"{self.folder}/{name}"

    def verify(self, part: int = 0, parts: int = 1) -> None:
        """Compare every byte of the shards and the packing with their digests, or one of `parts` parts of the files.

        Remote files are left to be compared as they are fetched. Raises DataError naming the first that differs.
        """
        from data.shards.format import verify_digests

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
            for number in dict.fromkeys(self._rows.locate(*self.order.locate(samples))[0].tolist()):
                file = self._rows.file(number)
                self._cache.prefetch(file.tokens_name)
                if self.packing.policy == "best_fit":
                    self._cache.prefetch(file.rows_name)

    def _compute_block(self, number: int) -> list[tuple[int, int]]:
        files, rows = self._rows.locate(*self.order.locate(np.arange(number * BLOCK, (number + 1) * BLOCK)))
        return list(zip(files.tolist(), rows.tolist(), strict=True))

    def _places(self, first: int, count: int) -> list[tuple[int, int]]:
        """File and row within the file of each of the samples first..first+count-1."""
        end = first + count
        places = []
        for number in range(first // BLOCK, -(-end // BLOCK)):
            places += self._block(number)[max(first - number * BLOCK, 0) : end - number * BLOCK]
        return places


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
