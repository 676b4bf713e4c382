"""Examples to shards: what is taken and refused, that no example is cut, and that only responses count in a batch."""

import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data.errors import DataError
from data.examples.build import Limits, build_examples
from data.examples.chat import load_chat
from data.examples.config import ExamplesConfig
from data.examples.marks import build_chat_tokenizer
from data.shards.documents import held_out_documents
from data.shards.format import read_manifest, verify_digests
from data.shards.packing import pack_shards
from data.stream.stream import TokenStream
from tests.conftest import sentences

LENGTH = 64
LIMITS = Limits(LENGTH, None, 0.2, 0.1, 5)


@pytest.fixture(scope="module")
def tokenizer(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chat") / "tokenizer"
    build_chat_tokenizer(data_folder / "tokenizer", "<|endoftext|>", folder)
    return folder


def pair(number: int, **more: Any) -> dict[str, Any]:
    words = sentences(number, 1).split()
    return {"id": f"p{number}", "prompt": " ".join(words[:3]), "response": " ".join(words[3:6])} | more


Write = Callable[..., ExamplesConfig]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def make(records: list[dict[str, Any]], name: str = "desk", **settings: Any) -> ExamplesConfig:
        file = tmp_path / f"{name}.jsonl"
        file.write_text("".join(json.dumps(record) + "\n" for record in records), "utf-8")
        return ExamplesConfig(name=name, path=str(file), form="pairs", **settings)

    return make


def build(tokenizer: Path, folder: Path, *sources: ExamplesConfig, **limits: Any) -> dict[str, Any]:
    report: dict[str, Any] = build_examples(sources, tokenizer, folder, LIMITS._replace(**limits))["sources"]
    return report


def refused(folder: Path) -> list[str]:
    return [json.loads(line)["reason"] for line in (folder / "examples" / "quarantine.jsonl").read_text().splitlines()]


def test_only_responses_count_and_no_example_is_cut(write: Write, tokenizer: Path, tmp_path: Path) -> None:
    records = [pair(number) for number in range(150)]
    report = build(tokenizer, tmp_path / "run", write(records))["desk"]
    shards, chat = tmp_path / "run" / "shards", load_chat(tokenizer)
    packing = pack_shards(shards, "best_fit", LENGTH)
    assert packing.has_counted
    assert sum(packing.sources["desk"].cut_documents) == 0
    stream = TokenStream(shards, None, LENGTH, 1)
    rows = stream.passes["desk"]
    batch = stream.batch(0, rows)
    assert batch.counted is not None
    seen = []
    for tokens, documents, counted in zip(batch.tokens[:, 1:], batch.documents, batch.counted, strict=True):
        assert not counted[documents < 0].any()
        for document in range(documents.max() + 1):
            own = documents == document
            seen.append(
                tuple(chat.tokenizer.decode(tokens[own & mask].tolist(), False) for mask in (counted, ~counted))
            )
    kept = {
        (f"{one['response']}<|end|>", f"<|user|>{one['prompt']}<|end|><|assistant|><|endoftext|>")
        for line in (tmp_path / "run" / "examples" / "examples.jsonl").read_text().splitlines()
        if json.loads(line)["split"] == "train"
        for one in records
        if one["id"] == json.loads(line)["id"]
    }
    assert len(seen) == report["train"]
    assert set(seen) == kept
    firsts = [stream.counted_tokens(first, 3) for first in range(0, rows - rows % 3, 3)]
    assert firsts == [int(stream.batch(first, 3).counted.sum()) for first in range(0, rows - rows % 3, 3)]
    assert stream.counted_tokens(0, rows) == int(batch.counted.sum()) < report["counted_tokens"]


def test_held_out_documents_say_what_counts(write: Write, tokenizer: Path, tmp_path: Path) -> None:
    report = build(tokenizer, tmp_path / "run", write([pair(number) for number in range(60)]))["desk"]
    found = list(held_out_documents(tmp_path / "run" / "shards", "past", "desk"))
    assert len(found) == report["past"] > 0
    for document in found:
        assert document.counted is not None
        assert len(document.counted) == len(document.tokens)
        text = load_chat(tokenizer).tokenizer.decode(document.tokens[document.counted == 1].tolist(), False)
        assert len(text.removesuffix("<|end|>").encode()) == document.bytes


def test_a_changed_byte_of_what_counts_is_found(write: Write, tokenizer: Path, tmp_path: Path) -> None:
    build(tokenizer, tmp_path / "run", write([pair(number) for number in range(20)]))
    shards = tmp_path / "run" / "shards"
    file = shards / "train" / "desk-00000.counted"
    verify_digests(shards)
    content = bytearray(file.read_bytes())
    content[3] ^= 1
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"desk-00000\.counted is damaged"):
        verify_digests(shards)
    file.unlink()
    with pytest.raises(DataError, match=r"desk-00000\.counted is missing"):
        verify_digests(shards)


