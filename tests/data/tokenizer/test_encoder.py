"""The gate: whichever engine is taken gives the ids of `tokenizers`, and one that does not is named and left."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

from data.tokenizer import encoder
from data.tokenizer.encoder import DifferentIdsError, Encoded, check_encoder, load_encoder
from data.tokenizer.pretokens import pattern

TEXTS = [
    "The Committee decided to raise the target range by 1/4 percentage point in 2018.",
    "",
    "l'été — 日本 \U0001f600 <|endoftext|> and\n\n  more   text\twith 12,345 numbers",
] * 4
# GPT-2's pattern (Radford et al. 2019), one that gigatoken knows
GPT2 = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def write_tokenizer(folder: Path, cut: str | None, **changes: object) -> Path:
    tokenizer = Tokenizer(models.BPE())
    letters = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=cut is None)
    split = [pre_tokenizers.Split(Regex(cut), "isolated")] if cut else []
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*split, letters]) if cut else letters
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    for name, value in changes.items():
        setattr(tokenizer, name, value)
    folder.mkdir(exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def ids_of_tokenizers(folder: Path) -> list[int]:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.encode_special_tokens = True
    return [number for text in TEXTS for number in tokenizer.encode(text, add_special_tokens=False).ids]


@pytest.mark.parametrize(
    ("cut", "engine"),
    [
        (pattern("words", "single"), "gigatoken"),
        (pattern("words", "runs"), "pre-token table"),
        (pattern("bloomberggpt", "single"), "pre-token table"),
    ],
)
@pytest.mark.parametrize("without", [(), ("gigatoken",), ("pre-token table",)])
def test_every_engine_gives_the_ids_of_tokenizers(tmp_path: Path, cut: str, engine: str, without: tuple[str]) -> None:
    folder = write_tokenizer(tmp_path / "tokenizer", cut)
    found = load_encoder(folder, without)
    assert found.engine == (engine if not without else found.engine)
    assert found.engine not in without
    encoded = found.encode(pa.array(TEXTS, pa.large_string()))
    assert encoded.ids.tolist() == ids_of_tokenizers(folder)
    assert encoded.lengths.sum() == len(encoded.ids)
    assert encoded.lengths[1] == 0
    assert found.vocabulary_size == 330


def test_gigatoken_takes_the_patterns_that_it_knows(tmp_path: Path) -> None:
    folder = write_tokenizer(tmp_path / "tokenizer", None)
    found = load_encoder(folder)
    assert found.engine == "gigatoken"
    assert found.encode(pa.array(TEXTS, pa.large_string())).ids.tolist() == ids_of_tokenizers(folder)


def test_a_normalizer_or_another_pattern_leaves_it_to_tokenizers(tmp_path: Path) -> None:
    odd = write_tokenizer(tmp_path / "odd", r"\w+|\W")
    assert load_encoder(odd).engine.startswith("tokenizers ")
    lower = write_tokenizer(tmp_path / "lower", pattern("words", "single"), normalizer=normalizers.Lowercase())
    found = load_encoder(lower)
    assert found.engine.startswith("tokenizers ")
    assert found.encode(pa.array(TEXTS, pa.large_string())).ids.tolist() == ids_of_tokenizers(lower)


def test_tokens_that_were_added_are_found_in_text(tmp_path: Path) -> None:
    folder = write_tokenizer(tmp_path / "tokenizer", pattern("words", "single"))
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_tokens([AddedToken("percentage point", normalized=False)])
    tokenizer.save(str(folder / "tokenizer.json"))
    found = load_encoder(folder)
    assert found.encode(pa.array(TEXTS, pa.large_string())).ids.tolist() == ids_of_tokenizers(folder)


def test_an_engine_with_other_ids_is_named_and_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_tokenizer(tmp_path / "tokenizer", pattern("words", "single"))

    letter = Tokenizer.from_file(str(folder / "tokenizer.json")).token_to_id("q")

    def almost(definition: dict[str, Any], exact: encoder.Encode) -> encoder.Encode:
        right = encoder.ENGINES["pre-token table"](definition, exact)
        assert right

        def encode(texts: pa.Array) -> Encoded:
            ids, lengths = right(texts)
            return Encoded(np.where(ids == letter, 1, ids), lengths)

        return encode

    monkeypatch.setitem(encoder.ENGINES, "gigatoken", almost)
    assert load_encoder(folder).engine == "pre-token table"
    assert "gigatoken gives other ids than tokenizers for the text" in capsys.readouterr().err


def test_a_difference_names_the_text(tmp_path: Path) -> None:
    found = load_encoder(write_tokenizer(tmp_path / "tokenizer", pattern("words", "single")))

    def one_more(texts: pa.Array) -> Encoded:
        encoded = found.encode(texts)
        return Encoded(encoded.ids + 1, encoded.lengths)

    broken = encoder.Encoder("broken", 330, one_more, found.encode)
    with pytest.raises(DifferentIdsError, match="broken gives other ids than tokenizers for the text 'The Committee"):
        check_encoder(broken, pa.array(TEXTS, pa.large_string()))


def test_scores_are_those_that_the_library_reads(tmp_path: Path) -> None:
    # `tokenizers` reads -2.5351970555945442 as the next larger number: both ways to write "ab" are equally good.
    letters = [(letter, -50.0) for letter in sorted(pre_tokenizers.ByteLevel.alphabet()) if letter not in "ab"]
    tokenizer = Tokenizer(models.Unigram([("<|endoftext|>", 0.0), ("a", -1.0), ("b", 0.0), ("ab", -2.0), *letters]))
    split = pre_tokenizers.Split(Regex(pattern("words", "single")), "isolated")
    letters_of_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, letters_of_bytes])
    tokenizer.add_special_tokens(["<|endoftext|>"])
    content = tokenizer.to_str().replace("-1.0", "-2.535197055594544").replace("-2.0", "-2.5351970555945442")
    (tmp_path / "tokenizer.json").write_text(content)
    found = load_encoder(tmp_path)
    assert found.engine == "pre-token table"
    assert found.encode(pa.array(["ab"], pa.large_string())).ids.tolist() == [3]


def test_characters_that_only_newer_versions_of_unicode_know(tmp_path: Path) -> None:
    """U+088F is a letter since Unicode 17 (UnicodeData.txt), its neighbour U+088E since Unicode 14."""
    folder = write_tokenizer(tmp_path / "tokenizer", pattern("words", "single"))
    definition = json.loads((folder / "tokenizer.json").read_text())
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    first = "\u00e0"  # the letter that stands for byte E0, with which both begin
    pieces = ["<|endoftext|>", *letters, f"e{first}"]  # found only where there is no cut between
    definition["model"] |= {"vocab": {piece: number for number, piece in enumerate(pieces)}, "merges": [["e", first]]}
    (folder / "tokenizer.json").write_text(json.dumps(definition))
    found = load_encoder(tmp_path / "tokenizer")
    assert found.engine == "gigatoken"
    texts = ["the bank", "rate\u088f bank\u088f", "", "rate\u088e", "1\u088f \U000323b0", "last"]
    encoded, wanted = (encode(pa.array(texts, pa.large_string())) for encode in (found.encode, found.reference))
    assert encoded.lengths.tolist() == wanted.lengths.tolist()
    assert encoded.ids.tolist() == wanted.ids.tolist()
