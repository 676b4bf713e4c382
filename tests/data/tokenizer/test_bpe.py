"""BPE from counts gives the pieces and merges of `tokenizers`' own trainer on the same text."""

import json
import random
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from data.tokenizer.bpe import Bpe, learn_bpe
from train.config import CHECKOUT

# GPT-2's letters: a printable byte of Latin-1 stands for itself, the others are numbered from 256 on.
PRINTABLE = {*range(33, 127), *range(161, 173), *range(174, 256)}
OTHERS = [byte for byte in range(256) if byte not in PRINTABLE]
LETTERS = [chr(byte) if byte in PRINTABLE else chr(256 + OTHERS.index(byte)) for byte in range(256)]
ORDER = bytes(sorted(range(256), key=lambda byte: LETTERS[byte]))


def letters(text: bytes) -> str:
    return "".join(LETTERS[byte] for byte in text)


def learn(words: Sequence[bytes], size: int, longest: int = 64) -> Bpe:
    counted = Counter(words)
    text = np.frombuffer(b"".join(counted), np.uint8)
    offsets = np.cumsum([0, *map(len, counted)])
    return learn_bpe(text, offsets, np.array(list(counted.values()), np.int64), ORDER, size, longest)


def learn_with_tokenizers(
    words: Sequence[bytes], size: int, longest: int = 64
) -> tuple[list[str], list[tuple[str, str]]]:
    """Pieces and merges of BpeTrainer for pre-tokens without a space."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=alphabet, show_progress=False, max_token_length=longest + 1
    )
    tokenizer.train_from_iterator([letters(word) for word in words], trainer)
    model = json.loads(tokenizer.to_str())["model"]
    vocabulary: dict[str, int] = model["vocab"]
    return sorted(vocabulary, key=lambda piece: vocabulary[piece]), [(left, right) for left, right in model["merges"]]


def check_equal(words: Sequence[bytes], size: int, longest: int = 64) -> Bpe:
    ours = learn(words, size, longest)
    pieces, merges = learn_with_tokenizers(words, size, longest)
    assert [letters(ours.pieces[left]) for left, _ in ours.merges] == [left for left, _ in merges]
    assert [(letters(ours.pieces[left]), letters(ours.pieces[right])) for left, right in ours.merges] == merges
    assert [letters(piece) for piece in ours.pieces] == pieces
    return ours


def test_real_words_give_the_same_merges() -> None:
    words = (CHECKOUT / "README.md").read_bytes().split()
    words += [word for file in (CHECKOUT / "tests").rglob("test_*.py") for word in file.read_bytes().split()]
    learnt = check_equal(words, 2_000)
    assert len(learnt.pieces) == 2_000


@pytest.mark.parametrize("seed", range(5))
def test_ties_and_repeats_give_the_same_merges(seed: int) -> None:
    draw = random.Random(seed)
    words = [bytes(draw.choices(b"ab\xc3\xa9", k=draw.randrange(1, 12))) for _ in range(300)]
    check_equal(words, 256 + 40)


@given(
    st.lists(st.binary(min_size=1, max_size=6).map(lambda word: bytes(97 + byte % 3 for byte in word)), max_size=20),
    st.integers(256, 275),
    st.integers(2, 5),
)
@settings(max_examples=200, deadline=None)
def test_any_words_give_the_same_merges(words: list[bytes], size: int, longest: int) -> None:
    check_equal(words, size, longest)
