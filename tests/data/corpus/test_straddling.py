"""What may be of either side of the cutoff is of none, in the corpus as it is made of real files."""

import datetime
import json
import random
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.config import DataConfig
from data.corpus.build import prepare_corpus
from data.corpus.files import CARD, corpus_files
from data.corpus.split import SPLITS, STRADDLES
from data.errors import DataError
from data.interval import Interval

WORDS = [f"word{number}" for number in range(400)]
DAYS = st.dates(datetime.date(2016, 1, 1), datetime.date(2021, 12, 31))
WRITTEN = st.one_of(
    DAYS.map(lambda day: (day.isoformat(), None)),
    DAYS.map(lambda day: (f"{day:%Y-%m}", None)),
    DAYS.map(lambda day: (f"{day:%Y}", "published")),
    DAYS.map(lambda day: (f"Winter {day:%Y}", None)),
    DAYS.map(lambda day: (f"{day:%Y %b}-{day.year + 1} Jan", "filed")),
    DAYS.map(lambda day: (day.isoformat(), "crawled")),
    st.lists(DAYS, min_size=2, max_size=2).map(lambda ends: (f"{min(ends)}/{max(ends)}", None)),
    st.just((None, None)),
    st.just(("no date at all", None)),
)


def text_of(seed: int, changed: int = 0) -> str:
    words = random.Random(seed).choices(WORDS, k=120)
    words[60 : 60 + changed] = ["other"] * changed
    return " ".join(words)


def config_of(folder: Path, records: list[dict[str, Any]], **changes: Any) -> DataConfig:
    (folder / "a.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    source = {"name": "news", "path": str(folder / "a.jsonl"), "undated": "train", "latest_date": "2030-12-31"}
    content = {"sources": [source], "past_fraction": 0.1, "workers": 1, "maximum_bad_fraction": 1.0}
    return DataConfig.model_validate(content | changes)


def rows_of(corpus: Path) -> list[dict[str, Any]]:
    return [
        row | {"split": split}
        for split in SPLITS
        for files in corpus_files(corpus, split).values()
        for file in files
        for row in pq.read_table(file).to_pylist()
    ]


@given(written=st.lists(WRITTEN, min_size=1, max_size=40), cutoff=DAYS, copies=st.integers(1, 3))
@settings(max_examples=12, suppress_health_check=list(HealthCheck), deadline=None)
def test_no_training_text_may_be_of_the_cutoff_or_later_and_no_later_text_of_before(
    tmp_path_factory: pytest.TempPathFactory, written: list[tuple[str | None, str | None]], cutoff: Any, copies: int
) -> None:
    folder = tmp_path_factory.mktemp("straddling")
    days = ["2010-01-01"] * 3 + ["2030-01-01"]  # so that something is on either side
    sure = [{"id": f"s{number}", "text": text_of(1_000 + number), "date": day} for number, day in enumerate(days)]
    records = (
        [
            {"id": f"d{number}-{copy}", "text": text_of(number, 4 * (copy == 2)), "date": date, "date_kind": kind}
            for copy in range(copies)  # the same texts under other dates: exact copies, then near ones
            for number, (date, kind) in enumerate(written[copy:] + written[:copy])
        ]
        + sure
    )
    report = prepare_corpus(config_of(folder, records, cutoff=cutoff.isoformat()), folder / "corpus", seed=1)
    rows = rows_of(folder / "corpus")
    for row in rows:
        date = Interval.of_columns(row["first_date"], row["last_date"])
        assert date is None or (date.lies_from(cutoff) if row["split"] == "future" else date.lies_before(cutoff))
    news = report["sources"]["news"]
    assert news["read"] == len(records) == len(rows) + sum(news["dropped"].values()) + sum(news["quarantined"].values())
    assert sum(news["precisions"].values()) == len(rows)
    held_out = {row["text"] for row in rows if row["split"] == "future"}
    assert not held_out & {row["text"] for row in rows if row["split"] != "future"}


def test_a_copy_of_what_straddles_is_not_trained_on(tmp_path: Path) -> None:
    """Nor what resembles it; it may be held out where it surely came later. Without a cutoff nothing straddles."""
    records = [
        {"id": "sure", "text": text_of(0), "date": "2017"},
        {"id": "year", "text": text_of(1), "date": "2018"},
        {"id": "copy", "text": text_of(1), "date": "2017-05-01"},
        {"id": "near", "text": text_of(1, changed=3), "date": "2017-05-01"},
        {"id": "page", "text": text_of(2), "date": "2018-12-01", "date_kind": "crawled"},
        {"id": "early", "text": text_of(3), "date": "2018-01-01", "date_kind": "crawled"},
        {"id": "later", "text": text_of(2), "date": "2018 Jul-2019"},
        {"id": "July", "text": text_of(5), "date": "2018-07"},
    ]
    config = config_of(tmp_path, records, cutoff="2018-07-01", past_fraction=0.0)
    news = prepare_corpus(config, tmp_path / "corpus", seed=1)["sources"]["news"]
    placed = {row["id"]: row["split"] for row in rows_of(tmp_path / "corpus")}
    assert placed == {"sure": "train", "early": "train", "later": "future", "July": "future"}
    assert news["dropped"] == {
        "duplicate of held-out text": 1,
        "near-duplicate of held-out text": 1,
        STRADDLES: 2,
    }
    assert news["precisions"] == {"longer": 1, "month": 1, "open": 1, "year": 1}
    assert [(sample["id"], sample["date"]) for sample in news["samples"][STRADDLES]] == [
        ("year", "2018-01-01 to 2018-12-31"),
        ("page", "until 2018-12-01"),
    ]
    assert "; 2 documents that may be of either side of it are in neither." in (tmp_path / "corpus" / CARD).read_text()
    everything = prepare_corpus(config_of(tmp_path, records), tmp_path / "all", seed=1)["sources"]["news"]
    assert STRADDLES not in everything["dropped"]


def test_what_is_left_when_all_straddles_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = [{"id": str(number), "text": text_of(number), "date": "2018"} for number in range(9)]
    later = {"id": "new", "text": text_of(99), "date": "2020"}
    with pytest.raises(DataError, match=r"all are of data.cutoff 2018-07-01 or later \(or straddle it: 9\)"):
        prepare_corpus(config_of(tmp_path, [*records, later], cutoff="2018-07-01"), tmp_path / "corpus", seed=1)
    records.append({"id": "old", "text": text_of(100), "date": "2010"})
    with pytest.raises(DataError, match=r"no documents of data.cutoff 2018-07-01 or later \(but straddle it: 9\)"):
        prepare_corpus(config_of(tmp_path, records, cutoff="2018-07-01"), tmp_path / "corpus", seed=1)
    prepare_corpus(config_of(tmp_path, [*records, later], cutoff="2018-07-01"), tmp_path / "corpus", seed=1)
    said = capsys.readouterr().err
    assert "9 straddles the cutoff" in said
    assert "the dates of 9 of 11 records leave open on which side of data.cutoff 2018-07-01 they are" in said
