"""CPU-seconds of training until the held-out text needs a number of bits per byte: ours beside another build or recipe.

    python benchmarks/time_to_quality.py --before COMMIT [--config configs/demo.yaml] [section.key=value ...] [--json]
    python benchmarks/time_to_quality.py --against "adamw: training.optimizer=adamw" [--json]

Ours is CONFIG of this checkout. `--before` is the file of the same name of another commit, trained by that commit's
code, which is laid out in a temporary worktree; `--against` is ours with other settings, by this code, under a name.
Settings in the command are for all. All train on the same shards, made once, by `domainlm train` with the ranks that
the configuration asks for and one thread each, at the same time, so that whatever else the machine does slows all
alike; one that ends early leaves the others a quieter machine, which is to its own disadvantage.

Counted are the CPU-seconds of all processes of a run (user and system) in its steps: not its start, not its first
step, which loads and compiles, and not the evaluations, of which there are `--points` spread evenly over each run.
Between two of them bits per byte are taken as linear in CPU-seconds. Of the other's last evaluation, with `--json` of
each, there is a pair of rows: CPU-seconds to that value, ours first; behind them the bits per byte that both have when
the shorter of the two ends. A schedule is part of a recipe: its last point alone is that of a run that was meant to end
there.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks.harness import ROOT, Row, parser, show
from data.progress import say
from train.config_file import load_config
from train.records.metrics import read_metrics

SECONDS_BETWEEN_LOOKS = 0.05
Point = tuple[float, float]
"""CPU-seconds so far, and the bits per byte then."""
Curves = dict[str, list[Point]]
"""{"source / split": points in the order of time}."""


@dataclass(frozen=True)
class Contender:
    """A recipe and the code that trains it."""

    name: str
    root: Path
    """The checkout."""
    settings: tuple[str, ...]


def main() -> None:
    options = parser(__doc__ or "")
    options.add_argument("settings", nargs="*", metavar="section.key=value", help="for all contenders")
    options.add_argument("--config", type=Path, default=Path("configs/demo.yaml"), help="relative to the checkout")
    options.add_argument("--before", metavar="COMMIT", help="another build, with its own file of this name")
    options.add_argument("--against", action="append", default=[], metavar='"NAME: SETTINGS"', help="ours, changed")
    options.add_argument("--data", metavar="FOLDER", help="prepared and tokenized there already, or made there")
    options.add_argument("--points", type=int, default=10, help="evaluations of each run")
    options.add_argument("--tokens", type=int, default=16_000, help="that are scored of each source and split")
    options.set_defaults(repeats=1)
    given = options.parse_args()
    if not given.before and not given.against:
        options.error("nothing to stand beside: --before COMMIT, or --against SETTINGS")
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        settings = (*given.settings, f"data.folder={given.data or scratch / 'data'}", "monitoring.wandb=false")
        for stage in ("prepare", "tokenize"):
            domainlm(Contender("ours", ROOT, settings), stage, given.config, scratch / "ours").check()
        with checkout(given.before, scratch / "before") as before:
            contenders = [Contender("ours", ROOT, settings)]
            contenders += [Contender(before.name, before.root, settings)] if before else []
            for name, _, changes in (each.partition(":") for each in given.against):
                contenders.append(Contender(name, ROOT, (*settings, *changes.split())))
            runs = [measure(contenders, given, scratch / str(repeat)) for repeat in range(given.repeats)]
    names = [one.name for one in contenders]
    rows = [row for held_out in runs[0][0] for row in rows_of(held_out, names, runs, every_level=given.json)]
    show(f"{given.config}: CPU-seconds of training to the same bits per byte, ratio theirs / ours", rows, given.json)


@contextmanager
def checkout(commit: str | None, folder: Path) -> Iterator[Contender | None]:
    """Another commit, laid out in a worktree for as long as it is needed; None without one."""
    if commit is None:
        yield None
        return
    git = ("git", "-C", str(ROOT))
    subprocess.run([*git, "worktree", "add", "--detach", "--quiet", str(folder), commit], check=True)
    try:
        yield Contender(commit, folder, ())
    finally:
        subprocess.run([*git, "worktree", "remove", "--force", str(folder)], check=True)


@dataclass(frozen=True)
class Started:
    """A command that runs; what it says is kept for the case that it fails."""

    process: "subprocess.Popen[bytes]"
    said: Path

    def check(self) -> None:
        """Wait for its end. Raises RuntimeError with the end of what it said when it fails."""
        if self.process.wait():
            raise RuntimeError(f"{self.process.args!r} failed:\n{self.said.read_text(errors='replace')[-2000:]}")


def domainlm(contender: Contender, command: str, config: Path, folder: Path, *settings: str) -> Started:
    """Start a command of the contender's code on its configuration file, in a folder of its own."""
    environment = os.environ | {"PYTHONPATH": str(contender.root), "OMP_NUM_THREADS": "1", "DS_ACCELERATOR": "cpu"}
    words = [sys.executable, "-m", "domainlm", command, str(config), *contender.settings, f"folder={folder}", *settings]
    said = folder.with_suffix(f".{command}.log")
    said.parent.mkdir(parents=True, exist_ok=True)
    with said.open("wb") as file:
        process = subprocess.Popen(words, cwd=contender.root, env=environment, stdout=file, stderr=file)
    return Started(process, said)


