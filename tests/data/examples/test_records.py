"""What a record of an example must be, and how one that is none is named."""

import datetime
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from data.errors import DataError
from data.examples.config import ExamplesConfig
from data.examples.records import Example, read_examples
from data.interval import Interval
from data.sources.documents import BadRecord

ASKED, ANSWERED = {"role": "user", "content": "why?"}, {"role": "assistant", "content": "because"}


def read(folder: Path, *records: Any, **settings: Any) -> list[Example | BadRecord]:
    lines = (record if isinstance(record, str) else json.dumps(record) for record in records)
    (folder / "examples.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    return list(read_examples(ExamplesConfig(name="desk", path=str(folder / "examples.jsonl"), **settings)))


def test_conversations_are_read_with_id_and_date(tmp_path: Path) -> None:
    system = {"role": "system", "content": "be brief"}
    whole = {"id": 7, "date": "2015-02-03", "messages": [system, ASKED, ANSWERED, ASKED, ANSWERED]}
    first, second = read(tmp_path, whole, {"messages": [ASKED, {**ANSWERED, "name": None}]})
    assert isinstance(first, Example)
    assert (first.id, first.date) == ("7", Interval.of_day(datetime.date(2015, 2, 3)))
    assert [turn._asdict() for turn in first.turns] == whole["messages"]
    assert isinstance(second, Example)
    assert (second.id, second.date, second.line) == ("examples.jsonl:2", None, 2)


def test_pairs_are_read_under_the_names_of_their_fields(tmp_path: Path) -> None:
    names = {"form": "pairs", "prompt_field": "question", "response_field": "meta.answer"}
    record = {"question": "why?", "meta": {"answer": "because"}, "system": "be brief"}
    [found] = read(tmp_path, record, **names)
    assert isinstance(found, Example)
    assert found.turns == (("system", "be brief"), ("user", "why?"), ("assistant", "because"))


def test_parquet_is_read_as_json_lines_are(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": ["a"], "messages": [[ASKED, ANSWERED]], "other": [1]}), tmp_path / "a.parquet")
    [found] = read_examples(ExamplesConfig(name="desk", path=str(tmp_path / "a.parquet")))
    assert isinstance(found, Example)
    assert found.turns == (("user", "why?"), ("assistant", "because"))


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"messages": [ASKED, {"role": "assistant", "content": " \n"}]}, "empty response"),
        ({"messages": [{"role": "user", "content": ""}, ANSWERED]}, "empty turn: of the user"),
        ({"messages": [ANSWERED, ASKED]}, "turns out of order: turn 1 is of the assistant"),
        ({"messages": [ASKED, ASKED, ANSWERED]}, "turns out of order: turn 2 is of the user"),
        (
            {"messages": [ASKED, {"role": "system", "content": "x"}, ANSWERED]},
            "turns out of order: turn 2 is of the sys",
        ),
        ({"messages": [ASKED]}, "no response at the end"),
        ({"messages": []}, "no response at the end"),
        (
            {"messages": [ASKED, {"role": "tool", "content": "x"}]},
            "unknown role: turn 2 is of 'tool', known are system,",
        ),
        ({"messages": [ASKED, {"from": "gpt", "value": "x"}]}, "a turn without a role: turn 2"),
        (
            {"messages": [ASKED, ANSWERED | {"tool_calls": [{"x": 1}]}]},
            "more than text in a turn: turn 2 has tool_calls",
        ),
        ({"messages": [ASKED, {"role": "assistant", "content": None}]}, "'content' is no string: its type is NoneType"),
        ({"messages": [ASKED, {"role": "assistant", "content": "\ud800"}]}, "'content' is no Unicode text"),
        ({"messages": "why?"}, "'messages' is no list: its type is str"),
        ({"prompt": "why?"}, "no field 'messages': the record has prompt"),
        ({"messages": [ASKED, ANSWERED], "date": "soon"}, "unreadable date"),
        ('"text"', "not an object"),
        ("{broken", "broken JSON"),
    ],
)
def test_a_record_that_is_no_example_is_named(tmp_path: Path, record: Any, reason: str) -> None:
    good = {"messages": [ASKED, ANSWERED]}
    first, bad, last = read(tmp_path, good, record, good)
    assert isinstance(first, Example)
    assert isinstance(last, Example)
    assert isinstance(bad, BadRecord)
    assert bad.line == 2
    assert bad.reason.startswith(reason), bad.reason


def test_a_response_that_is_no_label_is_refused(tmp_path: Path) -> None:
    pairs = ({"prompt": "rates", "response": response} for response in ("up", "down", "Up"))
    *_, bad = read(tmp_path, *pairs, form="pairs", labels=("up", "down"))
    assert isinstance(bad, BadRecord)
    assert bad.reason == "no label: 'Up' is none of them"


def test_a_damaged_file_and_a_missing_one_stop(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl.gz"
    file.write_bytes(b"\x1f\x8b broken")
    with pytest.raises(DataError, match=r"a\.jsonl\.gz: damaged file"):
        list(read_examples(ExamplesConfig(name="desk", path=str(file))))
    with pytest.raises(DataError, match="does not exist"):
        list(read_examples(ExamplesConfig(name="desk", path=str(tmp_path / "none.jsonl"))))


def test_a_setting_of_documents_is_refused() -> None:
    with pytest.raises(ValidationError, match="text_field is for documents: examples have messages_field"):
        ExamplesConfig(name="desk", path="x", text_field="body")


@pytest.mark.parametrize("labels", [("one",), ("a", "a"), ("a", " ")])
def test_labels_are_two_or_more_different_ones(labels: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError, match="two or more are needed"):
        ExamplesConfig(name="desk", path="x", labels=labels)
