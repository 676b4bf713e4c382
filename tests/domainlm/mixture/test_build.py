"""The small runs: on the planned one's shards, each with its mixture, none of them taken for another."""

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data.config import StageConfig
from data.shards.format import read_manifest, write_manifest
from domainlm.mixture.build import Asked, describe, make_mixture
from tests.traced import trace
from train.config import RunConfig
from train.config_file import ConfigError, load_config
from train.token_stream import open_stream

Write = Callable[..., Path]


@pytest.fixture
def config(small_run: Write) -> RunConfig:
    return load_config(small_run("run"))


def test_the_runs_share_the_shards_and_have_the_mixtures(config: RunConfig) -> None:
    result = make_mixture(config, Asked(runs=5, steps=4), prepare=True)
    assert not result["finished"]
    runs = [load_config(Path(run["config"])) for run in result["runs"]]
    for run, described in zip(runs, result["runs"], strict=True):
        assert run.shards == config.shards
        assert (run.training.steps, run.model, run.seed) == (4, config.model, config.seed)
        shares = open_stream(run).shares[0]
        for name, weight in described["weights"].items():
            assert shares[name] / sum(shares.values()) == pytest.approx(weight, abs=1e-3)
    given = {source.name: source.weight or 0 for source in config.data.sources}
    first = result["runs"][0]["weights"]
    assert list(first.values()) == pytest.approx([weight / sum(given.values()) for weight in given.values()])
    assert len(describe(result).splitlines()) == 1 + 5
    assert make_mixture(config, Asked(runs=5, steps=4), prepare=True) == result


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        (Asked(runs=5, steps=6), 0),
        (Asked(runs=5, steps=4, settings=("model.width=16",)), 0),
        (Asked(runs=5, steps=4, passes=2.0), 5),
        (Asked(runs=5, steps=4, settings=("monitoring.notes=again",)), 5),
    ],
)
def test_a_run_that_would_have_other_weights_is_another(config: RunConfig, asked: Asked, kept: int) -> None:
    def folders(asked: Asked) -> set[str]:
        return {run["folder"] for run in make_mixture(config, asked, prepare=True)["runs"]}

    assert len(folders(Asked(runs=5, steps=4)) & folders(asked)) == kept


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (Asked(runs=3), "2 sources call for 4 runs or more"),
        (Asked(settings=("model.widht=16",)), "mixture: model.widht"),
        (Asked(settings=("data.sources.0.weight=0.5",)), "each in a mixture of its own"),
        (Asked(settings=("data={shards: other}",)), "all runs have the planned run's text"),
        (Asked(settings=("folder=elsewhere",)), "a folder of its own in mixture/"),
        (Asked(settings=("training.steps=9",)), "give --steps"),
    ],
)
def test_what_cannot_be_tried_is_refused(config: RunConfig, asked: Asked, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_mixture(config, asked, prepare=True)


def test_stages_that_are_left_out_are_named(config: RunConfig, capsys: pytest.CaptureFixture[str]) -> None:
    later = StageConfig(from_step=2, weights={source.name: 1.0 for source in config.data.sources})
    staged = config.model_copy(update={"data": config.data.model_copy(update={"stages": (later,)})})
    make_mixture(staged, Asked(runs=4, steps=4), prepare=True)
    assert "data.stages are left out" in capsys.readouterr().err


def test_a_domain_without_held_out_text_is_known_before_anything_is_trained(
    config: RunConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(config.shards, tmp_path / "shards")
    manifest = read_manifest(config.shards)
    splits = {
        split: {name: shards for name, shards in sources.items() if split == "train" or name != "news"}
        for split, sources in manifest.splits.items()
    }
    write_manifest(tmp_path / "shards", dataclasses.replace(manifest, splits=splits))

    def prepared(domain: set[str]) -> None:
        sources = tuple(each.model_copy(update={"domain": each.name in domain}) for each in config.data.sources)
        data = config.data.model_copy(update={"sources": sources, "shards": str(tmp_path / "shards")})
        make_mixture(config.model_copy(update={"data": data}), Asked(runs=4, steps=4), prepare=True)

    with pytest.raises(ConfigError, match=r"no text of the domain \(news\) is held out"):
        prepared({"news"})
    prepared({"news", "general"})
    assert "WARNING: mixture: no text of news is held out" in capsys.readouterr().err
    prepared(set())
    assert "no source has domain: true" in capsys.readouterr().err


def test_one_source_is_nothing_to_mix(config: RunConfig) -> None:
    alone = config.data.model_copy(update={"sources": config.data.sources[:1]})
    with pytest.raises(ConfigError, match="there is one source, and nothing to mix"):
        make_mixture(config.model_copy(update={"data": alone}), Asked(), prepare=True)


@pytest.mark.slow
def test_a_mixture_is_proposed_trained_and_measured(config: RunConfig, read_page: Callable[[Path], Any]) -> None:
    asked = Asked(runs=4, steps=6)
    result = make_mixture(config, asked)
    assert result["finished"]
    assert sum(each["value"] for each in result["weights"].values()) == pytest.approx(1)
    assert result["tokens"] == 6 * config.training.batch_sizes[0] * config.model.sequence_length
    assert result["verdict"] in describe(result)
    page = Path(result["page"])
    assert [entry for entry in trace(page) if entry[0] != entry[1]] == []
    read_page(page)
    again = make_mixture(config, asked)
    assert again == result
