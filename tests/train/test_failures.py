"""What befalls long runs, injected into real ones: each ends with its cause, and nothing is lost.

After any of it, losses and weights equal the undisturbed run's to the bit.
"""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.launched.runs import (
    assert_same_run,
    catches,
    environment,
    finish,
    finish_forked,
    losses,
    rank_processes,
    run_to_the_end,
    run_train,
    start,
    start_and_wait,
    start_faulty,
    start_ranks_and_wait,
    wait_for,
)
from train.checkpoints.folders import newest_checkpoint
from train.config import CHECKOUT, RunConfig
from train.config_file import load_config
from train.records.journal import read_journal
from train.stop import MARGIN_SECONDS

SmallRun = Callable[..., Path]
LOST = """
import sys, types, train.__main__
def fail(*_): raise RuntimeError("[/gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:2")
sys.modules["train.loop"] = types.SimpleNamespace(train=fail)
train.__main__.main()
"""


def test_a_rank_that_lost_another_says_so_in_a_line(small_run: SmallRun) -> None:
    """The other one has said why; a traceback of this one hid it."""
    words = [sys.executable, "-c", LOST, str(small_run("lost"))]
    done = subprocess.run(words, cwd=CHECKOUT, env=environment(), capture_output=True, text=True)
    assert done.returncode == 1
    assert "rank 0 lost another rank, which has ended: what that one said, or its node, is the reason" in done.stderr
    assert "Traceback" not in done.stderr


def asked_to_stop_while_starting(file: Path) -> None:
    """As soon as the ranks catch the signal, which is before they load torch."""
    process = start(file)

    def all_catch() -> bool:
        ranks = rank_processes(file)
        return len(ranks) == 2 and all(catches(rank, signal.SIGTERM) for rank in ranks)

    wait_for(all_catch, process)
    os.kill(rank_processes(file)[1], signal.SIGTERM)
    output = finish(process)
    assert "stopped after step 0" in output
    assert read_journal(load_config(file).run_folder)[-1]["event"] == "stop"


def an_exception_on_one_rank(file: Path) -> None:
    output = finish(start_faulty(file, "exception:1:5"), code=1)
    assert "rank 1 failed:" in output
    assert "RuntimeError: the fault that the test asked for" in output


def a_rank_that_hangs(file: Path) -> None:
    output = finish(start_faulty(file, "hang:1:5", "training.hang_timeout=20"), code=1)
    assert output.count("Timeout (0:00:20)!") == 2, "both ranks: one hangs, one waits"
    assert "in befall" in output
    assert "in all_reduce" in output


def a_rank_that_is_stopped(file: Path) -> None:
    """It cannot speak for itself: its peer does, and the launcher ends it."""
    process = start_and_wait(file, 2, "training.hang_timeout=20")
    os.kill(rank_processes(file)[1], signal.SIGSTOP)
    begin = time.monotonic()
    output = finish(process, code=1)
    assert time.monotonic() - begin < 20 + 60, "the watchdog, and 30 s that the launcher leaves for leaving"
    assert "Timeout (0:00:20)!" in output
    assert rank_processes(file) == []


def a_full_disk(file: Path) -> None:
    """The kernel's limit on the size of a file, set on rank 0 while it runs, cuts a line of metrics.jsonl short."""
    config = load_config(file)
    process = start_and_wait(file, 2)
    limit = config.metrics.stat().st_size + 300
    resource.prlimit(rank_processes(file)[0], resource.RLIMIT_FSIZE, (limit, limit))
    output = finish(process, code=2)
    assert f"error: {config.metrics}: File too large (its file system, at " in output
    assert "Traceback" not in output, "nor of its peer, which has lost it"


def a_damaged_shard(file: Path) -> None:
    """Cut off while ranks read it: they say which file it is."""
    config = load_config(file)
    [shard] = (config.shards / "train").glob("news-*.bin")
    whole = shard.read_bytes()
    process = start_and_wait(file, 2)
    os.truncate(shard, 0)
    output = finish(process, code=None)
    shard.write_bytes(whole)
    assert process.returncode != 0, output
    assert f"error: train/{shard.name} ends before byte" in output


def asked_to_stop_in_a_save(file: Path) -> None:
    """The save is finished; the step that the ranks agree on is the newest checkpoint."""
    config = load_config(file)
    process = start(file)
    wait_for(lambda: any(config.checkpoints.glob(".step_*.partial")), process, pause=0.0005)
    os.kill(rank_processes(file)[1], signal.SIGTERM)
    finish(process)
    last = read_journal(config.run_folder)[-1]
    assert (last["event"], last["step"]) == ("stop", newest_checkpoint(config).step)
    assert not list(config.checkpoints.glob(".step_*.partial"))


def a_loss_that_is_not_a_number_once(file: Path) -> None:
    """The step is computed again, and the device named that erred."""
    output = finish(start_faulty(file, "nan:1:7"))
    assert "spike: loss nan is not finite; computed again, rank 1 gets another loss: its device is faulty" in output


@pytest.mark.slow
def test_nothing_is_lost_whatever_befalls_a_run(small_run: SmallRun, undisturbed: RunConfig, tmp_path: Path) -> None:
    """One run through all of it, each time continued by the same command."""
    data = shutil.copytree(undisturbed.data_folder, tmp_path / "data")
    file = small_run("befallen", save_every=5)
    file.write_text(file.read_text().replace(str(undisturbed.data_folder), str(data)))
    for fault in (
        asked_to_stop_while_starting,
        an_exception_on_one_rank,
        a_rank_that_hangs,
        a_rank_that_is_stopped,
        a_full_disk,
        a_damaged_shard,
        asked_to_stop_in_a_save,
        a_loss_that_is_not_a_number_once,
    ):
        fault(file)
    assert_same_run(load_config(file), undisturbed)
    assert (load_config(file).run_folder / "DONE").exists()


