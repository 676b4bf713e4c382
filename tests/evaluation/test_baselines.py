"""Compressors as baselines, alone and primed, and the measuring of all baselines on a corpus."""

import datetime
import json
import lzma
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from data.errors import DataError
from data.files import finish_stage
from evaluation.baselines import (
    CACHE,
    Limits,
    measure_baselines,
    xz_primed_sizes,
    xz_size,
    zstd_primed_sizes,
    zstd_size,
)

SCHEMA = pa.schema({"text": pa.string(), "date": pa.date32()})
WORDS = [
    "rates",
    "prices",
    "wages",
    "rose",
    "fell",
    "slightly",
    "sharply",
    "in",
    "the",
    "north",
    "south",
    "while",
    "banks",
    "lent",
    "more",
    "less",
    "öl",
    "€",
]


def prose(seed: int, words: int = 400) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=words))


def write_corpus(folder: Path, documents: dict[str, dict[str, list[tuple[str, datetime.date | None]]]]) -> Path:
    for split, sources in documents.items():
        for source, rows in sources.items():
            table = pa.Table.from_pylist([{"text": text, "date": date} for text, date in rows], SCHEMA)
            (folder / split / source).mkdir(parents=True, exist_ok=True)
            pq.write_table(table, folder / split / source / "00000.parquet", row_group_size=3)
    finish_stage(folder, {}, folder.rglob("*.parquet"))
    return folder


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    old, new = datetime.date(2018, 1, 1), datetime.date(2020, 1, 1)
    return write_corpus(
        tmp_path / "corpus",
        {
            "train": {"bank": [(prose(seed), old) for seed in range(8)], "wiki": [(prose(50), None)]},
            "past": {"bank": [(prose(100), old)], "wiki": [("é", None)], "empty": []},
            "future": {"bank": [(prose(200), new), (prose(201), new)]},
        },
    )


def test_sizes_are_those_of_streams_that_decompress() -> None:
    text = prose(1).encode()
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": max(len(text), 4096)}]
    stream = lzma.compress(text, lzma.FORMAT_RAW, filters=filters)
    assert lzma.decompress(stream, lzma.FORMAT_RAW, filters=filters) == text
    assert xz_size(text) == len(stream)
    parameters = zstandard.ZstdCompressionParameters.from_level(22, source_size=len(text), write_content_size=False)
    assert zstd_size(text) == pytest.approx(
        len(zstandard.ZstdCompressor(compression_params=parameters).compress(text)), 1
    )


@pytest.mark.parametrize("primed", [xz_primed_sizes, zstd_primed_sizes])
def test_a_repeated_text_costs_next_to_nothing(primed: object) -> None:
    training = "".join(prose(seed) for seed in range(20)).encode()
    new, repeated = prose(99).encode(), prose(3).encode()
    sizes = primed(training, [new, repeated])
    alone = xz_size(new), xz_size(repeated)
    assert sizes[1] < 0.1 * alone[1]
    assert 0.5 * alone[0] < sizes[0] < alone[0]


@pytest.mark.parametrize("primed", [xz_primed_sizes, zstd_primed_sizes])
def test_texts_are_measured_apart(primed: object) -> None:
    training, text = prose(1).encode(), prose(2).encode()
    assert primed(training, [text, text]) == primed(training, [text]) * 2
    assert primed(b"", []) == []


def test_tiny_texts() -> None:
    for text in (b"", b"a", "é".encode()):
        assert 0 < zstd_size(text) < 20
        assert 0 < xz_size(text) < 20
        assert zstd_primed_sizes(b"1234567", [text]) == [zstd_size(text)]
        assert 0 <= xz_primed_sizes(b"a", [text])[0] < 20


def test_baselines_of_a_corpus(corpus: Path, tmp_path: Path) -> None:
    result = measure_baselines(corpus, tmp_path / "reports")
    baselines = result["baselines"]
    assert list(baselines) == ["ngram", "xz", "xz_primed", "zstd", "zstd_primed"]
    for sources in baselines.values():
        assert {name: list(splits) for name, splits in sources.items()} == {
            "bank": ["past", "future"],
            "wiki": ["past"],
        }
    text = f"{prose(200)}\n{prose(201)}".encode()
    assert baselines["xz"]["bank"]["future"] == 8 * xz_size(text) / len(text)
    training = "".join(prose(seed) + "\n" for seed in range(8)).encode()
    assert baselines["zstd_primed"]["bank"]["future"] == 8 * zstd_primed_sizes(training, [text])[0] / len(text)
    # 17 equally likely words of about 5 bytes: below log2(17) / 5 nothing honest can come
    assert 0.7 < baselines["ngram"]["bank"]["future"] < baselines["xz_primed"]["bank"]["future"] < 2
    assert set(result["baseline_methods"]) == set(baselines)


