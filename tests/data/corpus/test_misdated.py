"""The leak test within `prepare`: reported with its words, set aside where that is asked, and no document lost."""

import json
from pathlib import Path
from typing import Any

import pytest

from data.corpus.build import prepare_corpus
from tests.data.corpus.test_build import config_of, ids, quarantined, total, write_jsonl
from tests.data.corpus.test_leaks import corpus

PLANTED = 15


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, set[str]]:
    """Dated documents, and the ids of those that were put years before what they say."""
    days, texts = corpus(3_000)
    wrong = [place for place, day in enumerate(days) if day.year >= 2014][:PLANTED]
    dates = {place: days[place].replace(year=days[place].year - 15, day=1) for place in wrong}
    records = [
        {"id": f"d{place}", "text": text, "date": dates.get(place, day).isoformat()}
        for place, (day, text) in enumerate(zip(days, texts, strict=True))
    ]
    return write_jsonl(tmp_path_factory.mktemp("leaks") / "bank.jsonl", records), {f"d{place}" for place in wrong}


def prepared(documents: tuple[Path, set[str]], corpus: Path, **changes: Any) -> dict[str, Any]:
    config = config_of(documents[0], cutoff="2012-01-01", near_duplicates=None, **changes)
    return prepare_corpus(config, corpus, seed=1)


def test_documents_of_contradicted_dates_are_reported_and_left_where_they_are(
    documents: tuple[Path, set[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = prepared(documents, tmp_path / "corpus")
    found = report["leaks"]["sources"]["source_0"]
    assert report["leaks"]["action"] == "flag"
    assert found["suspected"] == PLANTED
    assert found["judged"] == report["sources"]["source_0"]["kept"]["train"]["documents"]
    assert documents[1] <= {*ids(tmp_path / "corpus", "train")}
    for sample in found["samples"]:
        assert sample["id"] in documents[1]
        assert all(word.startswith("era") for word in sample["absent_until"])
    said = capsys.readouterr().err
    assert f"{PLANTED} of {found['judged']:,} dated training documents use words that came up years after" in said
    assert json.loads((tmp_path / "corpus" / "report.json").read_bytes())["leaks"] == report["leaks"]


def test_they_are_set_aside_where_that_is_asked_and_every_record_is_counted(
    documents: tuple[Path, set[str]], tmp_path: Path
) -> None:
    report = prepared(documents, tmp_path / "corpus", leaks="quarantine", maximum_bad_fraction=0.0)
    source = report["sources"]["source_0"]
    assert source["quarantined"] == {"date contradicted": PLANTED}
    assert total(source) == source["read"] == 3_000
    assert not documents[1] & {*ids(tmp_path / "corpus", "train")}
    lines = quarantined(tmp_path / "corpus")
    assert len(lines) == PLANTED
    assert all("years after its date, such as 'era" in line["reason"] for line in lines)


def test_without_a_cutoff_or_where_dates_are_believed_nothing_is_looked_for(
    documents: tuple[Path, set[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert prepared(documents, tmp_path / "corpus", leaks=None)["leaks"] is None
    whole = config_of(documents[0], near_duplicates=None, leaks="quarantine")
    assert prepare_corpus(whole, tmp_path / "whole", seed=1)["leaks"] is None
    assert "data.leaks is quarantine, but without a data.cutoff no" in capsys.readouterr().err


def test_a_finished_corpus_says_where_its_leak_test_is_not_what_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = [
        {"text": " ".join(f"Town{place}{year} stands." for place in range(40)), "date": f"{year}-02-03"}
        for year in (2010, 2011, 2013)
    ]
    few = write_jsonl(tmp_path / "few.jsonl", records), set[str]()
    for made, asked, said in (
        (None, "flag", "was made without the leak test that data.leaks asks for: "),
        ("flag", None, "was made with a leak test, whose findings it still reports, and data.leaks asks for none: "),
        ("flag", "flag", ""),
    ):
        folder = tmp_path / f"corpus-{made}-{asked}"
        prepared(few, folder, leaks=made)
        capsys.readouterr()
        prepared(few, folder, leaks=asked)
        err = capsys.readouterr().err
        assert "is up to date" in err
        assert (said in err) if said else ("leak test" not in err)
