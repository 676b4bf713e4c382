"""Ranks that meet bad batches and faulty devices at every ZeRO stage; writes what became of the run to a JSON file.

    RANK=0 WORLD_SIZE=2 ... python tests/launched/spiking_steps.py CONFIG FOLDER STAGE:PRECISION [...]

A disturbance multiplies a rank's loss in chosen passes, through a hook on the real module: what a bad batch does to
every pass over it, and a faulty device to one.
"""

import math
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from deepspeed.utils import safe_get_full_grad

from tests.launched.rank import begin, digest, finish, whole_weight, zero_stage
from train.config import RunConfig
from train.config_file import load_config
from train.earlier_steps import Past, Skip
from train.engine import engine
from train.gradient import compute_gradient
from train.records.journal import Journal
from train.records.metrics import Monitor
from train.run import Run
from train.spikes.skip_rules import is_skipped
from train.step import take_step

BAD_STEP, STEPS = 7, 10
Disturb = Callable[[int, int, int], float]
"""(step, training pass of that step, rank) → factor of the loss"""


def train(config: RunConfig, folder: Path, disturb: Disturb, skips: list[Skip]) -> dict[str, Any]:
    """Steps of a run with a disturbance; its losses, weights and journal."""
    folder.mkdir(parents=True)
    run = begin(config.model_copy(update={"folder": str(folder)}))
    run = replace(run, past=Past([], list(skips), True))
    if run.rank.is_first:
        run = replace(run, monitor=Monitor(run.config, {}, 0), journal=Journal(folder))
    passes = {"step": 0, "pass": 0}
    micro_batches = config.training.batch_size // (config.training.micro_batch * run.rank.world_size)

    def hook(module: torch.nn.Module, inputs: Any, loss: torch.Tensor) -> torch.Tensor | None:
        if not torch.is_grad_enabled():
            return None
        passes["pass"] += 1
        return loss * disturb(passes["step"], (passes["pass"] - 1) // micro_batches + 1, run.rank.rank)

    run.engine.module.register_forward_hook(hook)
    results, weights, computed = [], [digest(run.engine)], {}
    for step in range(1, STEPS + 1):
        passes.update({"step": step, "pass": 0})
        if not is_skipped(skips, step):
            results.append(take_step(run, step))
            computed[step] = passes["pass"] // micro_batches
        weights.append(digest(run.engine))
    passes.update({"step": 0, "pass": 0})
    exact = figures_agree(run)
    engine.drop_step(run.engine)
    run.engine.destroy()
    return {
        "applied": {result.step: result.gradient.loss for result in results if result.outcome == "applied"},
        "outcomes": {result.step: result.outcome for result in results},
        "unchanged": [step for step in range(1, STEPS + 1) if weights[step] == weights[step - 1]],
        "final": weights[-1],
        "computed": computed,
        "figures_agree": exact,
    }


def figures_agree(run: Run) -> bool:
    """The norms summed from the ranks' parts are those of the tensors put together."""
    gradient = compute_gradient(run, 1)
    squares = engine.weight_squares(run.engine)
    torch.distributed.all_reduce(squares)
    agree = True
    for parameter, norm, square in zip(
        run.engine.module.parameters(), gradient.tensor_norms, squares.tolist(), strict=True
    ):
        whole = safe_get_full_grad(parameter)
        whole = parameter.grad if whole is None else whole
        tolerance = 1e-5 if run.config.training.precision == "fp32" else 1e-2
        agree &= math.isclose(norm, float(whole.double().norm()), rel_tol=1e-5, abs_tol=1e-12)
        agree &= math.isclose(math.sqrt(square), float(whole_weight(parameter).double().norm()), rel_tol=tolerance)
    return agree


def no_disturbance(step: int, number: int, rank: int) -> float:
    return 1.0


def bad_batch(step: int, number: int, rank: int) -> float:
    return 50.0 if step == BAD_STEP else 1.0


def shifted(step: int, number: int, rank: int) -> float:
    return 50.0 if step >= BAD_STEP else 1.0


def not_a_number(step: int, number: int, rank: int) -> float:
    return math.nan if step == BAD_STEP and rank == 0 else 1.0


def faulty_device(step: int, number: int, rank: int) -> float:
    return 50.0 if step == BAD_STEP and number == 1 and rank == int(os.environ["WORLD_SIZE"]) - 1 else 1.0


CASES: dict[str, tuple[str, Disturb, list[Skip]]] = {
    "undisturbed": ("log", no_disturbance, []),
    "logged": ("log", bad_batch, []),
    "shifted": ("log", shifted, []),
    "skipped": ("skip", bad_batch, []),
    "replayed": ("skip", bad_batch, [Skip(BAD_STEP, BAD_STEP)]),
    "not a number": ("log", not_a_number, []),
    "faulty device": ("skip", faulty_device, []),
}


def main(config_file: str, folder: Path, variants: list[str]) -> None:
    found: dict[str, Any] = {}
    for variant in variants:
        stage, precision = variant.split(":")
        for case, (policy, disturb, skips) in CASES.items():
            overrides = [
                zero_stage(stage),
                f"training.precision={precision}",
                f"training.spikes={{policy: {policy}, window: 8, limit: 2}}",
                "training.diagnose_every=4",
                "model.layers=1",  # what takes the time is gathering parameters one by one
            ]
            own = folder / f"{stage}-{precision}-{case}" / os.environ["RANK"]
            found[f"{variant} {case}"] = train(load_config(config_file, overrides), own, disturb, skips)
    finish(folder / "found.json", found)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
