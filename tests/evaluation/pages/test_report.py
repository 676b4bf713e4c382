"""The report: a verdict that follows from the figures, tables of any depth, and a page that stands alone."""

import json
import random
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data.errors import DataError
from evaluation.pages.html import Row, Table
from evaluation.pages.report import ReportInputs, compare, judge, key_figures, outline_tables, write_report
from tests.traced import trace

EVALUATION = {
    "notes": ["wiki: nothing is held out as `future`"],
    "step": 1200,
    "sources": {
        "speeches": {
            "past": {"bits_per_byte": 1.39, "bytes": 50_000, "tokens": 12_000},
            "future": {"bits_per_byte": 1.41, "bytes": 300_000, "tokens": 72_000},
        },
        "minutes": {"future": {"bits_per_byte": 1.21, "bytes": 100_000, "tokens": 24_000}},
        "wiki": {"past": {"bits_per_byte": 1.92, "bytes": 40_000, "tokens": 11_000}},
    },
    "periods": {
        "speeches": {"future": {"2019": {"bits_per_byte": 1.38}, "2020": {"bits_per_byte": 1.40}}},
        "minutes": {"future": {"2019": {"bits_per_byte": 1.19}, "2020": {"bits_per_byte": 1.22}}},
    },
    "baselines": {
        "ngram": {"speeches": {"past": 1.50, "future": 1.60}, "minutes": {"future": 1.30}, "wiki": {"past": 1.90}},
        "xz": {"speeches": {"past": 2.50, "future": 2.27}, "minutes": {"future": 1.90}, "wiki": {"past": 2.80}},
        "xz_primed": {"speeches": {"past": 1.25, "future": 1.99}, "minutes": {"future": 1.60}},
        "zstd": {"speeches": {"past": 2.55, "future": 2.29}, "minutes": {"future": 1.95}, "wiki": {"past": 2.85}},
        "zstd_primed": {"speeches": {"past": 1.83, "future": 2.01}, "minutes": {"future": 1.62}},
    },
    "baseline_methods": {"ngram": "byte 12-gram, modified Kneser–Ney, counted on all training text"},
}
CORPUS = {
    "sources": {
        "speeches": {
            "read": 231,
            "kept": {"train": {"documents": 200, "first_date": "1996-06-10"}, "future": {"documents": 20}},
            "dropped": {"duplicate": 11},
        },
        "wiki": {"read": 10_033, "kept": {"train": {"documents": 9_900, "first_date": None}}, "dropped": {}},
    }
}
TOKENIZER = {
    "kind": "bpe",
    "vocabulary_size": 4096,
    "sources": {"speeches": {"bytes_per_token": 4.2134, "tokens_per_word": 1.31}},
    "longest_pieces": [" unemployment", " <b>inflation"],
}


def metrics() -> list[dict[str, Any]]:
    chance = random.Random(0)
    lines: list[dict[str, Any]] = []
    for step in range(1, 1201):
        line = {"step": step, "loss": 3 + 5.3 / (1 + step / 60) + chance.gauss(0, 0.08), "tokens": 2048 * step}
        line |= {
            "learning_rate": 2e-3 * min(step / 100, 1 - step / 1400),
            "gradient_norm": chance.lognormvariate(0, 0.3),
        }
        line |= {"gradient_square": chance.gauss(0.5, 0.1), "gradient_variance": chance.gauss(20, 1)}
        line |= {"tokens_per_second": chance.gauss(9000, 300), "mfu": 0.31, "seconds": 0.25}
        lines.append(line)
        if step % 100 == 0:
            falling = 1.35 + 1.4 / (1 + step / 120)
            found = {"speeches": {"future": falling, "past": falling - 0.02}, "wiki": {"past": falling + 0.5}}
            lines.append({"step": step, "evaluation": found, "seconds": 2.0})
    return lines


@pytest.fixture
def inputs(tmp_path: Path) -> ReportInputs:
    """A made-up run with everything that a run can have."""
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in metrics()))
    for name, content in (("evaluate", EVALUATION), ("corpus", CORPUS), ("tokenizer", TOKENIZER)):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    return ReportInputs(
        name="fed <speeches>",
        metrics=tmp_path / "metrics.jsonl",
        evaluation=tmp_path / "evaluate.json",
        corpus=tmp_path / "corpus.json",
        tokenizer=tmp_path / "tokenizer.json",
        samples=[
            {"prompt": "The Committee", "text": " decided to raise the target range for the federal funds rate.\n\nIn"},
            {"prompt": "<script>alert(1)</script>", "text": " & “quoted” ☃ <img src=x onerror=alert(1)>"},
        ],
        domain_sources=("speeches", "minutes"),
        parameters=2_570_000,
    )


