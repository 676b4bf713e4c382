"""A ladder from end to end: the planned run's own shards, rungs by the real launcher, nothing done twice."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from domainlm.ladder.make import describe, make_ladder
from domainlm.ladder.prediction import read_prediction
from train.checkpoints.folders import saved_steps
from train.config import RunConfig
from train.config_file import ConfigError, load_config

WIDE = {"width": 64, "heads": 8}
"""Heads of 8, so that there are narrower models."""
LARGEST = 0.3


@pytest.fixture
def config(write_small_config: Callable[..., Path], data_folder: Path, tmp_path: Path) -> RunConfig:
    file = write_small_config(
        tmp_path / "planned.yaml",
        tmp_path / "planned",
        data={"folder": str(data_folder)},
        model=WIDE,
        training={"steps": 40, "local_ranks": 1},
    )
    return load_config(file)


def stamps(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_rungs_are_made_ready_on_the_planned_run_s_shards(config: RunConfig, data_folder: Path) -> None:
    before = stamps(data_folder)
    result = make_ladder(config, 3, LARGEST, prepare=True)
    assert stamps(data_folder) == before, "nothing is staged or tokenised again"
    assert not result["finished"]
    assert [run["trained"] for run in result["runs"]] == [False] * 3
    shares = [run["share"] for run in result["runs"]]
    assert shares == sorted(shares)
    assert shares[-1] <= LARGEST
    for run in result["runs"]:
        own = load_config(Path(run["config"]))
        assert own.shards == config.shards
        assert own.model.head_width == 8
        assert (own.run_folder / "corpus").exists() is False
    assert describe(result).splitlines()[1:] == [f"domainlm train {run['config']}" for run in result["runs"]]
    assert make_ladder(config, 3, LARGEST, prepare=True) == result


def test_a_rung_of_other_settings_has_another_folder(config: RunConfig) -> None:
    folders = []
    for rate in (3e-3, 1e-3):
        training = config.training.model_copy(update={"learning_rate": rate})
        result = make_ladder(config.model_copy(update={"training": training}), 3, LARGEST, prepare=True)
        folders.append({run["folder"] for run in result["runs"]})
    assert not folders[0] & folders[1]


def test_what_no_ladder_can_be_made_of_is_refused(config: RunConfig) -> None:
    with pytest.raises(ConfigError, match="begins with the weights of another model"):
        make_ladder(config.model_copy(update={"init_from": "somewhere"}), 3, LARGEST)


def test_text_without_held_out_documents_is_refused(config: RunConfig, tmp_path: Path) -> None:
    from data.errors import DataError

    with pytest.raises(DataError, match="tokenize"):
        make_ladder(
            config.model_copy(update={"data": config.data.model_copy(update={"folder": str(tmp_path)})}), 3, 0.3
        )


@pytest.mark.slow
def test_a_ladder_goes_on_where_it_was_stopped_and_predicts(
    config: RunConfig, command_line: Callable[..., tuple[int, str, str]]
) -> None:
    file = config.run_folder.with_suffix(".yaml")
    words = ("ladder", file, "--rungs", "3", "--largest", str(LARGEST), "--json")

    def ladder() -> tuple[dict[str, Any], str]:
        code, shown, said = command_line(*words)
        assert code == 0, said
        return json.loads(shown.splitlines()[-1]), said

    first, second, third = (Path(run["folder"]) for run in make_ladder(config, 3, LARGEST, prepare=True)["runs"])
    (second / "STOP").touch()
    stopped, _ = ladder()
    assert not stopped["finished"]
    assert [run["trained"] for run in stopped["runs"]] == [True, False, False]
    assert not saved_steps(third / "checkpoints")
    kept = stamps(first / "checkpoints")
    (second / "STOP").unlink()
    result, said = ladder()
    assert result["finished"]
    assert stamps(first / "checkpoints") == kept, "a finished rung is not run again"
    assert f"rung 2 of 3: {result['runs'][1]['parameters']:,} parameters" in said
    assert "rung 1 of 3" not in said

    content = json.loads((config.reports / "ladder.json").read_bytes())
    assert content["sources"] == result["sources"]
    assert Path(result["page"]).exists()
    for source, splits in result["sources"].items():
        for split, found in splits.items():
            measured = [rung["sources"][source][split] for rung in result["rungs"]]
            assert 0 < found["low"] <= found["bits_per_byte"] <= found["high"]
            assert all(0.5 < value < 9 for value in measured)
    evaluated = command_line("evaluate", second, "--json")[1]
    sources = json.loads(evaluated.splitlines()[-1])["sources"]
    for source, splits in sources.items():
        for split, figure in splits.items():
            assert result["rungs"][1]["sources"][source][split] == pytest.approx(figure["bits_per_byte"], rel=1e-9)

    predicted = read_prediction(config)
    assert predicted is not None
    assert not predicted.stale
    shutil.rmtree(config.run_folder / "ladder" / "scores")
    assert result["measured"] == {}
    assert command_line("train", file)[0] == 0
    planned = json.loads(command_line("evaluate", file, "--json")[1].splitlines()[-1])["sources"]
    again, _ = ladder()
    assert again["measured"]["news"]["future"] == planned["news"]["future"]["bits_per_byte"]
    assert f"measured {planned['news']['future']['bits_per_byte']:.3f}" in describe(again)
    assert again["sources"] == result["sources"], "scored anew to the same figures"
