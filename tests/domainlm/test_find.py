"""A text that a model wrote, or that a user pastes, to the training documents that have its passages."""

import datetime
import io
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from data.corpus.files import corpus_files
from data.errors import DataError
from data.files import file_digest
from data.interval import Interval, dates_as_json
from data.shards.format import EncodedDocument, Manifest, write_manifest, write_source
from data.shards.packing import pack_shards
from data.tokenizer.build import load_tokenizer
from domainlm.find import NAMED_DOCUMENTS, Finder, describe
from domainlm.trace import trace_document
from train.config import RunConfig
from train.config_file import load_config

OWN = "Nobody ever wrote zebras here, 12345 times or more; "


@pytest.fixture
def run(small_run: Callable[..., Path]) -> Path:
    return small_run("find")


def documents(config: RunConfig, split: str = "train") -> dict[str, dict[str, object]]:
    """The documents of a split by their id."""
    files = [file for files in corpus_files(config.corpus, split).values() for file in files]
    return {row["id"]: row for file in files for row in pq.read_table(file).to_pylist()}


def test_passages_of_two_documents_and_what_is_the_models_own(run: Path) -> None:
    config = load_config(run)
    known = documents(config)
    one, other = (known[name]["text"] for name in sorted(known)[:2])
    assert isinstance(one, str)
    assert isinstance(other, str)
    text = f"{one[5:150]}{OWN}{other[40:160]}"
    result = Finder(config).find(text)
    for first, part, name in ((0, one[5:150], sorted(known)[0]), (145 + len(OWN), other[40:160], sorted(known)[1])):
        match = next(match for match in result["matches"] if part in match["text"])
        assert text[match["first_character"] :][: match["characters"]] == match["text"]
        assert first - 1 <= match["first_character"] <= first
        found = match["documents"][0]
        assert (match["documents_total"], match["documents_are_all"]) == (1, True)
        traced = trace_document(config, name)
        assert found == {
            "id": name,
            "source": known[name]["source"],
            **dates_as_json(Interval.of_columns(known[name]["first_date"], known[name]["last_date"])),
            "date_kind": None,
            "split": "train",
            "count": 1,
            "first_step": traced["first_step"],
            "last_step": traced["last_step"],
            "steps_seen": traced["batches"],
        }
    assert len(result["own"]) == 1
    assert result["own"][0]["text"].strip(" .") in OWN
    shown = describe(result)
    assert f"the model's own, or shorter: “{' '.join(result['own'][0]['text'].split())}”" in shown
    assert f"of {len(text)} characters stand in training documents" in shown


def test_documents_come_oldest_first_and_are_counted(
    write_small_config: Callable[..., Path], data_folder: Path, tmp_path: Path
) -> None:
    """What is in many documents: every one is counted, the oldest are named, those without a date after them."""
    shutil.copytree(data_folder / "tokenizer", tmp_path / "tokenizer")
    tokenizer = load_tokenizer(tmp_path / "tokenizer")
    phrase = "the bank raised its policy rate by a quarter point"
    having = []
    for number in range(NAMED_DOCUMENTS + 3):
        text = f"Document {number}: {phrase}." + (f" Again: {phrase}." if number == 6 else "")
        date = None if number % 2 else Interval.of_day(datetime.date(2020 - number, 5, 1))
        ids = np.array(tokenizer.encode(text).ids)
        having.append(EncodedDocument(f"n{number}", date, ids, len(text)))
    shards = {"news": write_source(tmp_path / "shards", "train", "news", having, "uint16", 300)}
    digest = file_digest(tmp_path / "tokenizer" / "tokenizer.json")
    write_manifest(tmp_path / "shards", Manifest("uint16", 400, digest, "corpus", 0, 0, {"train": shards}))
    pack_shards(tmp_path / "shards", "best_fit", 32, workers=1)
    data = {"folder": str(tmp_path), "sources": [{"name": "news", "path": "news.jsonl", "domain": True}]}
    config = load_config(write_small_config(tmp_path / "run.yaml", tmp_path, data=data))
    (match,) = Finder(config).find(f"Nobody knew that {phrase} at all.")["matches"]
    assert match["text"].strip() == phrase
    assert match["documents_total"] == len(having)
    found = [(document["id"], document["last_date"], document["count"]) for document in match["documents"]]
    assert found[:7] == [(f"n{n}", f"{2020 - n}-05-01", 1 + (n == 6)) for n in (12, 10, 8, 6, 4, 2, 0)]
    assert [(name[0], date, count) for name, date, count in found[7:]] == [("n", None, 1)] * 3
    assert "and 3 more" in describe(Finder(config).find(phrase))


def test_held_out_text_is_not_found_in_its_own_document(run: Path) -> None:
    config = load_config(run)
    held_out = documents(config, "future")
    result = Finder(config).find(" ".join(str(row["text"]) for row in held_out.values()))
    assert {found["id"] for match in result["matches"] for found in match["documents"]}.isdisjoint(held_out)


def test_the_command_takes_a_text_or_standard_input_and_prints_json(
    run: Path, command_line: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = str(next(iter(documents(load_config(run)).values()))["text"])[:90]
    code, shown, said = command_line("trace", run, "--find", f"{text}{OWN}")
    assert code == 0, said
    assert f"“{text}" in shown
    assert "in 1 document\n" in shown
    assert "the model's own" in shown
    result = json.loads(command_line("trace", run, "--find", text, "--json")[1].splitlines()[-1])
    assert result["matches"][0]["text"] == text
    assert result["tokens"] == result["matches"][0]["tokens"] > 5
    for words, message in (
        (["short"], "the text has 5 bytes: passages of 31 or more are looked for"),
        ([f"{text}\udcff"], f"the text is not UTF-8 (surrogates not allowed at character {len(text)})"),
        (["-"], "the text has 0 bytes"),
    ):
        code, _, said = command_line("trace", run, "--find", *words)
        assert (code, said.splitlines()[-1].startswith("error: ")) == (2, True)
        assert message in said


def test_standard_input_that_is_not_utf_8_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from domainlm import commands

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"caf\xe9 and more"), "utf-8"))
    with pytest.raises(DataError, match="standard input is not UTF-8: invalid continuation byte at byte 3"):
        commands._whole_input()
