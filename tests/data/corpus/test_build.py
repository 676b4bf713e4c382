import datetime
import gzip
import json
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.config import DataConfig
from data.corpus.build import prepare_corpus
from data.corpus.files import CORPUS_COLUMNS, corpus_files
from data.corpus.tombstones import TOMBSTONES, Request, forget
from data.errors import DataError, UnreachableError
from data.files import file_digest, stage_digest
from data.source_config import SourceConfig
from data.sources import parts
from train.config import CHECKOUT

TALE = "the bank of England raised its rate while lenders in every district saw demand for credit fall again"


def text_of(seed: int) -> str:
    return " ".join(random.Random(seed).choices(TALE.split(), k=30))


def record(index: int, **changes: Any) -> dict[str, Any]:
    day = datetime.date(2000, 1, 1) + datetime.timedelta(days=index)
    return {"id": f"d{index}", "text": text_of(index), "date": day.isoformat(), **changes}


def write_jsonl(file: Path, records: list[Any]) -> Path:
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    return file


def config_of(*paths: Path, **changes: Any) -> DataConfig:
    sources = [{"name": f"source_{index}", "path": str(path)} for index, path in enumerate(paths)]
    return DataConfig.model_validate({"sources": sources, "past_fraction": 0.0, "workers": 1, **changes})


def rows(corpus: Path, split: str, source: str = "source_0") -> list[dict[str, Any]]:
    tables = [pq.read_table(file) for file in corpus_files(corpus, split).get(source, [])]
    return pa.concat_tables(tables).to_pylist() if tables else []


def ids(corpus: Path, split: str, source: str = "source_0") -> list[str]:
    return [row["id"] for row in rows(corpus, split, source)]


def quarantined(corpus: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (corpus / "quarantine.jsonl").read_text().splitlines()]


def total(source: dict[str, Any]) -> int:
    kept = sum(counts["documents"] for counts in source["kept"].values())
    return kept + sum(source["dropped"].values()) + sum(source["quarantined"].values())


@pytest.fixture
def hundred(tmp_path: Path) -> Path:
    return write_jsonl(tmp_path / "hundred.jsonl", [record(index) for index in range(100)])


def test_the_layout_and_the_report(tmp_path: Path, hundred: Path) -> None:
    corpus = tmp_path / "corpus"
    config = config_of(hundred, cutoff="2000-03-31", past_fraction=0.2)
    report = prepare_corpus(config, corpus, seed=1)
    assert sorted(path.relative_to(corpus).as_posix() for path in corpus.rglob("*") if path.is_file()) == [
        "README.md",
        "future/source_0/00000.parquet",
        "manifest.json",
        "past/source_0/00000.parquet",
        "quarantine.jsonl",
        "report.json",
        "train/source_0/00000.parquet",
    ]
    assert json.loads((corpus / "report.json").read_text()) == report
    source = report["sources"]["source_0"]
    assert (source["read"], source["dropped"], source["quarantined"]) == (100, {}, {})
    future = source["kept"]["future"]
    assert ids(corpus, "future") == [f"d{index}" for index in range(90, 100)]
    assert future["characters"] == future["bytes"] == sum(len(text_of(index)) for index in range(90, 100))
    assert (future["documents"], future["first_date"], future["last_date"]) == (10, "2000-03-31", "2000-04-09")
    assert sorted(ids(corpus, "train") + ids(corpus, "past")) == sorted(f"d{index}" for index in range(90))
    assert 5 <= source["kept"]["past"]["documents"] <= 35
    assert rows(corpus, "future")[0] == {
        "id": "d90",
        "text": text_of(90),
        "source": "source_0",
        "first_date": datetime.date(2000, 3, 31),
        "last_date": datetime.date(2000, 3, 31),
        "date_kind": None,
        "title": None,
        "licence": None,
        "url": None,
    }
    types = {
        "id": "string",
        "text": "string",
        "source": "string",
        "first_date": "date32[day]",
        "last_date": "date32[day]",
        "date_kind": "string",
        "title": "string",
        "licence": "string",
        "url": "string",
    }
    schema = pq.read_schema(corpus / "train" / "source_0" / "00000.parquet")
    assert {name: str(schema.field(name).type) for name in schema.names} == types


def test_every_loss_is_counted_by_reason(tmp_path: Path) -> None:
    records = [record(index) for index in range(20)]
    records[3]["text"] = " \n"
    records[4]["text"] = "short"
    records[5]["text"] = "-" * 300
    records[6]["text"] = text_of(0) + " \r\n"  # equal to the first when it is clean
    records[7]["text"] = None
    records[8]["id"] = "d0"
    records[9]["date"] = "tomorrow"
    file = write_jsonl(tmp_path / "a.jsonl", records)
    corpus = tmp_path / "corpus"
    source = prepare_corpus(config_of(file, maximum_bad_fraction=0.2), corpus, seed=1)["sources"]["source_0"]
    assert source["read"] == total(source) == 20
    assert source["dropped"] == {"duplicate": 1, "empty": 1, "repetitive": 1, "too short": 1}
    assert source["quarantined"] == {"duplicate id": 1, "'text' is null": 1, "unreadable date": 1}
    assert ids(corpus, "train") == [f"d{index}" for index in range(20) if not 3 <= index <= 9]
    assert quarantined(corpus) == [
        {
            "source": "source_0",
            "file": "a.jsonl",
            "line": 8,
            "reason": "'text' is null",
        },
        {
            "source": "source_0",
            "file": "a.jsonl",
            "line": 10,
            "reason": "unreadable date: 'tomorrow' is not in ISO 8601, such as 2018-12-31 or 2018-12, nor words such "
            "as Dec 2018 or Winter 2018",
        },
        {"source": "source_0", "file": "a.jsonl", "line": 9, "reason": "duplicate id: d0, which a.jsonl:1 has"},
    ]


def test_equal_texts_stay_once_and_held_out_over_the_dates_border(tmp_path: Path) -> None:
    old = [record(index) for index in range(10)]
    new = [record(index, date="2001-01-01", text=text_of(index % 5)) for index in range(10)]
    corpus = tmp_path / "corpus"
    config = config_of(
        write_jsonl(tmp_path / "old.jsonl", old), write_jsonl(tmp_path / "new.jsonl", new), cutoff="2001-01-01"
    )
    report = prepare_corpus(config, corpus, seed=1)["sources"]
    assert ids(corpus, "train") == ["d5", "d6", "d7", "d8", "d9"]
    assert ids(corpus, "future", "source_1") == ["d0", "d1", "d2", "d3", "d4"]
    assert report["source_0"]["dropped"] == {"duplicate of held-out text": 5}
    assert report["source_1"]["dropped"] == {"duplicate": 5}


def test_no_text_is_in_two_splits(tmp_path: Path) -> None:
    draw = random.Random(1)
    files = []
    for name in "abc":
        records = [
            record(index, text=text_of(draw.randrange(150)), date=draw.choice(["1999-01-01", "2001-01-01"]))
            for index in range(200)
        ]
        files.append(write_jsonl(tmp_path / f"{name}.jsonl", records))
    corpus = tmp_path / "corpus"
    report = prepare_corpus(config_of(*files, cutoff="2000-01-01", past_fraction=0.3), corpus, seed=1)
    texts = [row["text"] for file in corpus.rglob("*.parquet") for row in pq.read_table(file).to_pylist()]
    assert len(texts) == len(set(texts)) > 100
    assert all(source["read"] == total(source) == 200 for source in report["sources"].values())


def test_the_same_inputs_give_the_same_bytes(tmp_path: Path, hundred: Path) -> None:
    config = config_of(hundred, cutoff="2000-03-31", past_fraction=0.2)
    for name in ("one", "two"):
        prepare_corpus(config, tmp_path / name, seed=1)
    files = [path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file()]
    assert len(files) == 7
    for file in files:
        assert file_digest(tmp_path / "one" / file) == file_digest(tmp_path / "two" / file), file
    prepare_corpus(config, tmp_path / "other_seed", seed=2)
    assert stage_digest(tmp_path / "other_seed") != stage_digest(tmp_path / "one")


