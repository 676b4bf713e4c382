"""Bytes are spelt as the library's ByteLevel spells them, and pieces keep their numbers and scores."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import pre_tokenizers

from data.tokenizer.bpe import Bpe
from data.tokenizer.model import BYTE_LETTERS, BYTE_ORDER, bpe_tokenizer, piece_name, unigram_tokenizer

SINGLE = [bytes([byte]) for byte in BYTE_ORDER]


@given(st.text(min_size=1))
def test_letters_are_those_of_the_library(text: str) -> None:
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    assert [piece_name(text.encode())] == [letters for letters, _ in byte_level.pre_tokenize_str(text)]


def test_every_byte_has_its_letter() -> None:
    assert sorted(BYTE_LETTERS) == sorted(pre_tokenizers.ByteLevel.alphabet())
    assert [BYTE_LETTERS[byte] for byte in BYTE_ORDER] == sorted(BYTE_LETTERS)


def test_a_bpe_keeps_its_numbers() -> None:
    special = ["<|endoftext|>", "<|user|>"]
    pieces = [*SINGLE, b"ab", b"ab ", b" \xc3"]
    merges = [(pieces.index(b"a"), pieces.index(b"b")), (256, pieces.index(b" "))]
    tokenizer = bpe_tokenizer(Bpe(pieces, merges), special, "bloomberggpt", "single")
    assert tokenizer.get_vocab() == {name: number for number, name in enumerate([*special, *map(piece_name, pieces)])}
    assert tokenizer.encode("ab ab").ids == [2 + 257, 2 + 256]
    assert json.loads(tokenizer.to_str())["added_tokens"][1]["special"] is True


def test_a_unigram_keeps_its_scores() -> None:
    pieces = [*SINGLE, b"ab", b"abc"]
    scores = [-9.0] * 256 + [-2.5, -3.123456789012345]
    tokenizer = unigram_tokenizer(pieces, scores, ["<|endoftext|>"], "words", "runs")
    stored = json.loads(tokenizer.to_str())["model"]["vocab"]
    assert stored[0] == ["<|endoftext|>", 0.0]
    assert [score for _, score in stored[1:]] == pytest.approx(scores, abs=0)
    assert tokenizer.encode("abcab").ids == [258, 257]
