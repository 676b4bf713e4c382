"""What a run tells people: the console, metrics.jsonl (the truth), and Weights & Biases."""

import json
import math
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from data.files import write_atomically
from data.progress import duration, say
from train.config import RunConfig

SAVE_FIGURES = ("seconds", "stall_seconds", "bytes")


class Monitor:
    """Records of one run, written by rank 0; a context manager that closes them."""

    def __init__(self, config: RunConfig, environment: Mapping[str, Any], resumed_at: int) -> None:
        self._config = config
        folder = config.run_folder
        self.steps_repeated = drop_lines_after(folder / "metrics.jsonl", resumed_at)
        self._metrics = _append(folder / "metrics.jsonl")
        self._wandb = _start_wandb(config, environment) if config.monitoring.wandb else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._wandb is not None:
            self._wandb.finish(exit_code=0 if error is None else 1)
        self._metrics.close()

    def step(self, metrics: Mapping[str, float], steps: int, seconds_left: float) -> None:
        """Record one training step; every `log_every`-th is shown."""
        # JSON has no NaN: what is not finite is written as null, which every reader takes.
        _write_line(self._metrics, {key: value if math.isfinite(value) else None for key, value in metrics.items()})
        if self._wandb is not None:
            self._wandb.log({("step" if key == "step" else f"train/{key}"): value for key, value in metrics.items()})
        step = int(metrics["step"])
        if step % self._config.training.log_every == 0 or step in (1, steps):
            say(
                f"step {step:>{len(str(steps))}}/{steps}  loss {metrics['loss']:.4f}  "
                f"rate {metrics['learning_rate']:.2e}  gradient {metrics['gradient_norm']:.3f}  "
                f"{metrics['tokens_per_second']:,.0f} tokens/s  MFU {metrics['mfu']:.1%}  {duration(seconds_left)} left"
            )

    def evaluation(self, step: int, bits_per_byte: Mapping[str, Mapping[str, float]], seconds: float) -> None:
        """Record bits per byte by source and split."""
        _write_line(self._metrics, {"step": step, "evaluation": bits_per_byte, "seconds": round(seconds, 3)})
        flat = {f"{source}/{split}": x for source, splits in bits_per_byte.items() for split, x in splits.items()}
        if self._wandb is not None:
            self._wandb.log({"step": step, **{f"evaluation/{name}": value for name, value in flat.items()}})
        say(f"step {step}  bits per byte: " + "  ".join(f"{name} {value:.3f}" for name, value in flat.items()))

    def saved(self, step: int, facts: Mapping[str, Any]) -> None:
        """Record a checkpoint that has become whole, and how long training stood still for it."""
        _write_line(self._metrics, {"step": step, "save": {name: facts[name] for name in SAVE_FIGURES}})
        if self._wandb is not None:
            self._wandb.log({"step": step, **{f"save/{name}": facts[name] for name in SAVE_FIGURES}})

    def mirror(self, step: int, figures: Mapping[str, float]) -> None:
        """Figures that are written down elsewhere, for W&B."""
        if self._wandb is not None:
            self._wandb.log({"step": step, **{f"diagnostics/{name}": value for name, value in figures.items()}})

    def summary(self, **facts: float) -> None:
        """Final figures, shown first by W&B."""
        if self._wandb is not None:
            self._wandb.summary.update(facts)


def drop_lines_after(file: Path, step: int) -> int:
    """Remove from metrics.jsonl what lies after `step` (those steps are run again); returns how many steps that was.

    A line that an interrupted write cut short is removed too.
    """
    if not file.exists():
        return 0
    kept, dropped = [], set()
    for line in file.read_text("utf-8").splitlines():
        try:
            number = int(json.loads(line)["step"])
        except ValueError:
            continue
        if number <= step:
            kept.append(line)
        else:
            dropped.add(number)
    write_atomically(file, "".join(f"{line}\n" for line in kept))
    return len(dropped)


def _append(file: Path) -> TextIO:
    return file.open("a", encoding="utf-8", buffering=1)


def _write_line(file: TextIO, record: Mapping[str, Any]) -> None:
    file.write(json.dumps(record) + "\n")


def _start_wandb(config: RunConfig, environment: Mapping[str, Any]) -> Any:
    """Start or continue this run in W&B under the id that the run's folder remembers."""
    import wandb

    identity = config.run_folder / "wandb_id"
    if not identity.exists():
        write_atomically(identity, secrets.token_hex(4))
    monitoring = config.monitoring
    run = wandb.init(
        project=monitoring.project,
        group=monitoring.group,
        name=config.name,
        tags=list(monitoring.tags),
        id=identity.read_text("utf-8").strip(),
        resume="allow",
        mode=None if "WANDB_MODE" in os.environ else "offline",
        dir=str(config.run_folder),
        config={**config.model_dump(mode="json"), "environment": dict(environment)},
        settings=wandb.Settings(console="off", silent=True),
    )
    run.define_metric("*", step_metric="step")
    return run
