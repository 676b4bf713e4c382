"""Which checkpoints stay on disk: the newest, every n-th step, the best on held-out text, and those that are pinned."""

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path

from data.shards.format import SourceShards
from train.checkpoints.folders import delete, saved_steps, step_folder
from train.config import RunConfig

PINNED = "PINNED"
"""A checkpoint with a file of this name in it, put there by people or programs, is never deleted."""


def prune(config: RunConfig) -> list[str]:
    """Delete the checkpoints of a run that need not be kept; returns their names."""
    training, steps = config.training, saved_steps(config.checkpoints)
    best = best_step(steps, held_out_scores(config.metrics, training.keep_best)) if training.keep_best else None
    kept = {*steps[-training.keep_checkpoints :], best}
    removed = []
    for step in steps:
        folder = step_folder(config.checkpoints, step)
        every = training.keep_every is not None and step % training.keep_every == 0
        if step not in kept and not every and not (folder / PINNED).exists():
            # What cannot be deleted now, because another program reads it, goes when the run is next started.
            delete(folder, ignore_errors=True)
            removed.append(folder.name)
    return removed


def why_no_best(config: RunConfig, held_out: Mapping[str, Mapping[str, SourceShards]]) -> str:
    """Why `training.keep_best` will never keep a checkpoint; empty where it may, or is not set.

    Args:
        held_out: the shards of each source, by split.
    """
    training, every = config.training, config.evaluation.every
    source, _, split = (training.keep_best or "").rpartition("/")
    texts = [name for name, shards in held_out.get(split, {}).items() if shards.documents and source in ("", name)]
    if not training.keep_best:
        return ""
    if not texts:
        return f"training.keep_best={training.keep_best} keeps no checkpoint: no document of that text is held out"
    if math.lcm(every, training.save_every) >= training.steps:
        return (
            f"training.keep_best={training.keep_best} keeps no checkpoint: no step before the last is both saved "
            f"(training.save_every={training.save_every}) and evaluated (evaluation.every={every}): let "
            "evaluation.every divide training.save_every"
        )
    return ""


def held_out_scores(metrics: Path, text: str) -> dict[int, float]:
    """Bits per byte of each evaluated step on `text`: SOURCE/SPLIT, or SPLIT for the mean over the sources with it."""
    source, _, split = text.rpartition("/")
    scores: dict[int, float] = {}
    if not metrics.exists():
        return scores
    with metrics.open("rb") as lines:
        for line in lines:
            if b'"evaluation"' not in line:  # one line in many
                continue
            try:
                record = json.loads(line)
            except ValueError:  # cut short by an interruption
                continue
            measured: Mapping[str, Mapping[str, float]] = record["evaluation"]
            values = [
                splits[split] for name, splits in measured.items() if split in splits and (not source or name == source)
            ]
            if values:
                scores[record["step"]] = sum(values) / len(values)
    return scores


def best_step(steps: Iterable[int], scores: Mapping[int, float]) -> int | None:
    """The saved step with the fewest bits per byte, the later of equals; None where none was evaluated."""
    measured = [(scores[step], -step) for step in steps if math.isfinite(scores.get(step, math.nan))]
    return -min(measured)[1] if measured else None
