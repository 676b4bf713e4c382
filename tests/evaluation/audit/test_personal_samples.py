"""Personal data in what was written: counted, and looked up in the training text character by character."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.corpus.files import CORPUS_SCHEMA
from evaluation.audit import personal_samples
from evaluation.audit.personal_samples import find_items, measure_personal

SAMPLES = ["ask anna@example.org or bert@example.org", "nothing <EMAIL> here", "anna@example.org, +44 20 7946 0958"]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    for split, text in (("train", "write to anna@example.org today"), ("past", "write to bert@example.org")):
        file = tmp_path / split / "letters" / "00000.parquet"
        file.parent.mkdir(parents=True)
        row = {"id": "1", "text": text, "source": "letters"}
        pq.write_table(pa.Table.from_pylist([row], CORPUS_SCHEMA), file)
    return tmp_path


def test_what_stands_in_the_training_text_is_told_from_what_is_made_up(corpus: Path) -> None:
    items = find_items(SAMPLES, corpus)
    assert [(item.kind, item.text, item.sample, item.trained_on) for item in items] == [
        ("email", "anna@example.org", 0, True),
        ("email", "bert@example.org", 0, False),  # held out
        ("email", "anna@example.org", 2, True),
        ("phone", "+44 20 7946 0958", 2, False),
    ]
    figures = measure_personal(items, 3, 500, ["call +44 20 7946 0958"], 250)
    assert figures["written"]["by_kind"]["email"] == {"found": 3, "per_1000_tokens": 6.0}
    assert figures["written"]["samples_with_any"]["found"] == 2
    assert figures["held_out"]["by_kind"]["phone"] == {"found": 1, "per_1000_tokens": 4.0}
    assert (figures["in_training_text"], figures["made_up"], figures["not_looked_up"]) == (2, 2, 0)
    assert "example.org" not in str(figures)


def test_what_cannot_be_looked_up_is_not_said_to_be_made_up(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [item.trained_on for item in find_items(SAMPLES, None)] == [None] * 4
    monkeypatch.setattr(personal_samples, "MOST_LOOKED_UP", 1)
    assert [item.trained_on for item in find_items(SAMPLES, corpus)] == [True, None, True, None]


def test_nothing_written_has_no_rate() -> None:
    figures = measure_personal([], 0, 0, [], 0)
    assert figures["written"]["by_kind"]["card"]["per_1000_tokens"] is None
