"""Texts as they come: whole characters, never the beginning of a stop string, and in the end what decoding gives."""

from typing import Any

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from data.tokenizer.bpe import Bpe
from data.tokenizer.model import bpe_tokenizer
from domainlm.generate import ComingText, GenerationSettings, Speed, Writer, continue_texts
from model.config import ModelConfig
from model.initialise import initialise
from model.transformer import Transformer
from tests.models import LLAMA, shape
from train.config_file import ConfigError

BYTES = [bytes([byte]) for byte in range(256)]
TOKENIZER = bpe_tokenizer(
    Bpe([*BYTES, b"the", b" bank", b"\xc3\xbc", b"\xe6\x97"], []), ["<|endoftext|>"], "words", "single"
)
FIRST_BYTE = 1
PIECES = TOKENIZER.get_vocab_size()
TOKENS = st.lists(st.integers(1, PIECES - 1), max_size=40)
TEXTS = st.text("ab \nüß日😀", max_size=30).map(lambda text: [FIRST_BYTE + byte for byte in text.encode()])
STOPS = st.lists(st.text("ab \nü日", min_size=1, max_size=4), max_size=3)


def come(tokens: list[int], stops: list[str]) -> tuple[list[str], ComingText]:
    text = ComingText(TOKENIZER, stops)
    return [*[text.add(token) for token in tokens], text.finish()], text


def cut(text: str, stops: list[str]) -> str:
    """What stands before the stop string that is complete first."""
    found = [(place + len(stop), place) for stop in stops if (place := text.find(stop)) >= 0]
    return text[: min(found)[1]] if found else text


@given(tokens=st.one_of(TOKENS, TEXTS))
def test_pieces_together_are_what_decoding_gives(tokens: list[int]) -> None:
    pieces, text = come(tokens, [])
    assert "".join(pieces) == text.given == TOKENIZER.decode(tokens)
    assert not text.stopped


@given(tokens=TEXTS)
def test_a_character_is_given_when_its_last_byte_has_come(tokens: list[int]) -> None:
    pieces, _ = come(tokens, [])
    whole = bytes(token - FIRST_BYTE for token in tokens)
    for place in range(len(tokens)):
        assert "".join(pieces[: place + 1]) == whole[: place + 1].decode(errors="ignore")


@given(tokens=st.one_of(TOKENS, TEXTS), stops=STOPS)
def test_the_text_ends_before_the_first_stop_string(tokens: list[int], stops: list[str]) -> None:
    pieces, text = come(tokens, stops)
    whole = TOKENIZER.decode(tokens)
    assert "".join(pieces) == text.given == cut(whole, stops)
    assert text.stopped == any(stop in whole for stop in stops)


@given(tokens=TEXTS, stops=STOPS)
@example(tokens=[FIRST_BYTE + byte for byte in b" aa"], stops=["a", " aa"])
def test_nothing_is_given_that_must_be_taken_back_and_nothing_is_held_for_no_reason(
    tokens: list[int], stops: list[str]
) -> None:
    pieces, _ = come(tokens, stops)
    final = cut(TOKENIZER.decode(tokens), stops)
    given_so_far = ""
    for place, piece in enumerate(pieces[:-1]):
        given_so_far += piece
        assert final.startswith(given_so_far)
        seen = cut(bytes(token - FIRST_BYTE for token in tokens[: place + 1]).decode(errors="ignore"), stops)
        held = seen[len(given_so_far) :]
        assert held == "" or any(stop.startswith(held) for stop in stops)


def test_bytes_of_no_character_become_replacement_characters() -> None:
    pieces, text = come([FIRST_BYTE + byte for byte in b"a\xffb\xe6\x97"], [])
    assert pieces == ["a", "", "\ufffdb", "", "", "\ufffd"]
    assert text.given == "a\ufffdb\ufffd"


@pytest.fixture(scope="module")
def writer() -> Writer:
    settings = shape(layers=1, width=16, heads=2, vocabulary_size=PIECES, sequence_length=64) | LLAMA
    model = Transformer(ModelConfig.model_validate(settings))
    initialise(model, seed=1)
    with torch.no_grad():
        model.head.weight *= 20
    return Writer(model.eval(), TOKENIZER, end_of_text=0, step=7)


def settings(**changes: Any) -> GenerationSettings:
    content = {"new_tokens": 30, "temperature": 1.0, "top_k": None, "top_p": None, "stops": (), "seed": 1}
    return GenerationSettings(**content | changes)


def test_what_is_told_is_what_is_returned(writer: Writer) -> None:
    told: dict[int, str] = {0: "", 1: "", 2: ""}

    def on_text(place: int, text: str) -> None:
        told[place] += text

    prompts = ["the bank", "a", "\u65e5\u672c"]
    continuations, speed = continue_texts(writer, prompts, settings(), on_text)
    assert [continuation.prompt for continuation in continuations] == prompts
    assert [continuation.text for continuation in continuations] == [told[place] for place in range(3)]
    assert speed.tokens == sum(continuation.tokens for continuation in continuations) > 0
    assert continue_texts(writer, prompts, settings())[0] == continuations
    assert continue_texts(writer, prompts, settings(seed=2))[0] != continuations


def test_each_ending_is_named(writer: Writer) -> None:
    (free,), _ = continue_texts(writer, ["the bank"], settings(temperature=0.0))
    assert (free.ended_by, free.tokens) == ("length", 30)
    stop = free.text[4:7]
    (stopped,), _ = continue_texts(writer, ["the bank"], settings(temperature=0.0, stops=(stop,)))
    assert stopped.ended_by == "stop string"
    assert stopped.text == free.text[: free.text.find(stop)]
    assert stopped.tokens < 30, "no token is computed behind a stop string"
    # At this temperature every piece is about as likely as any other: some rows meet the end of text.
    many, _ = continue_texts(writer, ["a"] * 60, settings(temperature=50.0))
    assert {one.ended_by for one in many} == {"length", "end of text"}
    assert all((one.tokens < 30) == (one.ended_by == "end of text") for one in many)


def test_settings_out_of_range_are_refused(writer: Writer) -> None:
    with pytest.raises(ConfigError, match="a stop string is empty"):
        settings(stops=("a", ""))
    for change, words in (({"temperature": -1.0}, "temperature=-1.0"), ({"top_k": 0}, "top_k=0")):
        with pytest.raises(ConfigError, match=words):
            continue_texts(writer, ["a"], settings(**change))
    with pytest.raises(ConfigError, match="this RoPE model knows only the 64 positions"):
        continue_texts(writer, ["a"], settings(new_tokens=100))


def test_speed_is_said_in_words() -> None:
    assert str(Speed(1200, 2.0)) == "1,200 tokens in 2.0 s, 600.0 tokens/s"
    assert str(Speed(0, 0.0)) == "0 tokens in 0.0 s, 0.0 tokens/s"
