"""Conversations with passages: what is searched for, what the model reads of what was said, what is forgotten."""

import datetime
import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from data.corpus.tombstones import TOMBSTONES, Request, forget
from data.errors import DataError
from data.examples.chat import make_chat
from data.examples.records import Turn
from data.retrieval.search import Bound, Passage
from domainlm.conversation import converse, remembered
from domainlm.generate import GenerationSettings, Writer, continue_texts
from domainlm.retrieval.index import open_search, retrieve
from domainlm.retrieval.open_book import finder
from domainlm.serve.server import _retrieve as passages_of
from model.config import ModelConfig
from model.initialise import initialise
from model.transformer import Transformer
from tests.domainlm.test_generate import TOKENIZER
from tests.models import LLAMA, shape
from train.config_file import load_config

SETTINGS = GenerationSettings(new_tokens=8, temperature=0.0, top_k=None, top_p=None, stops=(), seed=0)
MARKS = ["<|user|>", "<|assistant|>", "<|end|>"]


@pytest.fixture(scope="module")
def writer() -> Writer:
    """Of a piece for each byte."""
    tokenizer = Tokenizer.from_str(TOKENIZER.to_str())
    tokenizer.add_special_tokens(MARKS)
    sizes = shape(layers=1, width=16, heads=2, vocabulary_size=tokenizer.get_vocab_size(), sequence_length=2048)
    model = Transformer(ModelConfig.model_validate(sizes | LLAMA))
    initialise(model, seed=1)
    template = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}<|assistant|>"
    return Writer(model.eval(), tokenizer, 0, 7, make_chat(tokenizer, template, {}, "<|endoftext|>"))


@pytest.fixture
def say_in_turn(monkeypatch: pytest.MonkeyPatch) -> Callable[[Sequence[str]], None]:
    def say(lines: Sequence[str]) -> None:
        coming = iter(lines)

        def next_line(shown: str) -> str:
            try:
                return next(coming)
            except StopIteration:
                raise EOFError from None

        monkeypatch.setattr("builtins.input", next_line)

    return say


def test_a_follow_up_is_searched_with_the_question_before_it_and_cites_its_own_passages(
    run: Path, writer: Writer, say_in_turn: Callable[[Sequence[str]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    config, output = load_config(run), io.StringIO()
    retrieve(config, None, 1, Bound())
    find, search, ask_server = finder(config, 2, Bound()), open_search(config), passages_of(config, wanted=True)
    assert ask_server
    questions = ["…", "harbour traffic recovered", "And xylophones?", "And storms?"]
    say_in_turn(questions)
    samples = converse(writer, SETTINGS, output, find)
    assert "the question '…' has no word: ask with one" in capsys.readouterr().err
    assert [sample["question"] for sample in samples] == questions[1:]
    asked = [questions[1], f"{questions[1]}\n{questions[2]}", f"{questions[2]}\n{questions[3]}"]
    turns: list[Turn] = []
    for number, (sample, searched) in enumerate(zip(samples, asked, strict=True)):
        found = search.find(searched, 2)
        assert [cited["id"] for cited in sample["citations"]] == [passage.id for passage in found]
        assert sample["open_book"]
        assert sample["prompt"].endswith(f"\n\n{sample['question']}")
        read = (*turns, Turn("user", sample["prompt"]))
        (expected,), _ = continue_texts(writer, [read], SETTINGS)
        assert sample["text"] == expected.text, number
        served = ask_server(writer, turns, sample["question"], 2, None, SETTINGS.new_tokens)
        assert served.prompt == (read if turns else sample["prompt"])
        assert served.citations == sample["citations"]
        assert f"{sample['question']}▸{sample['text']}\n[1] " in output.getvalue()
        turns += [Turn("user", sample["question"]), Turn("assistant", sample["text"])]


def test_who_has_begun_to_ask_is_not_shown_what_is_forgotten_meanwhile(run: Path, writer: Writer) -> None:
    """A server, and a conversation, went on citing it until they were started again."""
    config = load_config(run)
    retrieve(config, None, 1, Bound())
    find, ask_server = finder(config, 1, Bound()), passages_of(config, wanted=True)
    assert ask_server

    def found() -> Passage:
        question = "harbour traffic recovered"
        (cited,) = find(writer, (), question, 8).citations
        assert [one["id"] for one in ask_server(writer, (), question, 1, None, 8).citations or ()] == [cited.passage.id]
        return cited.passage

    first = found()
    wanted = [Request(first.source, first.id, first.text)]
    forget(config.corpus.parent / TOMBSTONES, wanted, config.data.near_duplicates, datetime.date(2024, 1, 1))
    for ask in (lambda: find(writer, (), "harbour", 8), lambda: ask_server(writer, (), "harbour", 1, None, 8)):
        with pytest.raises(DataError, match="changed: tombstones"):
            ask()
    retrieve(config, None, 1, Bound())
    assert found().id != first.id


def test_what_has_no_room_is_forgotten_from_the_beginning(writer: Writer, capsys: pytest.CaptureFixture[str]) -> None:
    turns = [Turn("user" if place % 2 == 0 else "assistant", "x" * 300) for place in range(8)]
    kept = remembered(writer, turns, "y", 8, with_passages=False)
    assert list(kept) == turns[2:]
    assert "no room for the first 1 answers: forgotten" in capsys.readouterr().err
    with_passages = remembered(writer, turns, "y", 8, with_passages=True)
    assert list(with_passages) == turns[6:]
    for some, room in ((kept, 2040), (with_passages, 1020)):
        before = turns[-len(some) - 2 :]
        assert len(writer.encode((*some, Turn("user", "y")))) <= room < len(writer.encode((*before, Turn("user", "y"))))
    assert remembered(writer, turns[:2], "y", 8, with_passages=True) == tuple(turns[:2])
    assert remembered(writer, turns, "y" * 3000, 8, with_passages=False) == ()


def test_a_model_without_turns_continues_each_prompt_alone(
    writer: Writer, say_in_turn: Callable[[Sequence[str]], None]
) -> None:
    plain = replace(writer, chat=None)
    say_in_turn(["the bank", "", "the bank"])
    first, second = converse(plain, SETTINGS, io.StringIO())
    assert first == second
    assert first["text"] == continue_texts(plain, ["the bank"], SETTINGS)[0][0].text
