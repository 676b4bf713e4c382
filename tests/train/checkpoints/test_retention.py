"""Which checkpoints stay: the newest, every n-th, the best on held-out text, pinned ones."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from data.shards.format import read_manifest
from train.checkpoints.folders import discard_partial, partial_folder, publish, saved_steps
from train.checkpoints.retention import PINNED, best_step, held_out_scores, prune, why_no_best
from train.config import RunConfig
from train.config_file import ConfigError

Make = Callable[..., RunConfig]


def saved(config: RunConfig, *steps: int) -> RunConfig:
    for step in steps:
        partial_folder(config.checkpoints, step).mkdir(parents=True)
        publish(config, step, {})
    return config


def metrics(config: RunConfig, future: dict[int, float], past: float = 1.0) -> Path:
    lines = [json.dumps({"step": step, "loss": 5.0}) for step in range(20)]
    lines += [
        json.dumps({"step": s, "evaluation": {"news": {"past": past, "future": bits}, "general": {"past": 3 * past}}})
        for s, bits in future.items()
    ]
    config.metrics.write_text("\n".join([*lines, '{"step": 99, "evaluation": {"ne']))
    return config.metrics


def test_the_newest_are_kept(make_config: Make) -> None:
    config = saved(make_config(), 4, 8, 12, 16)
    assert prune(config) == [
        "step_000004",
        "step_000008",
    ]
    assert sorted(path.name for path in config.checkpoints.glob("*")) == ["latest", "step_000012", "step_000016"]


def test_every_nth_the_best_and_pinned_ones_are_kept(make_config: Make) -> None:
    training = {"keep_checkpoints": 1, "keep_every": 8, "keep_best": "news/future"}
    config = saved(make_config(training=training), 2, 4, 6, 8, 10, 12, 14)
    (config.checkpoints / "step_000002" / PINNED).touch()
    metrics(config, {4: 2.0, 12: 1.5, 13: 1.0})  # step 13 was evaluated, but not saved
    assert prune(config) == ["step_000004", "step_000006", "step_000010"]
    assert saved_steps(config.checkpoints) == [2, 8, 12, 14]


def test_what_is_no_folder_of_its_own_hinders_no_start(
    make_config: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A checkpoint moved to a larger disk, with a link in its place; and what lies there by mistake."""
    config = saved(make_config(training={"keep_checkpoints": 1}), 4, 8)
    elsewhere = (config.checkpoints / "step_000004").rename(tmp_path / "elsewhere")
    (config.checkpoints / "step_000004").symlink_to(elsewhere)
    assert prune(config) == ["step_000004"]
    assert (
        f"step_000004 was a link: it is deleted, and {elsewhere}, to which it led, is left" in capsys.readouterr().err
    )
    (config.checkpoints / ".step_000002.partial").symlink_to(elsewhere)  # as older versions have left it
    (config.checkpoints / ".step_000003.partial").symlink_to(tmp_path / "nothing")
    (config.checkpoints / ".step_000005.partial").write_text("a file")
    discard_partial(config.checkpoints)
    (config.checkpoints / "step_000008").rename(elsewhere.with_name("other"))
    (config.checkpoints / "step_000008").symlink_to("../../other")
    (config.checkpoints / "step_000012").symlink_to(tmp_path / "nothing")
    saved(config, 8, 12)  # again, as after damage
    names = ["step_000008", "step_000012"]
    assert sorted(path.name for path in config.checkpoints.iterdir()) == ["latest", *names]
    assert not any((config.checkpoints / name).is_symlink() for name in names)
    assert (elsewhere / "manifest.json").exists()
    assert (tmp_path / "other" / "manifest.json").exists()


def test_scores_are_of_one_source_or_the_mean(make_config: Make) -> None:
    file = metrics(saved(make_config(), 4), {4: 2.0, 8: 1.5}, past=1.0)
    assert held_out_scores(file, "news/past") == {4: 1.0, 8: 1.0}
    assert held_out_scores(file, "past") == {4: 2.0, 8: 2.0}, "the mean over news and general"
    assert held_out_scores(file, "future") == {4: 2.0, 8: 1.5}
    assert held_out_scores(file, "general/future") == {}
    assert held_out_scores(file.with_name("none"), "past") == {}


def test_best_is_the_lowest_and_of_equals_the_later() -> None:
    assert best_step([4, 8, 12], {4: 1.0, 8: 1.0, 12: 2.0}) == 8
    assert best_step([4], {8: 1.0}) is None
    assert best_step([4, 8], {4: float("nan"), 8: 3.0}) == 8


def test_a_best_that_will_never_be_kept_is_told(make_config: Make, data_folder: Path) -> None:
    held_out = read_manifest(data_folder / "shards").splits

    def why(keep_best: str | None, every: int, save_every: int) -> str:
        training = {"keep_best": keep_best, "save_every": save_every}
        return why_no_best(make_config(training=training, evaluation={"every": every}), held_out)

    assert why("news/future", 2, 4) == why("past", 3, 3) == why("news/past", 4, 2) == why(None, 5, 7) == ""
    assert why("past", 3, 4).endswith("let evaluation.every divide training.save_every"), (
        "they meet at step 12, the last"
    )
    assert why("past", 5, 7).startswith("training.keep_best=past keeps no checkpoint: no step before the last is both")
    assert why("general/future", 2, 4).endswith("no document of that text is held out"), "it has no dates"
    assert why_no_best(make_config(training={"keep_best": "past"}), {"train": held_out["train"]})


def test_a_best_of_nothing_is_refused(make_config: Make) -> None:
    with pytest.raises(ConfigError, match=r"keep_best.*there is no source 'papers', only news, general"):
        make_config(training={"keep_best": "papers/past"})
    with pytest.raises(ConfigError, match=r"keep_best"):
        make_config(training={"keep_best": "train"})
