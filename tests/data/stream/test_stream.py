"""The stream is a pure function of (packed shards, mixtures, seed) and wastes, repeats and invents nothing."""

import itertools
import math
import re
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import DataError
from data.shards.packing import pack_shards
from data.stream.stream import Batch, TokenStream

Write = Callable[..., Path]
LENGTHS = {"filings": [997, 3, 0, 500, 41] * 8, "news": [7, 30, 12, 1] * 120, "web": [211] * 6}
WEIGHTS = {"filings": 0.5, "news": 0.3, "web": 0.2}
SEED = st.integers(0, 2**63 - 1)
POLICIES = ("best_fit", "concatenate")


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory, write_training_shards: Write) -> Path:
    folder = write_training_shards(tmp_path_factory.mktemp("shards"), LENGTHS, tokens_per_shard=300)
    for policy in POLICIES:
        for length in (10, 64):
            pack_shards(folder, policy, length, workers=1)
    return folder


def assert_equal(one: Batch, other: Batch) -> None:
    assert np.array_equal(one.tokens, other.tokens)
    assert np.array_equal(one.documents, other.documents)


@settings(max_examples=40, deadline=None)
@given(
    length=st.sampled_from([10, 64]),
    policy=st.sampled_from(POLICIES),
    seed=SEED,
    cuts=st.lists(st.integers(0, 120), max_size=8),
    first=st.integers(0, 10**12),
)
def test_samples_do_not_depend_on_how_they_are_asked_for(
    shards: Path, length: int, policy: str, seed: int, cuts: list[int], first: int
) -> None:
    stream = TokenStream(shards, WEIGHTS, length, seed, policy=policy)
    whole = stream.batch(first, 120)
    assert (whole.tokens.shape, whole.documents.shape) == ((120, length + 1), (120, length))
    assert (whole.tokens.dtype, whole.documents.dtype) == (np.int64, np.int32)
    bounds = [0, *sorted(cuts), 120]
    parts = [stream.batch(first + start, end - start) for start, end in itertools.pairwise(bounds)]
    assert_equal(Batch(*map(np.concatenate, zip(*(part[:2] for part in parts), strict=True))), whole)
    assert_equal(TokenStream(shards, WEIGHTS, length, seed, policy=policy).batch(first, 120), whole)


def test_a_row_by_hand(tmp_path: Path, write_training_shards: Write) -> None:
    folder = write_training_shards(tmp_path, {"news": [3, 13, 1]}, tokens_per_shard=1000)
    pack_shards(folder, "best_fit", 8, workers=1)
    stream = TokenStream(folder, None, 8, 0)
    batch = stream.batch(0, stream.passes["news"])
    start = 1_000_000
    expected = [  # a row of the long document; its remainder with the document of 1; the document of 3
        ([0, *range(start + 4, start + 12)], [0] * 8),
        ([start + 11, *range(start + 12, start + 17), 0, start + 18, 0], [0] * 6 + [1] * 2),
        ([0, *range(start, start + 3), 0, 0, 0, 0, 0], [0] * 4 + [-1] * 4),
    ]
    rows = zip(batch.tokens.tolist(), batch.documents.tolist(), strict=True)
    assert sorted(rows) == sorted(expected)


def test_a_document_that_goes_on_within_a_row_is_not_predicted_from_another(
    tmp_path: Path, write_training_shards: Write
) -> None:
    folder = write_training_shards(tmp_path, {"news": [4, 9]}, tokens_per_shard=1000)
    pack_shards(folder, "best_fit", 8, workers=1)
    stream = TokenStream(folder, None, 8, 0)
    batch = stream.batch(0, 2)
    row = batch.tokens[:, 1].tolist().index(1_000_000)
    assert batch.tokens[row].tolist() == [0, *range(1_000_000, 1_000_004), 0, 1_000_012, 1_000_013, 0]
    assert batch.documents[row].tolist() == [0, 0, 0, 0, 0, -1, 1, 1]


def test_passes_differ_in_order(shards: Path) -> None:
    only = {"filings": 1.0, "news": 0.0, "web": 0.0}
    stream = TokenStream(shards, only, 64, 0)
    rows = stream.passes["filings"]
    passes = [stream.batch(number * rows, rows).tokens for number in range(3)]
    assert len({tokens.tobytes() for tokens in passes}) == 3
    assert len({np.sort(tokens, axis=0).tobytes() for tokens in passes}) == 1
    assert not np.array_equal(passes[0], TokenStream(shards, only, 64, 1).batch(0, rows).tokens)
    assert stream.epochs(3 * rows) == {"filings": 3}


