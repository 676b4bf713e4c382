"""The token stream of a run: any sample of it, computed from the shard manifest, the mixture and the seed alone."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from data.errors import DataError
from data.files import value_digest
from data.order import build_mixture, derive_key, mixture_shares, permute, unpermute
from data.shards import SourceTokens, read_manifest

SPLIT = "train"


class Piece(NamedTuple):
    """A stretch of one source's tokens that goes into a row."""

    source: str
    first_token: int
    tokens: int


class TokenStream:
    """Rows of `sequence_length` + 1 tokens from the `train` split, mixed by weight and shuffled within each pass.

    Row r of a source is its tokens r * L ... r * L + L: the concatenated documents cut every L tokens, where the last
    token of a row is the first of the next, so that every token but the first is predicted once in a pass. Sample g is
    the k-th of the source that the mixture gives it: row permute(k mod rows) of that source's pass k // rows.

    `weights` of None mix the sources in proportion to their tokens. A weight of 0 leaves a source out.
    """

    def __init__(self, folder: Path, weights: Mapping[str, float] | None, sequence_length: int, seed: int) -> None:
        """Raises DataError when the shards are incomplete, a weight is wrong or a source is shorter than one row."""
        self.folder = folder
        self.sequence_length = sequence_length
        self.seed = seed
        self.manifest = read_manifest(folder)
        present = self.manifest.splits.get(SPLIT, {})
        if weights is None:
            weights = {source: float(shards.tokens) for source, shards in present.items()}
        _check_names(weights, list(present))
        try:
            self.shares = mixture_shares({source: weights[source] for source in sorted(weights) if weights[source]})
        except ValueError as error:
            raise DataError(f"the mixture cannot be made: {error}") from None
        self.sources = list(self.shares)
        self.mixture = build_mixture(list(self.shares.values()))
        self.rows_per_epoch = np.array([(present[source].tokens - 1) // sequence_length for source in self.sources])
        for source, rows in zip(self.sources, self.rows_per_epoch, strict=True):
            if rows < 1:
                raise DataError(
                    f"source '{source}' has {present[source].tokens:,} tokens to train on, fewer than the "
                    f"{sequence_length + 1:,} of one row: add text to it, give it weight 0 or lower sequence_length"
                )
        self._tokens = {source: SourceTokens(folder, self.manifest, SPLIT, source) for source in self.sources}

    @property
    def weights(self) -> dict[str, float]:
        """Each source's share of the samples, as it is in effect."""
        return {source: share / self.mixture.period for source, share in self.shares.items()}

    @property
    def digest(self) -> str:
        """Two streams of equal digest have the same samples."""
        identity = [self.manifest.digest, self.shares, self.sequence_length, self.seed]
        return value_digest(identity)

    def epochs(self, samples: int) -> dict[str, float]:
        """Passes over each source in the first `samples` samples."""
        return dict(zip(self.sources, (self.mixture.counts(samples) / self.rows_per_epoch).tolist(), strict=True))

    def rows(self, first: int, count: int) -> npt.NDArray[np.int64]:
        """Samples first..first+count-1 of the run: int64 (count, sequence_length + 1)."""
        rows = np.empty((count, self.sequence_length + 1), dtype=np.int64)
        for row, pieces in zip(rows, self.pieces(first, count), strict=True):
            start = 0
            for source, first_token, tokens in pieces:
                row[start : start + tokens] = self._tokens[source].read_tokens(first_token, tokens)
                start += tokens
        return rows

    def pieces(self, first: int, count: int) -> list[list[Piece]]:
        """What each of the samples first..first+count-1 is made of; pieces of a sample sum to sequence_length + 1."""
        sources, ordinals = self.mixture.locate(np.arange(first, first + count))
        rows_per_epoch = self.rows_per_epoch[sources]
        epochs, places = np.divmod(ordinals, rows_per_epoch)
        names = [self.sources[source] for source in sources.tolist()]
        keys = [derive_key(self.seed, name, epoch) for name, epoch in zip(names, epochs.tolist(), strict=True)]
        rows = permute(places, rows_per_epoch, np.array(keys, dtype=np.uint64))
        return [
            [Piece(name, row * self.sequence_length, self.sequence_length + 1)]
            for name, row in zip(names, rows.tolist(), strict=True)
        ]

    def samples_with(self, piece: Piece, samples: int) -> npt.NDArray[np.int64]:
        """Which of the first `samples` samples hold any token of `piece`, ascending: the inverse of `pieces`."""
        if piece.source not in self.sources:
            return np.empty(0, dtype=np.int64)
        source = self.sources.index(piece.source)
        rows_per_epoch = int(self.rows_per_epoch[source])
        last_token = piece.first_token + piece.tokens - 1
        # The token that two rows share belongs to both
        first_row = max(0, (piece.first_token - 1) // self.sequence_length)
        last_row = min(last_token // self.sequence_length, rows_per_epoch - 1)
        epochs = np.arange(-(-int(self.mixture.counts(samples)[source]) // rows_per_epoch))[:, None]
        rows = np.arange(first_row, last_row + 1)
        keys = [[derive_key(self.seed, piece.source, epoch)] for epoch in epochs[:, 0].tolist()]
        places = unpermute(np.tile(rows, (len(epochs), 1)), rows_per_epoch, np.array(keys, np.uint64).reshape(-1, 1))
        found = np.sort(self.mixture.samples(source, epochs * rows_per_epoch + places), axis=None)
        return found[found < samples]


def _check_names(weights: Mapping[str, float], present: list[str]) -> None:
    for source in weights:
        if source not in present:
            close = difflib.get_close_matches(source, present, n=1)
            hint = f"did you mean '{close[0]}'?" if close else f"they have {sorted(present)}"
            raise DataError(f"the mixture has source '{source}', but the shards have none of that name: {hint}")
    for source in present:
        if source not in weights:
            raise DataError(f"source '{source}' has no weight: give it one, or 0 to leave it out")
