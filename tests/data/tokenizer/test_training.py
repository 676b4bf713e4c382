"""Training gives what the library's own trainer gives on the same files, and the sweep only sizes that there are.

Smaller vocabularies are what training would have given, and tokens are counted as the tokenizer would cut them.
"""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from data.config import TokenizerConfig
from data.errors import DataError
from data.source_config import END_OF_TEXT
from data.tokenizer.bpe import Bpe, learn_bpe
from data.tokenizer.model import BYTE_ORDER, bpe_tokenizer
from data.tokenizer.pretoken_counts import PretokenCounts, count_texts
from data.tokenizer.pretokens import Splitting, splitting
from data.tokenizer.report import Made
from data.tokenizer.training import count_tokens, first_pieces, sweep_point, train_tokenizer


def make_texts() -> list[str]:
    draw = random.Random(2)
    stems = ["".join(draw.choices("abcdefghé", k=draw.randrange(1, 5))) for _ in range(60)]
    return [
        " ".join("".join(draw.choices(stems, k=2)) + draw.choice(["", ".", " 12", "\n"]) for _ in range(40))
        for _ in range(150)
    ]


def train(tmp_path: Path, **settings: Any) -> Made:
    file = tmp_path / "00000.parquet"
    tmp_path.mkdir(exist_ok=True)
    pq.write_table(pa.table({"text": make_texts()}), file, row_group_size=40)
    config = TokenizerConfig.model_validate({"vocabulary_size": 500, **settings})
    return train_tokenizer(config, {"news": [file]}, 1.0, make_texts()[:5], tmp_path / "work", 1)


@pytest.mark.parametrize("cuts", ["words", "bloomberggpt"])
def test_bpe_is_that_of_the_library(tmp_path: Path, cuts: str) -> None:
    ours = train(tmp_path, pretokenization=cuts, special_tokens=["<|user|>"]).tokenizer
    theirs = Tokenizer(models.BPE())
    theirs.pre_tokenizer, theirs.decoder = ours.pre_tokenizer, ours.decoder
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=[END_OF_TEXT, "<|user|>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
        max_token_length=65,
    )
    theirs.train_from_iterator(make_texts(), trainer)
    assert json.loads(ours.to_str()) == json.loads(theirs.to_str())


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_sizes_that_the_text_does_not_yield_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    made = train(tmp_path, kind=kind, sweep=[300, 90_000])
    assert [point["vocabulary_size"] for point in made.sweep] == [300, 500]
    assert "no sweep at 90,000 pieces, the training text yields only " in capsys.readouterr().err
    assert made.tokenizer.get_vocab_size() == 500


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_too_little_text_is_refused(tmp_path: Path, kind: str) -> None:
    with pytest.raises(DataError, match=r"yields [\d,]+ pieces, not 50,000: add text, or set tokenizer\.vocabulary_si"):
        train(tmp_path, kind=kind, vocabulary_size=50_000)


def test_a_sweep_changes_nothing_in_the_tokenizer(tmp_path: Path) -> None:
    alone, swept = (train(tmp_path / name, **more) for name, more in {"a": {}, "b": {"sweep": [900]}}.items())
    assert alone.tokenizer.to_str() == swept.tokenizer.to_str()


@pytest.fixture(scope="module")
def split() -> Splitting:
    return splitting("words", "single")


def few_letters() -> list[str]:
    draw = random.Random(5)
    return [" ".join("".join(draw.choices("abcé1.", k=draw.randrange(1, 7))) for _ in range(100)) for _ in range(50)]


def learn(counts: PretokenCounts, size: int) -> Bpe:
    return learn_bpe(counts.text, counts.offsets, counts.counts, BYTE_ORDER, size, 16)


@pytest.mark.parametrize("size", [256, 257, 300, 419, 420, 1_000])
def test_first_pieces_are_a_smaller_training(split: Splitting, size: int) -> None:
    counts = count_texts([pa.array(few_letters())], split)
    largest = learn(counts, 420)
    smaller = learn(counts, min(size, 420))
    assert first_pieces(largest, size) == smaller


def test_pieces_that_are_made_twice_are_counted_once() -> None:
    pieces = [*(bytes([byte]) for byte in range(256)), b"ab", b"bc", b"abc", b"xy"]
    merges = [(97, 98), (98, 99), (256, 99), (97, 257), (120, 121)]
    assert first_pieces(Bpe(pieces, merges), 259) == Bpe(pieces[:259], merges[:3])
    assert first_pieces(Bpe(pieces, merges), 260) == Bpe(pieces, merges)
    assert first_pieces(Bpe(pieces, merges), 258) == Bpe(pieces[:258], merges[:2])


def test_tokens_of_counts_are_tokens_of_the_text(split: Splitting) -> None:
    texts = few_letters()
    counts = count_texts([pa.array(texts)], split)
    tokenizer = bpe_tokenizer(learn(counts, 350), ["<|endoftext|>"], "words", "single")
    expected = sum(len(tokenizer.encode(text).ids) for text in texts)
    assert count_tokens(tokenizer, counts) == expected
    size = sum(len(text.encode()) for text in texts)
    assert sweep_point(tokenizer, counts) == {"vocabulary_size": 351, "bytes": size, "tokens": expected}
    assert np.sum(counts.counts) >= expected / 10
