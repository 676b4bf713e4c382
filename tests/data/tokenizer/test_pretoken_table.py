"""Looked-up ids are those of the library, whatever the text, the order and the size of the table."""

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

from data.errors import DataError
from data.tokenizer import pretoken_table
from data.tokenizer.pretoken_table import PretokenTable, ids_by_merges, ids_by_model, ids_by_unigram
from data.tokenizer.pretokens import Digits, Pretokenization, pattern

TALE = "The bank's rate rose 12,345 points in März — l'été, 日本 and naïve co-operation!\n\n  Then:\tit fell. " * 3
KINDS: list[tuple[str, Pretokenization, Digits]] = [
    ("bpe", "words", "single"),
    ("bpe", "words", "triples"),
    ("bpe", "bloomberggpt", "single"),
    ("unigram", "words", "runs"),
    ("unigram", "bloomberggpt", "single"),
]


def train(kind: str, pretokenization: Pretokenization, digits: Digits) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE() if kind == "bpe" else models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern(pretokenization, digits)), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    trainer = (trainers.BpeTrainer if kind == "bpe" else trainers.UnigramTrainer)(
        vocab_size=330, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator([TALE, TALE.upper(), TALE[::-1]], trainer)
    return tokenizer


TRAINED = {kind: train(*kind) for kind in KINDS}


def make_table(kind: tuple[str, Pretokenization, Digits]) -> PretokenTable:
    if kind[0] == "bpe":
        model = json.loads(TRAINED[kind].to_str())["model"]
        return PretokenTable(*kind[1:], ids_by_merges(model["vocab"], model["merges"], TRAINED[kind].model))
    find_ids = ids_by_unigram(json.loads(TRAINED[kind].to_str())["model"]["vocab"], set())
    assert find_ids
    return PretokenTable(*kind[1:], find_ids)


TABLES = {kind: make_table(kind) for kind in KINDS}


def encode(table: PretokenTable, texts: list[str]) -> list[list[int]]:
    ids, lengths = table.encode(pa.array(texts, pa.large_string()))
    return [part.tolist() for part in np.split(ids, np.cumsum(lengths))[:-1]]


def expected(kind: tuple[str, Pretokenization, Digits], texts: list[str]) -> list[list[int]]:
    return [encoding.ids for encoding in TRAINED[kind].encode_batch(texts, add_special_tokens=False)]


any_text = st.text(st.characters(exclude_categories=["Cs"])) | st.text("ab 1\n\t'.é\u0301日\u00a0\u2028")


@given(st.sampled_from(KINDS), st.lists(any_text | st.just(TALE), max_size=6))
def test_the_ids_of_tokenizers(kind: tuple[str, Pretokenization, Digits], texts: list[str]) -> None:
    assert encode(TABLES[kind], texts) == expected(kind, texts)


def test_long_pretokens_and_the_model_itself() -> None:
    kind = KINDS[2]
    texts = ["the bank " * 200, "é" * 700, TALE]
    assert encode(TABLES[kind], texts) == expected(kind, texts)
    assert encode(PretokenTable(*kind[1:], ids_by_model(TRAINED[kind].model)), texts) == expected(kind, texts)


@pytest.mark.parametrize("length", [511, 512, 513, 5_000])
def test_long_pretokens_among_short_ones(length: int) -> None:
    texts = ["x", "=" * length + " y", "rate" * length, "z"]
    for kind in KINDS:
        assert encode(TABLES[kind], texts) == expected(kind, texts)


def test_a_slice_of_an_array_is_encoded_alone() -> None:
    kind = KINDS[0]
    texts = [f"text {number} of many" for number in range(9)]
    ids, lengths = TABLES[kind].encode(pa.array(texts, pa.large_string())[3:7])
    assert [part.tolist() for part in np.split(ids, np.cumsum(lengths))[:-1]] == expected(kind, texts[3:7])


@pytest.mark.parametrize(("pretokens", "size", "block"), [(5, 1 << 20, 7), (1 << 10, 200, 1000), (7, 100, 3)])
def test_a_full_table_is_begun_anew(monkeypatch: pytest.MonkeyPatch, pretokens: int, size: int, block: int) -> None:
    monkeypatch.setattr(pretoken_table, "MOST_PRETOKENS", pretokens)
    monkeypatch.setattr(pretoken_table, "MOST_BYTES", size)
    monkeypatch.setattr(pretoken_table, "BLOCK_BYTES", block)
    texts = [TALE, "", *TALE.split("."), TALE]
    for kind in KINDS[:2]:
        assert encode(make_table(kind), texts) == expected(kind, texts)


def test_what_can_be_cut_nowhere_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretoken_table, "MOST_BYTES", 100)
    with pytest.raises(DataError, match="more than 100 bytes without a place to cut"):
        encode(make_table(KINDS[0]), ["a" * 101])


def test_a_vocabulary_that_is_not_bytes_is_not_taken() -> None:
    assert ids_by_unigram([("日本", -1.0)], set()) is None
