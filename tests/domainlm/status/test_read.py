"""The status of real runs, from their files."""

import fcntl
import json
import os
import shutil
import time
from pathlib import Path

import pytest

from domainlm.status.read import RECENT_STEPS, SPARKLINE_WIDTH, read_status, sparkline, thin_out
from train.config import RunConfig
from train.config_file import load_config
from train.records.metrics import read_metrics


@pytest.fixture
def unfinished(undisturbed: RunConfig, tmp_path: Path) -> RunConfig:
    """A copy of a run's records up to step 9, as they are while it trains."""
    for name in ("metrics.jsonl", "journal.jsonl", "config.yaml"):
        shutil.copy(undisturbed.run_folder / name, tmp_path / name)
    shutil.copytree(undisturbed.checkpoints, tmp_path / "checkpoints")
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines(keepends=True)
    now = {"time": time.time()}  # the run that they are of may have ended long ago
    kept = [json.dumps(line | now) + "\n" for line in map(json.loads, lines) if line["step"] <= 9]
    (tmp_path / "metrics.jsonl").write_text("".join(kept) + '{"step": 10, "lo')
    events = (tmp_path / "journal.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "journal.jsonl").write_text("".join(line for line in events if json.loads(line).get("step", 0) <= 9))
    return load_config(tmp_path / "config.yaml", [f"folder={tmp_path}"])


def test_a_finished_run(undisturbed: RunConfig) -> None:
    status = read_status(undisturbed)
    assert (status.state, status.step, status.steps) == ("finished", 12, 12)
    assert status.saved[-1] == 12
    assert status.seconds_left == 0
    assert status.evaluation is not None
    assert set(status.evaluation["evaluation"]) == {"news", "general"}
    assert len(status.losses) == 12
    assert 0 < status.ledger.goodput < 1
    (session,) = status.ledger.sessions
    assert session.ranks == 2
    assert sum(session.seconds.values()) == pytest.approx(session.end - session.begin)
    assert min(session.seconds["starting"], session.seconds["training"]) > 0


def test_a_run_that_goes_on_is_locked_and_has_time_left(unfinished: RunConfig) -> None:
    with (unfinished.run_folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        status = read_status(unfinished)
        assert (status.state, status.step) == ("running", 9)
        tokens = 3 * 8 * unfinished.model.sequence_length
        assert status.seconds_left == pytest.approx(tokens / status.tokens_per_second)
        late = read_status(unfinished, now=time.time() + 3_600)
        assert late.state == "hung?"
        assert late.why.startswith("nothing was written for 1 h 00 min, a step usually takes")
        assert late.ledger.wall_seconds > 3_500, "a run that hangs goes on costing"
    gone = read_status(unfinished, now=time.time() + 3_600)
    assert gone.state == "gone"
    assert gone.ledger.wall_seconds < 3_500, "one that is dead does not"


def test_a_copy_of_a_run_that_was_killed_is_as_old_as_its_records(unfinished: RunConfig) -> None:
    later = time.time() + 3_600  # `cp -r` and what fetches from object storage give files the time of the copy
    for name in ("metrics.jsonl", "journal.jsonl"):
        os.utime(unfinished.run_folder / name, (later, later))
    copied = read_status(unfinished, now=later + 1)
    assert copied.state == "gone"
    assert copied.silent_seconds is not None
    assert copied.silent_seconds > 3_500
    assert copied.ledger.wall_seconds < 3_500, "the time until the copy was made cost nothing"


def test_what_the_journal_says_last(unfinished: RunConfig) -> None:
    journal = unfinished.run_folder / "journal.jsonl"
    now = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    for event, state, why in (
        ({"event": "stop", "step": 9, "reason": "SIGTERM"}, "stopped", "after step 9: SIGTERM"),
        ({"event": "failure", "error": "OSError: disk full"}, "failed", "OSError: disk full"),
    ):
        with journal.open("a") as file:
            file.write(json.dumps(event | {"time": now}) + "\n")
        status = read_status(unfinished)
        assert (status.state, status.why[: len(why)]) == (state, why)


def test_before_a_run_begins(undisturbed: RunConfig, tmp_path: Path) -> None:
    status = read_status(undisturbed.model_copy(update={"folder": str(tmp_path / "nowhere")}))
    assert (status.state, status.step, status.losses, status.silent_seconds) == ("not started", 0, [], None)


def test_a_branch_that_nobody_has_started_is_not_gone(unfinished: RunConfig) -> None:
    event = {"event": "branch", "time": "2026-11-01T00:00:00+0000", "parent": "demo", "step": 9}
    (unfinished.run_folder / "journal.jsonl").write_text(json.dumps(event) + "\n")
    late = time.time() + 3_600
    assert read_status(unfinished, late).state == "not started"
    with (unfinished.run_folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert (read_status(unfinished).state, read_status(unfinished).why) == ("running", "it is starting")


def test_a_torn_line_is_left_out(unfinished: RunConfig) -> None:
    lines = read_metrics(unfinished.run_folder / "metrics.jsonl")
    assert [line["step"] for line in lines if "loss" in line] == list(range(1, 10))


def test_sparklines() -> None:
    assert sparkline([1.0, 2.0, 3.0, 8.0]) == "▁▂▃█"
    assert sparkline([2.0, 2.0]) == "▁▁"
    assert sparkline([]) == ""
    assert thin_out([1.0, 3.0, 5.0, 7.0], 2) == [2.0, 6.0]
    assert len(thin_out([float(i) for i in range(1_000)], SPARKLINE_WIDTH)) == SPARKLINE_WIDTH
    assert RECENT_STEPS < 100