def measure(contenders: Sequence[Contender], given: Any, folder: Path) -> list[Curves]:
    """The curves of all contenders, which train at the same time."""
    with ThreadPoolExecutor(len(contenders)) as pool:
        folders = [folder / str(number) for number in range(len(contenders))]
        return list(pool.map(lambda one, place: curves(one, given, place), contenders, folders))


def curves(contender: Contender, given: Any, folder: Path) -> Curves:
    """Train a contender in this folder and take its CPU-seconds whenever its metrics have a new line."""
    config = load_config(contender.root / given.config, contender.settings)
    every = max(1, config.training.steps // given.points)
    started = domainlm(
        contender, "train", given.config, folder, f"evaluation.every={every}",
        f"evaluation.training_tokens={given.tokens}", f"training.save_every={config.training.steps}",
    )  # fmt: skip
    metrics = folder / "metrics.jsonl"
    found: Curves = {}
    of_steps = until_now = 0.0
    lines_seen = bytes_seen = 0
    while True:
        ended = started.process.poll() is not None
        written = metrics.stat().st_size if metrics.exists() else 0
        if written == bytes_seen and not ended:
            time.sleep(SECONDS_BETWEEN_LOOKS)
            continue
        lines, bytes_seen = read_metrics(metrics), written
        if new := lines[lines_seen:]:
            used = until_now if ended else cpu_seconds(started.process.pid)
            # What was used since the last line was used for what this line tells; all that is in the first ones goes.
            if lines_seen and "evaluation" not in new[-1] and new[-1]["step"] > 1:
                of_steps += used - until_now
            for line in new:
                for name, bits in named(line.get("evaluation", {})):
                    found.setdefault(name, []).append((of_steps, bits))
            until_now, lines_seen = used, len(lines)
        if ended:
            break
    started.check()
    if not lines or lines[-1]["step"] < config.training.steps:
        raise RuntimeError(f"{contender.name} was stopped before its last step, see {started.said}")
    final = ", ".join(f"{name} {points[-1][1]:.3f}" for name, points in found.items())
    say(f"{contender.name}: {config.training.steps} steps in {of_steps:.0f} CPU-seconds: {final}")
    return found


def cpu_seconds(process: int) -> float:
    """User and system time of a process and all its descendants that live."""
    total = 0.0
    for member in [psutil.Process(process), *psutil.Process(process).children(recursive=True)]:
        try:
            times = member.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


def named(evaluation: Mapping[str, Mapping[str, float]]) -> Iterator[tuple[str, float]]:
    for source, splits in evaluation.items():
        for split, bits in splits.items():
            yield f"{source} / {split}", bits


def seconds_to(points: Sequence[Point], bits: float) -> float | None:
    """CPU-seconds at which a curve first has this value or a lower one; None where it never does.

    Those of its first point, though it may have been there earlier, where that has it: nothing is known of before.
    """
    if points[0][1] <= bits:
        return points[0][0]
    for (earlier, higher), (later, lower) in pairwise(points):
        if lower <= bits:
            return later - (later - earlier) * (bits - lower) / (higher - lower)
    return None


def bits_at(points: Sequence[Point], seconds: float) -> float:
    """The value of a curve at a time, of its first point before that, of its last one behind its end."""
    if seconds <= points[0][0]:
        return points[0][1]
    for (earlier, higher), (later, lower) in pairwise(points):
        if seconds <= later:
            return lower + (higher - lower) * (later - seconds) / (later - earlier)
    return points[-1][1]


def rows_of(
    name: str, contenders: Sequence[str], runs: Sequence[Sequence[Curves]], every_level: bool = True
) -> list[Row]:
    """The rows of one held-out set: ours beside each of the others, level by level, then at the same CPU-seconds."""
    ours = [run[0][name] for run in runs]
    rows = []
    for number, other in enumerate(contenders[1:], start=1):
        theirs = [run[number][name] for run in runs]
        levels = list(enumerate(bits for _, bits in theirs[0]))
        for point, level in levels[1:] if every_level else levels[-1:]:
            wanted = [seconds_to(curve, level) for curve in ours]
            taken = tuple(curve[point][0] for curve in theirs)
            reached = tuple(seconds for seconds in wanted if seconds is not None)
            if len(reached) < len(wanted):
                say(f"{name}: ours never has the {level:.3f} that {other} has after {taken[0]:.0f} CPU-seconds")
                continue
            ratio = sum(taken) / sum(reached)
            rows.append(Row(f"{name} to {level:.3f}: ours", reached, "CPU-s"))
            rows.append(Row(f"{name} to {level:.3f}: {other}", taken, "CPU-s", ratio))
        ends = [min(mine[-1][0], its[-1][0]) for mine, its in zip(ours, theirs, strict=True)]
        for who, curve in (("ours", ours), (other, theirs)):
            values = tuple(bits_at(one, end) for one, end in zip(curve, ends, strict=True))
            rows.append(Row(f"{name} after {ends[0]:.0f} CPU-s: {who}", values, "bits per byte"))
    return rows


if __name__ == "__main__":
    main()
