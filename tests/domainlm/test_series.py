"""A series of cutoffs: every run reads text of before its cutoff alone, and none what the models are measured on."""

import datetime
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data.corpus.files import corpus_batches, corpus_files
from data.corpus.tombstones import TOMBSTONES, Request, forget
from data.interval import Interval
from domainlm.option_values import cutoffs
from domainlm.series import _measure, describe, make_series
from tests.domainlm.test_trace import save
from train.checkpoints.folders import CheckpointError
from train.config import RunConfig
from train.config_file import ConfigError, load_config

CUTOFFS = (datetime.date(2008, 1, 1), datetime.date(2014, 1, 1))


def read(corpus: Path, split: str) -> dict[str, Interval | None]:
    """Documents of a split, as source/id."""
    return {
        f"{source}/{id_}": Interval.of_columns(first, last)
        for source, files in corpus_files(corpus, split).items()
        for batch in corpus_batches(files, ["id", "first_date", "last_date"])
        for id_, first, last in zip(*(column.to_pylist() for column in batch.columns), strict=True)
    }


@pytest.fixture(scope="module")
def config(write_small_config: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    folder = tmp_path_factory.mktemp("series")
    return load_config(write_small_config(folder / "run.yaml", folder / "run"), ["data.past_fraction=0.2"])


@pytest.fixture(scope="module")
def prepared(config: RunConfig) -> dict[str, Any]:
    return make_series(config, CUTOFFS, prepare=True)


def test_each_run_reads_what_lies_before_its_cutoff_and_nothing_that_is_measured(
    config: RunConfig, prepared: dict[str, Any]
) -> None:
    text = config.run_folder / "series" / "text" / "corpus"
    measured, whole = read(text, "past"), read(text, "train")
    assert len(measured) > 20
    assert not prepared["finished"]
    for cutoff in CUTOFFS:
        folder = Path(prepared["runs"][cutoff.isoformat()]["folder"])
        trained = read(folder / "corpus", "train")
        assert not trained.keys() & measured.keys()
        assert trained == {
            name: date for name, date in whole.items() if date is None or date.lies_before(cutoff)
        }  # the text of before the cutoff, whole
        assert read(folder / "corpus", "past").keys() <= measured.keys()
        own = load_config(folder / "config.yaml")
        assert (own.data.cutoff, own.data.since, own.seed) == (cutoff, None, config.seed)
        assert prepared["runs"][cutoff.isoformat()]["tokens"] > 0


def test_the_same_again_makes_nothing_anew(
    config: RunConfig, prepared: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    def stamps() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in config.run_folder.rglob("corpus/**/*.parquet")}

    before = stamps()
    assert make_series(config, CUTOFFS, prepare=True) == prepared
    assert stamps() == before
    waiting = describe(prepared).splitlines()
    assert waiting[1:] == [prepared["runs"][cutoff.isoformat()]["config"] for cutoff in CUTOFFS]


def test_a_run_that_goes_on_waits_for_the_one_before(config: RunConfig, prepared: dict[str, Any]) -> None:
    result = make_series(config, CUTOFFS, continued=True, prepare=True)
    assert list(result["runs"]) == ["2008-01-01"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["data.past_fraction=0"], "no document is held out of all models"),
        (["data.canaries={number: 2, weight: 0.1}"], "leave data.canaries out"),
        (["data.reshuffles={3: 1}"], "leave data.reshuffles out"),
    ],
)
def test_what_no_series_can_be_made_of_is_refused(config: RunConfig, changes: list[str], message: str) -> None:
    file = config.run_folder.parent / "run.yaml"
    with pytest.raises(ConfigError, match=message):
        make_series(load_config(file, changes), CUTOFFS)


def test_rates_of_another_size_are_for_weights_that_are_drawn(config: RunConfig) -> None:
    carried = load_config(config.run_folder.parent / "run.yaml", ["training.tuned_at.width=16"])
    with pytest.raises(
        ConfigError, match=r"--continued begins with weights .*, and training\.tuned_at belongs to those"
    ):
        make_series(carried, CUTOFFS, continued=True)


