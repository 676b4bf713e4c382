import json
from pathlib import Path
from typing import Any

import pytest

from data.config import DataConfig, DecontaminationConfig
from data.corpus.decontaminate import load_items
from data.corpus.report import (
    check_dates,
    check_malformed,
    check_splits,
    check_sum,
    contamination_report,
    contamination_warnings,
    corpus_report,
    short_items,
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


def test_evaluation_items_of_which_too_much_is_met_are_named(tmp_path: Path) -> None:
    file = tmp_path / "items.jsonl"
    lines = ["one two three four five six seven eight nine", "short", "a b c d e f g h i j k l m n o"]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    one, _, other = (f"{file}:{line}" for line in (1, 2, 3))
    settings = DecontaminationConfig(paths=(str(file),))
    items = load_items(settings)
    news, wire = kept(documents=190), kept(documents=400)
    news.counts.dropped["contaminated"] = 10
    for number in range(3):
        news.counts.touch([one], f"news/{number}")
    news.counts.common.update({other: 180})
    wire.counts.touch([one], "wire/7")
    wire.counts.common.update({other: 4, one: 3})  # exactly 1 %, and that is not more
    report = contamination_report(
        settings, items, items.found("a b c d e f g h i j k l m"), {"news": news, "wire": wire}
    )
    assert report == {
        "items": 3,
        "too_short": 1,
        "action": "remove",
        "common_documents": 10,
        "touched": {one: {"documents": 4, "first": ["news/0", "news/1", "news/2", "wire/7"]}},
        "common": {other: {"documents": 184, "ngrams": 1, "of": 3}},
        "widespread": [
            {"item": one, "source": "news", "documents": 3, "contaminated": 3, "of": 200},
            {"item": other, "source": "news", "documents": 180, "contaminated": 0, "of": 200},
        ],
    }
    first, second, third = contamination_warnings(report)
    assert f"item {one} shares words with 3 of 200 training documents of source news: 3 of them removed" in first
    assert f"item {other} shares words with 180 of 200 training documents of source news: 0 of them removed" in second
    assert f"what more than 10 training documents have was found, which counts as a common phrase: 1: {other};" in third
    assert contamination_warnings(None) == []


def test_evaluation_items_that_are_not_looked_for_are_said(tmp_path: Path) -> None:
    thai = "ศาลพิพากษาให้จำเลยชำระเงินจำนวนหนึ่งแสนบาทพร้อมดอกเบี้ยร้อยละเจ็ดครึ่งต่อปีนับแต่วันฟ้องจนกว่าจะชำระเสร็จแก่โจทก์"
    prose = "the lender of last resort lends freely at a high rate against good collateral"
    for texts, said in (([thai, "a short one", prose], "2 of 3 items have fewer than 8 words"), ([prose], "")):
        file = tmp_path / "items.txt"
        file.write_text("".join(f"{text}\n" for text in texts))
        config = config_of(decontamination={"paths": [str(file)]})
        assert config.decontamination
        items = load_items(config.decontamination)
        met = contamination_report(config.decontamination, items, items.found(""), {"news": kept()})
        lines = short_items(config, met)
        assert [said in line for line in lines] == [True] * bool(said)
    assert short_items(config_of(), None) == []


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
    with pytest.raises(DataError, match="to hold out: the last date is 1999-01-01; choose an earlier cutoff"):
        check_splits({"a": kept("train", day="1999-01-01")}, config)
