"""Submits a run to Slurm: slurm/pretrain.sbatch with the run's values written in, kept beside the state of the code."""

import argparse
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from data.addresses import without_secrets
from data.files import write_atomically
from data.progress import say
from domainlm.paths import relative_paths
from train.config import CHECKOUT, RunConfig, to_yaml
from train.config_file import ConfigError
from train.schedule import check_ranks

SCRIPT = CHECKOUT / "slurm" / "pretrain.sbatch"
CHAIN = CHECKOUT / "slurm" / "chain"


@dataclass(frozen=True)
class Job:
    """What is asked of Slurm; the names are those of the command's options."""

    nodes: int
    time: str
    gpus_per_node: int
    ranks_per_node: int | None
    cpus_per_rank: int | None
    partition: str | None
    account: str | None
    launcher: str
    spare: int
    chain: int
    retry_crashes: bool
    sbatch: Sequence[str]

    @property
    def ranks_on_a_node(self) -> int:
        return self.ranks_per_node or self.gpus_per_node or 1

    @property
    def ranks(self) -> int:
        return self.nodes * self.ranks_on_a_node


def job_from(arguments: argparse.Namespace) -> Job:
    """What the command line asks for."""
    return Job(**{field.name: getattr(arguments, field.name) for field in fields(Job)})


def write_in(script: str, options: Mapping[str, str | None], lines: Sequence[str]) -> str:
    """The batch script with sbatch options set (None: taken out), and `lines` of shell behind its #SBATCH block."""
    original = script.splitlines()
    end = max(number for number, line in enumerate(original) if line.startswith("#SBATCH")) + 1
    kept = [
        line
        for line in original[:end]
        if not ((match := re.match(r"#SBATCH --([a-z-]+)", line)) and match[1] in options)
    ]
    added = [_option(key, value) for key, value in options.items() if value is not None]
    return "\n".join([*kept, *added, "", *lines, *original[end:], ""])


def _option(key: str, value: str) -> str:
    return f"#SBATCH --{key}={shlex.quote(value)}" if value else f"#SBATCH --{key}"


def new_folder(config: RunConfig) -> Path:
    """Where what is submitted now is kept."""
    return config.run_folder.resolve() / "submitted" / time.strftime("%Y%m%d-%H%M%S")


def render(config: RunConfig, job: Job, folder: Path) -> str:
    """The batch script of this job, which needs no arguments and trains what config.yaml in `folder` says.

    Raises:
        ConfigError: the batch cannot be divided over the ranks, the run has no shards to train on, or paths of it would
            lead elsewhere from where the job runs.
    """
    _check_run(config, job)
    run = config.run_folder.resolve()
    lines = [_exported({"RUN_FOLDER": str(run)}), f"set -- {shlex.quote(str(folder / 'config.yaml'))}"]
    return _script(config.name, job, [run], {"output": str(run / "logs" / "%x-%j.out")}, lines)


def render_array(name: str, configs: Sequence[RunConfig], job: Job, folder: Path) -> str:
    """The batch script of an array, whose n-th task, from 1, trains what N.yaml in `folder` says.

    Raises:
        ConfigError: as `render`, of any of the runs.
    """
    runs, lines = [config.run_folder.resolve() for config in configs], ["case $SLURM_ARRAY_TASK_ID in"]
    for number, (config, run) in enumerate(zip(configs, runs, strict=True), start=1):
        try:
            _check_run(config, job)
        except ConfigError as error:
            raise ConfigError(f"{config.name}: {error}") from None
        words = f"set -- {shlex.quote(str(folder / f'{number}.yaml'))}"
        lines.append(f"    {number}) {_exported({'RUN_FOLDER': str(run)})} && {words} ;;")
    options = {"array": f"1-{len(configs)}", "output": str(folder / "%x-%A_%a.out")}
    return _script(name, job, runs, options, [*lines, "esac"])


def _check_run(config: RunConfig, job: Job) -> None:
    if Path.cwd() != CHECKOUT and (paths := relative_paths(config)):
        raise ConfigError(
            f"the job runs in {CHECKOUT}, where relative paths such as {paths[0]} lead elsewhere than here: submit "
            "from there, or make them absolute"
        )
    if config.data.shards and without_secrets(config.data.shards) != config.data.shards:
        raise ConfigError(
            "data.shards holds secrets, which are not written into a job's configuration: leave them to the store's own"
            " settings (environment variables, ~/.aws, ~/.netrc)"
        )
    _check_options(job)
    check_ranks(config.training, job.ranks)
    if not config.shards_are_remote and not (config.shards / "manifest.json").exists():
        raise ConfigError(f"{config.shards}: no shards to train on; run `domainlm tokenize` first")


