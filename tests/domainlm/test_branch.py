"""Branches on the real engine: a new run from any checkpoint, with its lineage; BloombergGPT's edits in miniature."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from domainlm.branch import Edit, branch, read_edit
from tests.launched.runs import losses, metrics, run_train
from train.checkpoints.compatibility import check_optimizer
from train.checkpoints.folders import CheckpointError, find_latest, saved_steps
from train.checkpoints.fragments import Reader
from train.config import CHECKOUT, RunConfig
from train.config_file import ConfigError, load_config
from train.earlier_steps import Skip, read_skips
from train.records.journal import Journal, read_journal
from train.schedule import consumed_samples, learning_rate
from train.token_stream import open_stream

SmallRun = Callable[..., Path]
EDITS = CHECKOUT / "configs" / "branches" / "bloomberggpt-50b.yaml"


def train(file: Path, *overrides: str) -> RunConfig:
    """One rank alone, which takes least time."""
    output = run_train(file, *overrides)
    assert output.returncode == 0, output.stderr
    return load_config(file, overrides)


def test_the_sequence_of_edits_of_a_published_run_in_miniature(
    small_run: SmallRun, tmp_path: Path, command_line: Callable[..., tuple[int, str, str]]
) -> None:
    """Batch warm-up; back, the rest reshuffled at two thirds of the rate; dropout; the last rate; a longer horizon."""

    def command(*words: str) -> dict[str, Any]:
        code, shown, said = command_line("branch", *words, "--json")
        assert code == 0, said
        result: dict[str, Any] = json.loads(shown)
        return result

    parent = train(small_run("v2", batch_size={0: 4, 3: 8}, save_every=2, keep_checkpoints=9), "training.steps=8")
    edits = tmp_path / "edits.yaml"
    edits.write_text(
        yaml.safe_dump(
            {
                "reshuffled": {"from": 4, "set": {"data.reshuffles": {5: 2}, "training.learning_rate": 2e-3}},
                "dropout": {"from": 6, "set": {"training.learning_rate": 1e-3, "model.dropout": 0.1}},
            }
        )
    )
    first = command(str(parent.run_folder / "config.yaml"), "--name", "reshuffled", "--edits", str(edits))
    reshuffled = train(Path(first["config"]))
    assert losses(reshuffled)[:4] == losses(parent)[:4], "what was read is as it was"
    assert not set(losses(reshuffled)[4:]) & set(losses(parent)[4:]), "the rest is not"
    second = command(first["config"], "--name", "dropout", "--edits", str(edits), "--set", "training.schedule=wsd")
    final = train(Path(second["config"]), "training.steps=10")
    assert losses(final)[:6] == losses(reshuffled)[:6]
    assert sorted(metrics(final)) == list(range(1, 11))
    assert metrics(final)[7]["learning_rate"] == learning_rate(final.training, 7) <= 1e-3

    lineage = read_journal(final.run_folder)[0]
    assert (lineage["event"], lineage["parent"], lineage["step"]) == ("branch", "reshuffled", 6)
    assert lineage["changes"]["model.dropout"] == {"was": 0.0, "now": 0.1}
    assert final.model.dropout == 0.1
    assert final.data.reshuffles == {5: 2}, "inherited"
    assert final.data_folder == parent.data_folder
    assert read_journal(reshuffled.run_folder)[0]["parent_folder"] == str(parent.run_folder)


@pytest.fixture
def parent(undisturbed: RunConfig, tmp_path: Path) -> RunConfig:
    """A run of its own to branch from, with the files of the one that other tests compare with."""
    folder = shutil.copytree(undisturbed.run_folder, tmp_path / "runs" / "parent")
    return undisturbed.model_copy(
        update={
            "folder": str(folder),
            "data": undisturbed.data.model_copy(update={"folder": str(undisturbed.data_folder)}),
        }
    )


def test_a_branch_shares_the_checkpoint_and_starts_its_own_records(parent: RunConfig) -> None:
    made = branch(parent, "shared", Edit(8, ("training.learning_rate=1e-3",)))
    assert made.run_folder == parent.run_folder.with_name("shared")
    found = find_latest(made.checkpoints)
    assert found is not None
    assert found.step == 8
    theirs = parent.checkpoints / "step_000008"
    assert all((found.folder / name).samefile(theirs / name) for name in found.manifest["files"])
    assert sorted(metrics(made)) == list(range(1, 9))
    assert load_config(made.run_folder / "config.yaml") == made
    assert made.training.learning_rate == 1e-3
    assert not (made.run_folder / "DONE").exists()

    again = branch(parent, "shared", Edit(8, ("training.learning_rate=1e-3",)))
    assert again == made, "safe to repeat"
    with pytest.raises(ConfigError, match="holds another run: give the branch another --name"):
        branch(parent, "shared", Edit(8, ("training.learning_rate=2e-3",)))


def test_a_branch_changes_the_optimizer_and_back(parent: RunConfig, capsys: pytest.CaptureFixture[str]) -> None:
    """What the other one keeps of the blocks' matrices begins at zero, and that is said; in place it is refused."""
    before = find_latest(parent.checkpoints)
    assert before
    with pytest.raises(
        CheckpointError, match=r"trained by adamw, training.optimizer is muon: set it to adamw, or begin"
    ):
        check_optimizer(before, load_config(parent.run_folder / "config.yaml", ["training.optimizer=muon"]))
    by_muon = branch(parent, "muon", Edit(8, ("training.optimizer=muon", "training.muon.learning_rate=0.01")))
    assert "begins anew: Muon's momentum of the blocks' matrices, at zero" in capsys.readouterr().err
    ended = train(by_muon.run_folder / "config.yaml", "training.steps=10")
    assert [metric["step"] for metric in metrics(ended).values()] == list(range(1, 11))
    saved = find_latest(ended.checkpoints)
    assert saved
    kinds = Reader(saved.folder).kinds
    assert set(kinds["blocks.0.attention.output.weight"]) == {"weight", "momentum"}
    assert set(kinds["embedding.weight"]) == {"weight", "exp_avg", "exp_avg_sq"}
    assert saved.manifest["optimizer_step"] == 10, "AdamW's count goes on"
    back = branch(ended, "back", Edit(10, ("training.optimizer=adamw", "training.steps=12")))
    assert "begins anew: AdamW's moments of the blocks' matrices, at zero" in capsys.readouterr().err
    last = losses(train(back.run_folder / "config.yaml"))
    assert len(last) == 12
    assert max(last[8:]) < last[0], "it goes on learning"
    with pytest.raises(CheckpointError, match=r"trained by muon, training.optimizer is adamw"):
        check_optimizer(saved, load_config(ended.run_folder / "config.yaml", ["training.optimizer=adamw"]))
    check_optimizer(saved, load_config(back.run_folder / "config.yaml"))


