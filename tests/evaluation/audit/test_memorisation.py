"""Passages: where they are taken from, and that reading them at once says what writing them token by token would."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from data.shards.format import EncodedDocument
from data.shards.packing import pack_shards
from data.stream.stream import Piece, TokenStream
from domainlm.measure.audit import likeliest_tokens
from evaluation.audit.memorisation import (
    NOWHERE,
    Passage,
    beginnings,
    exact_tokens,
    held_out_passages,
    measure_memorisation,
    prefix_tokens,
    training_passages,
)
from evaluation.bits_per_byte import HeldOut, Tokens
from model.generate import generate
from model.transformer import Transformer

WINDOW = 20
END = 7


@pytest.fixture
def stream(write_training_shards: Callable[..., Path], tmp_path: Path) -> TokenStream:
    """Tokens of document k of a source follow each other from where those of k - 1 end; ends of documents are END."""
    lengths = {"news": [5, 19, 20, 60, 300], "notes": [30] * 8}
    folder = write_training_shards(tmp_path, lengths, tokens_per_shard=100, end_of_text=END)
    pack_shards(folder, "best_fit", WINDOW, 1)
    return TokenStream(folder, None, WINDOW, 0)


def passages_of(stream: TokenStream, wanted: int, **more: object) -> list[Passage]:
    """Seen as often as the number of its file."""
    return training_passages(stream, WINDOW, wanted, lambda piece: float(piece.file), 3, **more)  # type: ignore[arg-type]


def test_a_passage_is_of_one_document_and_begins_anywhere_in_it(stream: TokenStream) -> None:
    passages = passages_of(stream, 100)
    assert sorted(passage.document for passage in passages) == sorted(
        [*(f"news-{number:03d}" for number in range(1, 5)), *(f"notes-{number:03d}" for number in range(8))]
    )  # 5 tokens are too few; 19 and the end-of-text token in front of them are enough
    starts = set()
    for passage in passages:
        text = passage.tokens
        if passage.first_token == 0:
            assert text[0] == END
            text = text[1:]
        assert (np.diff(text) == 1).all()
        assert WINDOW <= len(passage.tokens) <= WINDOW + 1
        starts.add(passage.first_token)
        source, file, first, count = passage.piece
        assert count == prefix_tokens(WINDOW) == 10
        name = f"train/{source}-{file:05d}.bin"
        there = np.fromfile(stream.folder / name, "<u4")[first : first + count]
        assert (there == passage.tokens[10:20]).all()
        assert passage.times_seen == file
    assert len(starts) > 3


def test_some_of_each_stratum_are_taken(stream: TokenStream) -> None:
    passages = passages_of(stream, 2)
    seen = [passage.times_seen for passage in passages]
    assert seen == sorted(seen)
    assert max(map(seen.count, seen)) == 2
    assert {passage.source for passage in passages_of(stream, 100, without=["news"])} == {"notes"}
    assert [one.document for one in passages_of(stream, 2)] == [one.document for one in passages]


def test_the_ledger_is_asked_for_the_passage_itself(stream: TokenStream) -> None:
    asked: list[Piece] = []

    def times_seen(piece: Piece) -> float:
        asked.append(piece)
        return 1.0

    passages = training_passages(stream, WINDOW, 100, times_seen, 3)
    for passage in passages:
        end = passage.piece.first_token + passage.piece.tokens
        assert any((one.source, one.file, one.first_token + one.tokens) == (*passage.piece[:2], end) for one in asked)
    assert {piece.tokens for piece in asked} <= {WINDOW, WINDOW - 1}  # END in front is of the document before


def test_beginnings_begin_behind_the_end_of_text(stream: TokenStream) -> None:
    found = beginnings(stream, 6, 100, seed=0)
    assert len(found) == 13
    assert all(text[0] == END and (np.diff(text[1:]) == 1).all() and len(text) == 6 for text in found)
    assert len(beginnings(stream, 6, 4, seed=0, without=["news"])) == 4


def test_held_out_passages_are_of_each_split() -> None:
    documents = [
        HeldOut("news", split, EncodedDocument(f"{split}-{length}", None, np.arange(1, length + 1), 1, 9))
        for split in ("past", "future")
        for length in (10, 18, 19, 50)
    ]
    passages = held_out_passages(documents, WINDOW, 100, seed=0)
    assert sorted(passage.document for passage in passages) == ["future-19", "future-50", "past-19", "past-50"]
    assert all(passage.tokens[0] == 9 for passage in passages if passage.document.endswith("19"))
    assert all(passage.times_seen == 0 and passage.copies is None for passage in passages)


@pytest.fixture
def model(random_model: Callable[..., Transformer], families: dict[str, dict[str, object]]) -> Transformer:
    return random_model(families["llama"])


def test_reading_at_once_finds_what_greedy_writing_finds(model: Transformer) -> None:
    """The reference writes token by token with the key-value cache, as `domainlm generate` does."""
    likeliest = likeliest_tokens(model, torch.device("cpu"))
    random = np.random.default_rng(0)
    prompts = [random.integers(1, 61, 10).tolist() for _ in range(12)]
    written = generate(model, prompts, max_new_tokens=20)
    passages, wanted = [], []
    for number, (prompt, tokens) in enumerate(zip(prompts, written, strict=True)):
        changed = [*tokens]
        if number % 3:
            changed[number] = (changed[number] + 1) % 61
        passages.append(Passage("a", "train", str(number), 0, np.array([*prompt, *changed], np.int64)))
        wanted.append(number if number % 3 else 20)
    for batch_tokens in (1, 64, 10_000):
        assert exact_tokens(passages, likeliest, 10, batch_tokens, 20) == wanted
    assert exact_tokens(passages, likeliest, 10, 64, 5) == [min(count, 5) for count in wanted]


def counting(inputs: Tokens) -> Tokens:
    """A model that goes on counting, but not beyond multiples of 100."""
    return np.where((inputs + 1) % 100 == 0, 0, inputs + 1)


def passage(first: int, length: int, split: str = "train", seen: float = 0.0, copies: int | None = None) -> Passage:
    return Passage("a", split, f"{split}-{first}", 0, np.arange(first, first + length), NOWHERE, seen, copies)


def test_rates_are_by_times_seen_by_copies_and_for_held_out_text() -> None:
    passages = [
        passage(1, 21, seen=1.0, copies=0),
        passage(85, 21, seen=1.0, copies=3),  # 100 lies in its continuation
        passage(101, 21, seen=40.0, copies=3),
        passage(210, 20, seen=0.3, copies=0),
        passage(301, 21, split="future"),
        passage(385, 21, split="past"),
    ]
    result, written = measure_memorisation(passages, counting, WINDOW, 1_000)
    assert (result["prefix_tokens"], result["continuation_tokens"]) == (10, 10)
    figures = {name: (one["found"], one["of"]) for name, one in result["by_times_seen"].items()}
    assert figures == {"0": (1, 1), "1": (1, 2), "17 or more": (1, 1)}
    assert {name: (one["found"], one["of"]) for name, one in result["by_copies"].items()} == {
        "0": (2, 2),
        "2–4": (1, 2),
    }
    assert {name: (one["found"], one["of"]) for name, one in result["held_out"].items()} == {
        "future": (1, 1),
        "past": (0, 1),
    }
    assert result["by_times_seen"]["1"]["mean_exact_tokens"] == pytest.approx((10 + 5) / 2)
    assert result["exact"] == result["extended"] == 4
    longest = [(one["document"], one["exact_tokens"]) for one in result["longest"]]
    assert sorted(longest) == sorted([("train-1", 11), ("train-101", 11), ("future-301", 11), ("train-210", 10)])
    assert longest[-1] == ("train-210", 10)
    assert [len(tokens) for tokens in written] == [count for _, count in longest]
    assert written[-1].tolist() == list(range(220, 230))


def test_no_passages_have_no_rates() -> None:
    result, written = measure_memorisation([], counting, WINDOW, 1_000)
    assert (result["by_times_seen"], result["held_out"], result["longest"], written) == ({}, {}, [], [])


def test_a_model_that_reads_less_than_a_hundred_tokens_is_asked_for_half_of_that() -> None:
    assert [prefix_tokens(window) for window in (32, 99, 100, 4096)] == [16, 49, 50, 50]
