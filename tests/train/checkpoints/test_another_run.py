"""Files of another run in a run's folder: no stage takes a checkpoint, a curve or a figure for its own."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from domainlm import stages
from domainlm.branch import Edit, branch
from domainlm.export import export
from domainlm.generate import load_writer
from domainlm.status.read import read_status
from domainlm.status.text import describe
from tests.launched.runs import finish_forked, start_module
from train.checkpoints.folders import CheckpointError, newest_checkpoint, step_folder
from train.checkpoints.identity import check_metrics, read_own
from train.config import RunConfig, to_yaml
from train.config_file import load_config
from train.records.journal import Journal, losses_at_saves, may_be_own, read_journal
from train.records.metrics import read_metrics


@pytest.fixture(scope="session")
def other(
    write_small_config: Callable[..., Path], data_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> RunConfig:
    """A run of the same configuration and data with another seed."""
    folder = tmp_path_factory.mktemp("other")
    file = write_small_config(folder / "run.yaml", folder / "run", data={"folder": str(data_folder)}, seed=8)
    finish_forked([start_module("train", file, "training.save_every=6")])
    return load_config(file)


@pytest.fixture
def config(undisturbed: RunConfig, tmp_path: Path) -> RunConfig:
    """The undisturbed run in a folder of its own, as when it was moved."""
    shutil.copytree(undisturbed.run_folder, tmp_path / "run")
    file = tmp_path / "run.yaml"
    file.write_text(to_yaml(undisturbed), "utf-8")
    own = [f"folder={tmp_path / 'run'}", f"data.folder={undisturbed.data_folder}", "evaluation.baselines=[zstd]"]
    return load_config(file, own)


def put(checkpoint: Path, config: RunConfig) -> None:
    target = config.checkpoints / checkpoint.name
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(checkpoint, target)


@pytest.mark.parametrize("step", [6, 12])
def test_no_reader_takes_a_checkpoint_of_another_run(
    config: RunConfig, other: RunConfig, tmp_path: Path, step: int
) -> None:
    theirs = step_folder(other.checkpoints, step)
    put(theirs, config)
    refusal = rf"step_0000{step:02} is not of this run: .*journal.jsonl does not know it"
    readers: list[Callable[[], object]] = [
        lambda: load_writer(config, step),
        lambda: export(config, tmp_path / "out", step=step),
        lambda: branch(config, "branched", Edit(step, ())),
    ]
    if step == 12:  # the newest
        readers += [lambda: stages.evaluate(config), lambda: stages.report(config)]
    for reader in readers:
        with pytest.raises(CheckpointError, match=refusal):
            reader()
    assert f"WARNING      {config.checkpoints / theirs.name} is not of this run" in describe(read_status(config))
    assert not list(tmp_path.glob("**/out")) + list(tmp_path.glob("**/branched"))


def test_training_does_not_go_on_from_it(config: RunConfig, other: RunConfig, tmp_path: Path) -> None:
    put(step_folder(other.checkpoints, 12), config)
    (tmp_path / "own.yaml").write_text(to_yaml(config), "utf-8")
    said = finish_forked([start_module("train", tmp_path / "own.yaml", "training.steps=14")], code=2)
    assert "step_000012 is not of this run" in said
    assert "Traceback" not in said


def test_a_curve_of_another_run_is_refused_and_an_older_copy_named(config: RunConfig, other: RunConfig) -> None:
    own = config.metrics.read_bytes()
    assert check_metrics(config) == ""
    shutil.copy(other.metrics, config.metrics)
    for reader in (stages.report, check_metrics, lambda run: branch(run, "branched", Edit(8, ()))):
        with pytest.raises(
            CheckpointError, match=r"metrics.jsonl is of another run: its loss at step 4 is .*, and this"
        ):
            reader(config)
    status = read_status(config)
    assert (status.newest, status.losses, status.evaluation) == ({}, [], None)
    assert "metrics.jsonl is of another run" in describe(status)

    config.metrics.write_bytes(b"".join(line for line in own.splitlines(True) if json.loads(line)["step"] <= 7))
    lacking = f"{config.metrics} lacks 5 steps that were trained, from 8 to 12"
    assert lacking in describe(read_status(config))
    page = Path(stages.report(config)["report"]).read_text("utf-8")
    assert lacking in page
    config.metrics.write_bytes(
        b"".join(line for line in own.splitlines(True) if json.loads(line)["step"] not in (3, 4))
    )
    assert check_metrics(config).startswith(f"{config.metrics} lacks 2 steps that were trained, from 3 to 4: it is")
    with Journal(config.run_folder) as journal:
        journal.event("skip", first=3, last=4, reason="of the test")
    assert check_metrics(config) == "", "what is skipped has no line"
    config.metrics.unlink()
    assert "lacks 10 steps that were trained, from 1 to 12" in describe(read_status(config))


def test_an_evaluation_of_another_run_is_not_shown(config: RunConfig, other: RunConfig) -> None:
    file, found = config.reports / "evaluate.json", newest_checkpoint(config)
    evaluated = stages.evaluate(config)
    assert read_own(file, found, config) == evaluated
    theirs = json.loads((step_folder(other.checkpoints, 6) / "manifest.json").read_bytes())
    inputs = evaluated["inputs"] | {"checkpoint": theirs["digest"]}
    file.write_text(json.dumps(evaluated | {"step": 6, "inputs": inputs}))
    with pytest.raises(CheckpointError, match=r"evaluate.json is not of .*of a checkpoint of step 6 that this run has"):
        read_own(file, found, config)


def test_each_checkpoint_is_in_the_journal_before_it_has_its_name(undisturbed: RunConfig, config: RunConfig) -> None:
    events, lines = read_journal(undisturbed.run_folder), read_metrics(undisturbed.metrics)
    losses = {line["step"]: line["loss"] for line in lines if "loss" in line}
    assert losses_at_saves(events) == {step: losses[step] for step in (4, 8, 12)}
    assert newest_checkpoint(undisturbed).digest in [event.get("digest") for event in events]
    made = branch(config, "branched", Edit(8, ("training.learning_rate=1e-3",)))
    assert newest_checkpoint(made).step == 8
    assert losses_at_saves(read_journal(made.run_folder)) == {8: losses[8]}


def test_what_an_older_version_has_written_is_taken_as_it_is(config: RunConfig, other: RunConfig) -> None:
    """Its journal has no digests; what this version adds to it is known again."""
    events = [event for event in read_journal(config.run_folder) if event["event"] != "saving"]
    for event in events:
        event.pop("digest", None)
        del event["offset"]
    file = config.run_folder / "journal.jsonl"
    file.write_text("".join(json.dumps(event) + "\n" for event in events))
    assert newest_checkpoint(config).step == 12
    with Journal(config.run_folder) as journal:
        journal.event("resume", step=12, digest=newest_checkpoint(config).digest)
    put(step_folder(other.checkpoints, 6), config)
    assert load_writer(config, 8).step == 8, "its save has no digest"
    with pytest.raises(CheckpointError, match=r"step_000006 is not of this run"):
        load_writer(config, 6)


@pytest.mark.parametrize(
    ("events", "own"),
    [
        ([], True),
        ([{"event": "refused"}], True),
        ([{"event": "start", "step": 0}], True),
        ([{"event": "start", "step": 0, "digest": None}], False),
        ([{"event": "branch", "step": 4, "digest": "a"}], False),
        ([{"event": "branch", "step": 8, "digest": "b"}], True),
        ([{"event": "start", "step": 0, "digest": None}, {"event": "saving", "step": 8, "digest": "b"}], True),
    ],
)
def test_what_the_journal_knows(events: list[dict[str, Any]], own: bool) -> None:
    assert may_be_own(events, 8, "b") == own


def test_losses_of_steps_that_were_run_again_do_not_count() -> None:
    saves = [{"event": "saving", "step": step, "digest": "a", "loss": step / 8} for step in (4, 8)]
    assert losses_at_saves([*saves, {"event": "resume", "step": 4}]) == {4: 0.5}
