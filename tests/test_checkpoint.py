"""Checkpoint folders: whole or not there, found again, refused when damaged or of another run."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from train.checkpoint import (
    Checkpoint,
    CheckpointError,
    check_architecture,
    check_continues,
    discard_partial,
    find_latest,
    finished_step,
    mark_finished,
    partial_folder,
    prune,
    publish,
    read_checkpoint,
)
from train.config import RunConfig

Make = Callable[..., RunConfig]


def save(config: RunConfig, step: int) -> Checkpoint:
    folder = partial_folder(config.checkpoints, step)
    folder.mkdir(parents=True)
    (folder / "weights.pt").write_bytes(bytes(100 + step))
    return publish(config.checkpoints, step, config, world_size=2, data_digest="d", samples=step * 8)


def test_publish_then_find(make_config: Make) -> None:
    config = make_config()
    assert find_latest(config.checkpoints) is None
    for step in (4, 8, 12):
        save(config, step)
    found = find_latest(config.checkpoints)
    assert found is not None
    assert (found.step, found.manifest["samples"], found.folder.name) == (12, 96, "step_000012")
    assert (config.checkpoints / "latest").read_text() == "step_000012"
    assert (found.folder / "config.yaml").exists()


def test_an_interrupted_save_is_never_found(make_config: Make) -> None:
    config = make_config()
    save(config, 4)
    partial = partial_folder(config.checkpoints, 8)
    partial.mkdir()
    (partial / "weights.pt").write_bytes(b"half")
    found = find_latest(config.checkpoints)
    assert found is not None
    assert found.step == 4
    discard_partial(config.checkpoints)
    assert not partial.exists()


def test_a_damaged_checkpoint_is_passed_over(make_config: Make) -> None:
    config = make_config()
    save(config, 4)
    newest = save(config, 8)
    (newest.folder / "weights.pt").write_bytes(b"short")
    found = find_latest(config.checkpoints)
    assert found is not None
    assert found.step == 4
    with pytest.raises(CheckpointError, match=r"weights.pt has 5 bytes instead of 108: the checkpoint is damaged"):
        read_checkpoint(newest.folder)


@pytest.mark.parametrize("damage", ["missing file", "missing manifest", "broken manifest"])
def test_no_whole_checkpoint_left(make_config: Make, damage: str) -> None:
    config = make_config()
    only = save(config, 4)
    if damage == "missing file":
        (only.folder / "weights.pt").unlink()
    elif damage == "missing manifest":
        (only.folder / "manifest.json").unlink()
    else:
        (only.folder / "manifest.json").write_text('{"step": ')
    with pytest.raises(CheckpointError, match="no whole checkpoint left"):
        find_latest(config.checkpoints)


def test_prune_keeps_the_newest(make_config: Make) -> None:
    config = make_config()
    for step in (4, 8, 12, 16):
        save(config, step)
    assert prune(config.checkpoints, keep=2) == ["step_000008", "step_000004"]
    assert sorted(path.name for path in config.checkpoints.glob("*")) == ["latest", "step_000012", "step_000016"]


def test_saving_a_step_again_replaces_it(make_config: Make) -> None:
    config = make_config()
    save(config, 4)
    again = save(config, 4)
    assert read_checkpoint(again.folder).step == 4


def test_continuing_is_refused_with_named_differences(make_config: Make) -> None:
    config = make_config()
    saved = save(config, 4)
    assert check_continues(saved, config, 2, "d") == {}
    other = make_config(model={"layers": 3})
    with pytest.raises(
        CheckpointError, match=r"model.layers was 2, now 3; .*data.* was d, now e; .*ranks was 2, now 4"
    ):
        check_continues(saved, other, 4, "e")
    stage = make_config(training={"deepspeed": {"zero_optimization": {"stage": 2}}})
    with pytest.raises(CheckpointError, match="the ZeRO stage was 1, now 2"):
        check_continues(saved, stage, 2, "d")


def test_weights_do_not_go_into_another_model(make_config: Make) -> None:
    saved = save(make_config(), 4)
    check_architecture(saved, make_config(model={"dropout": 0.1, "document_masking": True}))
    with pytest.raises(CheckpointError, match=r"is of another model: model.heads was 2, now 4"):
        check_architecture(saved, make_config(model={"heads": 4}))


def test_a_checkpoint_from_before_a_switch_has_it_at_its_default(make_config: Make) -> None:
    saved = save(make_config(), 4)
    del saved.manifest["config"]["model"]["query_key_layer_scaling"]
    check_architecture(saved, make_config())
    with pytest.raises(CheckpointError, match="query_key_layer_scaling was False, now True"):
        check_architecture(saved, make_config(model={"query_key_layer_scaling": True}))


def test_harmless_differences_are_reported(make_config: Make) -> None:
    saved = save(make_config(), 4)
    changed = check_continues(saved, make_config(training={"learning_rate": 1e-3, "save_every": 2}), 2, "d")
    assert changed == {
        "training.learning_rate": {"was": 0.003, "now": 0.001},
        "training.save_every": {"was": 4, "now": 2},
    }


def test_done_counts_up_to_its_step(tmp_path: Path) -> None:
    assert finished_step(tmp_path) == -1
    mark_finished(tmp_path, 12, 3072)
    assert finished_step(tmp_path) == 12


def test_manifest_is_plain_json(make_config: Make) -> None:
    saved = save(make_config(), 4)
    manifest = json.loads(Path(saved.folder / "manifest.json").read_text())
    assert manifest["files"] == {"config.yaml": (saved.folder / "config.yaml").stat().st_size, "weights.pt": 104}
