"""What the plan is told: figures of this plan and this text, or why there are none."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from data.shards.format import read_manifest
from domainlm.ladder.figures import ladder_figures
from domainlm.ladder.prediction import describe_prediction, identity, read_prediction
from tests.domainlm.ladder.ladders import X, at_one, points
from train.config import RunConfig
from train.config_file import load_config


@pytest.fixture
def config(small_run: Callable[..., Path]) -> RunConfig:
    """A run with shards, and a ladder of it."""
    config = load_config(small_run("planned"))
    figures = ladder_figures(points(), seed=1)
    content = figures | {
        "inputs": {"shards": read_manifest(config.shards).digest, "planned": identity(config)},
        "rungs": [{"share": x} for x in X],
    }
    config.reports.mkdir(parents=True)
    (config.reports / "ladder.json").write_text(json.dumps(content))
    return config


def test_the_plan_shows_what_the_ladder_predicts(
    config: RunConfig, command_line: Callable[..., tuple[int, str, str]]
) -> None:
    found = read_prediction(config)
    assert found is not None
    assert found.sources["bank"]["future"].bits_per_byte == pytest.approx(at_one(range(30)))
    assert found.largest_share == X[-1]
    file = config.run_folder.with_suffix(".yaml")
    hardware = ("--gpu", "A100-80GB", "--gpus", "1")  # of which nothing is timed
    code, shown, _ = command_line("plan", file, *hardware, "--json")
    assert code == 0
    assert json.loads(shown.splitlines()[-1])["ladder"] == asdict(found)
    shown = command_line("plan", file, *hardware)[1]
    assert "predicted by a ladder whose largest rung has 4.0% of the computation" in shown
    assert "bank / future" in shown


def test_without_a_ladder_nothing_is_said(small_run: Callable[..., Path]) -> None:
    assert read_prediction(load_config(small_run("other"))) is None
    assert describe_prediction(None) == []


@pytest.mark.parametrize(
    "change",
    ["training.steps=13", "training.learning_rate=1e-3", "seed=8", "data.sources.news.weight=0.5", "model.layers=3"],
)
def test_a_ladder_of_another_plan_is_ignored_with_a_word(config: RunConfig, change: str) -> None:
    other = load_config(config.run_folder.with_suffix(".yaml"), [change])
    found = read_prediction(other)
    assert found is not None
    assert found.sources == {}
    assert "of a run with other settings" in found.stale
    assert "domainlm ladder" in describe_prediction(found)[1]


@pytest.mark.parametrize("change", ["training.micro_batch=4", "training.save_every=7", "evaluation.every=3", "name=x"])
def test_what_teaches_nothing_leaves_it_as_it_is(config: RunConfig, change: str) -> None:
    folder = f'folder="{config.run_folder}"'
    found = read_prediction(load_config(config.run_folder.with_suffix(".yaml"), [change, folder]))
    assert found is not None
    assert found.sources


def test_a_ladder_of_other_text_or_a_damaged_one_is_ignored_with_a_word(config: RunConfig) -> None:
    file = config.reports / "ladder.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps(content | {"inputs": content["inputs"] | {"shards": "another"}}))
    found = read_prediction(config)
    assert found is not None
    assert "of other text" in found.stale
    for damaged in ("{", "[]", "{}", json.dumps(content | {"rungs": []})):
        file.write_text(damaged)
        found = read_prediction(config)
        assert found is not None
        assert "cannot be read" in found.stale


def test_the_plan_shows_what_is_predicted_and_what_a_hundredth_costs(config: RunConfig) -> None:
    found = read_prediction(config)
    assert found is not None
    bank = found.sources["bank"]["future"]
    assert found.at(1.0)["bank / future"] == pytest.approx(bank.bits_per_byte)
    assert found.at(0.5)["bank / future"] == pytest.approx(bank.floor + bank.scale * 2**bank.exponent)
