"""Saves that are killed, that meet a full disk, that go on in the background: nothing whole is ever lost."""

import json
import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.launched.runs import lines, losses, run_python, run_train, start_module, wait_for_forked
from train.checkpoints.folders import newest_checkpoint
from train.config import RunConfig
from train.config_file import load_config
from train.records.journal import read_journal

KILLS = int(os.environ.get("DOMAINLM_KILLS", "60"))
ROOM = 100_000  # bytes that a file may have on the "full disk": logs fit, a rank's part of a checkpoint does not


def test_kill_9_at_every_operation_and_at_random_loses_no_whole_checkpoint(
    write_small_config: Callable[..., Path], tmp_path: Path
) -> None:
    config_file = write_small_config(tmp_path / "run.yaml", tmp_path / "run")
    done = run_python("tests/launched/kill_saves.py", config_file, str(KILLS), "1", tmp_path / "out.json")
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "out.json").read_text())
    assert result["wrong"] == []
    assert result["operations"] > 20, "a save does more than that on the file system"
    assert result["kills"] == KILLS
    assert result["step"] > KILLS / 10, "between the kills some saves ended"
    assert len(result["left"]) == 3, "the next save that is not killed leaves two checkpoints and `latest`"


def train_on_a_full_disk(config_file: Path, lift: bool) -> tuple[int, str]:
    """Train with one rank whose files cannot grow; with `lift`, until a save has failed. Returns exit code, output."""
    config, process = load_config(config_file), start_module("train", config_file)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (ROOM, resource.RLIM_INFINITY))
    if lift:
        wait_for_forked(lambda: bool(events(config, "save failed")), [process], pause=0.005)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    ended = process.finish(280)
    return ended.returncode, ended.stderr


def events(config: RunConfig, name: str) -> list[dict[str, Any]]:
    return [event for event in read_journal(config.run_folder) if event["event"] == name]


def test_a_full_disk_costs_a_save_but_not_the_run(small_run: Callable[..., Path]) -> None:
    file = small_run("full", steps=60, save_every=20)
    config = load_config(file)
    code, output = train_on_a_full_disk(file, lift=True)
    assert code == 0, output
    assert "could not save step 20 (OSError: [Errno 27] File too large: '" in output
    failed = events(config, "save failed")
    assert failed[0]["step"] == 20
    assert "File too large" in str(failed[0]["error"])
    assert len(losses(config)) == 60
    saves = events(config, "save")
    assert saves[-1]["step"] == 60
    assert not list(config.checkpoints.glob(".step_*")), "the failed save takes up no room"
    assert newest_checkpoint(config).step == 60


def test_a_last_save_that_fails_ends_the_run_with_its_cause_and_nothing_lost(small_run: Callable[..., Path]) -> None:
    file = small_run("full")
    config = load_config(file)
    code, output = train_on_a_full_disk(file, lift=False)
    assert code == 2, output
    assert "\nerror: step 12 was not saved: OSError: [Errno 27] File too large: '" in output
    assert "; mend that and run the same command again: it goes on from the newest checkpoint" in output
    assert "Traceback" not in output
    assert not (config.run_folder / "DONE").exists()
    done = run_train(file)
    assert done.returncode == 0, done.stderr
    assert len(losses(config)) == 12
    assert saved_in_the_background(config)


def saved_in_the_background(config: RunConfig) -> bool:
    """The records of the saves: in the journal, and in metrics.jsonl with what each cost."""
    records = {line["step"]: line["save"] for line in lines(config, "save")}
    assert sorted(records) == [4, 8, 12]
    for save in events(config, "save"):
        assert records[save["step"]] == {name: save[name] for name in ("seconds", "stall_seconds", "bytes")}
    parameters = 12 * 400 * 32
    return all(
        0 <= save["stall_seconds"] <= save["seconds"] + 0.5 and save["bytes"] > parameters for save in records.values()
    )
