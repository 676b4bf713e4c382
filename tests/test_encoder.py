"""Every engine gives the ids of `tokenizers`, and one that does not is never used."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, trainers

from data import encoder as encoders
from data.encoder import ENGINES, Encode, Encoded, WrongIdsError, check_encoder, join_ids, load_encoder
from data.tokenizer import END_OF_TEXT

LEARNT_FROM = [
    "The rate of inflation rose by 0.3 per cent, don't you think? It's 12:30.\n\n\tIndeed. " * 3,
    "Zürich 日本",
]


def train(folder: Path, pre_tokenizer: Any = None, added: tuple[AddedToken, ...] = ()) -> Path:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer or pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(LEARNT_FROM, trainer)
    tokenizer.add_tokens(list(added))
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("tokenizer"))


def strings(*texts: str) -> pa.Array:
    return pa.array(texts, pa.large_string())


def test_gigatoken_is_taken_where_it_knows_the_pattern(folder: Path) -> None:
    encoder = load_encoder(folder, LEARNT_FROM)
    assert (encoder.engine, encoder.vocabulary_size) == ("gigatoken", 330)


@settings(max_examples=300, deadline=None)
@given(texts=st.lists(st.text() | st.sampled_from([*LEARNT_FROM, END_OF_TEXT]), max_size=5))
def test_any_text_gets_the_ids_of_tokenizers(folder: Path, texts: list[str]) -> None:
    encoder = load_encoder(folder)
    engine = Tokenizer.from_file(str(folder / "tokenizer.json"))
    engine.encode_special_tokens = True
    wanted = [engine.encode(text).ids for text in texts]
    ids, lengths = encoder.encode(strings(*texts))
    assert ids.dtype == np.uint32
    assert ids.tolist() == [token for one in wanted for token in one]
    assert lengths.tolist() == [len(one) for one in wanted]


def test_special_tokens_are_only_characters_and_other_added_ones_are_tokens(tmp_path: Path) -> None:
    encoder = load_encoder(train(tmp_path, added=(AddedToken("per cent", normalized=False),)))
    ids, lengths = encoder.encode(strings(END_OF_TEXT, "per cent"))
    assert 0 not in ids
    assert (lengths[0] > 1, ids[-1], lengths[1]) == (True, 330, 1)


def test_sliced_and_empty_arrays(folder: Path) -> None:
    encoder = load_encoder(folder)
    assert encoder.encode(strings()).lengths.tolist() == []
    whole, part = encoder.encode(strings("a", "bc", "d")), encoder.encode(strings("a", "bc", "d")[1:])
    assert part.ids.tolist() == whole.ids[whole.lengths[0] :].tolist()


def test_large_batches_are_cut_without_a_trace(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, texts = load_encoder(folder, without=tuple(ENGINES)), strings(*("x" * place for place in range(40)))
    whole = encoder.encode(texts)
    monkeypatch.setattr("data.encoder.BATCH_BYTES", 50)
    assert encoder.encode(texts).lengths.tolist() == whole.lengths.tolist()


def wrong_where(sign: str) -> Any:
    """An engine that errs on texts with this sign."""

    def load(definition: dict[str, Any]) -> Encode:
        tokenizer = Tokenizer.from_str(json.dumps(definition))
        tokenizer.encode_special_tokens = True

        def encode(texts: pa.Array) -> Encoded:
            right = [np.array(tokenizer.encode(text).ids, np.uint32) for text in texts.to_pylist()]
            return join_ids(
                [ids[::-1] if sign in text else ids for ids, text in zip(right, texts.to_pylist(), strict=True)]
            )

        return encode

    return load


@pytest.mark.parametrize("sign", ["\u0939", "Brexit"])
def test_an_engine_that_errs_is_passed_over_and_named(
    sign: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(encoders.ENGINES, "hasty", wrong_where(sign))
    encoder = load_encoder(
        train(tmp_path), ["Of Brexit and others"], without=[name for name in ENGINES if name != "hasty"]
    )
    assert encoder.engine.startswith("tokenizers")
    assert "hasty gives other ids than tokenizers for the text" in capsys.readouterr().err


def test_a_difference_is_found_among_other_texts(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(encoders.ENGINES, "hasty", wrong_where("Brexit"))
    encoder = load_encoder(train(tmp_path), without=[name for name in ENGINES if name != "hasty"])
    check_encoder(encoder, strings("a", "b"))
    with pytest.raises(WrongIdsError, match="hasty gives other ids than tokenizers for the text 'After Brexit'"):
        check_encoder(encoder, strings("a", "After Brexit", "b"))
