"""How the benchmarks measure: CPU seconds and memory of whole processes, medians over repeats, ours beside peers."""

import argparse
import ctypes
import io
import json
import os
import resource
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import pyarrow as pa

ROOT = Path(__file__).resolve().parent.parent
ADOPT_ORPHANS = 36  # PR_SET_CHILD_SUBREAPER of Linux's prctl
PEERS_PYTHON = Path(os.environ.get("BENCHMARK_PYTHON", ROOT / ".venv-benchmarks/bin/python"))


@dataclass(frozen=True)
class Usage:
    """What one process and all its children took."""

    cpu_seconds: float
    wall_seconds: float
    peak_bytes: int  # proportional set size of the tree, sampled
    output: str


@dataclass(frozen=True)
class Row:
    """One figure of one contender over the repeats; ratio is ours divided by it, 1 for ours."""

    name: str
    values: tuple[float, ...]
    unit: str
    ratio: float = 1.0

    @property
    def median(self) -> float:
        return statistics.median(self.values)


def parser(description: str) -> argparse.ArgumentParser:
    """The options that every benchmark takes."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--text", type=Path, nargs="+", default=[], help="JSON lines (.jsonl, .jsonl.zst) with `text`")
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    return options


def read_texts(files: Sequence[Path]) -> Iterator[str]:
    """The texts of JSON lines files; of the demo texts where none are given."""
    if not files:
        from data.sources.demo import PACKAGES, demo_records

        yield from (str(record["text"]) for name in PACKAGES for record in demo_records(name))
        return
    for file in files:
        with pa.input_stream(str(file), compression="zstd" if file.suffix == ".zst" else None) as stream:
            for line in io.TextIOWrapper(stream, encoding="utf-8"):
                yield json.loads(line)["text"]


def measure(command: Sequence[str | Path], environment: dict[str, str] | None = None) -> Usage:
    """Run a command to its end and account for it and all its children.

    Raises RuntimeError with the end of its output when it fails.
    """
    # The server that forks worker processes outlives the process that started it: nobody would have waited for it, and
    # the workers' time would count nowhere.
    ctypes.CDLL(None).prctl(ADOPT_ORPHANS, 1, 0, 0, 0)
    others = psutil.Process().children()
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    process = subprocess.Popen(
        [str(word) for word in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
    )
    peak = [0]
    watcher = threading.Thread(target=_watch, args=(process, peak), daemon=True)
    watcher.start()
    output, errors = process.communicate()
    wall = time.perf_counter() - begin
    watcher.join()
    psutil.wait_procs([child for child in psutil.Process().children() if child not in others])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))} failed:\n{errors[-2000:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Usage(cpu, wall, peak[0], output)


def _watch(process: subprocess.Popen[str], peak: list[int]) -> None:
    while process.poll() is None:
        total = 0
        try:
            tree = psutil.Process(process.pid)
            for member in [tree, *tree.children(recursive=True)]:
                total += member.memory_full_info().pss
        except psutil.Error:
            pass
        peak[0] = max(peak[0], total)
        time.sleep(0.05)


def compare(rows: Sequence[Row]) -> list[Row]:
    """Set each row's ratio to ours (the first row's) divided by it."""
    ours = rows[0].median
    return [Row(row.name, row.values, row.unit, ours / row.median if row.median else 0.0) for row in rows]


def figures(
    runs: Mapping[str, Sequence[Mapping[str, float]]], names: Mapping[str, str], kinds: Mapping[str, tuple[str, str]]
) -> list[Row]:
    """Rows of several kinds of figures: each kind's contenders beside ours, the first.

    Args:
        runs: of each contender, what each of its runs gave; a contender may be without a kind.
        names: what a contender is called.
        kinds: {key: (title, unit)}.
    """
    rows = []
    for key, (title, unit) in kinds.items():
        rows += compare(
            [
                Row(f"{title}: {names[name]}", tuple(run[key] for run in of_name), unit)
                for name, of_name in runs.items()
                if key in of_name[0]
            ]
        )
    return rows


def show(title: str, rows: Sequence[Row], as_json: bool) -> None:
    """Print rows for people, or for programs as {"rows": [...]}."""
    if as_json:
        entries = [
            {"name": r.name, "median": r.median, "unit": r.unit, "ratio": r.ratio, "values": r.values} for r in rows
        ]
        print(json.dumps({"title": title, "rows": entries}))
        return
    print(f"\n{title}")
    print(f"  {'':<44} {'median':>10} {'least':>10} {'most':>10}  {'unit':<18} ours / it")
    for row in rows:
        figures = f"{row.median:>10.4g} {min(row.values):>10.4g} {max(row.values):>10.4g}"
        print(f"  {row.name:<44} {figures}  {row.unit:<18} {row.ratio:.2f}")
    sys.stdout.flush()
