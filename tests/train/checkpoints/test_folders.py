"""Checkpoint folders: whole or not there, found again, refused when damaged or of another run."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import xxhash

from data.files import value_digest
from train.checkpoints import folders
from train.checkpoints.folders import (
    KEYS,
    Checkpoint,
    CheckpointError,
    DamagedError,
    DeletedError,
    damaged_files,
    delete,
    describe_finished,
    discard_done_after,
    discard_partial,
    find_latest,
    finished_step,
    lost_end,
    mark_finished,
    partial_folder,
    publish,
    read_checkpoint,
)
from train.checkpoints.lock import check_writable
from train.config import RunConfig

Make = Callable[..., RunConfig]


def save(config: RunConfig, step: int) -> Checkpoint:
    folder = partial_folder(config.checkpoints, step)
    folder.mkdir(parents=True)
    (folder / "weights").write_bytes(bytes(100 + step))
    digests = {"tokenizer_digest": "t", "shards_digest": "s", "data_digest": "d"}
    return publish(config, step, {}, samples=step * 8, optimizer_step=step, **digests)


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


def test_a_checkpoint_that_is_overtaken_and_deleted_while_it_is_read_is_not_called_damaged(
    make_config: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = make_config()
    save(config, 4)
    check = folders._check_manifest

    def overtaken(folder: Path, manifest: dict[str, Any], digest: str | None) -> None:
        check(folder, manifest, digest)
        if folder.name == "step_000004":
            save(config, 8)
            delete(folder)

    monkeypatch.setattr(folders, "_check_manifest", overtaken)
    found = find_latest(config.checkpoints)
    assert found is not None
    assert found.step == 8
    save(config, 4)
    with pytest.raises(DeletedError, match=r"step_000004 was deleted while it was read, as training keeps the newest"):
        read_checkpoint(config.checkpoints / "step_000004")
    assert "damaged" not in capsys.readouterr().err


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
    with pytest.raises(CheckpointError, match=r"step_000004 has format None, this version reads 3"):
        read_checkpoint(saved.folder)


def flipped(content: bytes, bit: int) -> bytes:
    place, bit = divmod(bit, 8)
    return content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :]


def test_no_bit_of_a_manifest_can_change_unseen(make_config: Make) -> None:
    """But for what means the same in JSON: the e of 1e-05."""
    saved = save(make_config(), 4)
    file = saved.folder / "manifest.json"
    content = file.read_bytes()
    step = content.index(b'"optimizer_step": 4')
    for bit in [*range(8 * step, 8 * (step + 20)), *range(0, 8 * len(content), 61)]:
        if content[bit // 8 : bit // 8 + 1] not in b"eE":
            file.write_bytes(flipped(content, bit))
            with pytest.raises(DamagedError, match=r"manifest\.json"):
                read_checkpoint(saved.folder)
    file.write_bytes(content)
    assert read_checkpoint(saved.folder) == saved


@pytest.mark.parametrize("key", KEYS)
def test_what_a_manifest_lacks_is_named_whatever_its_format(make_config: Make, key: str) -> None:
    saved = save(make_config(), 4)
    manifest = {name: value for name, value in saved.manifest.items() if name != key}
    for content in (manifest | {"digest": value_digest(manifest)}, manifest | {"format": 2}):
        (saved.folder / "manifest.json").write_text(json.dumps(content))
        with pytest.raises(DamagedError, match=f"manifest.json lacks {key}: the checkpoint is damaged"):
            read_checkpoint(saved.folder)


def test_an_older_checkpoint_is_taken_up_and_what_its_folder_says_is_compared(make_config: Make) -> None:
    saved = save(make_config(), 4)
    older = {name: value for name, value in saved.manifest.items() if name != "shards_digest"} | {"format": 2}
    (saved.folder / "manifest.json").write_text(json.dumps(older))
    assert read_checkpoint(saved.folder).manifest == older
    (saved.folder / "manifest.json").write_text(json.dumps(older | {"step": 6}))
    with pytest.raises(DamagedError, match="says that it is of step 6"):
        read_checkpoint(saved.folder)
    (saved.folder / "manifest.json").write_text(json.dumps(saved.manifest))
    with pytest.raises(DamagedError, match="lacks digest"):
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


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: shutil.rmtree(folder), "no checkpoint of step 12; there are those of 8"),
        (lambda folder: shutil.rmtree(folder.parent), "no checkpoint of step 12; there are none"),
        (lambda folder: (folder / "weights").write_bytes(b"short"), "weights has 5 bytes instead of 112"),
        (lambda folder: (folder / "manifest.json").unlink(), "no readable manifest.json"),
    ],
)
def test_a_run_without_its_last_checkpoint_is_not_finished(
    make_config: Make, damage: Callable[[Path], object], said: str
) -> None:
    config = make_config()
    save(config, 8)
    last = save(config, 12).folder
    assert describe_finished(config) is None
    mark_finished(config.run_folder, 12, 3072)
    assert describe_finished(config) == f"training: already finished at step 12 ({config.run_folder / 'DONE'})"
    damage(last)
    assert describe_finished(config) is None
    lost = lost_end(config)
    assert lost is not None
    assert lost.startswith(f"{config.run_folder / 'DONE'} says that the run is finished, and its last checkpoint is")
    assert said in lost


def test_the_mark_of_an_end_that_is_lost_is_removed(make_config: Make, capsys: pytest.CaptureFixture[str]) -> None:
    config = make_config()
    mark_finished(config.run_folder, 12, 3072)
    discard_done_after(config.run_folder, 12)
    assert finished_step(config.run_folder) == 12, "a run that is extended goes on from it"
    discard_done_after(config.run_folder, 8)
    assert finished_step(config.run_folder) == -1
    assert "DONE was of step 12; it is removed, as the run goes on from step 8" in capsys.readouterr().err


def test_manifest_is_plain_json(make_config: Make) -> None:
    saved = save(make_config(), 4)
    manifest = json.loads(Path(saved.folder / "manifest.json").read_text())
    assert {name: file["bytes"] for name, file in manifest["files"].items()} == {
        "config.yaml": (saved.folder / "config.yaml").stat().st_size,
        "weights": 104,
    }
    assert manifest["files"]["weights"]["digest"] == xxhash.xxh3_128(bytes(104)).hexdigest()