def test_a_finished_corpus_is_recognised_and_a_changed_input_is_named(
    tmp_path: Path, hundred: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = tmp_path / "corpus"
    report = prepare_corpus(config_of(hundred), corpus, seed=1)
    times = {path: path.stat().st_mtime_ns for path in corpus.rglob("*")}
    capsys.readouterr()
    same = config_of(hundred, folder="elsewhere")
    same = same.model_copy(
        update={"sources": tuple(source.model_copy(update={"weight": 2.0, "domain": True}) for source in same.sources)}
    )
    assert prepare_corpus(same, corpus, seed=1) == report
    assert capsys.readouterr().err == f"corpus: {corpus} is up to date\n"
    assert times == {path: path.stat().st_mtime_ns for path in corpus.rglob("*")}
    write_jsonl(hundred, [record(index) for index in range(60)])
    assert prepare_corpus(config_of(hundred, past_fraction=0.1), corpus, seed=1)["sources"]["source_0"]["read"] == 60
    assert "corpus: inputs changed (past_fraction, sources.source_0.files), redoing" in capsys.readouterr().err
    moved = hundred.rename(tmp_path / "moved.jsonl")
    prepare_corpus(config_of(moved), corpus, seed=2)
    assert "(past_fraction, seed, sources.source_0.files, sources.source_0.path)" in capsys.readouterr().err


def test_every_setting_is_an_input_but_those_that_change_nothing_in_a_corpus(tmp_path: Path, hundred: Path) -> None:
    config = config_of(hundred, decontamination={"paths": [str(write_jsonl(tmp_path / "items.jsonl", [TALE]))]})
    prepare_corpus(config, tmp_path / "corpus", seed=1)
    inputs = set(json.loads((tmp_path / "corpus" / "manifest.json").read_bytes())["inputs"])
    of_a_source = {name.removeprefix("sources.source_0.") for name in inputs if name.startswith("sources.")}
    nothing_made = {"name", "weight", "domain", "maximum_epochs", "origin", "description"}
    assert of_a_source == {*SourceConfig.model_fields, "files"} - nothing_made
    later = {"period", "packing", "alpha", "stages", "reshuffles", "leaks"}
    elsewhere = {"folder", "workers", "shards", "cache", "cache_gigabytes"}
    own = {"format", "seed", "near_duplicates.algorithm", "decontamination.files"}
    assert {name for name in inputs if not name.startswith("sources.")} == {
        *DataConfig.model_fields
    } - later - elsewhere | own


def test_what_a_killed_run_left_behind_is_done_anew(
    tmp_path: Path, hundred: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = config_of(hundred, cutoff="2000-03-31")
    whole = tmp_path / "whole"
    prepare_corpus(config, whole, seed=1)
    corpus = tmp_path / "corpus"
    for name in ("staging", "train", "past"):
        (corpus / name / "source_0").mkdir(parents=True)
        (corpus / name / "source_0" / "00000.parquet.partial").write_bytes(b"PAR1 half")
        (corpus / name / "source_0" / "00009.parquet").write_bytes(b"PAR1 half")
    (corpus / "quarantine.jsonl").write_text('{"source": "hal')
    capsys.readouterr()
    prepare_corpus(config, corpus, seed=1)
    assert f"corpus: going on with {corpus}" in capsys.readouterr().err
    assert stage_digest(corpus) == stage_digest(whole)
    assert sorted(path.name for path in corpus.rglob("*")) == sorted(path.name for path in whole.rglob("*"))


def test_a_truncated_output_is_done_anew(tmp_path: Path, hundred: Path) -> None:
    corpus = tmp_path / "corpus"
    prepare_corpus(config_of(hundred), corpus, seed=1)
    digest = stage_digest(corpus)
    file = corpus / "train" / "source_0" / "00000.parquet"
    file.write_bytes(file.read_bytes()[:-1])
    prepare_corpus(config_of(hundred), corpus, seed=1)
    assert stage_digest(corpus) == digest


def test_undated_documents_under_a_cutoff(tmp_path: Path) -> None:
    records = [record(index, date=None if index % 2 else f"200{index % 4}-01-01") for index in range(12)]
    file = write_jsonl(tmp_path / "a.jsonl", records)
    config = config_of(file, cutoff="2001-01-01")

    def with_undated(choice: str) -> DataConfig:
        sources = tuple(source.model_copy(update={"undated": choice}) for source in config.sources)
        return config.model_copy(update={"sources": sources})

    message = (
        r"^source 'source_0': 6 of 12 documents have no date, but data\.cutoff is set: "
        r"name the field in date_field, or set undated: train or quarantine; they are in .*corpus/quarantine\.jsonl$"
    )
    with pytest.raises(DataError, match=message):
        prepare_corpus(with_undated("refuse"), tmp_path / "corpus", seed=1)
    prepare_corpus(with_undated("train"), tmp_path / "train", seed=1)
    assert ids(tmp_path / "train", "train") == [f"d{index}" for index in range(12) if index % 4 != 2]
    source = prepare_corpus(with_undated("quarantine"), tmp_path / "quarantine", seed=1)["sources"]["source_0"]
    assert ids(tmp_path / "quarantine", "train") == ["d0", "d4", "d8"]
    assert source["quarantined"] == {"no date": 6}
    assert source["read"] == total(source) == 12
    assert quarantined(tmp_path / "quarantine")[0]["reason"] == "no date: document d1"


@pytest.mark.parametrize("setting", ["id_field", "date_field", "licence_field", "url_field"])
@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_a_field_that_no_document_has_is_refused_by_name(tmp_path: Path, setting: str, kind: str) -> None:
    """A typo must not make a whole source undated, or without ids or licences."""
    folder = tmp_path / "input"
    folder.mkdir()
    records = [record(index, meta={"here": f"2001-01-{index + 1:02d}"}, empty=None) for index in range(20)]
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(records), folder / "a.parquet")
    else:
        write_jsonl(folder / "a.jsonl", records[:10])
        write_jsonl(folder / "b.jsonl", records[10:])
    source = {"name": "source_0", "path": str(folder), "undated": "train"}
    for name in ("wrong", "meta.wrong", "empty"):
        config = config_of(folder, cutoff="2010-01-01", sources=[source | {setting: name}])
        with pytest.raises(
            DataError,
            match=rf"^source 'source_0': none of 20 documents has a value in the field '{name}': correct "
            rf"data\.sources\.source_0\.{setting}, or leave it out$",
        ):
            prepare_corpus(config, tmp_path / "corpus", seed=1)
    # One document with a value is enough: not every record has all fields.
    config = config_of(folder, sources=[source | {setting: "meta.here"}])
    prepare_corpus(config, tmp_path / "corpus", seed=1)


def test_a_date_format_without_any_date_is_refused(tmp_path: Path) -> None:
    file = write_jsonl(tmp_path / "a.jsonl", [record(index, date=None) for index in range(20)])
    source = {"name": "source_0", "path": str(file), "undated": "train", "date_format": "%d.%m.%Y"}
    with pytest.raises(DataError, match=r"in the field 'date': correct data\.sources\.source_0\.date_field"):
        prepare_corpus(config_of(file, sources=[source]), tmp_path / "corpus", seed=1)


def test_dates_that_may_have_day_and_month_swapped_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    days = [datetime.date(2010 + index % 9, 1 + index % 10, 1 + index % 12) for index in range(120)]
    first = [day.replace(day=1) for day in days]  # of each month
    others = [*days[1:], datetime.date(2010, 1, 13)]
    written = {"swapped": days, "monthly": first, "sound": others, "few": days[:90]}
    sources = []
    for place, (name, dates) in enumerate(written.items()):
        records = [record(1000 * place + index, date=f"{day:%m/%d/%Y}") for index, day in enumerate(dates)]
        file = write_jsonl(tmp_path / f"{name}.jsonl", records)
        sources.append({"name": name, "path": str(file), "date_format": "%m/%d/%Y"})
    prepare_corpus(config_of(file, sources=sources), tmp_path / "corpus", seed=1)
    said = [line for line in capsys.readouterr().err.split("\n") if "day above 12" in line]
    assert len(said) == 1
    assert "source 'swapped': none of 120 dates in '%m/%d/%Y' has a day above 12: it may be the month" in said[0]


def test_a_day_years_before_all_others_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As 1940-01-01, which is the least day of some systems; not that of an old document, nor each year's last."""
    records = [
        record(1000 + index, date="1940-01-01" if index < 4 else f"2005-{1 + index % 12:02}-{1 + index % 28:02}")
        for index in range(200)
    ]
    file = write_jsonl(tmp_path / "a.jsonl", records)
    said = "source 'source_0': 4 of 200 dates are 1940-01-01, and none of the 65 years from then on"
    for earliest in (None, "1900-01-01"):
        source = {"name": "source_0", "path": str(file), "earliest_date": earliest}
        prepare_corpus(config_of(file, sources=[source]), tmp_path / "corpus", seed=1)
        output = capsys.readouterr().err
        assert (said in output) == (earliest is None)
        assert "; dates 1940-01-01 to 2005-12-" in output
    for dates in (["1940-01-01"], [f"{year}-12-31" for year in range(1990, 2000) for _ in range(3)]):
        write_jsonl(file, [*[record(1 + place, date=day) for place, day in enumerate(dates)], *records[4:]])
        prepare_corpus(config_of(file), tmp_path / "corpus", seed=1)
        assert "years from then on" not in capsys.readouterr().err


def test_texts_that_were_cut_at_a_number_of_bytes_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As columns of databases are, where characters have one byte or more; not lengths as they come."""
    for cut, is_said in ((400, True), (4_000, False)):
        texts = [
            " ".join(f"Gr{'é' if word < index else 'e'}ss{(7 + index) ** word % 997}" for word in range(70 + index % 9))
            for index in range(60)
        ]
        cut_off = [text.encode()[:cut].decode(errors="ignore") for text in texts]
        records = [record(index) | {"text": text} for index, text in enumerate(cut_off)]
        file = write_jsonl(tmp_path / "a.jsonl", records)
        prepare_corpus(config_of(file, near_duplicates=None), tmp_path / "corpus", seed=1)
        assert ("60 of 60 texts have 397 to 400 bytes, and none has more" in capsys.readouterr().err) == is_said


def test_dates_of_a_day_that_may_stand_for_no_date_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = [
        record(1000 + index, date="2001-01-01" if index < 3 else f"2005-01-{1 + index % 28:02}") for index in range(200)
    ]
    file = write_jsonl(tmp_path / "a.jsonl", records)
    said = "source 'source_0': 3 of 200 dates are 2001-01-01, which programs also write where they know no date"
    for earliest in (None, "1900-01-01"):
        source = {"name": "source_0", "path": str(file), "earliest_date": earliest}
        prepare_corpus(config_of(file, sources=[source]), tmp_path / "corpus", seed=1)
        assert (said in capsys.readouterr().err) == (earliest is None)
    write_jsonl(file, [record(1), *records[2:]])  # one of a day
    prepare_corpus(config_of(file), tmp_path / "corpus", seed=1)
    assert "know no date" not in capsys.readouterr().err


def test_too_many_bad_records_stop_the_job_and_name_the_first(tmp_path: Path) -> None:
    records = [record(index) for index in range(100)]
    records[10]["text"] = 5
    write_jsonl(tmp_path / "a.jsonl", records)
    config = config_of(tmp_path / "a.jsonl", maximum_bad_fraction=0.01)
    prepare_corpus(config, tmp_path / "corpus", seed=1)
    records[40]["text"] = None
    write_jsonl(tmp_path / "a.jsonl", records)
    message = (
        r"^source 'source_0': 2 of 100 records are malformed, above data\.maximum_bad_fraction 0\.01: "
        r"1 'text' is no string, 1 'text' is null; the first are a\.jsonl:11: 'text' is no string: its type is int; "
        r"a\.jsonl:41: 'text' is null; "
        r"all of them are in .*corpus/quarantine\.jsonl$"
    )
    with pytest.raises(DataError, match=message):
        prepare_corpus(config, tmp_path / "corpus", seed=1)
    assert len(quarantined(tmp_path / "corpus")) == 2
    assert not (tmp_path / "corpus" / "manifest.json").exists()


def test_what_is_after_the_cutoff_and_not_sampled_keeps_its_copies_out_of_training(tmp_path: Path) -> None:
    news = [record(index) for index in range(100)]
    copies = [record(index, id=f"c{index}", date=None) for index in range(90, 95)]
    near = [record(index, id=f"n{index}", date=None, text=f"{text_of(index)} again") for index in range(95, 100)]
    dated = write_jsonl(tmp_path / "a.jsonl", news)
    undated = write_jsonl(tmp_path / "b.jsonl", [*copies, *near, record(200, date=None)])
    trained = []
    for fraction in (1.0, 0.3, 1e-9):
        config = config_of(dated, undated, cutoff="2000-02-20", future_fraction=fraction)
        config = config.model_copy(
            update={"sources": (config.sources[0], config.sources[1].model_copy(update={"undated": "train"}))}
        )
        corpus = tmp_path / f"corpus-{fraction}"
        if fraction == 1e-9:
            with pytest.raises(DataError, match="to hold out"):
                prepare_corpus(config, corpus, seed=1)
            continue
        source = prepare_corpus(config, corpus, seed=1)["sources"]
        trained.append([ids(corpus, "train"), ids(corpus, "train", "source_1")])
        left_out = source["source_0"]["dropped"].get("after the cutoff, not sampled", 0)
        assert total(source["source_0"]) == 100
        assert left_out + source["source_0"]["kept"]["future"]["documents"] == 50
        assert (left_out > 20) == (fraction < 1)
        of_held_out = {"duplicate of held-out text": 5, "near-duplicate of held-out text": 5}
        assert source["source_1"]["dropped"] == of_held_out
    assert trained[0] == trained[1] == [[f"d{index}" for index in range(50)], ["d200"]]


def test_what_is_after_the_cutoff_and_not_written_keeps_its_copies_out_of_training(tmp_path: Path) -> None:
    """Text of a repeated id, and what cleaning dropped for its language or its length."""
    german = "Der Gerichtshof hat entschieden, dass die Klage gegen die Entscheidung der Kommission unbegründet ist. "
    german += "Die Kosten des Verfahrens trägt die Klägerin, die auch die Auslagen der Beklagten zu ersetzen hat."
    shortened = " ".join(map(text_of, range(300, 304)))
    texts = {"d1": text_of(200), "de": german, "long": f"{shortened} again and again"}
    news = [record(index) for index in range(99)] + [record(99, id="de")]  # whose id the German one does not take
    news[:0] = [record(90, id="de", text=german)]
    news += [record(90, id=name, text=text) for name, text in texts.items() if name != "de"]
    copies = [record(0, id=f"c{name}", text=text, date=None) for name, text in texts.items()]
    copies += [record(0, id="near", text=f"{text_of(200)} again", date=None), record(300, text=shortened, date=None)]
    dated = write_jsonl(tmp_path / "a.jsonl", news)
    undated = write_jsonl(tmp_path / "b.jsonl", [*copies, record(400, date=None)])
    config = config_of(dated, undated, cutoff="2000-03-20", maximum_characters=len(texts["long"]) - 1)
    first, second = config.sources
    sources = (first.model_copy(update={"language": "en"}), second.model_copy(update={"undated": "train"}))
    report = prepare_corpus(config.model_copy(update={"sources": sources}), tmp_path / "corpus", seed=1)["sources"]
    assert report["source_0"]["dropped"] == {"language: de": 1, "too long": 1}
    assert report["source_0"]["quarantined"] == {"duplicate id": 1}
    assert report["source_1"]["dropped"] == {
        "duplicate of held-out text": 2,
        "near-duplicate of held-out text": 2,
        "too long": 1,
    }
    assert ids(tmp_path / "corpus", "train", "source_1") == ["d400"]
    assert ids(tmp_path / "corpus", "future") == [*(f"d{index}" for index in range(79, 99)), "de"]
    assert total(report["source_0"]) == 103
    assert total(report["source_1"]) == 6


def test_what_is_dropped_counts_by_its_characters_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = [record(index) for index in range(150)]
    long = " ".join(map(text_of, range(200, 300)))
    file = write_jsonl(tmp_path / "a.jsonl", [*records, record(150, text=long), *map(record, range(151, 153))])
    source = prepare_corpus(config_of(file, maximum_characters=1_000), tmp_path / "corpus", seed=1)["sources"][
        "source_0"
    ]
    assert (source["dropped"], source["dropped_characters"]) == ({"too long": 1}, {"too long": len(long)})
    share = len(long) / (len(long) + source["kept"]["train"]["characters"])
    assert f"152 kept, dropped 1 too long ({share:.0%} of the characters), quarantined" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("encode", "kind"),
    [
        (json.dumps, "a JSON string, in quotes and with escapes"),
        (lambda text: repr(text.encode()), r"bytes as Python prints them \(b'…'\)"),
        (lambda text: json.dumps({"text": text}), "a JSON record"),
        (lambda text: repr([text]), "a list of texts, in brackets and quotes"),
    ],
)
@pytest.mark.parametrize("number", [40, 1_200])
def test_a_source_of_text_that_is_an_encoding_of_text_is_refused(
    tmp_path: Path, encode: Callable[[str], str], kind: str, number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = [f'He said "{text_of(index)}",\nand "{index}".' for index in range(number)]
    records = [record(index, text=encode(text) if index % 3 else text) for index, text in enumerate(texts)]
    file = write_jsonl(tmp_path / "a.jsonl", records)
    seen = min(number, 1_000)
    with pytest.raises(DataError, match=rf"{2 * seen // 3} of {seen:,} texts are {kind}: a model would learn"):
        prepare_corpus(config_of(file), tmp_path / "corpus", seed=1)
    few = [record(index, text=encode(text) if index % 3 == 1 else text) for index, text in enumerate(texts[:40])]
    report = prepare_corpus(config_of(write_jsonl(file, few)), tmp_path / "corpus", seed=1)
    assert sum(report["sources"]["source_0"]["encoded"].values()) == 13
    assert re.search(f"source_0: 13 of 40 texts are {kind}: write what they stand for", capsys.readouterr().err)


@pytest.mark.parametrize("broken", [2, 3])
def test_texts_with_replacement_characters_are_counted_and_many_are_said(
    tmp_path: Path, broken: int, capsys: pytest.CaptureFixture[str]
) -> None:
    latin = "Le cr\xe9dit a baiss\xe9. ".encode("latin-1").decode("utf-8", "replace")
    records = [record(index, text=(latin if index < broken else "") + text_of(index)) for index in range(200)]
    report = prepare_corpus(config_of(write_jsonl(tmp_path / "a.jsonl", records)), tmp_path / "corpus", seed=1)
    assert report["sources"]["source_0"]["undecoded"] == broken
    said = f"source_0: {broken} of 200 texts have replacement characters (U+FFFD)"
    assert (said in capsys.readouterr().err) == (broken > 2)


def test_tombstones_that_are_taken_away_are_said(
    tmp_path: Path, hundred: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, corpus, file = config_of(hundred), tmp_path / "corpus", tmp_path / TOMBSTONES
    assert config.near_duplicates
    requests = [Request("source_0", f"d{index}", text_of(index)) for index in range(3)]
    forget(file, requests, config.near_duplicates, datetime.date(2024, 1, 1))
    prepare_corpus(config, corpus, seed=1)
    assert "come back" not in capsys.readouterr().err
    file.write_bytes(file.read_bytes().splitlines(keepends=True)[0])
    for number, returning in ((1, 2), (0, 1)):
        prepare_corpus(config, corpus, seed=1)
        before = number + returning
        assert (
            f"corpus: {file} has {number} documents to be forgotten, {corpus} was made with {before}: up to "
            f"{returning} come back"
        ) in capsys.readouterr().err
        file.unlink(missing_ok=True)
    assert len(ids(corpus, "train")) == 100


def test_a_tombstone_in_the_place_of_another_is_said(
    tmp_path: Path, hundred: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, corpus, file = config_of(hundred), tmp_path / "corpus", tmp_path / TOMBSTONES
    assert config.near_duplicates
    lines = []
    for index in range(3):
        forget(
            file,
            [Request("source_0", f"d{index}", text_of(index))],
            config.near_duplicates,
            datetime.date(2024, 1, 1),
        )
        lines.append(file.read_bytes().splitlines(keepends=True)[-1])
    file.write_bytes(lines[0] + lines[1])
    prepare_corpus(config, corpus, seed=1)
    file.write_bytes(b"".join(lines))  # one more
    prepare_corpus(config, corpus, seed=1)
    assert "come back" not in capsys.readouterr().err
    file.write_bytes(lines[0] + lines[1] * 2)
    prepare_corpus(config, corpus, seed=1)
    assert "those of lines that were replaced or changed come back" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"near_duplicates": None, "cutoff": "2000-03-31"}, True),
        ({"near_duplicates": None, "past_fraction": 0.1}, True),
        ({"near_duplicates": None}, False),
        ({"cutoff": "2000-03-31"}, False),
    ],
)
def test_near_copies_of_held_out_text_that_stay_are_said(
    tmp_path: Path, hundred: Path, changes: dict[str, Any], said: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare_corpus(config_of(hundred, **changes), tmp_path / "corpus", seed=1)
    assert ("corpus: data.near_duplicates is null: near-copies of held-out" in capsys.readouterr().err) == said


def test_a_few_malformed_records_count_by_their_bytes(tmp_path: Path) -> None:
    good = [json.dumps(record(index)) for index in range(150)]
    lost = [json.dumps(record(index)) for index in range(150, 1650)]
    long = " ".join(map(text_of, range(1500)))
    broken_date = json.dumps(record(150, text=long, date="tomorrow"))
    text = [json.dumps({"body": long})]
    for name, content in {
        "newlines lost": [*good, " ".join(lost)],
        "CR line ends": [*good, "\r".join(lost)],
        "one long record": [*good, broken_date],
        "no text": [*good, *text],
        "paragraphs": [*good, json.dumps(record(150, text=[long[:20_000], long[20_000:]]))],
        "an object": [*good, json.dumps(record(150, text={"body": {"content": [long]}}))],
        "a repeated id": [*good, json.dumps(record(0, text=long))],
    }.items():
        for ending, pack in {"jsonl": bytes, "jsonl.gz": gzip.compress}.items():
            folder = tmp_path / name / ending
            folder.mkdir(parents=True)
            (folder / f"a.{ending}").write_bytes(pack("".join(f"{line}\n" for line in content).encode()))
            with pytest.raises(
                DataError, match=r"1 of 151 records are malformed with (8[5-9]|9\d)\.\d% of the bytes, above"
            ):
                prepare_corpus(config_of(folder), tmp_path / name / ending / "corpus", seed=1)


def damaged_gzip(folder: Path) -> bytes:
    """3,000 documents in a file of which one byte is flipped, in the middle."""
    lines = "".join(json.dumps(record(index)) + "\n" for index in range(1_000, 4_000))
    content = bytearray(gzip.compress(lines.encode()))
    content[len(content) // 2] ^= 0xFF
    (folder / "b.jsonl.gz").write_bytes(content)
    return bytes(content)


def damaged_parquet(folder: Path) -> bytes:
    """5,000 rows without the footer."""
    pq.write_table(pa.Table.from_pylist([record(index) for index in range(1_000, 6_000)]), folder / "b.parquet")
    content = (folder / "b.parquet").read_bytes()[:-100]
    (folder / "b.parquet").write_bytes(content)
    return content


@pytest.mark.parametrize("damage", [damaged_gzip, damaged_parquet])
def test_a_damaged_file_stops_the_stage_unless_it_may_be_lost(tmp_path: Path, damage: Callable[[Path], bytes]) -> None:
    folder, corpus = tmp_path / "input", tmp_path / "corpus"
    folder.mkdir()
    write_jsonl(folder / "a.jsonl", [record(index) for index in range(150)])
    size = len(damage(folder))
    (name,) = (file.name for file in folder.glob("b.*"))
    stops = (
        rf"^source 'source_0': {name} cannot be read beyond record [\d,]+: damaged file: .*: replace it, or set "
        r"data\.damaged_files: quarantine to do without the rest of it$"
    )
    with pytest.raises(DataError, match=stops):
        prepare_corpus(config_of(folder), corpus, seed=1)
    share = rf"have no readable record \({name}: {size:,} of [\d,]+ bytes\), above data\.maximum_bad_fraction 0\.01"
    with pytest.raises(DataError, match=share):
        prepare_corpus(config_of(folder, damaged_files="quarantine"), corpus, seed=1)
    with pytest.raises(DataError, match=stops):  # also where it was staged when it might be lost
        prepare_corpus(config_of(folder), corpus, seed=1)
    allowed = config_of(folder, damaged_files="quarantine", maximum_bad_fraction=1.0)
    source = prepare_corpus(allowed, corpus, seed=1)["sources"]["source_0"]
    assert source["lost_files"] == {name: size}
    assert source["quarantined"]["damaged file"] == 1
    assert source["read"] == total(source)
    with pytest.raises(DataError, match=stops):
        prepare_corpus(config_of(folder), corpus, seed=1)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("array.json", json.dumps([record(index) for index in range(1_000, 4_000)]).encode()),
        ("old.jsonl", b"\r".join(json.dumps(record(index)).encode() for index in range(1_000, 4_000))),
    ],
)
def test_a_file_without_a_readable_record_is_lost_with_all_its_bytes(tmp_path: Path, name: str, content: bytes) -> None:
    """It is one line, and so one malformed record beside 150 good ones, but 3,000 documents."""
    folder = tmp_path / "input"
    folder.mkdir()
    write_jsonl(folder / "good.jsonl", [record(index) for index in range(150)])
    (folder / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"no readable record \({name}: {len(content):,} of"):
        prepare_corpus(config_of(folder), tmp_path / "corpus", seed=1)


GIT_LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22e\nsize 12345\n"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("b.txt", GIT_LFS, "a Git LFS pointer, not the file: run `git lfs pull`"),
        ("b.jsonl", GIT_LFS, "a Git LFS pointer, not the file"),
        ("b.jsonl.gz", GIT_LFS, "a Git LFS pointer, not the file"),
        ("b.parquet", GIT_LFS, "a Git LFS pointer, not the file"),
        ("b.txt", b"/annex/objects/SHA256E-s5--4d7a21.txt\n", "a git-annex pointer, not the file: run `git annex get`"),
        ("b.txt", b"\xef\xbb\xbf\n<!DOCTYPE html>\n<title>404 Not found</title>" + b"<p>" * 100, "a web page"),
        ("b.jsonl.zst", b"<HTML>\n<body>429 Too many requests</body>", "a web page"),
        (
            "b.txt",
            b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code></Error>',
            "a store's error",
        ),
    ],
)
def test_what_lies_in_the_place_of_a_file_is_named_and_is_no_document(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    folder = tmp_path / "input"
    folder.mkdir()
    write_jsonl(folder / "a.jsonl", [record(index) for index in range(150)])
    (folder / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"{name} cannot be read .*: damaged file: it is {said}"):
        prepare_corpus(config_of(folder), tmp_path / "corpus", seed=1)
    allowed = config_of(folder, damaged_files="quarantine", maximum_bad_fraction=1.0)
    source = prepare_corpus(allowed, tmp_path / "corpus", seed=1)["sources"]["source_0"]
    assert (source["quarantined"], source["lost_files"]) == ({"damaged file": 1}, {name: len(content)})


def test_text_that_begins_like_a_page_or_a_pointer_is_text(tmp_path: Path) -> None:
    texts = ["version https is what they asked for. ", "<htmlish> or not, ", "/annex/ is a folder. ", "<Error>. "]
    for index, text in enumerate(texts):
        (tmp_path / f"{index}.txt").write_text(text + text_of(index))
    source = prepare_corpus(config_of(tmp_path / "*.txt"), tmp_path / "corpus", seed=1)["sources"]["source_0"]
    assert source["kept"]["train"]["documents"] == len(texts)


def test_files_without_any_text_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "input"
    folder.mkdir()
    write_jsonl(folder / "a.jsonl", [record(index) for index in range(10)])
    for name, content in {
        "b.jsonl": b"",
        "c.jsonl": b"\n \n",
        "d.jsonl.gz": gzip.compress(b""),
        "f.txt": b"",
        "g.txt": b" \n",
        "h.jsonl": b'{"text": ""}\n{"text": "\\n"}\n',
    }.items():
        (folder / name).write_bytes(content)
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), folder / "e.parquet")
    source = prepare_corpus(config_of(folder), tmp_path / "corpus", seed=1)["sources"]["source_0"]
    assert source["empty_files"] == {"files": 7, "first": ["b.jsonl", "c.jsonl", "d.jsonl.gz"]}
    said = capsys.readouterr().err
    assert "corpus: source_0: files without any text: 7 (b.jsonl, c.jsonl, d.jsonl.gz and others)\n" in said
    with pytest.raises(DataError, match=r"files without any text: 1 \(b\.jsonl\): correct data.sources.source_1, or"):
        prepare_corpus(config_of(folder / "a.jsonl", folder / "b.jsonl"), tmp_path / "other", seed=1)


def test_what_was_taken_out_counts_in_what_is_kept_and_expressions_in_what_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    end = "\nAll rights reserved 2020\nAsk a@example.com"
    records = [record(index, text=text_of(index) + end) for index in range(4)]
    records[1]["text"] = f"short{end}"
    records[2]["text"] = records[0]["text"]
    records[3]["text"] = f"8=FIX\x019=178 {records[3]['text']}"
    file = write_jsonl(tmp_path / "a.jsonl", records)
    typo, other = "All right reserved .*", write_jsonl(tmp_path / "b.jsonl", [record(index) for index in range(9, 12)])
    cleaning = {"boilerplate_lines": ["All rights reserved .*", typo], "scrub": ["email", "iban"]}
    sources = prepare_corpus(config_of(file, other, cleaning=cleaning), tmp_path / "corpus", seed=1)["sources"]
    assert sources["source_0"]["dropped"] == {"duplicate": 1, "too short": 1}
    assert sources["source_0"]["removed_lines"] == 2
    assert sources["source_0"]["scrubbed"] == {"email": 2, "iban": 0}
    assert (sources["source_0"]["altered"], sources["source_1"]["altered"]) == ({"control characters": 1}, {})
    assert sources["source_0"]["boilerplate_lines"] == {"All rights reserved .*": 4, typo: 0}
    assert (sources["source_1"]["removed_lines"], sources["source_1"]["scrubbed"]) == (0, {"email": 0, "iban": 0})
    said = capsys.readouterr().err
    assert f"data.cleaning.boilerplate_lines: '{typo}' matches no line of any document" in said
    assert "'All rights reserved .*'" not in said


def test_fields_that_are_no_unicode_reach_the_quarantine_file(tmp_path: Path) -> None:
    file = write_jsonl(tmp_path / "a.jsonl", [{"text": text_of(1)}, {"\ud800": 1}])
    prepare_corpus(config_of(file, maximum_bad_fraction=0.5), tmp_path / "corpus", seed=1)
    assert quarantined(tmp_path / "corpus")[0]["reason"] == "no field 'text': the record has \ud800"


def test_repeated_ids_stop_the_job_before_anything_is_written(tmp_path: Path) -> None:
    for name in "ab":
        write_jsonl(tmp_path / f"{name}.jsonl", [record(index) for index in range(10)])
    message = (
        r"10 of 20 records are malformed, above .*: 10 duplicate id; the first are b\.jsonl:1: duplicate id: d0, which "
        r"a\.jsonl:1 has; b\.jsonl:2: duplicate id: d1, which a\.jsonl:2 has; .*; all of them are in"
    )
    with pytest.raises(DataError, match=message):
        prepare_corpus(config_of(tmp_path / "?.jsonl"), tmp_path / "corpus", seed=1)
    assert len(quarantined(tmp_path / "corpus")) == 10
    assert not (tmp_path / "corpus" / "train").exists()
    report = prepare_corpus(config_of(tmp_path / "?.jsonl", maximum_bad_fraction=0.5), tmp_path / "corpus", seed=1)
    assert report["sources"]["source_0"]["quarantined"] == {"duplicate id": 10}


def test_a_wrong_field_is_noticed_early(tmp_path: Path) -> None:
    file = write_jsonl(tmp_path / "a.jsonl", [{"body": text_of(index)} for index in range(3_000)])
    with pytest.raises(
        DataError, match=r"first 1,000 records of a\.jsonl are all malformed.*no field 'text': the record has body"
    ):
        prepare_corpus(config_of(file), tmp_path / "corpus", seed=1)


@pytest.mark.parametrize(
    ("records", "changes", "message"),
    [
        (
            [],
            {},
            r"^source 'source_0': nothing is left of the records in .*: 0 read, 0 kept, dropped none, quarant",
        ),
        ([record(1, text="short")], {}, "in .*: 1 read, 0 kept, dropped 1 too short, quarantined none"),
        (
            [record(1)],
            {"cutoff": "1999-01-01"},
            "^no documents to train on: all are of data.cutoff 1999-01-01 or later",
        ),
        ([record(1)], {"cutoff": "2030-01-01"}, "2030-01-01 or later to hold out: the last date is 2000-01-02; choose"),
    ],
)
def test_a_corpus_that_cannot_be_used_is_refused(
    tmp_path: Path, records: list[Any], changes: dict[str, Any], message: str
) -> None:
    file = write_jsonl(tmp_path / "a.jsonl", records)
    with pytest.raises(DataError, match=message):
        prepare_corpus(config_of(file, **changes), tmp_path / "corpus", seed=1)
    assert not (tmp_path / "corpus" / "manifest.json").exists()


def folder_of(tmp_path: Path, files: int, each: int) -> Path:
    folder = tmp_path / "input"
    folder.mkdir()
    for number in range(files):
        records = [record(each * number + index) for index in range(each)]
        write_jsonl(folder / f"{number:02d}.jsonl", records)
    return folder


def test_small_files_are_staged_and_written_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_of(tmp_path, files=150, each=2)
    (folder / "100.jsonl").write_bytes(b"not json\n" + (folder / "100.jsonl").read_bytes())
    config = config_of(folder, cutoff="2000-06-01")
    prepare_corpus(config, tmp_path / "corpus", seed=1, shard=(0, 1))
    assert len([path for path in (tmp_path / "corpus").rglob("*") if path.is_file()]) <= 12
    source = prepare_corpus(config, tmp_path / "corpus", seed=1)["sources"]["source_0"]
    assert source["read"] == total(source) == 301
    assert [entry["file"] for entry in quarantined(tmp_path / "corpus")] == ["100.jsonl"]
    assert len(digests(tmp_path / "corpus")) <= 9
    monkeypatch.setattr(parts, "GROUP_BYTES", 1)  # one by one, as before
    prepare_corpus(config, tmp_path / "alone", seed=1)
    for split in ("train", "future"):
        assert len(corpus_files(tmp_path / "alone", split)["source_0"]) > 40
        assert rows(tmp_path / "corpus", split) == rows(tmp_path / "alone", split)


def test_a_changed_file_makes_its_group_anew_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "GROUP_BYTES", 30_000)
    folder = folder_of(tmp_path, files=60, each=2)
    config = config_of(folder)

    def staged() -> dict[Path, int]:
        prepare_corpus(config, tmp_path / "corpus", seed=1, shard=(0, 1))
        files = (tmp_path / "corpus" / "staging" / "source_0").glob("*.json")
        return {file: file.stat().st_mtime_ns for file in files}

    before = staged()
    assert 5 <= len(before) < 30
    write_jsonl(folder / "30.jsonl", [record(5_000)])
    after = staged()
    assert len(before.items() - after.items()) <= 2
    assert 1 <= len(after.items() - before.items()) <= 2


def digests(corpus: Path) -> dict[str, str]:
    files = [path for path in corpus.rglob("*") if path.is_file()]
    return {path.relative_to(corpus).as_posix(): file_digest(path) for path in files}


def test_shards_and_workers_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "GROUP_BYTES", 15_000)
    folder = folder_of(tmp_path, files=7, each=12)
    (folder / "03.jsonl").write_text("")  # a part of which nothing is left
    (folder / "05.jsonl").write_bytes(b"not json\n" + (folder / "05.jsonl").read_bytes())
    settings: dict[str, Any] = {"cutoff": "2000-03-01", "past_fraction": 0.2, "maximum_bad_fraction": 0.1}
    prepare_corpus(config_of(folder, workers=1, **settings), tmp_path / "one", seed=1)
    config = config_of(folder, workers=2, **settings)
    for index in (2, 0, 1):  # in whatever order the tasks of an array run
        done = prepare_corpus(config_of(folder, **settings), tmp_path / "array", seed=1, shard=(index, 3))
    assert 1 < done["parts"] == done["staged"] < 7
    prepare_corpus(config, tmp_path / "array", seed=1)
    assert digests(tmp_path / "array") == digests(tmp_path / "one")


@pytest.mark.parametrize("seed", range(2))
def test_a_killed_run_goes_on_where_it_was(tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """kill -9 at a random moment: what was staged is not staged again, and the result is that of an undisturbed run."""
    monkeypatch.setattr(parts, "GROUP_BYTES", 100_000)
    folder = folder_of(tmp_path, files=40, each=45)
    config = config_of(folder, workers=1, cutoff="2003-01-01", past_fraction=0.1)
    prepare_corpus(config, tmp_path / "whole", seed=1)
    corpus = tmp_path / "corpus"
    program = (
        "from pathlib import Path; from data.config import DataConfig; from data.corpus.build import prepare_corpus\n"
        f"from data.sources import parts; parts.GROUP_BYTES = {parts.GROUP_BYTES}\n"
        f"prepare_corpus(DataConfig.model_validate_json({config.model_dump_json()!r}), Path({str(corpus)!r}), 1)"
    )
    process = subprocess.Popen([sys.executable, "-c", program], cwd=CHECKOUT, stderr=subprocess.DEVNULL)
    groups = random.Random(seed).randrange(1, 12)
    staging = corpus / "staging" / "source_0"
    while len(list(staging.glob("*.json"))) < groups and process.poll() is None:
        time.sleep(0.001)
    process.kill()
    assert process.wait() in (0, -signal.SIGKILL)  # never for a fault of its own
    staged = {file: file.stat().st_mtime_ns for file in staging.glob("*.json")}
    prepare_corpus(config, corpus, seed=1, shard=(0, 1))
    assert staged == {file: file.stat().st_mtime_ns for file in staged}
    prepare_corpus(config, corpus, seed=1)
    assert digests(corpus) == digests(tmp_path / "whole")


def changed(text: str, word: int) -> str:
    """The text with one word changed: a near-duplicate of it where it is long enough."""
    words = text.split()
    words[word] = "otherwise"
    return " ".join(words)


def long_text(seed: int) -> str:
    chance = random.Random(seed)
    return " ".join("".join(chance.choices("abcdefghij", k=6)) for _ in range(200))


def test_near_duplicates_leave_the_training_side_of_the_date(tmp_path: Path) -> None:
    old = [record(index, text=long_text(index)) for index in range(6)]
    old.append(record(6, text=changed(long_text(5), 50)))  # of d5, within the training text
    new = [record(index, date="2001-01-01", text=changed(long_text(index), 100)) for index in range(3)]
    config = config_of(
        write_jsonl(tmp_path / "old.jsonl", old), write_jsonl(tmp_path / "new.jsonl", new), cutoff="2001-01-01"
    )
    report = prepare_corpus(config, tmp_path / "corpus", seed=1)["sources"]
    assert ids(tmp_path / "corpus", "train") == ["d3", "d4", "d5"]
    assert ids(tmp_path / "corpus", "future", "source_1") == ["d0", "d1", "d2"]
    assert report["source_0"]["dropped"] == {"near-duplicate": 1, "near-duplicate of held-out text": 3}
    kept = config.model_copy(update={"near_duplicates": None})
    prepare_corpus(kept, tmp_path / "kept", seed=1)
    assert ids(tmp_path / "kept", "train") == [f"d{index}" for index in range(7)]


@pytest.mark.parametrize(
    ("changes", "splits"),
    [
        ({"cutoff": "2000-03-01", "past_fraction": 0.2}, ["train", "past", "future"]),
        ({"past_fraction": 0.2}, ["train", "past"]),
        ({}, ["train"]),
    ],
)
def test_datasets_loads_every_split_by_the_card(
    changes: dict[str, Any], splits: list[str], tmp_path: Path, hundred: Path
) -> None:
    """Of two sources, one of which is of the training split alone."""
    from datasets import load_dataset

    early = write_jsonl(tmp_path / "early.jsonl", [record(0, text=long_text(0))])
    corpus = tmp_path / "corpus"
    report = prepare_corpus(config_of(hundred, early, **changes), corpus, seed=3)["sources"]
    loaded = load_dataset(str(corpus), cache_dir=str(tmp_path / "cache"))
    assert list(loaded) == splits
    for split in splits:
        assert sorted(loaded[split]["id"]) == sorted(ids(corpus, split) + ids(corpus, split, "source_1"))
        kept = report["source_0"]["kept"][split]
        assert (
            f"| {split} | source_0 | {kept['documents']} | {kept['characters']:,} |"
            in (corpus / "README.md").read_text()
        )
    assert loaded["train"].column_names == list(CORPUS_COLUMNS)


STOCK = (
    "IN WITNESS WHEREOF, the parties hereto have caused this Agreement to be duly executed as of the day and year "
    "first above written by their respective officers thereunto duly authorized"
)


def test_a_phrase_that_many_documents_share_does_not_contaminate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The item's own words do: those of a handful of documents, and of a page that many near-copies have."""
    leaked = " ".join(f"question{number}" for number in range(30))
    copied = " ".join(f"riddle{number}" for number in range(30))
    texts = [f"{long_text(number)} {STOCK if number < 180 else ''}" for number in range(200)]
    texts[190:200] = [f"{long_text(number)} {leaked}" for number in range(190, 200)]
    page = long_text(500)
    texts += [f"{changed(page, place)} {copied}" for place in range(0, 195, 13)]  # near-duplicates, 15 of them
    file = write_jsonl(tmp_path / "a.jsonl", [record(index, text=text) for index, text in enumerate(texts)])
    questions = [f"{STOCK}: what follows?", leaked, copied, STOCK + ", unseen words" * 8]
    items = write_jsonl(tmp_path / "items.jsonl", [{"question": question} for question in questions])
    config = config_of(file, past_fraction=0.0, decontamination={"paths": [str(items)]})
    report = prepare_corpus(config, tmp_path / "corpus", seed=1)
    assert ids(tmp_path / "corpus", "train") == [f"d{index}" for index in range(190)]
    assert report["sources"]["source_0"]["dropped"] == {"contaminated": 25}
    met = report["contamination"]
    assert {item: found["documents"] for item, found in met["touched"].items()} == {f"{items}:2": 10, f"{items}:3": 15}
    assert {item: found["documents"] for item, found in met["common"].items()} == {f"{items}:1": 180, f"{items}:4": 180}
    assert [found["item"] for found in met["widespread"]] == [f"{items}:{line}" for line in (1, 2, 3, 4)]
    said = capsys.readouterr().err
    assert f"item {items}:1 shares words with 180 of 215 training documents of source source_0" in said
    assert "raise data.decontamination.common_documents" in said
    more = config.model_copy(
        update={"decontamination": config.decontamination.model_copy(update={"common_documents": 500})}
    )
    assert prepare_corpus(more, tmp_path / "more", seed=1)["sources"]["source_0"]["dropped"] == {"contaminated": 205}
    flag = config.model_copy(update={"decontamination": config.decontamination.model_copy(update={"action": "flag"})})
    flagged = prepare_corpus(flag, tmp_path / "flag", seed=1)
    assert flagged["contamination"]["touched"][f"{items}:2"]["documents"] == 10
    assert flagged["sources"]["source_0"]["kept"]["train"]["documents"] == 201


def test_near_duplicates_and_items_are_found_however_their_letters_are_written(tmp_path: Path) -> None:
    text = " ".join(f"the office of finance {word}" for word in long_text(1).split()[:60])
    item = "the official affidavit of the firm was filed with five different offices in the first fiscal half"

    def written(text: str) -> str:
        """As the text layer of a PDF file has it."""
        text = text.replace("ffi", "ﬃ").replace("fi", "ﬁ").replace("na", "na\xad").replace("off", "o\u200cff")
        return text.replace("fiscal", "ﬁs-\ncal").replace("the o", "ｔｈｅ o")

    new = write_jsonl(tmp_path / "new.jsonl", [record(0, date="2001-01-01", text=text)])
    texts = [written(text), f"{long_text(2)} {written(item)}", long_text(3)]
    old = write_jsonl(tmp_path / "old.jsonl", [record(index, text=each) for index, each in enumerate(texts)])
    items = write_jsonl(tmp_path / "items.jsonl", [item])
    config = config_of(old, new, cutoff="2001-01-01", past_fraction=0.0, decontamination={"paths": [str(items)]})
    report = prepare_corpus(config, tmp_path / "corpus", seed=1)["sources"]["source_0"]
    assert report["dropped"] == {"contaminated": 1, "near-duplicate of held-out text": 1}
    assert ids(tmp_path / "corpus", "train") == ["d2"]
    kept = pq.read_table(tmp_path / "corpus" / "future")["text"].to_pylist()
    assert kept == [text]  # no text is changed


def test_what_is_forgotten_goes_with_all_that_resembles_it(tmp_path: Path) -> None:
    texts = [long_text(0), changed(long_text(0), 7), long_text(1), long_text(2), "short and secret"]
    file = write_jsonl(tmp_path / "a.jsonl", [record(index, text=text) for index, text in enumerate(texts)])
    config = config_of(file)
    corpus = tmp_path / "run" / "corpus"
    samples = prepare_corpus(config, corpus, seed=1)["sources"]["source_0"]["samples"]
    assert [(one["id"], one["resembles"]) for one in samples["near-duplicate"]] == [("d1", "source_0/d0")]
    assert [(one["id"], one["text"]) for one in samples["too short"]] == [("d4", texts[4])]
    assert ids(corpus, "train") == ["d0", "d2", "d3"]
    assert config.near_duplicates
    requests = [Request("source_0", "d0", texts[0]), Request("source_0", "d4", texts[4])]
    forget(tmp_path / "run" / TOMBSTONES, requests, config.near_duplicates, datetime.date(2026, 1, 2))
    report = prepare_corpus(config, corpus, seed=1)
    assert ids(corpus, "train") == ["d2", "d3"]
    assert report["sources"]["source_0"]["dropped"] == {"forgotten": 2, "too short": 1}
    assert report["tombstones"] == 2
    written = "".join(path.read_text() for path in corpus.glob("*.json*"))
    assert texts[0][:30] not in written
    assert texts[4] not in written  # dropped by a filter, before the tombstones are looked at


def test_no_file_of_the_next_corpus_has_a_text_that_resembles_what_is_forgotten(tmp_path: Path) -> None:
    """Also not as a sample of what was dropped: as contaminated, too long or a duplicate of a near-duplicate."""
    secret, item = long_text(0), " ".join(f"item{number}" for number in range(20))
    near = [changed(secret, place) for place in (7, 70, 130)]
    texts = [secret, near[0], near[0], f"{near[1]} {item}", near[2] * 2, long_text(1)]
    file = write_jsonl(tmp_path / "a.jsonl", [record(index, text=text) for index, text in enumerate(texts)])
    other = write_jsonl(tmp_path / "b.jsonl", [record(0, text=near[0]), record(1, text=long_text(2))])
    items = write_jsonl(tmp_path / "items.jsonl", [{"question": item}])
    limits = {"maximum_characters": len(secret) + 500, "decontamination": {"paths": [str(items)]}}
    config = config_of(file, other, **limits)
    corpus = tmp_path / "run" / "corpus"
    before = prepare_corpus(config, corpus, seed=1)["sources"]["source_0"]["samples"]
    assert {reason: [one["id"] for one in found] for reason, found in before.items()} == {
        "contaminated": ["d3"],
        "duplicate": ["d2"],
        "near-duplicate": ["d1"],
        "too long": ["d4"],
    }
    assert config.near_duplicates
    requests = [Request("source_0", "d0", secret)]
    forget(tmp_path / "run" / TOMBSTONES, requests, config.near_duplicates, datetime.date(2026, 1, 2))
    report = prepare_corpus(config, corpus, seed=1)["sources"]
    assert report["source_0"]["dropped"] == {"contaminated": 1, "forgotten": 3, "too long": 1}
    assert report["source_1"]["dropped"] == {"forgotten": 1}
    words = secret.split()[20:60]
    for path in (path for path in corpus.rglob("*") if path.is_file()):
        content = str(pq.read_table(path).to_pylist()) if path.suffix == ".parquet" else path.read_text("utf-8")
        assert not any(word in content for word in words), path


def test_a_finished_corpus_is_recognised_where_its_source_cannot_be_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = fsspec.filesystem("memory")
    content = "".join(json.dumps(record(index)) + "\n" for index in range(30))
    store.pipe("/distant/news.jsonl", content.encode())
    source = config_of(Path("news.jsonl")).sources[0].model_copy(update={"path": "memory://distant/news.jsonl"})
    config = config_of(Path("news.jsonl")).model_copy(update={"sources": (source,)})
    report = prepare_corpus(config, tmp_path / "corpus", seed=1)
    assert report["sources"]["source_0"]["read"] == 30

    def no_route(*arguments: Any, **options: Any) -> None:
        raise ConnectionError("no route to host")

    monkeypatch.setattr(type(store), "isdir", no_route)
    monkeypatch.setattr(type(store), "info", no_route)
    assert prepare_corpus(config, tmp_path / "corpus", seed=1) == report
    with pytest.raises(UnreachableError, match="no route to host"):
        prepare_corpus(config, tmp_path / "corpus", seed=2)
    assert (tmp_path / "corpus" / "manifest.json").exists()


def fuzzed_line(draw: random.Random, index: int) -> bytes:
    """A line of JSON as it should be, or one that something has happened to."""
    good = json.dumps(record(index), ensure_ascii=draw.random() < 0.5).encode()
    match draw.randrange(9):
        case 0:
            return good[: draw.randrange(1, len(good))]
        case 1:
            return draw.randbytes(draw.randrange(1, 200)).replace(b"\n", b"") or b"?"
        case 2:
            return good.decode().encode("utf-16-le").replace(b"\n", b"")
        case 3:
            position = draw.randrange(len(good))
            return good[:position] + draw.randbytes(1).replace(b"\n", b"!") + good[position + 1 :]
        case 4:
            value = draw.choice([None, 1, 2.5, True, [], {}, "", " ", "x" * 100, "\ud800", "\x00" * 90, "é\u0301" * 60])
            return json.dumps(record(index) | {draw.choice(["id", "text", "date", "url", "licence"]): value}).encode()
        case 5:
            return json.dumps(draw.choice([None, 3, "text", [1], {}, [record(index)]])).encode()
    return good


def fuzzed_parquet(draw: random.Random, file: Path, first: int) -> int:
    """A Parquet file whose columns are of any type; its rows."""
    count = draw.randrange(1, 9)
    columns: dict[str, pa.Array] = {}
    for name in draw.sample(["id", "text", "date", "url", "licence", "other"], k=draw.randrange(1, 7)):
        good = [str(record(first + index).get(name, index)) for index in range(count)]
        columns[name] = draw.choice(
            [
                pa.array(good),
                pa.array(good),
                pa.array([None] * count, pa.string()),
                pa.array(range(count)),
                pa.array([value.encode() for value in good]),
                pa.array([b"\xff\xfe text"] * count).view(pa.string()),
                pa.array([[value] for value in good]),
                pa.array([2**33 + index for index in range(count)]).cast(pa.timestamp("s")),
                pa.array([10_000_000] * count, pa.int32()).cast(pa.date32()),
            ]
        )
    pq.write_table(pa.table(columns), file)
    return count


@pytest.mark.parametrize("seed", range(20))
def test_whatever_comes_in_is_kept_dropped_or_quarantined(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    folder = tmp_path / "input"
    folder.mkdir()
    write_jsonl(folder / "good.jsonl", [record(5_000)])  # so that something is left
    expected = 1
    for number in range(10):
        first = 100 * number
        if draw.random() < 0.3:
            expected += fuzzed_parquet(draw, folder / f"{number}.parquet", first)
        else:
            lines = [fuzzed_line(draw, first + index) for index in range(draw.randrange(1, 20))]
            content = b"\n".join(lines) + draw.choice([b"", b"\n", b"\r\n", b"\n\n"])
            expected += sum(bool(line.strip()) for line in content.split(b"\n"))
            packed = draw.random() < 0.5
            (folder / f"{number}.jsonl{'.gz' if packed else ''}").write_bytes(
                gzip.compress(content) if packed else content
            )
    corpus = tmp_path / "corpus"
    source = prepare_corpus(config_of(folder, maximum_bad_fraction=1.0, damaged_files="quarantine"), corpus, seed=seed)[
        "sources"
    ]["source_0"]
    assert source["read"] == total(source) == expected
    assert len(quarantined(corpus)) == sum(source["quarantined"].values())
    assert all(entry["reason"] and entry["file"] and entry["line"] >= 1 for entry in quarantined(corpus))
    kept = rows(corpus, "train")
    assert len({row["id"] for row in kept}) == len({row["text"] for row in kept}) == len(kept)
    assert all(len(row["text"]) >= 50 for row in kept)


def test_dates_of_one_day_of_the_year_are_said_under_a_cutoff_within_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = {
        "years": lambda index: f"{2010 + index % 12}-01-01",
        "months": lambda index: f"{2010 + index % 12}-{1 + index % 11:02}-01",
        "export": lambda index: "2019-01-05" if index < 70 else f"2019-{2 + index % 11:02}-{2 + index % 27:02}",
        "days": lambda index: f"{2010 + index % 12}-{1 + index % 12:02}-{1 + index % 28:02}",
        "quarters": lambda index: f"{2010 + index % 11}-{('03-31', '06-30', '09-30', '12-31')[index % 4]}",
        "ends": lambda index: f"{2010 + index % 11}-{('01-31', '02-28', '05-31', '07-31', '11-30')[index % 5]}",
    }
    ends = [f"'{name}': 120 of 120 dates are the last of a month" for name in ("quarters", "ends")]
    sources = []
    for place, (name, date) in enumerate(written.items()):
        records = [record(1000 * place + index, date=date(index)) for index in range(120)]
        file = write_jsonl(tmp_path / f"{name}.jsonl", records)
        sources.append({"name": name, "path": str(file)})
    for cutoff, expected in (
        ("2019-07-15", ["'years': 120 of 120 dates are 01-01", "'months': 120 of 120 dates are the first of a month"]),
        ("2019-07-01", ["'years': 120 of 120 dates are 01-01"]),
        ("2019-01-01", []),
        ("2019-06-30", ["'years': 120 of 120 dates are 01-01", "'months': 120 of 120 dates are the first of a month"]),
    ):
        prepare_corpus(config_of(file, sources=sources, cutoff=cutoff), tmp_path / "corpus", seed=1)
        said = [line for line in capsys.readouterr().err.split("\n") if " dates are " in line]
        expected += ["'export': 70 of 120 dates are 01-05", *(ends if cutoff != "2019-06-30" else [])]
        for line, start in zip(said, expected, strict=True):
            assert f"corpus: source {start}: if they are years or months alone" in line


@pytest.mark.parametrize(
    ("alter", "said"),
    [
        (lambda text: f"{text}\n{text[:40]}\nThe end.", "of the characters went with lines that data.cleaning"),
        (lambda text: f"{text}<|endoftext|>{text[::-1]}", "100 of 100 texts have <|endoftext|> in them"),
        (
            lambda text: f"<html><body><p>{text}</p></body></html>\n",
            "100 of 100 texts are HTML, of which a model learns",
        ),
        (lambda text: (text * 9)[:300], "100 of 100 texts have 300 characters, and none has more"),
    ],
)
def test_what_may_not_be_meant_is_said(
    alter: Callable[[str], str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cleaning = {"boilerplate_lines": ["word.*", ".{40}"]}
    for changed in (True, False):
        records = [record(index, text=alter(text_of(index)) if changed else text_of(index)) for index in range(100)]
        file = write_jsonl(tmp_path / "a.jsonl", records)
        prepare_corpus(config_of(file, cleaning=cleaning), tmp_path / "corpus", seed=1)
        assert (said in capsys.readouterr().err) == changed