def test_a_cutoff_before_all_text_is_named(config: RunConfig, tmp_path: Path) -> None:
    dated = config.data.model_copy(update={"sources": config.data.sources[:1]})
    other = config.model_copy(update={"folder": str(tmp_path / "run"), "data": dated})
    with pytest.raises(ConfigError, match="no text lies before 1990-01-01: choose other cutoffs"):
        make_series(other, [datetime.date(1990, 1, 1)])


def test_what_is_to_be_forgotten_is_in_no_corpus_of_a_series(
    config: RunConfig, prepared: dict[str, Any], tmp_path: Path
) -> None:
    corpus = config.run_folder / "series" / "2014-01-01" / "corpus"
    row = next(
        row
        for files in corpus_files(corpus, "train").values()
        for batch in corpus_batches(files, ["source", "id", "text"])
        for row in batch.to_pylist()
        if row["source"] == "news"
    )
    other = config.model_copy(update={"folder": str(tmp_path / "run")})
    assert config.data.near_duplicates
    wanted = [Request(row["source"], row["id"], row["text"])]
    forget(other.corpus.parent / TOMBSTONES, wanted, config.data.near_duplicates, datetime.date(2024, 1, 1))
    make_series(other, CUTOFFS[1:], prepare=True)
    for place in ("text", "2014-01-01"):
        left = read(other.run_folder / "series" / place / "corpus", "train")
        assert left
        assert f"news/{row['id']}" not in left


def test_a_model_of_other_text_is_in_no_matrix(config: RunConfig, prepared: dict[str, Any]) -> None:
    """The finished runs of another series, or of the text before it changed, were measured as those of this one."""
    run = load_config(Path(prepared["runs"]["2014-01-01"]["config"]))
    save(run, run.training.steps, shards_digest="another")
    with pytest.raises(CheckpointError, match=r"was not trained on what lies in .*held-out documents included"):
        _measure(config, config.run_folder / "series" / "text" / "corpus", {CUTOFFS[1]: run})
    shutil.rmtree(run.checkpoints)


@pytest.mark.slow
def test_models_that_go_on_from_each_other_and_the_matrix_of_them(
    write_small_config: Callable[..., Path], tmp_path: Path
) -> None:
    file = write_small_config(tmp_path / "run.yaml", tmp_path / "run")
    config = load_config(file, ["data.past_fraction=0.3"])
    result = make_series(config, CUTOFFS, continued=True)
    first, second = (load_config(Path(run["config"])) for run in result["runs"].values())
    assert result["finished"]
    assert (second.data.since, second.init_from) == (CUTOFFS[0], str(first.run_folder / "export"))
    new, old = (read(run.corpus, "train").keys() for run in (second, first))
    assert new
    assert not new & old
    assert second.training.steps == -(
        -12 * result["runs"]["2014-01-01"]["tokens"] // result["runs"]["2008-01-01"]["tokens"]
    )
    assert result["cutoffs"] == ["2008-01-01", "2014-01-01"]
    assert len(result["bits_per_byte"]) == 2
    assert all(len(row) == len(result["periods"]) for row in result["bits_per_byte"])
    kept = json.loads((config.reports / "series.json").read_bytes())
    assert kept["bits_per_byte"] == result["bits_per_byte"]
    assert Path(result["page"]).exists()
    assert "*" in describe(result)
    assert make_series(config, CUTOFFS, continued=True)["bits_per_byte"] == result["bits_per_byte"]


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("2013..2015", ["2013-01-01", "2014-01-01", "2015-01-01"]),
        ("2013-11..2014-02", ["2013-11-01", "2013-12-01", "2014-01-01", "2014-02-01"]),
        ("2013,2015-07-01", ["2013-01-01", "2015-07-01"]),
        ("2013", ["2013-01-01"]),
    ],
)
def test_cutoffs_are_written_shortly(text: str, days: list[str]) -> None:
    assert [day.isoformat() for day in cutoffs(text)] == days


@pytest.mark.parametrize(
    "text", ["2013..", "2015,2014", "2013..2014-05", "soon", "2013-01-01..2013-02-01", "2020..2010", "2013-13", ""]
)
def test_what_are_no_cutoffs_is_refused(text: str) -> None:
    from argparse import ArgumentTypeError

    with pytest.raises(ArgumentTypeError):
        cutoffs(text)