def test_the_verdict_pools_the_domain_by_bytes() -> None:
    verdict = judge(EVALUATION["sources"], EVALUATION["baselines"], ["speeches", "minutes"])
    assert verdict is not None
    # (300 × 1.41 + 100 × 1.21) / 400 = 1.36 and (300 × 1.6 + 100 × 1.3) / 400 = 1.525
    assert (verdict.model, verdict.best, verdict.baseline) == (pytest.approx(1.36), pytest.approx(1.525), "ngram")
    assert str(verdict) == (
        "On the domain's later-in-time text the model needs 1.360 bits per byte; the best baseline, a byte n-gram "
        "model, needs 1.525: 10.8% fewer."
    )


def test_the_verdict_says_plainly_when_a_baseline_is_better() -> None:
    verdict = judge(EVALUATION["sources"], EVALUATION["baselines"], ["wiki"])
    assert verdict is not None
    assert not verdict.wins
    assert "held-out text the model needs 1.920" in str(verdict)
    assert "The model needs 1.1% more: it is not yet better than a method that needs no GPU." in str(verdict)


def test_a_baseline_that_was_measured_on_less_does_not_count() -> None:
    baselines = {"ngram": {"speeches": {"future": 0.1}}, "xz": EVALUATION["baselines"]["xz"]}
    verdict = judge(EVALUATION["sources"], baselines, ["speeches", "minutes"])
    assert verdict is not None
    assert verdict.baseline == "xz"


def test_verdicts_without_baselines_domain_or_figures() -> None:
    alone = judge(EVALUATION["sources"], {}, ["minutes"])
    assert alone is not None
    assert not alone.wins
    assert str(alone).endswith("1.210 bits per byte. No baseline has been measured beside it.")
    everything = judge(EVALUATION["sources"], {}, [])
    assert everything is not None
    assert everything.model == pytest.approx(1.36)
    assert judge({}, {}, ["speeches"]) is None
    assert judge({}, {}, []) is None


def test_key_figures_come_from_the_steps() -> None:
    steps = [
        {"step": step, "tokens": 100 * step, "seconds": 1800.0, "tokens_per_second": rate, "mfu": 0.5}
        for step, rate in ((1, 1.0), (2, 1000.0), (3, 2000.0))
    ]
    assert key_figures(1_000, steps) == [
        ("parameters", "1,000"),
        ("steps", "3"),
        ("tokens", "300"),
        ("training time", "1 h 30 min"),
        ("tokens per second", "1,000"),
        ("MFU", "50.0%"),
    ]
    # On a CPU nothing is known that it is a share of; earlier versions took what they measured, and came to 170.9 %.
    for of_cpu in ({"mfu": None}, {"mfu": 1.709}):
        assert "MFU" not in dict(key_figures(1_000, [line | of_cpu for line in steps]))
    assert key_figures(1_000, []) == [("parameters", "1,000")]


def test_the_comparison_leaves_a_dash_where_nothing_was_measured() -> None:
    table = compare(EVALUATION["sources"], EVALUATION["baselines"])
    assert table.columns == ["bytes", "model", "ngram", "xz", "xz primed", "zstd", "zstd primed", "xz, primed to alone"]
    rows = {row.label: row.cells for row in table.rows}
    assert rows["wiki, past"] == ["40,000", "1.920", "1.900", "2.800", "–", "2.850", "–", "–"]
    assert rows["speeches, past"][-1] == "-50.0%"


def test_a_report_becomes_outlines_side_by_side() -> None:
    (table,) = outline_tables(CORPUS)
    assert table == Table(
        ["speeches", "wiki"],
        [
            Row("read", 0, ["231", "10,033"]),
            Row("kept", 0, []),
            Row("train", 1, []),
            Row("documents", 2, ["200", "9,900"]),
            Row("first date", 2, ["1996-06-10", "–"]),
            Row("future", 1, []),
            Row("documents", 2, ["20", "–"]),
            Row("dropped", 0, []),
            Row("duplicate", 1, ["11", "–"]),
        ],
    )
    facts, sources = outline_tables(TOKENIZER)
    assert Row("longest pieces", 0, ["unemployment · <b>inflation"]) in facts.rows
    assert sources.rows[0] == Row("bytes per token", 0, ["4.213"])
    assert list(outline_tables({})) == []