def test_what_is_refused_is_named_and_counted(write: Write, tokenizer: Path, tmp_path: Path) -> None:
    records = [
        *(pair(number, date="2010-01-01") for number in range(30)),
        pair(31, date="2017-01-01"),
        pair(32, date="2016-12-31"),
        pair(3, date="2011-01-01", id="again"),
        pair(33, date="2010-01-01", response="rate " * 70),
        pair(34, date="2010-01-01", response=""),
    ]
    report = build(tokenizer, tmp_path / "run", write(records), cutoff=datetime.date(2017, 1, 1))["desk"]
    reasons = refused(tmp_path / "run")
    assert reasons[0] == "after the cutoff: 2017-01-01 is of data.cutoff 2017-01-01 or later"
    assert reasons[1] == "repeated: the same stands in desk, desk.jsonl:4"
    assert reasons[2].startswith("too long: ")
    assert reasons[3:] == ["empty response"]
    assert report["refused"] == {"after the cutoff": 1, "repeated": 1, "too long": 1, "empty response": 1}
    assert (report["read"], report["malformed"], report["train"] + report["past"]) == (35, 1, 31)
    assert report["longest"] <= LENGTH


def test_undated_examples_stop_where_there_is_a_cutoff_or_do_as_is_said(
    write: Write, tokenizer: Path, tmp_path: Path
) -> None:
    records, cutoff = [pair(number) for number in range(9)], datetime.date(2017, 1, 1)
    with pytest.raises(DataError, match=r"desk\.jsonl:1 has no date, but data\.cutoff is set"):
        build(tokenizer, tmp_path / "run", write(records), cutoff=cutoff)
    assert build(tokenizer, tmp_path / "run", write(records, undated="train"), cutoff=cutoff)["desk"]["refused"] == {}
    with pytest.raises(DataError, match="no example is left to train on"):
        build(tokenizer, tmp_path / "run", write(records, undated="quarantine"), cutoff=cutoff)
    assert refused(tmp_path / "run") == ["no date"] * 9


def test_examples_that_ask_the_same_lie_on_one_side(write: Write, tokenizer: Path, tmp_path: Path) -> None:
    """Also across sources: what a held-out source asks is trained on nowhere."""
    records = [pair(number // 3, response=f"answer {number}", id=f"p{number}") for number in range(180)]
    test = [pair(number, response="that", id=f"t{number}") for number in range(5)]
    report = build(tokenizer, tmp_path / "run", write(records), write(test, "exam", held_out=True))
    assert report["exam"]["past"] == 5
    assert report["desk"]["refused"] == {"held out": 15}
    sides: dict[str, set[str]] = {}
    for line in map(json.loads, (tmp_path / "run" / "examples" / "examples.jsonl").read_text().splitlines()):
        sides.setdefault(line["messages"][0]["content"], set()).add(line["split"])
    assert all(len(splits) == 1 for splits in sides.values())
    assert 0.05 < report["desk"]["past"] / 165 < 0.4
    assert set(read_manifest(tmp_path / "run" / "shards").splits["train"]) == {"desk"}


def test_too_many_malformed_records_stop_and_their_quarantine_stays(
    write: Write, tokenizer: Path, tmp_path: Path
) -> None:
    records = [*(pair(number) for number in range(8)), {"prompt": "a"}, {"prompt": "b"}]
    with pytest.raises(DataError, match=r"2 of 10 records are malformed, above data\.maximum_bad_fraction 0\.1"):
        build(tokenizer, tmp_path / "run", write(records))
    assert refused(tmp_path / "run") == ["no field 'response': the record has prompt"] * 2
    assert not (tmp_path / "run" / "shards").exists()
    assert build(tokenizer, tmp_path / "run", write(records), maximum_bad_fraction=0.2)["desk"]["malformed"] == 2


def test_the_same_again_keeps_what_is_there_and_a_change_redoes_it(
    write: Write, tokenizer: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write([pair(number) for number in range(20)])
    first = build(tokenizer, tmp_path / "run", source)
    digest = read_manifest(tmp_path / "run" / "shards").digest
    assert build(tokenizer, tmp_path / "run", source) == first
    assert "examples: " in (said := capsys.readouterr().err)
    assert said.splitlines()[-1].endswith("is up to date")
    changed = write([pair(number) for number in range(21)])
    build(tokenizer, tmp_path / "run", changed)
    assert "inputs changed (examples.desk.files)" in capsys.readouterr().err
    assert read_manifest(tmp_path / "run" / "shards").digest != digest
    write([pair(number) for number in range(20)])
    build(tokenizer, tmp_path / "run", source)
    assert read_manifest(tmp_path / "run" / "shards").digest == digest


def test_shards_of_documents_are_described_as_they_always_were(
    write_training_shards: Callable[..., Path], tmp_path: Path
) -> None:
    """A run that began before examples were known goes on with its shards and their packing."""
    folder = write_training_shards(tmp_path / "shards", {"news": [5, 9]}, 100)
    pack_shards(folder, "best_fit", 8)
    content = (folder / "manifest.json").read_text() + (folder / "packed" / "best_fit-8" / "manifest.json").read_text()
    assert "counted" not in content
    stream = TokenStream(folder, None, 8, 1)
    assert stream.batch(0, 2).counted is None
    assert stream.counted_tokens(0, 2) is None
