"""Passages of a text in training documents, against a search of every document for every substring of the text."""

import itertools
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models

from data.files import file_digest, finish_stage
from data.shards import passages
from data.shards.format import EncodedDocument, Manifest, write_manifest, write_source
from data.shards.passages import Found, find_passages
from data.shards.place_index import LEAST, PlaceIndex, open_index
from data.tokenizer.build import load_tokenizer
from data.tokenizer.model import BYTE_ORDER, piece_name
from data.tokenizer.piece_bytes import piece_bytes

END = "<|endoftext|>"


def write_tokenizer(folder: Path, pieces: Sequence[bytes]) -> Path:
    """A tokenizer of the 256 bytes and these pieces, the end of text first, which gives back any text."""
    names = [END, *(piece_name(bytes([byte])) for byte in BYTE_ORDER), *map(piece_name, pieces)]
    tokenizer = Tokenizer(models.Unigram([(name, -1.0) for name in names]))
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(END, special=True, normalized=False)])
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    finish_stage(folder, {}, [folder / "tokenizer.json"])
    return folder


def cut(text: bytes, pieces: Sequence[bytes], chance: random.Random) -> list[int]:
    """A text as ids, in one of the many ways in which it can be cut: which way must not matter."""
    ids, place = [], 0
    while place < len(text):
        fitting = [number for number, piece in enumerate(pieces) if piece and text.startswith(piece, place)]
        number = chance.choice(fitting)
        ids.append(number)
        place += len(pieces[number])
    return ids


def make_index(
    folder: Path, documents: Sequence[str], pieces: Sequence[bytes] = (), *, dtype: str = "uint16", seed: int = 0
) -> PlaceIndex:
    """Documents of two sources in several files, indexed."""
    tokenizer = write_tokenizer(folder / "tokenizer", pieces)
    known = piece_bytes(load_tokenizer(tokenizer))
    chance = random.Random(seed)
    sources = {}
    for number, source in enumerate(("general", "news")):
        encoded = [
            EncodedDocument(
                f"{source}-{place}", None, np.array(cut(text.encode(), known[1:], chance)) + 1, len(text.encode())
            )
            for place, text in enumerate(documents[number::2])
        ]
        if encoded:
            sources[source] = write_source(folder / "shards", "train", source, encoded, dtype, 150)
    digest = file_digest(tokenizer / "tokenizer.json")
    write_manifest(folder / "shards", Manifest(dtype, len(known), digest, "corpus", 0, 0, {"train": sources}))
    return open_index(folder / "shards", folder / "index", tokenizer, lambda name: f"{folder}/shards/{name}", 1)


def naive(documents: Sequence[str], text: str) -> set[tuple[int, int, int]]:
    """(first character, past the last, occurrences) of each longest passage, from every document and every place."""
    spans: Counter[tuple[int, int]] = Counter()
    for document in documents:
        for begin, end in itertools.product(range(len(document)), range(len(text))):
            if document[begin] != text[end] or (begin and end and document[begin - 1] == text[end - 1]):
                continue
            size = next(
                (i for i in range(min(len(document) - begin, len(text) - end)) if document[begin + i] != text[end + i]),
                min(len(document) - begin, len(text) - end),
            )
            if len(text[end : end + size].encode()) >= LEAST:
                spans[end, end + size] += 1
    return {
        (*span, count)
        for span, count in spans.items()
        if not any(other != span and other[0] <= span[0] and span[1] <= other[1] for other in spans)
    }


def summary(found: Found) -> set[tuple[int, int, int]]:
    return {(passage.begin, passage.end, len(passage.tokens)) for passage in found.passages}


LETTERS = {"few": "ab", "many": "abcdefghij ", "wide": "aé\u4e16\U0001f600 "}


