"""The ledger agrees with a search through every sample, in both directions."""

import datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import DataError
from data.ledger import documents_of, samples_of
from data.shards import EncodedDocument, Manifest, write_manifest, write_source
from data.stream import TokenStream

LENGTHS = {"filings": [500, 3, 0, 120, 41] * 3, "news": [7, 30, 12, 1, 0] * 20}
DOCUMENTS = [f"{source}-{place:03d}" for source, lengths in LENGTHS.items() for place in range(len(lengths))]
SAMPLES = 60


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each token is the number of its document in DOCUMENTS plus one, end-of-text apart."""
    folder = tmp_path_factory.mktemp("shards")
    train = {}
    for source, lengths in LENGTHS.items():
        encoded = []
        for place, length in enumerate(lengths):
            name = f"{source}-{place:03d}"
            date = datetime.date(2020, 1, 1 + place % 28) if source == "news" else None
            encoded.append(EncodedDocument(name, date, np.full(length, DOCUMENTS.index(name) + 1), length))
        train[source] = write_source(folder, "train", source, encoded, "uint16", tokens_per_shard=150)
    write_manifest(folder, Manifest("uint16", 60_000, "tokenizer", "corpus", 0, 150, {"train": train}))
    return folder


def open_stream(shards: Path, length: int, seed: int) -> TokenStream:
    return TokenStream(shards, {"filings": 0.6, "news": 0.4}, length, seed)


def spans(stream: TokenStream) -> dict[str, tuple[str, int, int]]:
    """Source, first token and end of each document, counted out."""
    found = {}
    for source, lengths in LENGTHS.items():
        start = 0
        for place, length in enumerate(lengths):
            found[f"{source}-{place:03d}"] = (source, start, start + length + 1)
            start += length + 1
    return found


def searched(stream: TokenStream, sample: int) -> set[str]:
    """The documents of a sample, by comparing every piece with every document."""
    return {
        name
        for piece in stream.pieces(sample, 1)[0]
        for name, (source, start, end) in spans(stream).items()
        if source == piece.source and start < piece.first_token + piece.tokens and piece.first_token < end
    }


@settings(max_examples=40, deadline=None)
@given(length=st.integers(1, 170), seed=st.integers(0, 99), first=st.integers(0, 10**9), count=st.integers(0, 12))
def test_documents_of_finds_what_a_search_finds(shards: Path, length: int, seed: int, first: int, count: int) -> None:
    stream = open_stream(shards, length, seed)
    found = documents_of(stream, first, count)
    names = [document["id"] for document in found]
    assert len(set(names)) == len(names)
    assert set(names) == set().union(*(searched(stream, sample) for sample in range(first, first + count)))
    tokens_read = set(np.unique(stream.rows(first, count)).tolist()) - {0}
    assert tokens_read <= {DOCUMENTS.index(name) + 1 for name in names}
    for document in found:
        source, start, end = spans(stream)[document["id"]]
        assert (document["source"], document["first_token"], document["tokens"]) == (source, start, end - start)


@settings(max_examples=40, deadline=None)
@given(length=st.integers(5, 170), seed=st.integers(0, 99), name=st.sampled_from(DOCUMENTS), data=st.data())
def test_samples_of_finds_what_a_search_finds(
    shards: Path, length: int, seed: int, name: str, data: st.DataObject
) -> None:
    stream = open_stream(shards, length, seed)
    samples = data.draw(st.integers(0, SAMPLES))
    assert samples_of(stream, name, samples) == [
        sample for sample in range(samples) if name in searched(stream, sample)
    ]


def test_a_document_names_its_source_and_date(shards: Path) -> None:
    documents = {document["id"]: document for document in documents_of(open_stream(shards, 20, 0), 0, 200)}
    assert documents["news-029"] == {
        "id": "news-029", "source": "news", "date": "2020-01-02", "first_token": 329, "tokens": 1,
    }  # fmt: skip
    assert documents["filings-001"]["date"] is None


def test_a_source_that_is_left_out_has_no_samples(shards: Path) -> None:
    stream = TokenStream(shards, {"filings": 1.0, "news": 0.0}, 20, 0)
    assert samples_of(stream, "news-003", 1000) == []


@pytest.mark.parametrize("slip", ["news-0299", "nws-029", "news-O29", "newz-029"])
def test_an_unknown_document_is_answered_with_its_likes(shards: Path, slip: str) -> None:
    with pytest.raises(DataError, match=f"no training document has the id '{slip}': did you mean .*'news-02"):
        samples_of(open_stream(shards, 20, 0), slip, 10)


def test_a_document_like_no_other_is_refused_plainly(shards: Path) -> None:
    with pytest.raises(DataError, match=r"no training document has the id 'xyz'$"):
        samples_of(open_stream(shards, 20, 0), "xyz", 10)
