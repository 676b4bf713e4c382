"""What the scripts of this folder do alike, as one of several ranks: join, begin a run, say what they saw."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import torch
from deepspeed.utils import safe_get_full_fp32_param

from train.config import RunConfig
from train.earlier_steps import Past
from train.engine import engine
from train.engine.row_parts import own_part
from train.process import Rank, find_rank, use_machine
from train.run import Run
from train.stop import StopRequest
from train.token_stream import open_stream


def zero_stage(stage: int | str) -> str:
    """The override that sets it."""
    return f"training.deepspeed={{zero_optimization: {{stage: {stage}}}}}"


def connect() -> tuple[Rank, torch.device]:
    torch.set_num_threads(1)
    rank = find_rank(os.environ)
    device = use_machine(rank)
    engine.connect(device)
    return rank, device


def begin(config: RunConfig) -> Run:
    """A run at its first step on the real engine, without records."""
    rank, device = connect()
    started = engine.build_engine(config, device, rank.world_size)
    stop, past, part = StopRequest(None), Past([], [], True), own_part(config.training)
    return Run(config, rank, device, open_stream(config), started, stop, past, None, None, part)


def whole_weight(parameter: torch.nn.Parameter) -> torch.Tensor:
    """The fp32 (master) weight, whatever its partitioning."""
    gathered = safe_get_full_fp32_param(parameter)
    return (parameter.detach() if gathered is None else gathered).float()


def digest(started: engine.Engine) -> str:
    """SHA-256 over all weights by name."""
    whole = hashlib.sha256()
    for name, parameter in sorted(started.module.named_parameters()):
        whole.update(name.encode() + whole_weight(parameter).cpu().numpy().tobytes())
    return whole.hexdigest()


def finish(out: str | Path, results: Any) -> None:
    """Rank 0's results, in JSON; the ranks part."""
    if os.environ["RANK"] == "0":
        Path(out).write_text(json.dumps(results))
    engine.disconnect()
