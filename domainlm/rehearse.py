"""Rehearses a failure before a month is spent: train, save, kill, resume on as many and on other ranks, compare.

Everything is real: the configuration, the data, the launcher, the checkpoint and SIGKILL. Only the run is short, and
its folder is a temporary one beside the run's.
"""

import json
import math
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
import torch

from data.files import new_digest
from data.progress import say
from domainlm.branch import link_or_copy
from domainlm.launcher import local_ranks, started, training_command
from train.checkpoints.folders import saved_steps
from train.config import RunConfig
from train.config_file import ConfigError, load_config
from train.schedule import check_ranks, micro_batches
from train.token_stream import open_stream

SAVE_EVERY = 3
TOLERANCE = {"fp32": 1e-4, "bf16": 1e-3}
"""Largest relative difference of losses where sums are taken in another order: on other ranks, or on a GPU."""
SECONDS_BETWEEN_LOOKS = 0.002


@dataclass(frozen=True)
class Check:
    """One thing that was compared."""

    name: str
    passed: bool
    detail: str


def rehearse(config: RunConfig, config_file: Path, overrides: Sequence[str], steps: int) -> dict[str, object]:
    """Run the rehearsal; `passed` in the result says how it went, `checks` has what was compared.

    Raises:
        ConfigError: the run ended before it could be killed.
        SystemExit: training itself failed; the ranks have said why.
    """
    ranks = local_ranks(config)
    others = other_ranks(config, ranks)
    config.run_folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=config.run_folder.parent, prefix=f".{config.name}-rehearsal-") as folder:
        trial = _Trial(config, config_file, tuple(overrides), Path(folder), steps)
        say(f"rehearsal: {steps} steps on {ranks} ranks, undisturbed")
        trial.run("undisturbed", ranks)
        say("rehearsal: the same, with a rank killed by SIGKILL after a save")
        exit_code = trial.run_and_kill("killed", ranks)
        saved = saved_steps(trial.config("killed", ranks).checkpoints)
        checks = [
            Check("a killed rank ends the run", exit_code != 0, f"exit code {exit_code}"),
            Check("a whole checkpoint is left", bool(saved), f"steps {', '.join(map(str, saved)) or 'none'}"),
        ]
        for count in [ranks, *others]:
            say(f"rehearsal: resuming from step {saved[-1]} on {count} ranks")
            trial.copy("killed", f"resumed{count}")
            trial.run(f"resumed{count}", count)
            checks.append(trial.compare(ranks, count))
            if count != ranks:
                checks.append(trial.compare_batches(ranks, count))
    passed = all(check.passed for check in checks)
    return {"passed": passed, "ranks": ranks, "other_ranks": others, "checks": [asdict(check) for check in checks]}


