"""What a run tells people: the console, metrics.jsonl (the truth), and its mirror in Weights & Biases."""

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from data.files import append, atomic_write
from data.progress import duration, say
from evaluation.pages.wording import NOTHING_HELD_OUT
from train.config import RunConfig
from train.records.mirror import Mirror


@dataclass(frozen=True)
class Dropped:
    """Lines of metrics.jsonl that were removed, because their steps are run again."""

    steps: int
    seconds: float
    """That those steps took."""
    last_written: float | None
    """When the file was written last, in seconds since 1970; None: there was none."""


SAVE_FIGURES = ("seconds", "stall_seconds", "bytes")


class Monitor:
    """Records of one run, written by rank 0; a context manager that closes them."""

    def __init__(self, config: RunConfig, environment: Mapping[str, Any], resumed_at: int) -> None:
        self._config = config
        self.dropped = drop_lines_after(config.metrics, resumed_at)
        self._lines = config.metrics.open("ab", buffering=0)
        self._newest: Mapping[str, Any] = {}
        self._mirror = Mirror(config, environment) if config.monitoring.wandb else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._mirror:
            self._mirror.finish(failed=error is not None)
        self._lines.close()

    def step(self, metrics: Mapping[str, float], steps: int, seconds_left: float) -> None:
        """Record one training step; every `log_every`-th is shown."""
        # JSON has no NaN: what is not finite is written as null, which every reader takes.
        self._newest = {key: value if math.isfinite(value) else None for key, value in metrics.items()}
        self._write(self._newest)
        step = int(metrics["step"])
        self.mirror(step, "train", {name: value for name, value in metrics.items() if name != "step"})
        if step % self._config.training.log_every == 0 or step in (1, steps):
            mfu = f"  MFU {metrics['mfu']:.1%}" if "mfu" in metrics else ""
            say(
                f"step {step:>{len(str(steps))}}/{steps}  loss {metrics['loss']:.4f}  "
                f"rate {metrics['learning_rate']:.2e}  gradient {metrics['gradient_norm']:.3f}  "
                f"{metrics['tokens_per_second']:,.0f} tokens/s{mfu}  {duration(seconds_left)} left"
            )

    def loss_of(self, step: int) -> float | None:
        """As it was recorded, if that step was the newest that was; None too where the loss was not finite."""
        return self._newest["loss"] if self._newest.get("step") == step else None

    def evaluation(
        self,
        step: int,
        bits_per_byte: Mapping[str, Mapping[str, float]],
        seconds: float,
        tasks: Mapping[str, Mapping[str, float]] | None = None,
    ) -> None:
        """Record bits per byte by source and split, and the metrics of tasks."""
        scored = {"tasks": tasks} if tasks else {}
        self._write({"step": step, "evaluation": bits_per_byte, "seconds": round(seconds, 3), **scored})
        flat = {f"{source}/{split}": x for source, splits in bits_per_byte.items() for split, x in splits.items()}
        self.mirror(step, "evaluation", flat)
        figures = "  ".join(f"{name} {value:.3f}" for name, value in flat.items())
        say(f"step {step}  " + (f"bits per byte: {figures}" if flat else NOTHING_HELD_OUT))
        if tasks:
            flat = {f"{task}/{metric}": value for task, metrics in tasks.items() for metric, value in metrics.items()}
            self.mirror(step, "tasks", flat)
            say(f"step {step}  tasks: " + "  ".join(f"{name} {value:.3f}" for name, value in flat.items()))

    def saved(self, step: int, facts: Mapping[str, Any]) -> None:
        """Record a checkpoint that has become whole, and how long training stood still for it."""
        figures = {name: facts[name] for name in SAVE_FIGURES}
        self._write({"step": step, "save": figures})
        self.mirror(step, "save", figures)

    def mirror(self, step: int, section: str, figures: Mapping[str, float]) -> None:
        """Figures that are written down already, for W&B."""
        if self._mirror:
            self._mirror.log(step, section, figures)

    def _write(self, record: Mapping[str, Any]) -> None:
        line = json.dumps({**record, "time": round(time.time(), 3)})
        append(self._lines.fileno(), line.encode() + b"\n", self._config.metrics)

    def finished(self, step: int, tokens: int, checkpoint: Path) -> None:
        """The run has come to its end: W&B's summary, and the checkpoint where it is to be kept there."""
        if self._mirror:
            self._mirror.summarise({"step": step, "tokens": tokens})
            if self._config.monitoring.artifacts == "checkpoint":
                self._mirror.keep(checkpoint, "model", f"{self._config.name}-checkpoint")


def read_record(line: bytes) -> dict[str, Any] | None:
    """A line of a file of records that have a `step`; None where it is none, as one that was cut short."""
    try:
        record = json.loads(line)
        whole = isinstance(record, dict) and isinstance(record["step"], int)
    except (ValueError, KeyError):  # what is not UTF-8 is a ValueError too
        whole = False
    return record if whole else None


def read_metrics(file: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl; one that is being written, or was cut short, is left out."""
    if not file.exists():
        return []
    records = map(read_record, file.read_bytes().split(b"\n")[:-1])
    return [record for record in records if record is not None]


def last_written(file: Path, records: Sequence[Mapping[str, Any]]) -> float | None:
    """When a file of these records was written last, in seconds since 1970; None: there is none.

    As its newest record says, since a copy of the file is younger than what it tells; the file's own time is taken
    where that record is of a version that did not note it.
    """
    if not file.exists():
        return None
    return float(records[-1]["time"]) if records and "time" in records[-1] else file.stat().st_mtime


def drop_lines_after(file: Path, step: int) -> Dropped:
    """Remove from a file of lines with a `step` what lies after this one; those steps are run again.

    A last line that an interrupted write cut short is removed too. So is one that is damaged elsewhere, which is said.
    """
    if not file.exists():
        return Dropped(0, 0.0, None)
    lines = file.read_bytes().splitlines(keepends=True)
    records = [read_record(line) for line in lines]
    kept = [line for line, record in zip(lines, records, strict=True) if record and record["step"] <= step]
    later = [record for record in records if record and record["step"] > step]
    written = last_written(file, [record for record in records if record])
    if damaged := sum(record is None for record in records[:-1]):
        say(f"WARNING: {file}: {damaged} lines are no records and are removed")
    with atomic_write(file) as whole:
        whole.writelines(line.rstrip(b"\r\n") + b"\n" for line in kept)
    seconds = sum(record.get("seconds") or 0.0 for record in later)
    return Dropped(len({record["step"] for record in later}), round(seconds, 3), written)
