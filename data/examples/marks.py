"""The tokenizer of a chat: a given one with its own template, or with the marks of ours as further pieces."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tokenizers import AddedToken, Tokenizer

from data.errors import DataError
from data.examples.chat import DESCRIPTION, OF_THE_END, TEMPLATE, load_chat, make_chat
from data.examples.records import Turn
from data.files import (
    atomic_write,
    begin_stage,
    changed_files,
    file_digest,
    finish_stage,
    is_finished,
    write_atomically,
)
from data.lock import only_writer
from data.progress import say
from data.readers.rows import MalformedError
from data.tokenizer.build import REPORT, TOKENIZER, load_tokenizer

FORMAT = 1
MARKS = ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>")
OWN_TEMPLATE = """\
{{- bos_token -}}
{%- for message in messages -%}
{{- '<|' + message['role'] + '|>' + message['content'] + '<|end|>' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|assistant|>' -}}
{%- endif -%}
"""


class ChatTokenizer(NamedTuple):
    """What the marks have made of a tokenizer."""

    pieces: int
    """One more than the highest id."""
    added: tuple[int, ...]
    """Ids of the marks that it did not have."""


def build_chat_tokenizer(
    given: Path, end_of_text: str, folder: Path, template: Path | None = None, marks: Sequence[str] = ()
) -> ChatTokenizer:
    """Write a tokenizer with its chat template into `folder`, unless it is there.

    Args:
        given: the folder of a tokenizer.json and of what describes it.
        template: a file of jinja; None takes the given tokenizer's own, or OWN_TEMPLATE, with MARKS, where it has none.
        marks: pieces of `template` that the tokenizer may not have yet.

    Raises:
        DataError: the template cannot be used, or an added piece has the id of another.
    """
    inputs = chat_inputs(given, end_of_text, template, marks)
    if changed := changed_files(folder):
        say(f"chat tokenizer: {', '.join(changed)} in {folder} is not as it was written, redoing it")
    if changed or not is_finished("chat tokenizer", folder, inputs):
        with only_writer(folder):
            begin_stage(folder, [TOKENIZER, DESCRIPTION, TEMPLATE, REPORT])
            _write(given, end_of_text, folder, inputs["template"], marks)
            finish_stage(folder, inputs, [folder / name for name in (TOKENIZER, DESCRIPTION, TEMPLATE, REPORT)])
    report: dict[str, Any] = json.loads((folder / REPORT).read_bytes())
    return ChatTokenizer(report["pieces"], tuple(report["added"].values()))


def chat_inputs(given: Path, end_of_text: str, template: Path | None, marks: Sequence[str]) -> dict[str, Any]:
    """All that decides what `build_chat_tokenizer` writes."""
    return {
        "format": FORMAT,
        "tokenizer": file_digest(given / TOKENIZER),
        "description": [
            file_digest(file) if file.exists() else None for file in (given / DESCRIPTION, given / TEMPLATE)
        ],
        "end_of_text": end_of_text,
        "template": template.read_text("utf-8") if template else None,
        "marks": list(marks),
    }


def _write(given: Path, end_of_text: str, folder: Path, template: str | None, marks: Sequence[str]) -> None:
    described: dict[str, Any] = _read(given / DESCRIPTION)
    own = described.pop("chat_template", None)
    if isinstance(own, list):  # several, by name
        own = next((one["template"] for one in own if one.get("name") == "default"), None)
    if template is None:
        template = (given / TEMPLATE).read_text("utf-8") if (given / TEMPLATE).exists() else own
    if template is None:
        template, marks = OWN_TEMPLATE, MARKS
        described |= {"eos_token": MARKS[-1]}
    tokenizer = Tokenizer.from_file(str(given / TOKENIZER))
    if tokenizer.token_to_id(end_of_text) is None:
        raise DataError(f"{given / TOKENIZER} has no piece {end_of_text}: set tokenizer.end_of_text to one of its own")
    known = tokenizer.get_vocab(with_added_tokens=True)
    new = [mark for mark in marks if mark not in known]
    tokenizer.add_special_tokens([AddedToken(mark, special=True, normalized=False) for mark in marks])
    content = tokenizer.to_str(pretty=True).encode() if marks else (given / TOKENIZER).read_bytes()
    with atomic_write(folder / TOKENIZER) as file:
        file.write(content)
    loaded = load_tokenizer(folder)  # refuses two pieces of one id
    description = {**described, **{name: described.get(name) or end_of_text for name in OF_THE_END}}
    ids = loaded.get_vocab(with_added_tokens=True)
    template = _behind_end_of_text(loaded, template, description, end_of_text)
    write_atomically(folder / DESCRIPTION, json.dumps(description, indent=1, ensure_ascii=False))
    write_atomically(folder / TEMPLATE, template)
    facts = {
        "kind": "chat",
        "end_of_text_id": ids[end_of_text],
        "pieces": max(ids.values()) + 1,
        "added": {mark: ids[mark] for mark in new},
    }
    write_atomically(folder / REPORT, json.dumps(facts, indent=1))
    facts["end_of_turn_id"] = load_chat(folder).end_of_turn
    write_atomically(folder / REPORT, json.dumps(facts, indent=1, ensure_ascii=False))


def _read(file: Path) -> dict[str, Any]:
    content = json.loads(file.read_bytes()) if file.exists() else {}
    if not isinstance(content, dict):
        raise DataError(f"{file} does not describe a tokenizer: it is no object of JSON")
    return content


def _behind_end_of_text(tokenizer: Tokenizer, template: str, description: dict[str, Any], end_of_text: str) -> str:
    """The template with the end-of-text piece in front, behind which every document stands, unless it is there."""
    try:
        rendered = make_chat(tokenizer, template, description, end_of_text).render([Turn("user", "0")])
    except MalformedError as error:
        raise DataError(f"the chat template cannot be used: {error}") from None
    return template if rendered.startswith(end_of_text) else "{{ " + json.dumps(end_of_text) + " }}" + template
