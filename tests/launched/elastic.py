"""One rank that saves runs of several ZeRO stages, or loads what others have saved, and writes what it then has.

    RANK=0 WORLD_SIZE=2 ... python tests/launched/elastic.py save CONFIG FOLDER OUT STAGE:PRECISION[:offload] [...]
    RANK=0 WORLD_SIZE=2 ... python tests/launched/elastic.py load CONFIG FOLDER OUT STAGE:PRECISION[:offload] [...]

`save` trains three steps, saves them as FOLDER/WORLD-CASE and trains two more. `load` begins anew and loads every one
of the same precision. Both write digests of the state, gathered by DeepSpeed itself, and the losses of the steps that
followed: for every fifth of the pairs, and where nothing was changed.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import torch
from deepspeed.utils import safe_get_full_fp32_param, safe_get_full_optimizer_state

from tests.launched.rank import begin, finish
from train.checkpoints import fragments, state
from train.checkpoints.fragments import ADAMW_STATE, MUON_STATE
from train.config_file import load_config
from train.engine import engine
from train.engine.hidden_matrices import is_hidden
from train.engine.layout import torch_optimizer, whole_shape
from train.engine.muon import Muon
from train.process import Rank
from train.run import Run
from train.step import take_step

SAVED, AFTER = 3, 2


def begin_case(config_file: str, case: str) -> Run:
    stage, precision, *offload = case.split(":")
    zero: dict[str, Any] = {"stage": int(stage)}
    if offload:
        zero["offload_optimizer"] = {"device": "cpu"}
    overrides = [
        f"training.deepspeed={json.dumps({'zero_optimization': zero})}",
        f"training.precision={precision}",
        f"training.steps={SAVED + AFTER}",
        "model.layers=1",  # what takes the time is gathering parameters one by one
    ]
    return begin(load_config(config_file, overrides))


def state_digest(started: engine.Engine) -> str:
    """SHA-256 over master weights and moments by name, gathered by other means than those under test."""
    whole = hashlib.sha256()
    if started.zero_optimization_stage() in (1, 2):
        # DeepSpeed tells its accessors where the moments are at the first step, before the second group has any.
        started.optimizer._hp_optimizer_states_linked = False
        started.optimizer._lazy_init_hp_params_optimizer_state()
    muon = isinstance(torch_optimizer(started), Muon)
    for name, parameter in sorted(started.module.named_parameters()):
        kinds = MUON_STATE if muon and is_hidden(name, whole_shape(parameter)) else ADAMW_STATE
        values = [safe_get_full_fp32_param(parameter)]
        values += [safe_get_full_optimizer_state(parameter, kind) for kind in kinds]
        if values[0] is None:  # stage 0 in fp32: there is nothing to gather
            values = [parameter, *(started.optimizer.state[parameter][kind] for kind in kinds)]
        for value in values:
            whole.update(name.encode() + value.detach().float().cpu().numpy().tobytes())
    return whole.hexdigest()


def losses(run: Run, first: int, count: int) -> list[float]:
    return [take_step(run, step).gradient.loss for step in range(first, first + count)]


def save(run: Run, folder: Path) -> dict[str, Any]:
    before = losses(run, 1, SAVED)
    parts = state.own_parts(run.engine)
    optimizer_step = state.optimizer_step(run.engine)
    fragments.write_rank(folder, run.rank.rank, [p.fragment for p in parts], state.arrays(parts), optimizer_step)
    torch.distributed.barrier()
    if run.rank.is_first:
        fragments.merge_records(folder, run.rank.world_size)
    return {
        "state": state_digest(run.engine),
        "optimizer step": optimizer_step,
        "bytes": sum(file.stat().st_size for file in folder.glob("*.safetensors")),
        "planned bytes": state.bytes_to_save(run.engine),
        "low precision": low_precision_digest(run),
        "before": before,
        "after": losses(run, SAVED + 1, AFTER),
    }


def low_precision_digest(run: Run) -> list[float]:
    """Losses of one batch with the weights that the forward pass uses: equal weights, equal losses."""
    tokens = torch.from_numpy(run.stream.batch(0, run.config.training.micro_batch).tokens)
    run.engine.eval()
    with torch.no_grad():
        found = run.engine(tokens[:, :-1], tokens[:, 1:], reduction="none").double().sum(1).tolist()
    run.engine.train()
    return [float(loss) for loss in found]


def load(config_file: str, case: str, folder: Path) -> dict[str, Any]:
    results: dict[str, Any] = {}
    precision = case.split(":")[1]
    run = begin_case(config_file, case)
    losses(run, 1, 1)  # something to overwrite
    for number, saved in enumerate(sorted(folder.glob("*"))):
        if f"-{precision}" not in saved.name:
            continue
        state.load(run.engine, saved, SAVED)
        results[saved.name] = {
            "state": state_digest(run.engine),
            "optimizer step": state.optimizer_step(run.engine),
            "low precision": low_precision_digest(run),
        }
        if number % 5 == run.rank.world_size or saved.name == name(run.rank, case):
            results[saved.name]["after"] = losses(run, SAVED + 1, AFTER)
    run.engine.destroy()
    return results


def name(rank: Rank, case: str) -> str:
    return f"{rank.world_size}-{case.replace(':', '-')}"


if __name__ == "__main__":
    how, config_file, folder, out, *cases = sys.argv[1:]
    results = {}
    for case in cases:
        if how == "save":
            run = begin_case(config_file, case)
            results[name(run.rank, case)] = save(run, Path(folder) / name(run.rank, case))
            run.engine.destroy()
        else:
            results[case] = load(config_file, case, Path(folder))
    finish(out, results)
