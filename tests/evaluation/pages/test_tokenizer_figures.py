"""A tokenizer's report is taken only when it is whole and all tokenizers in it were measured on the same text."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from data.errors import DataError
from evaluation.pages.tokenizer_figures import SweepPoint, TextFigures, WordFigures, read_tokenizer_report

FIGURES: dict[str, Any] = {
    "vocabulary_size": 4096,
    "sources": {"news": {"bytes": 600, "words": 100, "tokens": 150}, "web": {"bytes": 400, "words": 60, "tokens": 90}},
    "word_kinds": {"numbers": {"words": 10, "tokens": 25, "whole": 3}},
    "unused_pieces": 41,
    "multi_word_pieces": 0,
}
REPORT = FIGURES | {
    "end_of_text_id": 0,
    "kind": "bpe",
    "pretokenization": "words",
    "digits": "single",
    "split": "past",
    "training": {
        "documents": 3,
        "bytes": 10_000,
        "distinct_pretokens": 900,
        "cut_pretokens": 0,
        "cut_occurrences": 0,
        "cut_pieces": 0,
        "chunks": None,
    },
    "compared": {"gpt2": FIGURES | {"vocabulary_size": 50_257}},
    "samples": {"longest": [" unemployment"], "multi_word": [], "unused": ["\n\n\n"]},
    "sweep": [{"vocabulary_size": 4096, "bytes": 1000, "tokens": 240}],
    "extension": {
        "new_pieces": 96,
        "only_parts": 3,
        "text": {"train": {"bytes": 900, "before": 300, "after": 250}},
        "best": [{"piece": " mortgage", "saved": 20}],
    },
}


def test_a_report_is_read_with_its_figures(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(json.dumps(REPORT))
    report = read_tokenizer_report(tmp_path / "report.json")
    assert report.total == TextFigures(bytes=1000, words=160, tokens=240)
    assert (report.total.bytes_per_token, report.total.tokens_per_word) == (1000 / 240, 1.5)
    assert report.word_kinds["numbers"].tokens_per_word == 2.5
    assert report.sweep[0].encoded_bytes == 240 * 12 / 8
    assert json.loads(report.model_dump_json()) == REPORT


def test_nothing_measured_is_no_number() -> None:
    assert math.isnan(TextFigures(bytes=0, words=0, tokens=0).bytes_per_token)
    assert math.isnan(TextFigures(bytes=0, words=0, tokens=0).tokens_per_word)
    assert math.isnan(WordFigures(words=0, tokens=0, whole=0).tokens_per_word)
    assert SweepPoint(vocabulary_size=2, bytes=1, tokens=8).encoded_bytes == 1


def test_what_does_not_agree_is_named(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    with pytest.raises(DataError, match="does not exist: run `domainlm tokenize CONFIG` first"):
        read_tokenizer_report(path)
    content = json.loads(json.dumps(REPORT))
    content["compared"]["gpt2"]["sources"]["web"]["words"] = 61
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"report.json: gpt2 was measured on another text: run `domainlm tokenize CONF"):
        read_tokenizer_report(path)
    path.write_text(json.dumps({key: value for key, value in REPORT.items() if key != "sweep"}))
    with pytest.raises(DataError, match="sweep: Field required"):
        read_tokenizer_report(path)