def test_the_page_stands_alone_and_shows_everything(
    inputs: ReportInputs, read_page: Callable[[Path], Any], tmp_path: Path
) -> None:
    path = write_report(inputs, tmp_path / "reports")
    page = read_page(path)
    images = [file.read_bytes() for file in (tmp_path / "reports").glob("*.png")]
    assert len(images) == len([tag for tag, _ in page.tags if tag == "figure"]) == 7
    for image in images:
        assert image.startswith(b"\x89PNG")
        width, height = struct.unpack(">II", image[16:24])
        assert width >= 1000
        assert height >= 200
    figures = trace(path)
    assert len(figures) > 500
    assert [made for made in figures if made[0] != made[1]] == []
    inputs.evaluation.write_text(inputs.evaluation.read_text().replace("300000", "300001"))
    assert {made[:2] for made in trace(path) if made[0] != made[1]} == {("300,000", "300,001")}, "a change is found"
    assert {source.partition("#")[0].rpartition("/")[2] for _, _, source in figures} == {
        *("evaluate.json", "metrics.jsonl", "corpus.json", "tokenizer.json", "report.json")
    }
    for text in (
        "fed <speeches>",
        "10.8% fewer",
        "wiki: nothing is held out as `future`.",
        "2,570,000",
        "<script>alert(1)</script>",
        "“quoted” ☃ <img",
        "10,033",
    ):
        assert text in page.words
    assert page.words.index("10.8% fewer") < page.words.index("2,570,000"), "the verdict comes first"


def test_what_was_not_recorded_is_left_out(read_page: Callable[[Path], Any], tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    bare = ReportInputs("bare", missing, missing, missing, missing, [], [], 10)
    page = read_page(write_report(bare, tmp_path / "reports"))
    assert [tag for tag, _ in page.tags if tag in ("figure", "table", "h2", "blockquote")] == []
    assert not re.search(r"\b(nan|None|Undefined)\b", page.words)


def test_without_held_out_documents_the_page_says_so(
    read_page: Callable[[Path], Any], inputs: ReportInputs, tmp_path: Path
) -> None:
    inputs.evaluation.write_text(json.dumps({"step": 3, "sources": {}, "periods": {}, "baselines": {"xz": {}}}))
    page = read_page(write_report(inputs, tmp_path / "out"))
    assert "no bits per byte: no documents are held out (data.past_fraction, data.cutoff)" in page.words


def test_a_run_killed_while_writing_a_line_is_reported(inputs: ReportInputs, tmp_path: Path) -> None:
    text = inputs.metrics.read_text()
    inputs.metrics.write_text(text + '{"step": 1201, "loss": 2.')
    first = write_report(inputs, tmp_path / "reports").read_bytes()
    inputs.metrics.write_text(text)
    assert write_report(inputs, tmp_path / "reports").read_bytes() == first


@pytest.mark.parametrize("garbled", [b'{"step": 3, "lo', b"12", b"", b"\xff\xfe", b'["step"]'])
def test_a_garbled_line_is_named_with_its_file(inputs: ReportInputs, tmp_path: Path, garbled: bytes) -> None:
    lines = inputs.metrics.read_bytes().split(b"\n")
    inputs.metrics.write_bytes(b"\n".join([*lines[:2], garbled, *lines[3:]]))
    said = rf"^{inputs.metrics}: line 3 is no record \(a JSON object\): restore the file, or delete the line: what it"
    with pytest.raises(DataError, match=said):
        write_report(inputs, tmp_path / "reports")


def test_a_report_that_is_not_json_is_named(inputs: ReportInputs, tmp_path: Path) -> None:
    inputs.corpus.write_text('{"sources": ')
    with pytest.raises(DataError, match=rf"^{inputs.corpus} is no record .*: delete it, and run what writes it again$"):
        write_report(inputs, tmp_path / "reports")


def test_of_corpus_and_tokenizer_only_what_is_short_is_shown(
    inputs: ReportInputs, read_page: Callable[[Path], Any], tmp_path: Path
) -> None:
    corpus = json.loads(inputs.corpus.read_text())
    corpus["sources"]["wiki"] |= {"samples": {"duplicate": [{"text": "a dropped text"}]}, "path": "s3://wiki"}
    inputs.corpus.write_text(json.dumps(corpus | {"contamination": {"items": 7, "touched": {"item": ["w1"]}}}))
    inputs.tokenizer.write_text(json.dumps(TOKENIZER | {"sweep": [{"vocabulary_size": 7_777_777}]}))
    page = read_page(write_report(inputs, tmp_path / "reports"))
    assert "10,033" in page.words
    assert "4.213" in page.words
    assert not re.search("a dropped text|s3://wiki|touched|sweep|7,?777", page.words)
