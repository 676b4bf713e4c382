"""Checkpoint folders: whole or not there, found again, refused when damaged or of another run."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import xxhash

from train.checkpoints.folders import (
    Checkpoint,
    CheckpointError,
    check_writable,
    damaged_files,
    discard_partial,
    find_latest,
    finished_step,
    mark_finished,
    partial_folder,
    publish,
    read_checkpoint,
)
from train.config import RunConfig

Make = Callable[..., RunConfig]


def save(config: RunConfig, step: int) -> Checkpoint:
    folder = partial_folder(config.checkpoints, step)
    folder.mkdir(parents=True)
    (folder / "weights").write_bytes(bytes(100 + step))
    return publish(config, step, {}, tokenizer_digest="t", data_digest="d", samples=step * 8)


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
    (partial / "weights").write_bytes(b"half")
    found = find_latest(config.checkpoints)
    assert found is not None
    assert found.step == 4
    discard_partial(config.checkpoints)
    assert not partial.exists()


def test_a_damaged_checkpoint_is_passed_over_and_named(make_config: Make, capsys: pytest.CaptureFixture[str]) -> None:
    config = make_config()
    save(config, 4)
    newest = save(config, 8)
    (newest.folder / "weights").write_bytes(b"short")
    found = find_latest(config.checkpoints)
    assert found is not None
    assert found.step == 4
    assert "WARNING: passed over: " in capsys.readouterr().err
    assert newest.folder.exists(), "reading changes nothing"
    with pytest.raises(CheckpointError, match=r"weights has 5 bytes instead of 108: the checkpoint is damaged"):
        read_checkpoint(newest.folder)


@pytest.mark.parametrize("damage", ["missing file", "missing manifest", "broken manifest"])
def test_no_whole_checkpoint_left(make_config: Make, damage: str) -> None:
    config = make_config()
    only = save(config, 4)
    if damage == "missing file":
        (only.folder / "weights").unlink()
    elif damage == "missing manifest":
        (only.folder / "manifest.json").unlink()
    else:
        (only.folder / "manifest.json").write_text('{"step": ')
    with pytest.raises(CheckpointError, match="no whole checkpoint is left"):
        find_latest(config.checkpoints)


def test_saving_a_step_again_replaces_it(make_config: Make) -> None:
    config = make_config()
    save(config, 4)
    again = save(config, 4)
    assert read_checkpoint(again.folder).step == 4


def test_a_changed_byte_is_found(make_config: Make) -> None:
    saved = save(make_config(), 4)
    assert damaged_files(saved) == []
    (saved.folder / "weights").write_bytes(bytes(103) + b"!")
    assert read_checkpoint(saved.folder).step == 4, "the size is as before"
    assert damaged_files(saved) == ["weights"]
    assert damaged_files(saved, 0, 2) + damaged_files(saved, 1, 2) == ["weights"]


def test_a_checkpoint_of_another_format_is_refused(make_config: Make) -> None:
    saved = save(make_config(), 4)
    manifest = saved.folder / "manifest.json"
    manifest.write_text(json.dumps({"step": 4, "files": {"weights": 104}}))
    with pytest.raises(CheckpointError, match=r"step_000004 has format None, this version reads 2"):
        read_checkpoint(saved.folder)


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match=r"file/run cannot be written to \(Not a directory\): change"):
        check_writable(tmp_path / "file" / "run")
    with pytest.raises(CheckpointError, match=r"/proc cannot be written to \("):
        check_writable(Path("/proc"))  # not even by root
    check_writable(tmp_path / "new" / "run")
    assert not list((tmp_path / "new" / "run").iterdir())


def test_done_counts_up_to_its_step(tmp_path: Path) -> None:
    assert finished_step(tmp_path) == -1
    mark_finished(tmp_path, 12, 3072)
    assert finished_step(tmp_path) == 12


def test_manifest_is_plain_json(make_config: Make) -> None:
    saved = save(make_config(), 4)
    manifest = json.loads(Path(saved.folder / "manifest.json").read_text())
    assert {name: file["bytes"] for name, file in manifest["files"].items()} == {
        "config.yaml": (saved.folder / "config.yaml").stat().st_size,
        "weights": 104,
    }
    assert manifest["files"]["weights"]["digest"] == xxhash.xxh3_128(bytes(104)).hexdigest()