def _script(name: str, job: Job, runs: Sequence[Path], given: Mapping[str, str], lines: Sequence[str]) -> str:
    """The batch script of a job that trains in these folders, on no node that has turned out bad in one of them."""
    bad = [run / "bad-nodes" for run in runs if (run / "bad-nodes").exists()]
    excluded = sorted({line.split()[0] for file in bad for line in file.read_text().splitlines()})
    options = {
        "job-name": name,
        "nodes": str(job.nodes + job.spare),
        "ntasks-per-node": str(job.ranks_on_a_node),
        "gpus-per-node": str(job.gpus_per_node) if job.gpus_per_node else None,
        "time": job.time,
        "chdir": str(CHECKOUT),
        **given,
        **({"cpus-per-task": str(job.cpus_per_rank)} if job.cpus_per_rank else {}),
        **({"partition": job.partition} if job.partition else {}),
        **({"account": job.account} if job.account else {}),
        **({"exclude": ",".join(excluded)} if excluded else {}),
        **{key: value for key, _, value in (option.partition("=") for option in job.sbatch)},
    }
    variables = {
        "PYTHON": sys.executable,
        "LAUNCHER": job.launcher,
        "SPARE": str(job.spare),
        "RETRY_CRASHES": str(int(job.retry_crashes)),
    }
    script = SCRIPT.read_text("utf-8")
    _check_time(options["time"] or "", options.get("signal") or _given(script, "signal"))
    return write_in(script, options, [_exported(variables), *lines])


def _exported(variables: Mapping[str, str]) -> str:
    return "export " + " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items())


DECIDED = {
    "nodes": "say --nodes",
    "ntasks": "say --nodes and --ranks-per-node",
    "ntasks-per-node": "say --ranks-per-node",
    "gpus-per-node": "say --gpus-per-node",
    "chdir": "the job runs in the checkout",
    "array": "one job trains a run; a chain of them is --chain",
}
"""Options of sbatch by which the batch is divided and the job finds its files, and what is asked for instead."""


def _check_options(job: Job) -> None:
    """Raise ConfigError for what would be another job than was checked, or break the script's lines."""
    for key in (option.partition("=")[0] for option in job.sbatch):
        if key in DECIDED:
            raise ConfigError(f"--sbatch {key}: it is decided here: {DECIDED[key]}")
    for value in (job.time, job.partition, job.account, *job.sbatch):
        if value and not value.isprintable():
            raise ConfigError(f"{value!r}: an option of sbatch is one line of printable characters")


def _given(script: str, option: str) -> str:
    """What a batch script itself sets an option of sbatch to."""
    found = re.search(rf"^#SBATCH --{option}=(.*)$", script, re.M)
    return found[1] if found else ""


def _check_time(limit: str, warning: str) -> None:
    """Raise ConfigError for no time of Slurm's, and when a job would be asked to stop before it has trained as long.

    Args:
        limit: sbatch's --time.
        warning: sbatch's --signal, such as B:USR1@300: how many seconds before the limit, 60 where it does not say.
            Slurm may send it up to a minute early.
    """
    seconds = slurm_seconds(limit)
    if seconds is None and limit.upper() not in ("INFINITE", "UNLIMITED"):
        raise ConfigError(
            f"--time {limit} is no time of Slurm's: write minutes (90), hours (12:00:00), days and hours (2-00:00:00), "
            "or UNLIMITED"
        )
    _, at, lead = warning.partition("@")
    if not warning or seconds is None or (at and not lead.isdecimal()):
        return  # no limit, no warning, or what sbatch itself will refuse
    needed = 2 * int(lead or 60)
    if seconds < needed:
        raise ConfigError(
            f"--time {limit} is {seconds} s, and the job is asked to stop {needed // 2} s before its end (--signal "
            f"{warning}): it would be queued again and again without a step. Take --time {-(-needed // 60)} (minutes) "
            f"or longer, or a later warning such as --sbatch signal=B:USR1@{max(10, seconds // 2)}"
        )


