"""Conversations to ids: equal to those of transformers, only responses count, and what spells a mark stays text."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import DataError
from data.examples.chat import Chat, Encoded, encode, encode_prompt, load_chat, make_chat, reads_alike
from data.examples.marks import MARKS, OWN_TEMPLATE, build_chat_tokenizer
from data.examples.records import Turn
from data.readers.rows import MalformedError

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content | trim }}"
    "{% generation %}{{ '' }}{% endgeneration %}{{ '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
TALK = (
    Turn("system", "Be brief."),
    Turn("user", "Did the bank raise its rate?\n"),
    Turn("assistant", "It did, by 0.25 points — in spring."),
    Turn("user", "And exports?"),
    Turn("assistant", "They fell."),
)


@pytest.fixture(scope="module")
def given_tokenizer(data_folder: Path) -> Path:
    return data_folder / "tokenizer"


@pytest.fixture(scope="module")
def own(given_tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    build_chat_tokenizer(given_tokenizer, "<|endoftext|>", folder)
    return folder


@pytest.fixture(scope="module")
def chatml(given_tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer that comes with a template and marks of its own."""
    theirs = tmp_path_factory.mktemp("theirs")
    shutil.copy(given_tokenizer / "tokenizer.json", theirs)
    (theirs / "template.jinja").write_text(CHATML)
    made = theirs / "made"
    marks = ("<|im_start|>", "<|im_end|>")
    build_chat_tokenizer(theirs, "<|endoftext|>", made, theirs / "template.jinja", marks)
    described = {"chat_template": CHATML, "eos_token": {"__type": "AddedToken", "content": "<|im_end|>"}}
    (made / "tokenizer_config.json").write_text(json.dumps(described))
    (made / "chat_template.jinja").unlink()
    folder = tmp_path_factory.mktemp("chatml")
    added = build_chat_tokenizer(made, "<|endoftext|>", folder)
    assert added.added == ()
    assert (folder / "tokenizer.json").read_bytes() == (made / "tokenizer.json").read_bytes()
    return folder


def one(chat: Chat, *turns: Turn) -> Encoded:
    [found] = encode(chat, [turns])
    assert isinstance(found, Encoded), found
    return found


def responses(chat: Chat, found: Encoded) -> list[str]:
    """The runs of ids that count, as text."""
    edges = np.flatnonzero(np.diff(found.counted, prepend=0, append=0)).reshape(-1, 2)
    return [chat.tokenizer.decode(found.ids[a:b].tolist(), skip_special_tokens=False) for a, b in edges]


@pytest.mark.parametrize("kind", ["own", "chatml"])
def test_the_ids_are_those_of_transformers_and_the_responses_count(kind: str, request: pytest.FixtureRequest) -> None:
    from transformers import PreTrainedTokenizerFast

    folder = request.getfixturevalue(kind)
    chat, theirs = load_chat(folder), PreTrainedTokenizerFast.from_pretrained(folder)
    found = one(chat, *TALK)
    messages = [turn._asdict() for turn in TALK]
    end = chat.marks[chat.end_of_text]
    assert [end, *found.ids.tolist()] == theirs.apply_chat_template(messages, return_dict=False)
    asked = theirs.apply_chat_template(messages[:2], add_generation_prompt=True, return_dict=False)
    assert encode_prompt(chat, TALK[:2]) == asked
    assert [end, *found.ids.tolist()][: len(asked)] == asked
    mark = "<|end|>" if kind == "own" else "<|im_end|>"
    assert chat.end_of_turn == chat.marks[mark] == theirs.eos_token_id
    assert responses(chat, found) == [TALK[2].content + mark, TALK[4].content + mark]
    assert found.response_bytes == len((TALK[2].content + TALK[4].content).encode())
    assert reads_alike(chat, TALK)


PARTS = st.characters(codec="utf-8", exclude_characters="\ufdd1") | st.sampled_from([*MARKS, "<|endoftext|>"])
TEXTS = st.lists(PARTS, max_size=30).map("".join).filter(str.strip)


