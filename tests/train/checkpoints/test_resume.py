"""Damaged checkpoints at a start: set aside, said, stepped back from; with none left nothing begins anew by itself."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch.distributed as dist

from domainlm.branch import Edit, branch
from domainlm.export import export
from domainlm.status.read import read_status
from domainlm.status.text import describe
from model.huggingface_folder import _describe
from tests.launched.runs import assert_same_run, run_to_the_end, run_train
from tests.train.checkpoints.test_folders import save
from train.checkpoints import trained
from train.checkpoints.folders import (
    Checkpoint,
    CheckpointError,
    DeletedError,
    damaged_folders,
    delete,
    finished_step,
    mark_finished,
    read_checkpoint,
    saved_steps,
    step_folder,
)
from train.checkpoints.resume import find_start, first_whole
from train.config import RunConfig, to_yaml
from train.config_file import load_config
from train.earlier_steps import read_skips
from train.process import Rank
from train.records.journal import read_journal
from train.token_stream import open_stream

ALONE = Rank(0, 0, 1)


@pytest.fixture(scope="module")
def one_rank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    meeting = tmp_path_factory.mktemp("meeting") / "store"
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def flip_a_bit(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def newest_first(saved: list[int]) -> list[int]:
    return saved[::-1]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (flip_a_bit, "the content of weights is not what was written"),
        (lambda file: file.write_bytes(b"short"), "weights has 5 bytes instead of 112"),
        (lambda file: file.unlink(), "weights is missing"),
        (lambda file: file.with_name("manifest.json").unlink(), "no readable manifest.json"),
        (lambda file: file.with_name("manifest.json").write_text('{"step": '), "no readable manifest.json"),
    ],
)
def test_whatever_the_damage_it_is_set_aside_and_said(
    make_config: Callable[..., RunConfig],
    one_rank: None,
    capsys: pytest.CaptureFixture[str],
    damage: Callable[[Path], object],
    reason: str,
) -> None:
    config = make_config()
    for step in (4, 8, 12):
        save(config, step)
    damage(config.checkpoints / "step_000012" / "weights")
    found = first_whole(config, ALONE, newest_first)
    assert found is not None
    assert found.step == 8
    assert saved_steps(config.checkpoints) == [4, 8]
    assert (config.checkpoints / "latest").read_text() == "step_000008"
    [folder] = damaged_folders(config.checkpoints)
    assert folder.name == "damaged_step_000012"
    [event] = read_journal(config.run_folder)
    assert (event["event"], event["step"], event["folder"]) == ("checkpoint set aside", 12, folder.name)
    assert reason in event["reason"]
    said = capsys.readouterr().err
    assert "WARNING: the checkpoint of step 12 is damaged" in said
    assert f"set aside as {folder}" in said
    [shown] = read_status(config).damaged
    assert shown.startswith("damaged_step_000012: ")
    assert f"set aside    {shown}" in describe(read_status(config))


def test_a_step_that_is_damaged_twice_replaces_nothing(make_config: Callable[..., RunConfig], one_rank: None) -> None:
    config = make_config()
    save(config, 4)
    for _ in range(2):
        save(config, 8)
        flip_a_bit(config.checkpoints / "step_000008" / "weights")
        found = first_whole(config, ALONE, newest_first)
        assert found is not None
        assert found.step == 4
    assert [path.name for path in damaged_folders(config.checkpoints)] == [
        "damaged_step_000008",
        "damaged_step_000008_2",
    ]


def test_another_versions_checkpoint_is_refused_and_left_alone(
    make_config: Callable[..., RunConfig], one_rank: None
) -> None:
    config = make_config()
    save(config, 4)
    save(config, 8)
    (config.checkpoints / "step_000008" / "manifest.json").write_text(json.dumps({"format": 4, "files": {}}))
    with pytest.raises(CheckpointError, match="step_000008 has format 4, this version reads 3"):
        first_whole(config, ALONE, newest_first)
    assert saved_steps(config.checkpoints) == [4, 8]


def refused(file: Path) -> str:
    done = run_train(file)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1]


def test_a_run_steps_back_to_the_newest_whole_checkpoint_and_never_begins_anew_by_itself(
    small_run: Callable[..., Path], undisturbed: RunConfig
) -> None:
    file = small_run("altered")
    config = load_config(file)
    shutil.copytree(undisturbed.run_folder, config.run_folder)
    (config.run_folder / "DONE").unlink()
    flip_a_bit(config.checkpoints / "step_000012" / "rank_00001.safetensors")  # the second rank's to compare
    output = run_to_the_end(file)
    assert output.count("WARNING: the checkpoint of step 12 is damaged (the content of rank_00001.safetensors") == 1
    assert f"resuming from {config.checkpoints / 'step_000008'}" in output
    assert_same_run(config, undisturbed)
    events = read_journal(config.run_folder)
    set_aside = next(place for place, event in enumerate(events) if event["event"] == "checkpoint set aside")
    assert events[set_aside]["step"] == 12
    assert events[set_aside + 1]["event"] == "resume"
    assert (events[set_aside + 1]["step"], events[set_aside + 1]["steps_repeated"]) == (8, 4)
    assert saved_steps(config.checkpoints) == [8, 12], "the damaged one is not counted among those that are kept"

    (config.run_folder / "DONE").unlink()
    for step in (8, 12):
        flip_a_bit(step_folder(config.checkpoints, step) / "rank_00000.safetensors")
    for _ in range(2):
        assert "no whole checkpoint is left, there is only damaged_step_000008, damaged_step_000012," in refused(file)
        assert read_status(config).state == "failed"
    begun = [event for event in read_journal(config.run_folder) if event["event"] in ("start", "resume")]
    assert len(begun) == 2

    whole = config.checkpoints / "damaged_step_000008"
    flip_a_bit(whole / "rank_00000.safetensors")  # a person has mended it
    whole.rename(config.checkpoints / "step_000008")
    mark_finished(config.run_folder, 12, 3072)  # of a step whose checkpoint lies aside
    done = run_train(file, "training.steps=9")
    assert done.returncode == 0, done.stderr
    assert "DONE was of step 12; it is removed, as the run goes on from step 8" in done.stderr
    assert finished_step(config.run_folder) == 9
    assert read_checkpoint(config.checkpoints / "step_000009").step == 9


@pytest.fixture
def begun(undisturbed: RunConfig, tmp_path: Path) -> RunConfig:
    """A run of its own with two checkpoints, whose last steps are still to be done."""
    folder = shutil.copytree(undisturbed.run_folder, tmp_path / "begun")
    (folder / "DONE").unlink()
    config = undisturbed.model_copy(update={"folder": str(folder)})
    (folder / "config.yaml").write_text(to_yaml(config), "utf-8")
    return config


def test_a_run_whose_checkpoints_are_gone_does_not_begin_anew_by_itself(begun: RunConfig, one_rank: None) -> None:
    shutil.rmtree(begun.checkpoints)
    begun.checkpoints.mkdir()
    metrics = begun.metrics.read_bytes()
    mark_finished(begun.run_folder, 12, 3072)
    status = read_status(begun)
    assert status.state == "failed"
    assert "says that the run is finished, and its last checkpoint is lost" in status.why
    said = refused(begun.run_folder / "config.yaml")
    assert "there is no checkpoint, but the run has saved, last at step 12. Put that back as step_N; or move" in said
    assert begun.metrics.read_bytes() == metrics
    assert read_journal(begun.run_folder)[-1]["event"] == "refused"
    (begun.run_folder / "journal.jsonl").unlink()
    with pytest.raises(CheckpointError, match="last at step 12"):  # the metrics still say so
        find_start(begun, ALONE, open_stream(begun))
    begun.metrics.unlink()
    assert find_start(begun, ALONE, open_stream(begun)) == (None, {})


def test_a_run_whose_journal_is_lost_goes_on_only_when_told_that_nothing_was_skipped(
    begun: RunConfig, one_rank: None
) -> None:
    """Its checkpoint does not know which batches are to be skipped."""
    journal = begun.run_folder / "journal.jsonl"
    for left in (None, b"", b'{"event": "refused", "error": "an earlier start"}\n'):
        journal.unlink(missing_ok=True)
        if left is not None:
            journal.write_bytes(left)
        for go_on in (lambda: find_start(begun, ALONE, open_stream(begun)), lambda: branch(begun, "new", Edit(8, ()))):
            with pytest.raises(
                CheckpointError, match=r"journal.jsonl does not say how the run began: it is lost"
            ) as told:
                go_on()
        assert journal.exists() == (left is not None), "so that a copy is still put in its place"
    subprocess.run(str(told.value).partition("goes on: ")[2], shell=True, check=True)
    found, _ = find_start(begun, ALONE, open_stream(begun))
    assert found is not None
    assert read_skips(read_journal(branch(begun, "new", Edit(8, ())).run_folder)) == []
    assert describe(read_status(begun))


def test_readers_take_the_newest_again_where_training_deletes_it_while_they_read(
    begun: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = trained.check_architecture

    def deleted_meanwhile(found: Checkpoint, config: RunConfig) -> None:
        check(found, config)
        if found.step == 12:
            delete(found.folder)

    shutil.copytree(begun.checkpoints / "step_000012", tmp_path / "copy")
    monkeypatch.setattr(trained, "check_architecture", deleted_meanwhile)
    assert trained.load_trained(begun).step == 8
    shutil.copytree(tmp_path / "copy", begun.checkpoints / "step_000012")
    with pytest.raises(DeletedError, match="step_000012 was deleted while it was read"):
        trained.load_trained(begun, 12)
    for step in (None, 12):
        shutil.copytree(tmp_path / "copy", begun.checkpoints / "step_000012")
        with pytest.raises(DeletedError) if step else nullcontext():
            assert export(begun, tmp_path / "out", step=step)["step"] == 8


def test_a_run_that_was_moved_goes_on_where_it_lies(begun: RunConfig, undisturbed: RunConfig, tmp_path: Path) -> None:
    moved = begun.run_folder.rename(tmp_path / "moved")
    done = run_train(moved / "config.yaml", "training.steps=13")
    assert done.returncode == 0, done.stderr
    assert f"resuming from {moved / 'checkpoints' / 'step_000012'}" in done.stderr
    assert f"resuming with another folder: was {undisturbed.folder}, now {moved}" in done.stderr
    assert saved_steps(moved / "checkpoints") == [12, 13]
    assert not begun.run_folder.exists()
    assert load_config(moved / "config.yaml", ["folder=elsewhere"]).folder == "elsewhere", "what is said wins"


def test_an_altered_manifest_is_set_aside_too(
    make_config: Callable[..., RunConfig], one_rank: None, capsys: pytest.CaptureFixture[str]
) -> None:
    config = make_config()
    save(config, 4)
    manifest = save(config, 8).folder / "manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b'"optimizer_step": 8', b'"optimizer_step": 9'))
    found = first_whole(config, ALONE, newest_first)
    assert found is not None
    assert found.step == 4
    assert "the checkpoint of step 8 is damaged" in capsys.readouterr().err
    assert "manifest.json is not as it was written" in read_journal(config.run_folder)[0]["reason"]


def test_ranks_without_a_command_around_them_begin_with_no_damaged_weights(
    make_config: Callable[..., RunConfig], data_folder: Path, one_rank: None, tmp_path: Path
) -> None:
    """`deepspeed --module train` trained on weights with a flipped bit, which `domainlm train` refuses."""
    base = tmp_path / "base"
    base.mkdir()
    (base / "model.safetensors").write_bytes(b"weights")
    (base / "domainlm.json").write_text(
        json.dumps({"files": {"model.safetensors": _describe(base / "model.safetensors")}})
    )
    config = make_config(data={"folder": str(data_folder)}, init_from=str(base))
    assert find_start(config, ALONE, open_stream(config)) == (None, {})
    flip_a_bit(base / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"init_from: .* written: model.safetensors: export it again"):
        find_start(config, ALONE, open_stream(config))