def slurm_seconds(limit: str) -> int | None:
    """Seconds of a time as sbatch takes it: M, M:S, H:M:S, D-H, D-H:M or D-H:M:S; None for any other, as UNLIMITED."""
    match = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", limit)
    if not match:
        return None
    days, first, second, third = (int(part or 0) for part in match.groups())
    if match[1] is not None or match[4] is not None:
        return 86_400 * days + 3600 * first + 60 * second + third
    return 60 * first + second


def submit(config: RunConfig, job: Job, script: str, folder: Path) -> list[str]:
    """Keep the script, the configuration and the state of the code in `folder`, and submit; returns the jobs' numbers.

    Raises:
        ConfigError: nothing was submitted; says why.
    """
    return _send(config.name, {"config.yaml": config}, job, script, folder)


def submit_array(name: str, configs: Sequence[RunConfig], job: Job, script: str, folder: Path) -> str:
    """As `submit`, of an array's script; returns the array's number.

    Raises:
        ConfigError: nothing was submitted, because an array of this name waits or runs, or as `submit`.
    """
    files = {f"{number}.yaml": config for number, config in enumerate(configs, start=1)}
    (number,) = _send(name, files, job, script, folder, alone=True)
    return number


def _send(
    name: str, files: Mapping[str, RunConfig], job: Job, script: str, folder: Path, alone: bool = False
) -> list[str]:
    if shutil.which("sbatch") is None:
        raise ConfigError("sbatch is not here: submit from a node of the cluster, or look with --dry-run")
    if alone and (waiting := _jobs_of(name)):
        raise ConfigError(
            f"job {waiting} of this name, {name}, waits or runs: `squeue --me --name {name}`; end it with "
            f"`scancel {waiting}`, or wait for it"
        )
    for file, config in files.items():
        (config.run_folder / "logs").mkdir(parents=True, exist_ok=True)  # Slurm opens the log before the script runs
        write_atomically(folder / file, to_yaml(config))
    write_atomically(folder / "job.sbatch", script)
    write_atomically(folder / "code.txt", _git("describe", "--always", "--dirty") + _git("status", "--porcelain"))
    write_atomically(folder / "code.diff", without_secrets(_git("diff", "HEAD")))
    command = [str(CHAIN), str(job.chain)] if job.chain > 1 else ["sbatch", "--parsable"]
    done = subprocess.run([*command, str(folder / "job.sbatch")], cwd=CHECKOUT, text=True, capture_output=True)
    if done.returncode:
        raise ConfigError(f"sbatch refused {folder / 'job.sbatch'}: {' '.join(done.stderr.split())}")
    jobs = [line.partition(";")[0] for line in done.stdout.split()]
    say(f"submitted {name} as job {', '.join(jobs)}; script, configuration and the code's state in {folder}")
    return jobs


def _jobs_of(name: str) -> str:
    """The number of an array of this name that waits or runs; empty where there is none."""
    done = subprocess.run(
        ["squeue", "--me", "--noheader", f"--name={name}", "--format=%F"], text=True, capture_output=True
    )
    if done.returncode:
        raise ConfigError(f"squeue cannot say which jobs there are: {' '.join(done.stderr.split())}")
    return next(iter(done.stdout.split()), "")


def describe(config: RunConfig, jobs: Sequence[str]) -> str:
    """How to watch and stop what was submitted."""
    run, first, every = config.run_folder.resolve(), jobs[0], " ".join(jobs)
    return "\n".join(
        (
            f"watch   squeue --jobs {','.join(jobs)}",
            f"        tail -F {run}/logs/{config.name}-{first}.out {run}/logs/{first}.0/*.log",
            f"stop    touch {run}/STOP              saves the step and ends; submit again to go on",
            f"        scancel --batch --signal=USR1 {first}   saves the step, gives up the nodes, queues again",
            f"        scancel {every}              ends; saves if KillWait allows it",
        )
    )


def describe_array(name: str, configs: Sequence[RunConfig], number: str, folder: Path) -> str:
    """How to watch and stop an array."""
    return "\n".join(
        (
            f"watch   squeue --jobs {number}",
            f"        tail -F {folder}/{name}-{number}_*.out",
            *(f"stop    touch {config.run_folder.resolve()}/STOP" for config in configs),
            f"        scancel {number}              ends all; saves if KillWait allows it",
        )
    )


def _git(*words: str) -> str:
    if shutil.which("git") is None:
        return "unknown: git is not here\n"
    done = subprocess.run(["git", "-C", str(CHECKOUT), *words], text=True, capture_output=True)
    return done.stdout if done.returncode == 0 else f"unknown: {done.stderr}"
