"""Runs of tokens in all of the training text, against looking at every place."""

from pathlib import Path

import numpy as np
import pytest

from data.shards.format import EncodedDocument, Manifest, write_manifest, write_source
from data.shards.packing import pack_shards
from data.stream.stream import Piece, TokenStream
from evaluation.audit import copies
from evaluation.audit.copies import count_others_with

LENGTH = 7


@pytest.fixture
def texts() -> dict[str, list[np.ndarray]]:
    """Documents of few different tokens, so that hashes meet, some with a run of each other's."""
    random = np.random.default_rng(3)
    made = {name: [random.integers(1, 4, random.integers(3, 40)) for _ in range(60)] for name in ("a", "b")}
    for number in range(0, 60, 5):
        made["b"][number] = np.concatenate([made["b"][number], made["a"][number], made["a"][number]])
    return made


@pytest.fixture
def stream(texts: dict[str, list[np.ndarray]], tmp_path: Path) -> TokenStream:
    train = {
        name: write_source(
            tmp_path,
            "train",
            name,
            [EncodedDocument(f"{name}-{number}", None, text.astype(np.uint16), 1) for number, text in enumerate(of)],
            "uint16",
            300,
        )
        for name, of in texts.items()
    }
    write_manifest(tmp_path, Manifest("uint16", 10, "tokenizer", "corpus", 0, 300, {"train": train}))
    pack_shards(tmp_path, "concatenate", 16, 1)
    return TokenStream(tmp_path, None, 16, 0, policy="concatenate")


@pytest.mark.parametrize("block", [1 << 20, 50])
def test_other_documents_with_a_run_are_counted_once_each(
    texts: dict[str, list[np.ndarray]], stream: TokenStream, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "BLOCK", block)
    placed, wanted = [], []
    for source, documents in texts.items():
        file, first = 0, 0
        for own, text in enumerate(documents):
            if len(text) >= LENGTH:
                run = text[len(text) - LENGTH :]
                placed.append((run.astype(np.int64), Piece(source, file, first + len(text) - LENGTH, LENGTH)))
                wanted.append(
                    sum(
                        run.astype(np.uint8).tobytes() in other.astype(np.uint8).tobytes()
                        for name, others in texts.items()
                        for number, other in enumerate(others)
                        if (name, number) != (source, own)
                    )
                )
            first += len(text) + 1
            if first >= 300:
                file, first = file + 1, 0
    found = count_others_with(stream, placed, seed=0)
    assert found.documents == wanted
    assert max(wanted) > 1
    assert 0 in wanted
    assert found.searched_tokens == found.of_tokens == sum(len(text) + 1 for of in texts.values() for text in of)


def test_more_text_than_is_searched_is_searched_in_part(stream: TokenStream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "MOST_TOKENS", 500)
    found = count_others_with(stream, [(np.array([1, 2, 3, 1, 2, 3, 1]), Piece("a", 0, 0, 7))], seed=0)
    assert 500 <= found.searched_tokens < 900 < found.of_tokens


def test_nothing_to_look_for_reads_nothing(stream: TokenStream) -> None:
    assert count_others_with(stream, [], seed=0).searched_tokens == 0