@st.composite
def searches(draw: st.DrawFn) -> tuple[list[str], list[str], list[bytes], str, int]:
    """Documents that repeat each other's phrases, texts of such phrases, pieces, a dtype and a seed."""
    letters = LETTERS[draw(st.sampled_from(sorted(LETTERS)))]
    phrases = draw(st.lists(st.text(letters, min_size=8, max_size=60), min_size=1, max_size=6))
    mixture = st.lists(st.one_of(st.sampled_from(phrases), st.text(letters, max_size=12)), min_size=1, max_size=5)
    documents = draw(st.lists(mixture.map("".join).filter(len), min_size=1, max_size=8))
    texts = draw(st.lists(mixture.map("".join).filter(len), min_size=1, max_size=6))
    source = "".join(documents).encode()
    pieces = {
        source[begin : begin + size]
        for begin, size in draw(st.lists(st.tuples(st.integers(0, len(source)), st.integers(2, 40)), max_size=30))
    }
    is_known = {b"", *(bytes([byte]) for byte in range(256))}
    return (
        documents,
        texts,
        sorted(pieces - is_known),
        draw(st.sampled_from(["uint16", "uint32"])),
        draw(st.integers(0, 9)),
    )


@settings(max_examples=20)
@given(searches())
def test_every_longest_passage_is_found_with_all_its_places(
    tmp_path_factory: pytest.TempPathFactory, search: tuple[list[str], list[str], list[bytes], str, int]
) -> None:
    documents, texts, pieces, dtype, seed = search
    index = make_index(tmp_path_factory.mktemp("search"), documents, pieces, dtype=dtype, seed=seed)
    for text in texts:
        found = find_passages(index, text)
        assert summary(found) == naive(documents, text)
        assert found.unsearched == []


def test_a_passage_does_not_go_from_one_document_into_the_next(tmp_path: Path) -> None:
    first, second = "x" * 10 + "the committee raised its rate", " by a quarter point in March"
    documents = [first, "another source", second, "and more of it"]  # neighbours in one file
    found = find_passages(make_index(tmp_path, documents), f"{first}{second}")
    assert summary(found) == {(0, len(first), 1)}


def test_pieces_of_any_length_hide_nothing(tmp_path: Path) -> None:
    """A piece of 60 spaces is longer than the distance of places, and a passage may begin in the middle of it."""
    dashes = "-" * 60
    pieces = [dashes.encode(), dashes[:40].encode(), b" by a quarter point"]
    document = f"raised{dashes} by a quarter point{dashes} in March"
    for seed in range(5):
        for number, text in enumerate((document[20:], dashes[:33], f"{dashes[7:]} by a q", f"er point{dashes[:50]}!")):
            index = make_index(tmp_path / f"{seed}-{number}", [document], pieces, seed=seed)
            assert summary(find_passages(index, text)) == naive([document], text)


def test_what_is_too_common_is_named_and_the_longest_passage_is_found_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    common, rare = "according to the terms and conditions of this agreement", ", as amended on 7 May 2019 in Basel"
    documents = [f"{number} {common}" for number in range(100)] + [f"{common}{rare}"] * 2
    index = make_index(tmp_path, documents)
    text = f"{common}{rare}!"
    assert summary(find_passages(index, text)) == {(0, len(text) - 1, 2)}
    monkeypatch.setattr(passages, "MOST_CANDIDATES", 20)
    found = find_passages(index, text)
    assert summary(found) == {(0, len(text) - 1, 2)}
    assert found.is_sure(text, found.passages[0])
    assert found.unsearched
    assert all(0 <= begin < end <= len(common) for begin, end in found.unsearched)
    monkeypatch.setattr(passages, "MOST_CANDIDATES", 1)
    found = find_passages(index, common)
    assert found.passages == []
    assert all(end < begin for (_, end), (begin, _) in itertools.pairwise(found.unsearched))
    assert sum(end - begin for begin, end in found.unsearched) > LEAST


def test_what_the_index_says_is_not_believed(tmp_path: Path) -> None:
    """Entries that lead nowhere, or elsewhere, find nothing that is not there, and nothing outside the shard."""
    document = "the committee raised its policy rate by a quarter point"
    index = make_index(tmp_path, [document])
    file = tmp_path / "index" / index.files[0].name
    entries = np.fromfile(file, "<u8")
    for damaged in (entries | 0xFFFFFFFF, entries & ~np.uint64(0xFFFFFFFF), entries + 3):
        file.write_bytes(damaged.tobytes())
        reopened = open_index(
            tmp_path / "shards", tmp_path / "index", tmp_path / "tokenizer", lambda name: f"{tmp_path}/shards/{name}", 1
        )
        assert summary(find_passages(reopened, document)) <= {(0, len(document), 1)}
