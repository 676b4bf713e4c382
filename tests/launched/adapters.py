"""One rank that trains an adapter at several ZeRO stages, saves it, goes on from what others have saved, and says all.

    RANK=0 WORLD_SIZE=2 ... python tests/launched/adapters.py FOLDER OUT CONFIG:STAGE:PRECISION [...]

Each case trains three steps, saves them in FOLDER and trains two more. Then it begins anew with what each earlier call
has saved of the same configuration and precision, at whatever stage and on however many ranks, and trains the same two.
"""

import gc
import sys
import time
from math import inf
from pathlib import Path
from typing import Any

import torch

from domainlm.plan.placement import step_memory
from tests.launched.elastic import AFTER, SAVED, losses
from tests.launched.rank import begin, finish, whole_weight, zero_stage
from train.checkpoints import fragments, state
from train.config_file import load_config
from train.engine import engine
from train.engine.layout import trained_parameters
from train.engine.placement import configured_placement
from train.hardware import Machine
from train.run import Run


def begin_case(case: str) -> Run:
    config_file, stage, precision = case.split(":")
    steps = f"training.steps={SAVED + AFTER}"
    return begin(load_config(config_file, [zero_stage(stage), f"training.precision={precision}", steps]))


def trained(run: Run) -> dict[str, list[float]]:
    """The fp32 weights that are trained."""
    return {n: whole_weight(p).flatten().tolist() for n, p in trained_parameters(run.engine.module).items()}


def live_bytes() -> int:
    """Of all tensors that there are."""
    gc.collect()
    tensors = (one for one in gc.get_objects() if isinstance(one, torch.Tensor) and not one.is_meta)
    storages = {storage.data_ptr(): storage.nbytes() for storage in (one.untyped_storage() for one in tensors)}
    return sum(storages.values())


def settled_bytes(wanted: float) -> int:
    """Of all tensors, looked at again for ten seconds while they are more than wanted.

    gloo's thread says that a bucket of gradients is added up, and lets go of it a moment later.
    """
    end = time.monotonic() + 10
    while (seen := live_bytes()) > wanted and time.monotonic() < end:
        time.sleep(0.05)
    return seen


def bytes_with_gradient(run: Run, step: int, wanted: float) -> tuple[float, int]:
    """The loss of a step, and the bytes of all tensors between its backward pass and the update."""
    seen, squares = [], engine.gradient_squares
    engine.gradient_squares = lambda started: (seen.append(settled_bytes(wanted)), squares(started))[1]
    [loss] = losses(run, step, 1)
    engine.gradient_squares = squares
    return loss, seen[0]


def planned_bytes(run: Run) -> int:
    """What `domainlm plan` says of states and buckets."""
    config, machine = run.config, Machine("CPU", 1 << 40, 1e11, 1, run.rank.world_size, is_cpu=True)
    memory = step_memory(config, machine, configured_placement(config.training), config.training.micro_batch)
    return memory.states + memory.buckets


def save(run: Run, folder: Path, others: int) -> dict[str, Any]:
    """What a case has trained and saved; `others`: the bytes of tensors that were there before it."""
    before, planned = losses(run, 1, SAVED - 1), planned_bytes(run)
    whole = run.engine.zero_optimization_stage() == 3  # weights as small as these stay whole on every rank
    last, tensors = bytes_with_gradient(run, SAVED, inf if whole else others + 1.02 * planned)
    parts = state.own_parts(run.engine)
    step = state.optimizer_step(run.engine)
    fragments.write_rank(folder, run.rank.rank, [p.fragment for p in parts], state.arrays(parts), step)
    torch.distributed.barrier()
    if run.rank.is_first:
        fragments.merge_records(folder, run.rank.world_size)
    torch.distributed.barrier()
    without_gradient = all(p.grad is None for p in run.engine.module.parameters() if not p.requires_grad)
    return {
        "before": [*before, last],
        "tensors": tensors - others,
        "planned": planned,
        "after": losses(run, SAVED + 1, AFTER),
        "weights": trained(run),
        "bytes": state.bytes_to_save(run.engine),
        "without gradient": without_gradient,
    }


def go_on(case: str, saved: Path) -> dict[str, Any]:
    run = begin_case(case)
    state.load(run.engine, saved, SAVED)
    result = {"after": losses(run, SAVED + 1, AFTER), "weights": trained(run)}
    run.engine.destroy()
    return result


if __name__ == "__main__":
    folder, out, *cases = sys.argv[1:]
    results: dict[str, Any] = {}
    earlier = sorted(Path(folder).glob("*"))
    for case in cases:
        others = live_bytes()
        run = begin_case(case)
        config_file, stage, precision = case.split(":")
        name = f"{Path(config_file).stem}-{precision}"
        results[case] = save(run, Path(folder) / f"{name}-{stage}-of-{run.rank.world_size}", others)
        run.engine.destroy()
        del run
        results[case]["loaded"] = {s.name: go_on(case, s) for s in earlier if s.name.startswith(name)}
    finish(out, results)