def test_another_seed_is_another_order_of_what_is_unread(parent: RunConfig) -> None:
    made = branch(parent, "seeded", Edit(8, ("seed=5",)))
    assert (made.seed, made.data.reshuffles) == (parent.seed, {9: 5})
    samples = consumed_samples(parent.training, 8)
    ours, theirs = open_stream(made), open_stream(parent)
    assert (ours.batch(0, samples).tokens == theirs.batch(0, samples).tokens).all()
    assert (ours.batch(samples, 8).tokens != theirs.batch(samples, 8).tokens).any()


def test_skips_are_inherited_with_the_batches_that_they_are_of(small_run: SmallRun, parent: RunConfig) -> None:
    with Journal(parent.run_folder) as journal:
        journal.event("skip", first=3, last=3)
        journal.event("skip", first=7, last=10)
    same = branch(parent, "same-batches", Edit(8, ("training.learning_rate=1e-3",)))
    assert read_skips(read_journal(same.run_folder)) == [Skip(3, 3), Skip(7, 10)]
    other = branch(parent, "other-batches", Edit(8, ("data.reshuffles={9: 1}",)))
    assert read_skips(read_journal(other.run_folder)) == [Skip(3, 3), Skip(7, 8)]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (Edit(5, ()), r"no checkpoint of step 5; there are those of 8, 12"),
        (Edit(8, ("model.layers=3",)), r"model\.layers was 2, now 3"),
        (Edit(8, ("data.reshuffles={4: 1}",)), r"the data .* was .*, now"),
        (Edit(8, ("training.learnin_rate=1",)), r"did you mean `learning_rate`"),
    ],
)
def test_what_cannot_be_continued_is_refused_and_leaves_nothing(parent: RunConfig, edit: Edit, message: str) -> None:
    before = set(parent.run_folder.parent.iterdir())
    with pytest.raises((CheckpointError, ConfigError), match=message):
        branch(parent, "refused", edit)
    assert set(parent.run_folder.parent.iterdir()) == before


def test_a_name_that_leads_elsewhere_is_refused(make_config: Callable[..., RunConfig]) -> None:
    with pytest.raises(ConfigError, match=r"--name \.\./low: a run's name has letters, .* no folders"):
        branch(make_config(), "../low", Edit(8, ()))


def test_the_published_edits_fit_the_published_run() -> None:
    """Each edit gives a valid configuration, with the rate that the paper states at its step."""
    config = CHECKOUT / "configs" / "bloomberggpt-50b.yaml"
    settings: list[str] = []
    for name, step, rate in (("dropout", 129_900, 2e-5), ("final", 137_100, 1e-5)):
        edit = read_edit(EDITS, name)
        settings += edit.settings
        run = load_config(config, settings)
        assert (edit.step, learning_rate(run.training, step + 1)) == (step, pytest.approx(rate))
    assert run.model.dropout == 0.1
    assert learning_rate(run.training, 139_200) == pytest.approx(1e-5)
    first = read_edit(EDITS, "reshuffled")
    run = load_config(config, first.settings)
    assert first.step == 115_500
    assert run.data.reshuffles == {115_501: 2}
    assert run.training.learning_rate == pytest.approx(6e-5 * 2 / 3)


def test_an_edit_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no edit is called finale: there are reshuffled, dropout, final"):
        read_edit(EDITS, "finale")
    (tmp_path / "edits.yaml").write_text("- 1\n")
    with pytest.raises(ConfigError, match="not a file of"):
        read_edit(tmp_path / "edits.yaml", "final")
    (tmp_path / "edits.yaml").write_text("final:\n  from: 4\n  from: 8\n  set: {}\n")
    with pytest.raises(ConfigError, match="line 3: key given twice: from"):
        read_edit(tmp_path / "edits.yaml", "final")


def test_the_parents_checkpoints_stay(parent: RunConfig) -> None:
    branch(parent, "staying", Edit(8, ()))
    assert saved_steps(parent.checkpoints) == [8, 12]