def test_an_evaluation_is_interrupted_and_made_up_for(small_run: SmallRun, undisturbed: RunConfig) -> None:
    file = small_run("evaluating")
    config = load_config(file)
    ranks = start_ranks_and_wait(file, 6, "evaluation.batch_size=1", "evaluation.training_tokens=1000000")
    os.kill(ranks[1].pid, signal.SIGUSR1)
    output = finish_forked(ranks)
    assert "step 6  evaluation interrupted (another rank); the resume makes it up" in output
    assert newest_checkpoint(config).step == 6, "the step is saved although no save was due"
    assert "evaluation" not in config.metrics.read_text()

    output = run_to_the_end(file)
    assert output.index("step 6  bits per byte") < output.index("step  7/12")
    assert_same_run(config, undisturbed)


@pytest.mark.slow
def test_the_time_limit_is_met(small_run: SmallRun) -> None:
    file = small_run("limited", steps=100_000, save_every=100_000)
    config = load_config(file)
    end = time.time() + MARGIN_SECONDS + 40
    output = finish(start(file, "evaluation.every=100000", DOMAINLM_END_TIME=str(end)))
    assert time.time() < end
    assert "are left of the time limit" in output
    assert newest_checkpoint(config).step == len(losses(config)) > 0


@pytest.mark.parametrize("given", ["tomorrow", "nan", "inf", "3600", "1764547200000"])
def test_a_wrong_time_limit_is_refused(small_run: SmallRun, given: str) -> None:
    """Also a length of time, and milliseconds."""
    output = run_train(small_run("wrong"), DOMAINLM_END_TIME=given)
    assert (output.returncode, output.stdout) == (2, "")
    assert output.stderr == f"error: DOMAINLM_END_TIME={given} is not a time: set it to seconds since 1970\n"


def test_files_that_are_damaged_are_a_line_each_and_no_traceback(small_run: SmallRun, undisturbed: RunConfig) -> None:
    """What a start reads: the records, the journal, DONE, names of checkpoints."""
    file = small_run("damaged-files")
    config = load_config(file)
    shutil.copytree(undisturbed.run_folder, config.run_folder)
    shutil.rmtree(config.checkpoints / "step_000012")
    shutil.copytree(config.checkpoints / "step_000008", config.checkpoints / "step_5")
    (config.run_folder / "DONE").write_text("")
    journal = config.run_folder / "journal.jsonl"
    events = journal.read_bytes()

    def refusal() -> str:
        ended = run_train(file)
        assert (ended.returncode, ended.stdout) == (2, "")
        return ended.stderr.splitlines()[-1]

    assert refusal() == (
        f"error: {config.run_folder / 'DONE'} does not name the run's last step: delete it, and the run goes on from "
        "its newest checkpoint"
    )
    (config.run_folder / "DONE").unlink()
    journal.write_bytes(events + b'{"event": "skip", "first": 12}\n')
    assert f"{journal}: line {len(events.splitlines()) + 1} is not an event" in refusal()
    journal.write_bytes(events)
    for name in ("metrics.jsonl", "diagnostics.jsonl"):
        with (config.run_folder / name).open("ab") as records:
            records.write(b'12\n{"step": "12"}\n\xff\xfe{"step"')
    ended = run_train(file)
    assert ended.returncode == 0, ended.stderr
    assert f"WARNING: {config.metrics}: 2 lines are no records and are removed" in ended.stderr
    assert f"WARNING: {config.checkpoints / 'step_5'} is not taken for a checkpoint" in ended.stderr
    assert f"resuming from {config.checkpoints / 'step_000008'}" in ended.stderr
    assert len(losses(config)) == 12


def test_a_read_only_folder_is_refused_in_one_line(small_run: SmallRun, tmp_path: Path) -> None:
    """A read-only mount in a file system view of its own, which holds for root too."""
    file = small_run("read-only")
    (tmp_path / "full").mkdir()
    view = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"'
    unshared = ["unshare", "--map-root-user", "--mount", "sh", "-c", view, "sh", str(tmp_path / "full")]
    command = [*unshared, sys.executable, "-m", "train", str(file), f"folder={tmp_path / 'full' / 'run'}"]
    output = subprocess.run(command, env=environment(), cwd=CHECKOUT, text=True, capture_output=True)
    assert output.returncode == 2, output.stderr
    assert output.stderr.splitlines()[-1] == (
        f"error: {tmp_path / 'full' / 'run'} cannot be written to (Read-only file system): change its permissions, or "
        "set another `folder`"
    )
    assert "Traceback" not in output.stderr


def test_an_unreachable_wandb_neither_stops_nor_stalls_a_run(small_run: SmallRun, undisturbed: RunConfig) -> None:
    file = small_run("unreachable")
    output = run_to_the_end(
        file,
        "monitoring.wandb=true",
        "monitoring.init_timeout_seconds=2",
        WANDB_MODE="online",
        WANDB_API_KEY="0" * 40,
        WANDB_BASE_URL="http://127.0.0.1:9",
    )
    assert "W&B cannot be reached" in output
    assert "this run is mirrored offline" in output
    events = [event["event"] for event in read_journal(load_config(file).run_folder)]
    assert [event for event in events if event != "saving"] == ["start", "save", "save", "save", "done"]
    assert_same_run(load_config(file), undisturbed)