@settings(deadline=None)
@given(samples=st.integers(0, 500))
def test_the_mixture_holds_at_every_moment(shards: Path, samples: int) -> None:
    stream = TokenStream(shards, WEIGHTS, 10, 3)
    names = [pieces[0].source for pieces in stream.pieces(0, samples)]
    for source, weight in WEIGHTS.items():
        assert abs(names.count(source) - weight * samples) < 1 + 1e-9
        assert math.isclose(stream.epochs(samples)[source], names.count(source) / stream.passes[source])


def test_without_weights_each_source_has_its_share_of_the_tokens(shards: Path) -> None:
    stream = TokenStream(shards, None, 64, 0)
    tokens = {source: sum(lengths) + len(lengths) for source, lengths in LENGTHS.items()}
    total = sum(tokens.values())
    (shares,) = stream.shares.values()
    weights = {source: share / sum(shares.values()) for source, share in shares.items()}
    assert weights == pytest.approx({source: of_source / total for source, of_source in tokens.items()})


@pytest.mark.parametrize("policy", POLICIES)
def test_the_stream_never_changes_between_versions(shards: Path, policy: str) -> None:
    stream = TokenStream(shards, WEIGHTS, 10, 11, policy=policy)
    golden = {
        "best_fit": [1008773, 2002006, 1012095, 3000646, 1000530, 2001422],
        "concatenate": [1008818, 2005339, 1012160, 3000644, 1000530, 2004915],
    }
    assert stream.batch(1000, 6).tokens[:, 1].tolist() == golden[policy]


def test_the_digest_tells_streams_apart(shards: Path, tmp_path: Path, write_training_shards: Write) -> None:
    other = write_training_shards(tmp_path, LENGTHS | {"web": [211] * 5}, tokens_per_shard=300)
    pack_shards(other, "best_fit", 64, workers=1)
    streams = [
        TokenStream(shards, WEIGHTS, 64, 11),
        TokenStream(shards, WEIGHTS, 64, 12),
        TokenStream(shards, WEIGHTS, 10, 11),
        TokenStream(shards, None, 64, 11),
        TokenStream(other, WEIGHTS, 64, 11),
        TokenStream(shards, WEIGHTS, 64, 11, policy="concatenate"),
        TokenStream(shards, WEIGHTS, 64, 11, stages={50: WEIGHTS | {"web": 1.0}}),
        TokenStream(shards, WEIGHTS, 64, 11, reshuffles={50: 1}),
        TokenStream(shards, WEIGHTS, 64, 11, reshuffles={50: 2}),
    ]
    assert len({stream.digest(51) for stream in streams}) == len(streams)
    same_shares = {"web": 2, "news": 3, "filings": 5}
    assert TokenStream(shards, same_shares, 64, 11).digest(51) == streams[0].digest(51)


def test_what_changes_later_does_not_change_the_digest_of_what_was_before(shards: Path) -> None:
    plain = TokenStream(shards, WEIGHTS, 64, 11)
    changed = TokenStream(shards, WEIGHTS, 64, 11, stages={50: WEIGHTS | {"web": 1.0}}, reshuffles={50: 1})
    assert changed.digest(50) == plain.digest(50) != changed.digest(51)
    assert_equal(changed.batch(0, 50), plain.batch(0, 50))
    assert not np.array_equal(changed.batch(50, 20).tokens, plain.batch(50, 20).tokens)


