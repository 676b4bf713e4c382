from typing import Any

import pytest

from data.config import DataConfig
from data.corpus.report import (
    check_dates,
    check_malformed,
    check_splits,
    check_sum,
    corpus_report,
)
from data.corpus.write_kept import Kept
from data.errors import DataError
from data.sources.documents import BadRecord


def config_of(**changes: Any) -> DataConfig:
    return DataConfig.model_validate({"sources": [{"name": "news", "path": "news.jsonl"}], **changes})


def kept(split: str = "train", documents: int = 3, day: str | None = None) -> Kept:
    found = Kept()
    figures = {"documents": documents, "characters": 30, "bytes": 31, "first_date": day, "last_date": day}
    found.add(split, figures)
    found.counts.read = documents
    return found


def test_the_report_has_every_count(tmp_path: Any) -> None:
    found = kept(day="1999-01-01")
    found.add("train", {"documents": 1, "characters": 5, "bytes": 5, "first_date": "1998-01-01", "last_date": None})
    found.counts.read = 6
    found.counts.dropped["duplicate"] = 1
    found.counts.quarantine(BadRecord("a", 1, "broken JSON: here"))
    found.licences["CC0"] = 4
    report = corpus_report(config_of(), 5, {"news": found}, {"items": 2}, forgotten=2)
    assert report["seed"] == 5
    assert report["tombstones"] == 2
    assert report["contamination"] == {"items": 2}
    news = report["sources"]["news"]
    train = {"documents": 4, "characters": 35, "bytes": 36, "first_date": "1998-01-01", "last_date": "1999-01-01"}
    assert news["kept"] == {"train": train}
    assert (news["read"], news["dropped"], news["quarantined"]) == (6, {"duplicate": 1}, {"broken JSON": 1})
    assert news["lost_files"] == {}
    assert news["licences"] == {"CC0": 4}


def test_a_lost_record_is_noticed() -> None:
    found = kept()
    found.counts.read += 1
    with pytest.raises(AssertionError, match="a record was lost"):
        check_sum(config_of().sources[0], found)


def test_a_source_of_which_nothing_is_left_is_refused() -> None:
    found = Kept()
    found.counts.read = 2
    found.counts.dropped.update({"too short": 2})
    with pytest.raises(
        DataError,
        match=r"records in news\.jsonl: 2 read, 0 kept, dropped 2 too short, quarantined none: correct data\.sources",
    ):
        check_sum(config_of().sources[0], found)


def test_undated_documents_are_refused_only_under_a_cutoff(tmp_path: Any) -> None:
    counts = kept().counts
    counts.undated = 1
    check_dates(config_of().sources[0], counts, config_of(), tmp_path / "q.jsonl")
    config = config_of(cutoff="2000-01-01")
    with pytest.raises(DataError, match=r"1 of 3 documents have no date.*they are in .*q\.jsonl"):
        check_dates(config.sources[0], counts, config, tmp_path / "q.jsonl")


def test_malformed_records_up_to_the_fraction(tmp_path: Any) -> None:
    counts = kept(documents=99).counts
    counts.read = 100
    counts.quarantine(BadRecord("a", 1, "broken JSON: here"))
    check_malformed(config_of().sources[0], counts, config_of(maximum_bad_fraction=0.01), tmp_path / "q.jsonl")
    with pytest.raises(
        DataError, match=r"1 of 100 records are malformed, above data\.maximum_bad_fraction 0\.001: 1 broken JSON"
    ):
        check_malformed(config_of().sources[0], counts, config_of(maximum_bad_fraction=0.001), tmp_path / "q.jsonl")


def test_both_sides_of_the_cutoff_are_needed() -> None:
    config = config_of(cutoff="2000-01-01")
    check_splits({"a": kept("train"), "b": kept("future")}, config)
    with pytest.raises(DataError, match="no documents to train on"):
        check_splits({"a": kept("future")}, config)
    late = kept("future")
    late.counts.dropped["before data.since"] = 7
    with pytest.raises(DataError, match=r"Before data\.since 1999-01-01, and so left out, are 7:"):
        check_splits({"a": late}, config_of(cutoff="2000-01-01", since="1999-01-01"))
    with pytest.raises(DataError, match="to hold out: the last date is 1999-01-01; choose an earlier cutoff"):
        check_splits({"a": kept("train", day="1999-01-01")}, config)