def test_a_leak_shows_as_the_fall_from_alone_to_primed(tmp_path: Path) -> None:
    date = datetime.date(2020, 1, 1)
    leaking = write_corpus(
        tmp_path / "corpus",
        {
            "train": {"bank": [(prose(seed), date) for seed in range(30)]},
            "past": {"bank": [(prose(7), date)]},
            "future": {"bank": [(prose(77), date)]},
        },
    )
    baselines = measure_baselines(leaking, tmp_path, ["xz"])["baselines"]
    falls = {
        split: baselines["xz_primed"]["bank"][split] / baselines["xz"]["bank"][split] for split in ("past", "future")
    }
    assert falls["past"] < 0.1 < 0.5 < falls["future"]


def test_a_kept_result_is_read_back_until_something_changes(corpus: Path, tmp_path: Path) -> None:
    reports = tmp_path / "reports"
    first = measure_baselines(corpus, reports, ["zstd"])
    kept = json.loads((reports / CACHE).read_text())
    kept["baselines"]["zstd"]["bank"]["past"] = 42.0
    (reports / CACHE).write_text(json.dumps(kept))
    assert measure_baselines(corpus, reports, ["zstd"])["baselines"]["zstd"]["bank"]["past"] == 42.0
    assert measure_baselines(corpus, reports, ["zstd"], ["past"])["baselines"]["zstd"]["bank"].keys() == {"past"}
    (reports / CACHE).write_text('{"inputs": half')
    assert measure_baselines(corpus, reports, ["zstd"]) == first
    write_corpus(corpus, {"future": {"bank": [(prose(300), None)]}})
    changed = measure_baselines(corpus, reports, ["zstd"])["baselines"]["zstd"]["bank"]
    assert changed["future"] != first["baselines"]["zstd"]["bank"]["future"]


def test_limits_take_the_newest_text_for_compressors_and_are_said(tmp_path: Path) -> None:
    days = [datetime.date(2010 + year, 1, 1) for year in range(4)]
    copied = prose(5)
    held_out = {"future": {"bank": [(copied, datetime.date(2020, 1, 1))]}}
    limits = Limits(training_bytes=len(copied.encode()) + 100, order=4)
    primed = {}
    for place, position in (("old", 0), ("new", 3)):
        rows = [(copied if year == position else prose(year + 10), days[year]) for year in (3, 0, 1, 2)]
        corpus = write_corpus(tmp_path / place, {"train": {"bank": rows}, **held_out})
        result = measure_baselines(corpus, tmp_path / place, limits=limits)
        primed[place] = result["baselines"]["xz_primed"]["bank"]["future"]
        size = sum(len(text.encode()) for text, _ in rows)
        assert f"{limits.training_bytes:,} of {size:,} bytes" in result["baseline_methods"]["ngram"]
    assert primed["new"] < 0.2 * primed["old"]


def test_a_source_without_training_text_has_no_primed_figure(tmp_path: Path) -> None:
    held_out = [(prose(1), datetime.date(2020, 1, 1))]
    corpus = write_corpus(tmp_path, {"train": {"wiki": [(prose(2), None)]}, "future": {"news": held_out}})
    baselines = measure_baselines(corpus, tmp_path / "reports", ["xz", "ngram"])["baselines"]
    assert baselines.keys() == {"xz", "ngram"}
    assert baselines["ngram"]["news"]["future"] > 0


def test_an_unfinished_corpus_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="unfinished"):
        measure_baselines(tmp_path, tmp_path)


def test_of_a_part_of_the_held_out_text_the_same_documents_are_measured(corpus: Path, tmp_path: Path) -> None:
    part = measure_baselines(corpus, tmp_path, ["xz"], documents={"bank": {"future": 1}})["baselines"]
    text = prose(200).encode()  # the first in bit-reversed order is the first of all
    assert part == {
        "xz": {"bank": {"future": 8 * xz_size(text) / len(text)}},
        "xz_primed": {"bank": {"future": part["xz_primed"]["bank"]["future"]}},
    }
    whole = measure_baselines(corpus, tmp_path, ["xz"])
    assert whole["baselines"]["xz"]["bank"]["future"] != part["xz"]["bank"]["future"], "a kept part is not the whole"
    assert "at most" not in whole["baseline_methods"]["xz"]
    cut = measure_baselines(corpus, tmp_path, ["xz"], limits=Limits(held_out_bytes=len(text)))
    assert f"held-out text at most {len(text):,} bytes were measured" in cut["baseline_methods"]["xz"]