def test_opening_touches_no_shard_and_holds_nothing_that_grows(shards: Path, tmp_path: Path) -> None:
    for name in ("manifest.json", "packed/best_fit-64/manifest.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((shards / name).read_bytes())
    assert TokenStream(tmp_path, WEIGHTS, 64, 0).epochs(100)["web"] > 0


def test_to_go_on_at_step_10_million_takes_as_little_as_at_step_0(shards: Path) -> None:
    program = f"""
import statistics, sys, time
from pathlib import Path
from data.stream.stream import TokenStream
stream = TokenStream(Path({str(shards)!r}), {WEIGHTS}, 64, 0, reshuffles={{9_000_000 * 2048: 1}})
imported = set(sys.modules)
def seconds(step):
    begin = time.process_time()
    stream.batch(step * 2048, 8)
    return time.process_time() - begin
late = [seconds(10_000_000 + 1000 * number) for number in range(21)]
print(set(sys.modules) - imported, statistics.median(late))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    imported, seconds = done.stdout.rsplit(maxsplit=1)
    assert imported == "set()"  # such an import was most of the first batch's time
    assert float(seconds) < 0.005


def test_more_files_than_a_process_may_open(tmp_path: Path, write_training_shards: Write) -> None:
    folder = write_training_shards(tmp_path, {"news": [1] * 300}, tokens_per_shard=1)
    pack_shards(folder, "best_fit", 4, workers=1)
    stream = TokenStream(folder, None, 4, 0)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(list(Path("/proc/self/fd").iterdir())) + 266, hard))
    try:
        batch = stream.batch(0, 600)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert np.unique(batch.tokens[:, 1], return_counts=True)[1].tolist() == [2] * 300


def test_a_source_without_text_is_named(tmp_path: Path, write_training_shards: Write) -> None:
    folder = write_training_shards(tmp_path, LENGTHS | {"web": []}, tokens_per_shard=300)
    pack_shards(folder, "best_fit", 64, workers=1)
    with pytest.raises(DataError, match="the mixture has source 'web', but no training text has that name"):
        TokenStream(folder, WEIGHTS, 64, 0)


@pytest.mark.parametrize("file", ["train/web-00001.bin", "packed/best_fit-64/train/web-00001.rows"])
@pytest.mark.parametrize("harm", ["unlink", "truncate"])
def test_a_file_that_is_gone_or_short_is_named(
    tmp_path: Path, write_training_shards: Write, file: str, harm: str
) -> None:
    folder = write_training_shards(tmp_path, LENGTHS, tokens_per_shard=300)
    pack_shards(folder, "best_fit", 64, workers=1)
    stream = TokenStream(folder, WEIGHTS, 64, 0)
    stream.verify()
    if harm == "unlink":
        (folder / file).unlink()
    else:
        (folder / file).write_bytes(b"")
    with pytest.raises(DataError, match=file.rpartition("/")[2]):
        stream.verify()
    with pytest.raises(DataError, match=file):
        stream.batch(0, 200)


@pytest.mark.parametrize("file", ["train/web-00001.bin", "packed/best_fit-64/train/web-00001.rows"])
@pytest.mark.parametrize("kept", [0, 100])
def test_a_file_that_is_truncated_while_the_stream_is_open_is_named(
    tmp_path: Path, write_training_shards: Write, file: str, kept: int
) -> None:
    folder = write_training_shards(tmp_path, {"web": [3000] * 9}, tokens_per_shard=9000)
    pack_shards(folder, "best_fit", 64, workers=1)
    # In a process of its own, as touching what a mapped file has no longer ends the process that does
    program = f"""
import os
from pathlib import Path
from data.errors import DataError
from data.stream.stream import TokenStream
stream = TokenStream(Path({str(folder)!r}), None, 64, 0)
stream.batch(0, 400)
os.truncate({str(folder / file)!r}, {kept})
try:
    stream.batch(400, 400)
except DataError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert re.match(rf"{file} ends before byte [\d,]+: restore it, or make the shards again", done.stdout)


def test_a_file_that_is_replaced_while_the_stream_is_open_is_read_on(
    shards: Path, tmp_path: Path, write_training_shards: Write
) -> None:
    folder = write_training_shards(tmp_path, LENGTHS, tokens_per_shard=300)
    pack_shards(folder, "best_fit", 64, workers=1)
    stream = TokenStream(folder, WEIGHTS, 64, 0)
    stream.batch(0, 1000)  # every file
    for path in folder.rglob("*.bin"):
        path.with_suffix(".new").write_bytes(b"")
        path.with_suffix(".new").replace(path)
    assert_equal(stream.batch(200, 200), TokenStream(shards, WEIGHTS, 64, 0).batch(200, 200))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"filings": 1.0, "news": 1.0, "wbe": 1.0}, "'wbe', but no training text has that name: did you mean 'web'?"),
        ({"filings": 1.0, "news": 1.0}, "source 'web' has no weight: give it one, or 0 to leave it out"),
        (WEIGHTS | {"web": -0.1}, "the weight of source 'web' is -0.1"),
        (WEIGHTS | {"web": math.nan}, "the weight of source 'web' is nan"),
        (dict.fromkeys(WEIGHTS, 0.0), "no source has a weight above 0"),
    ],
)
def test_an_impossible_mixture_is_refused(shards: Path, weights: dict[str, float], message: str) -> None:
    with pytest.raises(DataError, match=message.replace("?", r"\?")):
        TokenStream(shards, weights, 10, 0)
    with pytest.raises(DataError, match=message.replace("?", r"\?")):
        TokenStream(shards, WEIGHTS, 10, 0, stages={5: weights})
