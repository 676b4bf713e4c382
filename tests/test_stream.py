"""The stream is a pure function of (shards, mixture, sequence length, seed) and wastes, repeats and invents nothing."""

import itertools
import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import DataError
from data.shards import EncodedDocument, Manifest, write_manifest, write_source
from data.stream import TokenStream

LENGTHS = {"filings": [997, 3, 0, 500, 41] * 8, "news": [7, 30, 12, 1] * 120, "web": [211] * 6}
WEIGHTS = {"filings": 0.5, "news": 0.3, "web": 0.2}
FIRST_ID = {"filings": 1_000_000, "news": 2_000_000, "web": 3_000_000}


def source_tokens(source: str) -> npt.NDArray[np.int64]:
    """Every token's id is its address, except for the ends of documents."""
    ids = FIRST_ID[source] + np.arange(sum(LENGTHS[source]) + len(LENGTHS[source]))
    ids[np.cumsum(np.array(LENGTHS[source]) + 1) - 1] = 0
    return ids


WHOLE = {source: source_tokens(source) for source in LENGTHS}


def write_shards(folder: Path, sources: dict[str, npt.NDArray[np.int64]], tokens_per_shard: int) -> Path:
    splits: dict[str, dict[str, object]] = {"train": {}}
    for source, whole in sources.items():
        documents = np.split(whole, np.flatnonzero(whole == 0) + 1)[:-1]
        encoded = (
            EncodedDocument(f"{source}-{place}", None, tokens[:-1], 4 * len(tokens))
            for place, tokens in enumerate(documents)
        )
        splits["train"][source] = write_source(folder, "train", source, encoded, "uint32", tokens_per_shard)
    write_manifest(folder, Manifest("uint32", 4_000_000, "tokenizer", "corpus", 0, tokens_per_shard, splits))
    return folder


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shards(tmp_path_factory.mktemp("shards"), WHOLE, tokens_per_shard=300)


LENGTH = st.integers(1, 200)
SEED = st.integers(0, 2**63 - 1)


@settings(max_examples=50, deadline=None)
@given(length=LENGTH, seed=SEED, cuts=st.lists(st.integers(0, 120), max_size=8), first=st.integers(0, 10**12))
def test_rows_do_not_depend_on_how_they_are_asked_for(
    shards: Path, length: int, seed: int, cuts: list[int], first: int
) -> None:
    stream = TokenStream(shards, WEIGHTS, length, seed)
    whole = stream.rows(first, 120)
    assert whole.shape == (120, length + 1)
    assert whole.dtype == np.int64
    bounds = [0, *sorted(cuts), 120]
    parts = [stream.rows(first + start, end - start) for start, end in itertools.pairwise(bounds)]
    assert np.array_equal(np.concatenate(parts), whole)
    assert np.array_equal(TokenStream(shards, WEIGHTS, length, seed).rows(first, 120), whole)


@settings(max_examples=25, deadline=None)
@given(length=LENGTH, seed=SEED, source=st.sampled_from(sorted(LENGTHS)), epoch=st.integers(0, 5))
def test_every_row_comes_once_in_every_pass(shards: Path, length: int, seed: int, source: str, epoch: int) -> None:
    stream = TokenStream(shards, {name: float(name == source) for name in LENGTHS}, length, seed)
    rows = (len(WHOLE[source]) - 1) // length
    read = stream.rows(epoch * rows, rows)
    expected = np.stack([WHOLE[source][row * length : row * length + length + 1] for row in range(rows)])
    assert np.array_equal(read[np.lexsort(read.T[::-1])], expected[np.lexsort(expected.T[::-1])])
    assert stream.epochs((epoch + 1) * rows) == {source: epoch + 1}


def test_passes_differ_in_order(shards: Path) -> None:
    stream = TokenStream(shards, {"filings": 1, "news": 0, "web": 0}, 50, 0)
    rows = (len(WHOLE["filings"]) - 1) // 50
    passes = [stream.rows(epoch * rows, rows) for epoch in range(3)]
    assert not np.array_equal(passes[0], passes[1])
    assert not np.array_equal(passes[1], passes[2])
    assert not np.array_equal(passes[0], TokenStream(shards, {"filings": 1, "news": 0, "web": 0}, 50, 1).rows(0, rows))


@pytest.mark.parametrize(("world_size", "micro_batch", "accumulation"), [(1, 24, 1), (2, 3, 4), (8, 1, 3), (3, 8, 1)])
def test_ranks_together_read_the_same_batches(
    shards: Path, world_size: int, micro_batch: int, accumulation: int
) -> None:
    batch, steps = 24, 5
    assert world_size * micro_batch * accumulation == batch
    expected = TokenStream(shards, WEIGHTS, 64, 3).rows(0, steps * batch)
    read = []
    for step in range(steps):
        for turn in range(accumulation):
            for rank in range(world_size):
                stream = TokenStream(shards, WEIGHTS, 64, 3)
                read.append(stream.rows(step * batch + (turn * world_size + rank) * micro_batch, micro_batch))
    assert np.array_equal(np.concatenate(read), expected)


