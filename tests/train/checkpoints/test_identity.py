"""Checkpoints among folders that were made anew for another run: nothing is measured or sent out that is not theirs."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from data.errors import DataError
from data.files import file_digest
from domainlm import stages
from domainlm.export import export
from domainlm.generate import load_writer
from tests.launched.runs import finish_forked, metrics, start_module, wait_for_forked
from train.checkpoints.compatibility import check_continues
from train.checkpoints.folders import CheckpointError, newest_checkpoint, read_checkpoint
from train.checkpoints.identity import shards_in_use
from train.config import RunConfig, to_yaml
from train.config_file import load_config
from train.token_stream import open_stream

Change = Callable[..., RunConfig]


@pytest.fixture
def change(undisturbed: RunConfig, tmp_path: Path) -> Change:
    """The trained run with folders of its own, under the configuration with these settings changed."""
    shutil.copytree(undisturbed.data_folder, tmp_path / "data")
    shutil.copytree(undisturbed.run_folder, tmp_path / "run")
    file = tmp_path / "run.yaml"
    file.write_text(to_yaml(undisturbed), "utf-8")
    own = (f"folder={tmp_path / 'run'}", f"data.folder={tmp_path / 'data'}", "evaluation.baselines=[zstd]")
    return lambda *settings: load_config(file, [*own, *settings])


def refusal(call: Callable[..., object], *arguments: object) -> str:
    with pytest.raises(CheckpointError) as refused:
        call(*arguments)
    return str(refused.value)


def test_a_figure_is_of_the_tokenizer_that_was_trained_with(change: Change, tmp_path: Path) -> None:
    config, other = change(), change("tokenizer.digits=triples")
    truth = stages.evaluate(config)
    theirs = file_digest(config.tokenizer_folder / "tokenizer.json")
    stages.tokenize(other)
    now = file_digest(config.tokenizer_folder / "tokenizer.json")
    assert now != theirs
    for stage in (stages.evaluate, stages.report):
        for named in (config, other):
            said = refusal(stage, named)
            assert f"the tokenizer was {theirs}, now {now}" in said
            assert f"run `domainlm prepare {config.run_folder}` and `domainlm tokenize {config.run_folder}`" in said
    with pytest.raises(CheckpointError, match=f"the tokenizer was {theirs}, now {now}"):
        check_continues(newest_checkpoint(config), other, "d", now)

    # Weights leave with the tokenizer that they carry, and with no word of another text.
    assert load_writer(other).tokenizer.encode("2011").ids == load_writer(config).tokenizer.encode("2011").ids
    assert "data_card.json is not of" in refusal(export, config, tmp_path / "out")
    (config.reports / "data_card.json").unlink()
    export(config, tmp_path / "out")
    assert file_digest(tmp_path / "out" / "tokenizer.json") == theirs

    stages.tokenize(config)  # what is said to mend it does
    shutil.rmtree(config.reports)
    again = stages.evaluate(config)
    assert (again["sources"], again["inputs"]) == (truth["sources"], truth["inputs"])
    again["inputs"]["checkpoint"] = "of a run that was here before"
    (config.reports / "evaluate.json").write_text(json.dumps(again))
    assert "evaluate.json is not of" in (said := refusal(stages.report, config))
    assert "but of another checkpoint of step 12: run" in said


def test_what_was_trained_on_is_not_called_held_out(change: Change) -> None:
    config, earlier = change(), change("data.cutoff=2010-01-01")
    assert "data.cutoff was 2017-01-01, now 2010-01-01" in refusal(stages.evaluate, earlier)
    stages.prepare(earlier)
    assert "the corpus was " in refusal(stages.evaluate, config)
    stages.tokenize(earlier)
    was = newest_checkpoint(config).manifest["shards_digest"]
    said = refusal(stages.evaluate, earlier)
    assert "data.cutoff was 2017-01-01, now 2010-01-01" in said
    assert f"the text (shards, held-out documents included) was {was}, now " in said
    assert "may have been trained on" in said
    assert not (config.reports / "evaluate.json").exists()


def test_a_run_does_not_begin_on_shards_of_another_cutoff_or_tokenizer(change: Change) -> None:
    with pytest.raises(
        DataError, match=r'was made with data.cutoff "2017-01-01", which is null now: run `domainlm prep'
    ):
        open_stream(change("data.cutoff=null"))
    for shard in (None, (0, 2)):
        with pytest.raises(DataError, match=r"was made with data\.cutoff"):
            stages.tokenize(change("data.cutoff=null"), shard)
    other = change("data.past_fraction=0.2")
    stages.prepare(other)
    with pytest.raises(
        DataError, match=r"corpus has the digest .*, .*shards were made from .*: run `domainlm tokenize"
    ):
        open_stream(other)
    stages.prepare(change())
    stages.tokenizer(change("tokenizer.digits=triples"))
    with pytest.raises(DataError, match=r"tokenizer.json has the digest .* were made with .*: run `domainlm tokenize"):
        open_stream(change())


def test_a_run_whose_shards_are_replaced_ends_and_its_checkpoints_stay_those_of_the_old_ones(
    change: Change, tmp_path: Path
) -> None:
    config = change("training.steps=9999", "evaluation.every=20", "training.save_every=20")
    (config.run_folder / "DONE").unlink()
    (tmp_path / "long.yaml").write_text(to_yaml(config), "utf-8")
    stream, manifest = open_stream(config), newest_checkpoint(config).manifest
    process = start_module("train", tmp_path / "long.yaml")
    wait_for_forked(lambda: 13 in metrics(config), [process])
    stages.tokenize(change("tokenizer.digits=triples"))
    said = finish_forked([process], code=2)
    assert "Traceback" not in said
    with pytest.raises(DataError, match=r"had the digest .* when the run began, and has .* now") as refused:
        shards_in_use(config, stream)
    assert f"error: {refused.value}" in said or "manifest.json does not exist" in said
    newest = newest_checkpoint(config)
    assert newest.manifest["shards_digest"] == manifest["shards_digest"]
    assert file_digest(newest.folder / "tokenizer" / "tokenizer.json") == manifest["tokenizer_digest"]


def test_an_older_checkpoint_is_known_by_its_data_and_takes_the_tokenizer_beside_it(
    change: Change, tmp_path: Path
) -> None:
    config, other = change(), change("tokenizer.digits=triples")
    for folder in config.checkpoints.glob("step_*"):
        manifest = read_checkpoint(folder).manifest
        del manifest["shards_digest"]
        files = {name: file for name, file in manifest["files"].items() if not name.startswith("tokenizer/")}
        (folder / "manifest.json").write_text(json.dumps(manifest | {"format": 2, "files": files}), "utf-8")
        shutil.rmtree(folder / "tokenizer")
    journal = config.run_folder / "journal.jsonl"
    events = [json.loads(line) for line in journal.read_text().splitlines() if '"saving"' not in line]
    journal.write_text(
        "".join(json.dumps({k: v for k, v in e.items() if k not in ("digest", "offset")}) + "\n" for e in events)
    )
    assert stages.evaluate(config)["step"] == 12
    export(config, tmp_path / "out")
    stages.tokenize(other)
    assert "the text (shards, held-out documents included) was another, now " in refusal(stages.evaluate, config)
    for call in (load_writer, export):
        assert "step_000012 was trained with the tokenizer " in refusal(call, config)


def test_a_changed_byte_is_seen_wherever_it_is_read(change: Change, tmp_path: Path) -> None:
    config = change()
    tokenizer = config.tokenizer_folder / "tokenizer.json"
    content = tokenizer.read_bytes()
    tokenizer.write_bytes(content.replace(b": 399", b": 398"))  # two pieces with one id
    export(config, tmp_path / "out")
    assert (tmp_path / "out" / "tokenizer.json").read_bytes() == content, "the checkpoint's own"
    assert "the tokenizer was" not in stages.tokenize(config)  # it is made again
    assert tokenizer.read_bytes() == content

    (held_out,) = (config.shards / "future").glob("news-*.bin")
    changed = held_out.read_bytes()
    held_out.write_bytes(changed[:-2] + bytes([changed[-2] ^ 1]) + changed[-1:])
    with pytest.raises(DataError, match=r"future/news-00000.bin is damaged"):
        stages.evaluate(config)
    held_out.write_bytes(changed)

    for name in ("tokenizer/tokenizer.json", "rank_00000.safetensors"):
        file = config.checkpoints / "step_000012" / name
        whole = file.read_bytes()
        file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        with pytest.raises(CheckpointError, match=r"step_000012.* content of .* is not what was written"):
            export(config, tmp_path / "other")
        assert load_writer(config).step == 8, "said and passed over"
        file.write_bytes(whole)