def other_ranks(config: RunConfig, ranks: int) -> list[int]:
    """Another number of ranks that this machine has devices for and that the batches can be divided over, or none."""
    most = torch.cuda.device_count() or 2 * ranks
    for count in (ranks // 2, 2 * ranks):
        if 1 <= count <= most and count != ranks:
            try:
                check_ranks(config.training, count)
            except ConfigError:
                continue
            return [count]
    return []


def describe(result: dict[str, object]) -> str:
    """The verdict as a table for people."""
    checks = [Check(**check) for check in result["checks"]]  # type: ignore[attr-defined]
    lines = [f"  {'ok' if check.passed else 'FAILED':<7} {check.name:<44} {check.detail}" for check in checks]
    if not result["other_ranks"]:
        lines.append(
            "  --      another number of ranks was not rehearsed: no other one fits this machine and the batch"
        )
    verdict = "passed: a failure costs the steps since the last save" if result["passed"] else "FAILED"
    return "\n".join([*lines, f"rehearsal {verdict}"])


@dataclass(frozen=True)
class _Trial:
    """The short runs of a rehearsal, in folders of one temporary folder."""

    original: RunConfig
    config_file: Path
    overrides: tuple[str, ...]
    folder: Path
    steps: int

    def settings(self, name: str, ranks: int) -> list[str]:
        """Changes that make the run short, quiet and comparable."""
        run = self.original
        return [
            *self.overrides,
            f"folder={self.folder / name}",
            f"data.folder={run.data_folder}",
            f"data.cache={run.data.cache or run.run_folder / 'shard-cache'}",
            f"training.steps={self.steps}",
            f"training.warmup_steps={min(run.training.warmup_steps, self.steps // 2)}",
            f"training.save_every={SAVE_EVERY}",
            f"training.local_ranks={ranks}",
            f"evaluation.every={self.steps}",
            "evaluation.training_tokens=1000",
            "monitoring.wandb=false",
        ]

    def config(self, name: str, ranks: int) -> RunConfig:
        return load_config(self.config_file, self.settings(name, ranks))

    def start(self, name: str, ranks: int) -> AbstractContextManager["subprocess.Popen[str]"]:
        config = self.config(name, ranks)
        config.run_folder.mkdir(parents=True, exist_ok=True)
        return started(*training_command(config, self.config_file, self.settings(name, ranks)))

    def run(self, name: str, ranks: int) -> None:
        """Train to the end."""
        with self.start(name, ranks) as process:
            code = process.wait()
        if code:
            raise SystemExit(code)

    def run_and_kill(self, name: str, ranks: int) -> int:
        """Train until a checkpoint is whole, then kill one rank, any; returns the launcher's exit code."""
        config = self.config(name, ranks)
        with self.start(name, ranks) as process:
            while not saved_steps(config.checkpoints):
                if process.poll() is not None:
                    raise SystemExit(process.returncode or 1)
                time.sleep(SECONDS_BETWEEN_LOOKS)
            try:
                family = psutil.Process(process.pid).children(recursive=True)
                victims = [member for member in family if any("--local_rank" in word for word in member.cmdline())]
                random.choice(victims).send_signal(signal.SIGKILL)
            except (psutil.NoSuchProcess, IndexError):
                pass  # it has ended: told by its DONE file
            code = process.wait()
        if (config.run_folder / "DONE").exists():
            raise ConfigError(f"rehearsal: the run ended before it could be killed: take more steps than {self.steps}")
        return code

    def copy(self, name: str, target: str) -> None:
        """The state of a run under another name; checkpoints are linked, as nothing writes to them."""
        shutil.copytree(self.folder / name, self.folder / target, ignore=shutil.ignore_patterns("checkpoints"))
        checkpoints = self.folder / name / "checkpoints"
        shutil.copytree(checkpoints, self.folder / target / "checkpoints", copy_function=link_or_copy)

    def losses(self, name: str) -> dict[int, float]:
        lines = map(json.loads, (self.folder / name / "metrics.jsonl").read_text("utf-8").splitlines())
        # A loss that is not finite is null there.
        return {line["step"]: math.nan if line["loss"] is None else line["loss"] for line in lines if "loss" in line}

    def compare(self, ranks: int, count: int) -> Check:
        """Losses of the resumed run with the undisturbed one's."""
        reference, found = self.losses("undisturbed"), self.losses(f"resumed{count}")
        same_sums = count == ranks and not torch.cuda.is_available()
        allowed = 0.0 if same_sums else TOLERANCE[self.original.training.precision]
        name = f"losses, resumed on {count} ranks"
        if sorted(found) != sorted(reference):
            return Check(name, False, f"steps {sorted(found)} instead of {sorted(reference)}")
        apart = [abs(found[step] - reference[step]) / abs(reference[step]) for step in reference]
        worst = max(apart) if all(map(math.isfinite, apart)) else math.inf
        wanted = "equal to the bit" if same_sums else f"up to {allowed:.0e} apart"
        return Check(name, worst <= allowed, f"{worst:.1e} apart at most; wanted: {wanted}")

    def compare_batches(self, ranks: int, count: int) -> Check:
        """Tokens of the global batch of every step, as the ranks of either number read them."""
        one, other = (self._batches(self.config("undisturbed", number), number) for number in (ranks, count))
        wrong = [step for step, digest in one.items() if other[step] != digest]
        detail = f"differ in steps {wrong}" if wrong else f"the same tokens in all {self.steps} steps"
        return Check(f"batches, {ranks} ranks beside {count}", not wrong, detail)

    def _batches(self, config: RunConfig, ranks: int) -> dict[int, str]:
        stream, size = open_stream(config), config.training.micro_batch
        found = {}
        for step in range(1, self.steps + 1):
            firsts = {first for rank in range(ranks) for first in micro_batches(config.training, step, rank, ranks)}
            digest = new_digest()
            for first in sorted(firsts):
                digest.update(stream.batch(first, size).tokens.tobytes())
            found[step] = digest.hexdigest()
        return found
