"""Jobs on a real Slurm of several nodes: slurm/pretrain.sbatch from submission to DONE, through what interrupts it.

tests/slurm/mini-slurm makes the nodes on this machine. Their network is slowed down, so that a run lasts long enough to
be interrupted however fast the machine computes.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.launched.runs import metrics
from train.checkpoints.folders import newest_checkpoint
from train.config import CHECKOUT, RunConfig
from train.config_file import load_config
from train.records.journal import read_journal

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(600)]

STEPS = 40
# A step sends about 0.25 MB from node to node.
SLOW, SLOWER = "10mbit", "1300kbit"


@dataclass(frozen=True)
class Cluster:
    """The cluster whose state lies in `folder`; commands run on its controller, as on a login node."""

    folder: Path

    def control(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Run mini-slurm."""
        return subprocess.run(
            [str(CHECKOUT / "tests" / "slurm" / "mini-slurm"), *map(str, words)],
            env=os.environ | {"MINI_SLURM_DIR": str(self.folder)},
            text=True,
            capture_output=True,
        )

    def run(self, *words: str | Path, **variables: str) -> str:
        """Standard output of a command on the controller; jobs take over its environment."""
        exported = {"MINIMUM_FREE_GB": "0", "MINIMUM_SHM_MB": "64"} | variables
        settings = [f"{name}={value}" for name, value in exported.items()]
        done = self.control("in", "ctl", "env", f"--chdir={CHECKOUT}", *settings, *words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def facts(self, job: str) -> dict[str, str]:
        """What Slurm says of a job."""
        shown = self.run("scontrol", "show", "job", "--oneliner", job)
        return dict(word.partition("=")[::2] for word in shown.split())

    def wait_until(self, job: str, *states: str, seconds: float = 300) -> dict[str, str]:
        """Wait for a job to be in one of the states."""
        deadline = time.monotonic() + seconds
        while (facts := self.facts(job))["JobState"] not in states:
            assert time.monotonic() < deadline, f"job {job} is {facts['JobState']}\n{log_of(facts)}"
            time.sleep(0.3)
        return facts


def log_of(facts: dict[str, str]) -> str:
    """The batch script's log and those of its ranks."""
    file = Path(facts["StdOut"])
    parts = [file, *sorted(file.parent.glob(f"{facts['JobId']}.*/*.log"))]
    return "\n".join(f"--- {part}\n{part.read_text()}" for part in parts if part.exists())


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    made = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        up = made.control("up", "6")
        if up.returncode == 3:
            pytest.skip(up.stderr)
        assert up.returncode == 0, up.stderr
        for node in range(1, 7):
            rate = SLOWER if node <= 2 else SLOW
            shape = f"tc qdisc add dev eth0 root tbf rate {rate} burst 10kb latency 1s"
            slowed = made.control("in", f"node{node}", *shape.split(" "))
            if slowed.returncode:
                pytest.skip(f"this kernel cannot slow a network down: {slowed.stderr}")
        yield made
    finally:
        made.control("down")


@dataclass(frozen=True)
class Job:
    number: str
    config: RunConfig

    def steps(self) -> int:
        """The newest step in the run's metrics."""
        return max([0, *losses(self.config)])


def losses(config: RunConfig) -> dict[int, float]:
    steps = metrics(config) if config.metrics.exists() else {}
    return {step: line["loss"] for step, line in steps.items()}


def last_event(config: RunConfig) -> str:
    return str(read_journal(config.run_folder)[-1]["event"])


Submit = Callable[..., list[Job]]


@pytest.fixture(scope="module")
def submit(
    cluster: Cluster,
    write_small_config: Callable[..., Path],
    data_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Submit:
    """Submits a run with `domainlm submit`; all runs share their data and differ in their name."""
    folder = tmp_path_factory.mktemp("runs")

    def make(name: str, options: str, nodes: str = "", **variables: str) -> list[Job]:
        file = write_small_config(
            folder / f"{name}.yaml",
            folder / name,
            name=name,
            data={"folder": str(data_folder)},
            training={"steps": STEPS, "save_every": 5},
            evaluation={"every": STEPS},
        )
        place = f"nodelist={nodes}" if nodes else "exclude=node[1-2]"
        common = f"--gpus-per-node 0 --cpus-per-rank 1 --sbatch {place}"
        command = ["-m", "domainlm", "submit", str(file), *common.split(" "), *options.split(" "), "--json"]
        shown = cluster.run(sys.executable, *command, **variables)
        return [Job(job, load_config(file)) for job in json.loads(shown.splitlines()[-1])["jobs"]]

    return make


def wait_for_step(cluster: Cluster, job: Job, step: int) -> None:
    deadline = time.monotonic() + 200
    while job.steps() < step:
        facts = cluster.facts(job.number)
        assert facts["JobState"] in ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING"), log_of(facts)
        assert time.monotonic() < deadline, log_of(facts)
        time.sleep(0.2)


def rank_process(job: Job, rank: int) -> tuple[int, dict[str, str]]:
    """Number and environment of the process that is a rank of a job."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            pairs = (folder / "environ").read_bytes().decode().split("\0")
            command = (folder / "cmdline").read_bytes().decode()
        except OSError:
            continue
        environment = dict(pair.partition("=")[::2] for pair in pairs)
        wanted = (environment.get("SLURM_JOB_ID"), environment.get("SLURM_PROCID")) == (job.number, str(rank))
        if wanted and "-m\0train\0" in command:
            return int(folder.name), environment
    raise AssertionError(f"no process of rank {rank}")


@pytest.fixture(scope="module")
def limited(submit: Submit) -> Job:
    """A run of more than a minute whose job may take two and is warned one before its end."""
    return submit("limited", "--nodes 2 --time 2 --sbatch signal=B:USR1@60", "node[1-2]")[0]


@pytest.fixture(scope="module")
def undisturbed(cluster: Cluster, submit: Submit, limited: Job) -> dict[int, float]:
    """Losses of a run on one node that nothing interrupted."""
    (job,) = submit("undisturbed", "--nodes 1 --ranks-per-node 2 --time 10", "node3")
    facts = cluster.wait_until(job.number, "COMPLETED", "FAILED", "CANCELLED")
    assert facts["ExitCode"] == "0:0", log_of(facts)
    assert (job.config.run_folder / "DONE").exists()
    found = losses(job.config)
    assert sorted(found) == list(range(1, STEPS + 1))
    return found


def test_what_was_submitted_is_kept(submit: Submit, undisturbed: dict[int, float], limited: Job) -> None:
    (folder,) = (limited.config.run_folder / "submitted").iterdir()
    assert load_config(folder / "config.yaml") == limited.config
    assert re.search(r"^#SBATCH --nodes=2$", (folder / "job.sbatch").read_text(), re.M)
    assert re.match(r"[0-9a-f]{7,}|\S+-g[0-9a-f]+", (folder / "code.txt").read_text())
    assert len(list((limited.config.run_folder / "logs").glob(f"{limited.number}.0/rank-*.log"))) == 2


def test_the_time_limit_is_met_by_saving_and_queueing_again(
    cluster: Cluster, limited: Job, undisturbed: dict[int, float]
) -> None:
    deadline = time.monotonic() + 200
    while cluster.facts(limited.number)["Restarts"] == "0":
        assert time.monotonic() < deadline
        time.sleep(0.5)
    for node in ("node1", "node2"):  # what is left may be done quickly
        assert cluster.control("in", node, "tc", "qdisc", "del", "dev", "eth0", "root").returncode == 0
    facts = cluster.wait_until(limited.number, "COMPLETED", "FAILED", "TIMEOUT")
    log = log_of(facts)
    assert facts["ExitCode"] == "0:0", log
    assert int(facts["Restarts"]) >= 1
    assert log.count("asked to stop: the ranks save the step they are in") >= int(facts["Restarts"])
    assert log.count("back to the queue") == int(facts["Restarts"])
    assert losses(limited.config) == undisturbed, "two nodes, interrupted, and one node, undisturbed, to the bit"


def test_a_second_job_is_refused_and_a_cancelled_one_stays_cancelled(cluster: Cluster, submit: Submit) -> None:
    # CONTAINER is a view of the file system of its own, as a container's is.
    (job,) = submit("cancelled", "--nodes 2 --time 10", "node[3-4]", CONTAINER="unshare --mount")
    wait_for_step(cluster, job, 3)
    (kept,) = (job.config.run_folder / "submitted").iterdir()
    second = cluster.run("sbatch", "--parsable", "--nodelist=node[5-6]", kept / "job.sbatch").strip()
    facts = cluster.wait_until(second, "FAILED", seconds=30)
    assert facts["ExitCode"] == "3:0"
    assert "refused: another job is training in" in log_of(facts)

    cluster.run("scancel", job.number)
    cluster.wait_until(job.number, "CANCELLED", seconds=30)
    assert last_event(job.config) == "stop", "there was time to save"
    saved = newest_checkpoint(job.config)
    assert 3 <= saved.step < STEPS
    time.sleep(8)  # a job that is queued again starts after 6 s here
    facts = cluster.facts(job.number)
    assert (facts["JobState"], facts["Restarts"]) == ("CANCELLED", "0")

    # A rank that dies takes the others and the job with it.
    (job,) = submit("cancelled", "--nodes 2 --time 10 --launcher deepspeed", "node[3-4]")
    wait_for_step(cluster, job, saved.step + 1)
    begin = time.monotonic()
    os.kill(rank_process(job, 1)[0], signal.SIGKILL)
    facts = cluster.wait_until(job.number, "FAILED", seconds=60)
    assert time.monotonic() - begin < 60
    assert facts["ExitCode"] != "0:0"
    assert facts["Restarts"] == "0"
    assert int((job.config.run_folder / "crashes").read_text().split(" ")[0]) >= saved.step
    assert not (job.config.run_folder / "DONE").exists()


def test_a_chain_goes_on_where_the_last_link_stopped_until_it_is_stopped_by_hand(
    cluster: Cluster, submit: Submit, undisturbed: dict[int, float]
) -> None:
    links = submit("chain", "--nodes 2 --time 10 --launcher torchrun --chain 3", "node[3-4]")
    assert len(links) == 3
    config = links[0].config
    wait_for_step(cluster, links[0], 3)
    cluster.run("scancel", "--batch", "--signal=USR1", links[0].number)
    facts = cluster.wait_until(links[0].number, "COMPLETED", "FAILED")
    assert facts["ExitCode"] == "0:0", log_of(facts)
    assert "the next link of the chain goes on" in log_of(facts)
    wait_for_step(cluster, links[1], links[0].steps() + 2)
    (config.run_folder / "STOP").touch()
    facts = cluster.wait_until(links[1].number, "COMPLETED", "FAILED")
    assert "resuming from" in log_of(facts)
    assert "stopped by hand: submit again to go on" in log_of(facts)
    facts = cluster.wait_until(links[2].number, "COMPLETED", "FAILED")
    assert "nothing to do: stopped by hand" in log_of(facts)
    assert not (config.run_folder / "DONE").exists()

    kept = min((config.run_folder / "submitted").iterdir()) / "job.sbatch"
    for state in ("resuming from", "nothing to do: "):
        number = cluster.run("sbatch", "--parsable", kept).strip()
        facts = cluster.wait_until(number, "COMPLETED", "FAILED")
        assert state in log_of(facts)
        assert facts["ExitCode"] == "0:0"
    assert losses(config) == undisturbed


def test_a_spare_node_takes_the_place_of_a_bad_one_and_a_refusal_is_not_retried(
    cluster: Cluster, tmp_path: Path
) -> None:
    """The script as it is, without `domainlm submit`: node 4 has no shared memory, and the run has no shards."""
    cluster.control("in", "node4", "mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", "/dev/shm")
    options = "--parsable --nodes=3 --nodelist=node[3-5] --ntasks-per-node=1 --gpus-per-node=0 --cpus-per-task=1"
    job = cluster.run(
        *("sbatch", *options.split(" "), f"--output={tmp_path}/job.log"),
        *("slurm/pretrain.sbatch", "configs/demo.yaml", f"folder={tmp_path}/run"),
        **{"PYTHON": sys.executable, "SPARE": "1", "RETRY_CRASHES": "1"},
    ).strip()
    facts = cluster.wait_until(job, "COMPLETED", "FAILED")
    cluster.control("in", "node4", "umount", "/dev/shm")
    log = (tmp_path / "job.log").read_text()
    assert (facts["ExitCode"], facts["Restarts"]) == ("2:0", "0"), log
    assert "bad node node4 only " in log
    assert "srun: 2 nodes, 1 ranks on each, first node3:" in log
    assert re.search(r"rank-0.log:error: .*shards", log)
    assert not (tmp_path / "run" / "crashes").exists()


def test_a_bad_node_and_a_lost_node_are_left_out(
    cluster: Cluster, submit: Submit, undisturbed: dict[int, float]
) -> None:
    """Node 3 has no shared memory to speak of, node 5 loses its power during the run."""
    small = "mount -t tmpfs -o size=16m tmpfs /dev/shm"
    assert cluster.control("in", "node3", *small.split(" ")).returncode == 0
    (job,) = submit("nodes", "--nodes 2 --time 10")
    wait_for_step(cluster, job, 8)
    facts = cluster.facts(job.number)
    assert (facts["NodeList"], facts["Restarts"]) == ("node[4-5]", "1"), log_of(facts)
    ends = time.mktime(time.strptime(facts["EndTime"], "%Y-%m-%dT%H:%M:%S"))
    assert rank_process(job, 0)[1]["DOMAINLM_END_TIME"] == f"{ends:.0f}"
    assert re.match(r"node3 only \d+ MB free in /dev/shm", (job.config.run_folder / "bad-nodes").read_text())

    cluster.control("fail", "node5")
    facts = cluster.wait_until(job.number, "COMPLETED", "FAILED")
    assert facts["ExitCode"] == "0:0", log_of(facts)
    assert (facts["NodeList"], facts["Restarts"]) == ("node[4,6]", "2")
    assert losses(job.config) == undisturbed


def test_two_crashes_at_one_step_are_the_last(cluster: Cluster, tmp_path: Path) -> None:
    """The script as it is, without `domainlm submit`, with an interpreter that fails."""
    options = "--parsable --nodes=1 --ntasks-per-node=1 --gpus-per-node=1 --cpus-per-task=1 --exclude=node[1-2]"
    job = cluster.run(
        *("sbatch", *options.split(" "), f"--output={tmp_path}/job.log", "slurm/pretrain.sbatch", "configs/demo.yaml"),
        **{"RUN_FOLDER": str(tmp_path / "run"), "PYTHON": "/bin/false", "PREFLIGHT": "0", "RETRY_CRASHES": "1"},
    ).strip()
    facts = cluster.wait_until(job, "FAILED", seconds=60)
    assert (facts["Restarts"], facts["ExitCode"]) == ("1", "1:0")
    assert "crashed twice at step 0" in log_of(facts)


def test_a_ladder_as_one_array(
    cluster: Cluster, write_small_config: Callable[..., Path], data_folder: Path, tmp_path: Path
) -> None:
    """Submitted, refused while it runs, submitted again for the rung whose task was cancelled, and measured."""
    file = write_small_config(
        tmp_path / "planned.yaml",
        tmp_path / "planned",
        name="planned",
        data={"folder": str(data_folder)},
        model={"width": 64, "heads": 8},
        training={"steps": 40},
    )
    options = (
        "--rungs 3 --largest 0.3 --nodes 1 --time 10 --gpus-per-node 0 --cpus-per-rank 1 --sbatch exclude=node[1-3]"
    )
    command = [sys.executable, "-m", "domainlm", "ladder", str(file), *options.split(), "--json"]
    first = json.loads(cluster.run(*command).splitlines()[-1])
    assert not first["finished"]
    cluster.run("scancel", f"{first['job']}_1")
    refused = cluster.control("in", "ctl", "env", f"--chdir={CHECKOUT}", *command)
    assert refused.returncode == 2
    assert f"job {first['job']} of this name, planned-ladder, waits or runs" in refused.stderr
    wait_for_array(cluster, first["job"])
    smaller, larger, largest = (load_config(run["config"]) for run in first["runs"])
    assert [(run.run_folder / "DONE").exists() for run in (smaller, larger, largest)] == [True, True, False]
    assert len(list((smaller.run_folder / "logs").glob("*.0/rank-0.log"))) == 1
    logs = [log.read_text() for log in Path(first["folder"]).glob("planned-ladder-*_[23].out")]
    for log in logs:  # the last task's number is that of the whole array, of which Slurm would tell all states
        assert re.search(r"ended with 0, the job is (RUNNING|COMPLETED)\n", log), log
    assert len(logs) == 2

    again = json.loads(cluster.run(*command).splitlines()[-1])
    assert [run["trained"] for run in again["runs"]] == [True, True, False]
    (config,) = Path(again["folder"]).glob("*.yaml")
    assert load_config(config) == largest
    wait_for_array(cluster, again["job"])
    law = json.loads(cluster.run(*command).splitlines()[-1])
    assert law["finished"]
    assert law["sources"]["news"]["future"]["bits_per_byte"] > 0


def wait_for_array(cluster: Cluster, number: str) -> None:
    deadline = time.monotonic() + 300
    while cluster.run("squeue", "--noheader", f"--jobs={number}").strip():
        assert time.monotonic() < deadline, cluster.run("scontrol", "show", "job", number)
        time.sleep(0.5)