@settings(deadline=None)
@given(samples=st.integers(0, 500))
def test_the_mixture_holds_at_every_moment(shards: Path, samples: int) -> None:
    stream = TokenStream(shards, WEIGHTS, 1, 3)
    counts = np.bincount(stream.rows(0, samples).max(axis=1, initial=0) // 1_000_000, minlength=4)[1:]
    for source, count in zip(sorted(LENGTHS), counts, strict=True):
        assert abs(count - WEIGHTS[source] * samples) < 1 + 1e-9
        assert math.isclose(stream.epochs(samples)[source], count / (len(WHOLE[source]) - 1))


def test_without_weights_each_source_has_its_share_of_the_tokens(shards: Path) -> None:
    stream = TokenStream(shards, None, 64, 0)
    total = sum(len(whole) for whole in WHOLE.values())
    assert stream.weights == pytest.approx({source: len(whole) / total for source, whole in WHOLE.items()})
    passes = stream.epochs(total // 64).values()
    assert all(abs(value - 1) < 0.1 for value in passes)


def test_one_huge_file_and_many_small_ones_are_the_same_stream(shards: Path, tmp_path: Path) -> None:
    one_file = write_shards(tmp_path, WHOLE, tokens_per_shard=10**9)
    assert len(list(one_file.glob("train/*.bin"))) == 3
    assert len(list(shards.glob("train/*.bin"))) > 30
    assert np.array_equal(
        TokenStream(one_file, WEIGHTS, 333, 5).rows(0, 300), TokenStream(shards, WEIGHTS, 333, 5).rows(0, 300)
    )


def test_the_stream_never_changes_between_versions(shards: Path) -> None:
    stream = TokenStream(shards, WEIGHTS, 100, 11)
    assert stream.rows(1000, 6)[:, 1].tolist() == [1004401, 2002301, 1003401, 3000601, 1010101, 2003601]


def test_the_digest_tells_streams_apart(shards: Path, tmp_path: Path) -> None:
    other = write_shards(tmp_path, {name: np.append(whole[:-2], 0) for name, whole in WHOLE.items()}, 300)
    streams = [
        TokenStream(shards, WEIGHTS, 100, 11),
        TokenStream(shards, WEIGHTS, 100, 12),
        TokenStream(shards, WEIGHTS, 101, 11),
        TokenStream(shards, None, 100, 11),
        TokenStream(other, WEIGHTS, 100, 11),
    ]
    assert len({stream.digest for stream in streams}) == len(streams)
    same_shares = {"web": 2, "news": 3, "filings": 5}
    assert TokenStream(shards, same_shares, 100, 11).digest == streams[0].digest


def test_memory_does_not_grow_with_the_stream(shards: Path) -> None:
    stream = TokenStream(shards, WEIGHTS, 10, 0)
    held = [value for value in vars(stream).values() if isinstance(value, np.ndarray)]
    mixture = [value for value in vars(stream.mixture).values() if isinstance(value, np.ndarray)]
    assert sum(array.nbytes for array in held + mixture) < 1000


def test_a_source_shorter_than_a_row_is_refused(shards: Path) -> None:
    with pytest.raises(DataError, match="source 'web' has 1,272 tokens to train on, fewer than the 1,273 of one row"):
        TokenStream(shards, WEIGHTS, 1272, 0)
    assert TokenStream(shards, WEIGHTS, 1271, 0).rows(0, 10).shape == (10, 1272)
    assert TokenStream(shards, WEIGHTS | {"web": 0.0}, 1272, 0).weights == {"filings": 0.625, "news": 0.375}


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (
            {"filings": 1.0, "news": 1.0, "wbe": 1.0},
            "'wbe', but the shards have none of that name: did you mean 'web'?",
        ),
        ({"filings": 1.0, "news": 1.0}, "source 'web' has no weight: give it one, or 0 to leave it out"),
        (WEIGHTS | {"web": -0.1}, "the weight of source 'web' is -0.1"),
        (WEIGHTS | {"web": math.nan}, "the weight of source 'web' is nan"),
        (dict.fromkeys(WEIGHTS, 0.0), "no source has a weight above 0"),
    ],
)
def test_an_impossible_mixture_is_refused(shards: Path, weights: dict[str, float], message: str) -> None:
    with pytest.raises(DataError, match=message.replace("?", r"\?")):
        TokenStream(shards, weights, 10, 0)
