"""The ledger agrees with a search through every sample, in both directions."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import DataError
from data.shards.packing import pack_shards
from data.stream.ledger import documents_of, samples_of, times_seen
from data.stream.stream import Piece, TokenStream

LENGTHS = {"filings": [500, 3, 0, 120, 41] * 3, "news": [7, 30, 12, 1, 0] * 20}
DOCUMENTS = [f"{source}-{place:03d}" for source, lengths in LENGTHS.items() for place in range(len(lengths))]
SAMPLES = 60
TOKENS_PER_SHARD = 150
PACKINGS = [("best_fit", 20), ("best_fit", 170), ("concatenate", 20), ("concatenate", 64)]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory, write_training_shards: Callable[..., Path]) -> Path:
    folder = write_training_shards(tmp_path_factory.mktemp("shards"), LENGTHS, TOKENS_PER_SHARD)
    for policy, length in PACKINGS:
        pack_shards(folder, policy, length, workers=1)  # type: ignore[arg-type]
    return folder


def open_stream(shards: Path, packing: tuple[str, int], seed: int) -> TokenStream:
    policy, length = packing
    return TokenStream(
        shards,
        {"filings": 0.6, "news": 0.4},
        length,
        seed,
        policy=policy,
        stages={25: {"filings": 0.1, "news": 0.9}},
        reshuffles={12: 5},
    )


def spans() -> dict[str, tuple[str, int, int, int]]:
    """Source, file, first token and end of each document, counted out."""
    found = {}
    for source, lengths in LENGTHS.items():
        file = start = 0
        for place, length in enumerate(lengths):
            found[f"{source}-{place:03d}"] = (source, file, start, start + length + 1)
            start += length + 1
            if start >= TOKENS_PER_SHARD:
                file, start = file + 1, 0
    return found


SPANS = spans()


def searched(stream: TokenStream, sample: int) -> set[str]:
    """The documents of a sample, by comparing every piece with every document."""
    return {
        name
        for piece in stream.pieces(sample, 1)[0]
        for name, (source, file, start, end) in SPANS.items()
        if (source, file) == (piece.source, piece.file)
        and start < piece.first_token + piece.tokens
        and piece.first_token < end
    }


@settings(max_examples=40, deadline=None)
@given(
    packing=st.sampled_from(PACKINGS),
    seed=st.integers(0, 99),
    first=st.integers(0, 10**9),
    count=st.integers(0, 12),
)
def test_documents_of_finds_what_a_search_finds(
    shards: Path, packing: tuple[str, int], seed: int, first: int, count: int
) -> None:
    stream = open_stream(shards, packing, seed)
    samples = range(first, first + count)
    found = documents_of(stream, samples)
    names = [document["id"] for document in found]
    assert len(set(names)) == len(names)
    assert set(names) == set().union(*(searched(stream, sample) for sample in samples))
    batch = stream.batch(first, count)
    for token in batch.tokens[:, 1:][(batch.documents >= 0) & (batch.tokens[:, 1:] > 0)].tolist():
        source, place = list(LENGTHS)[token // 1_000_000 - 1], token % 1_000_000
        ends = np.cumsum(np.array(LENGTHS[source]) + 1)
        assert f"{source}-{int(np.searchsorted(ends, place, side='right')):03d}" in names
    for document in found:
        source, file, start, end = SPANS[document["id"]]
        assert (document["source"], document["shard"]) == (source, f"train/{source}-{file:05d}")
        assert (document["first_token"], document["tokens"]) == (start, end - start)


@settings(max_examples=40, deadline=None)
@given(packing=st.sampled_from(PACKINGS), seed=st.integers(0, 99), name=st.sampled_from(DOCUMENTS), data=st.data())
def test_samples_of_finds_what_a_search_finds(
    shards: Path, packing: tuple[str, int], seed: int, name: str, data: st.DataObject
) -> None:
    stream = open_stream(shards, packing, seed)
    end = data.draw(st.integers(0, SAMPLES))
    seen = samples_of(stream, name, end)
    assert seen.samples == [sample for sample in range(end) if name in searched(stream, sample)]


def test_epochs_count_whole_documents(shards: Path) -> None:
    stream = TokenStream(shards, {"filings": 1.0, "news": 0.0}, 20, 0)
    rows = stream.passes["filings"]
    long, short = (samples_of(stream, name, 3 * rows) for name in ("filings-000", "filings-001"))
    assert (long.rows, len(long.samples), long.epochs) == (26, 78, 3.0)  # 501 tokens: 25 rows and 1 left over
    assert (short.rows, len(short.samples), short.epochs) == (1, 3, 3.0)


@settings(max_examples=20, deadline=None)
@given(packing=st.sampled_from(PACKINGS), name=st.sampled_from(DOCUMENTS), data=st.data())
def test_times_seen_are_those_of_a_search_without_what_was_passed_over(
    shards: Path, packing: tuple[str, int], name: str, data: st.DataObject
) -> None:
    stream = open_stream(shards, packing, 0)
    source, file, start, end = SPANS[name]
    piece = Piece(source, file, start, end - start)
    samples, first = data.draw(st.integers(0, SAMPLES)), data.draw(st.integers(0, SAMPLES))
    behind = first + data.draw(st.integers(0, 30))
    shown = sum(name in searched(stream, at) for at in range(samples) if not first <= at < behind)
    assert times_seen(stream, piece, samples, [(first, behind)]) == shown / len(stream.rows_with(piece))


def test_a_document_names_its_source_and_date(shards: Path) -> None:
    stream = open_stream(shards, ("best_fit", 20), 0)
    documents = {document["id"]: document for document in documents_of(stream, range(200))}
    assert documents["news-029"] == {
        "id": "news-029", "source": "news", "first_date": "2020-01-02", "last_date": "2020-01-02", "date_kind": None,
        "first_token": 15, "tokens": 1, "shard": "train/news-00002",
    }  # fmt: skip
    assert documents["filings-002"]["last_date"] is None


def test_a_source_that_is_left_out_has_no_samples(shards: Path) -> None:
    stream = TokenStream(shards, {"filings": 1.0, "news": 0.0}, 20, 0)
    assert samples_of(stream, "news-003", 1000).samples == []


@pytest.mark.parametrize("slip", ["news-0299", "nws-029", "news-O29", "newz-029"])
def test_an_unknown_document_is_answered_with_its_likes(shards: Path, slip: str) -> None:
    with pytest.raises(DataError, match=f"no training document has the id '{slip}': did you mean .*'news-02"):
        samples_of(open_stream(shards, ("best_fit", 20), 0), slip, 10)


def test_a_document_like_no_other_is_refused_plainly(shards: Path) -> None:
    with pytest.raises(DataError, match=r"no training document has the id 'xyz'$"):
        samples_of(open_stream(shards, ("best_fit", 20), 0), "xyz", 10)