@settings(max_examples=50)
@given(TEXTS, TEXTS, TEXTS)
def test_what_spells_a_mark_stays_text(own: Path, system: str, asked: str, answered: str) -> None:
    chat = CHATS.setdefault(own, load_chat(own))
    turns = [Turn("system", system), Turn("user", asked), Turn("assistant", answered)]
    found = one(chat, *turns)
    marks = [number for number in found.ids.tolist() if number in chat.marks.values()]
    assert marks == [
        chat.marks[mark] for mark in (*MARKS[:1], "<|end|>", "<|user|>", "<|end|>", "<|assistant|>", "<|end|>")
    ]
    assert responses(chat, found) == [answered + "<|end|>"]
    whole = "".join(f"<|{turn.role}|>{turn.content}<|end|>" for turn in turns)
    assert chat.tokenizer.decode(found.ids.tolist(), skip_special_tokens=False) == whole


CHATS: dict[Path, Chat] = {}


def test_marks_are_new_pieces_once(own: Path, given_tokenizer: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = build_chat_tokenizer(given_tokenizer, "<|endoftext|>", own)
    assert "is up to date" in capsys.readouterr().err
    assert made == (404, (400, 401, 402, 403))
    again = own.with_name("again")
    assert build_chat_tokenizer(own, "<|endoftext|>", again) == (404, ())
    assert (again / "chat_template.jinja").read_text() == OWN_TEMPLATE


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% endif %}<|end|>{% endfor %}",
         "the template drops text: turn 2, of the assistant"),
        ("{% for m in messages %}{{ m.content[:1] }}<|end|>{% endfor %}", "drops text: turn 1, of the user"),
        ("{% for m in messages %}{{ m.content }}{% endfor %}", "has no mark, a special piece, that ends a response"),
        ("{{ raise_exception('no system text') }}", "the template refuses it: no system text"),
        ("{{ messages.content.x }}", "the template refuses it"),
        ("{% if messages[-1].role == 'user' %}U{% endif %}{% for m in messages %}{{ m.content }}<|end|>{% endfor %}",
         "writes a response otherwise where more follows"),
        ("{{ ''.__class__.__mro__ }}", "the template refuses it"),
        ("{{ 1 / 0 }}", "the template refuses it: division by zero"),
    ],
)  # fmt: skip
def test_a_template_that_cannot_be_used_is_named(own: Path, template: str, said: str) -> None:
    chat = make_chat(load_chat(own).tokenizer, template, {}, "<|endoftext|>")
    turns = (Turn("user", "What is it?"), Turn("assistant", "A harbour."))
    [found] = encode(chat, [turns])
    assert isinstance(found, MalformedError)
    assert said in str(found)
    if "drops text: turn 1" not in said:
        with pytest.raises(DataError, match="the chat template cannot be used"):
            _ = chat.end_of_turn


def test_broken_templates_and_missing_ones_are_named(own: Path, given_tokenizer: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the chat template cannot be read"):
        make_chat(load_chat(own).tokenizer, "{% for", {}, "<|endoftext|>")
    with pytest.raises(
        DataError, match=r"has no chat_template\.jinja: chat is for a run that `domainlm finetune` made"
    ):
        load_chat(given_tokenizer)
    with pytest.raises(DataError, match="has no piece </s>"):
        build_chat_tokenizer(given_tokenizer, "</s>", tmp_path / "made")
    assert not (tmp_path / "made" / "manifest.json").exists()


def test_a_new_mark_never_takes_the_id_of_a_piece(given_tokenizer: Path, tmp_path: Path) -> None:
    """The library gives it the number of pieces, which in a vocabulary with a gap is the id of another one."""
    content: dict[str, Any] = json.loads((given_tokenizer / "tokenizer.json").read_bytes())
    vocabulary = content["model"]["vocab"]
    last = max(vocabulary, key=lambda piece: vocabulary[piece])
    vocabulary[last] += 1
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match="gives the id 400 to two pieces"):
        build_chat_tokenizer(tmp_path, "<|endoftext|>", tmp_path / "made")


def test_the_noncharacter_that_guards_marks_is_refused(own: Path) -> None:
    [found] = encode(load_chat(own), [(Turn("user", "a\ufdd1b"), Turn("assistant", "c"))])
    assert "noncharacter U+FDD1" in str(found)


def test_no_text_is_no_mark_for_lack_of_length(own: Path) -> None:
    tokenizer = load_chat(own).tokenizer
    tokenizer.add_special_tokens(["x"])
    with pytest.raises(DataError, match="marks 'x' as special"):
        make_chat(tokenizer, OWN_TEMPLATE, {}, "<|endoftext|>")
