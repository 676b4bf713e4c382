"""One optimizer step on all ranks: gradient → is it a spike? → update, or not; and what metrics.jsonl says of it."""

import resource
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from data.progress import say
from evaluation.gradient_noise import noise_of_step
from model.sizes import flop_per_token
from train import watchdog
from train.diagnostics import diagnose
from train.engine import engine
from train.engine.placement import configured_placement
from train.gradient import Gradient, compute_gradient
from train.hardware import USABLE_MEMORY
from train.process import device_memory
from train.ranks import of_all_ranks
from train.run import Run
from train.schedule import batch_size, consumed_samples, learning_rate, micro_batches
from train.spikes.evidence import examine, note
from train.spikes.skip_rules import check_limit, find_spike, is_to_be_examined, skip_for

PREFETCHED_STEPS = 8


@dataclass(frozen=True)
class StepResult:
    """What one step came to; the same on every rank, but for `seconds`."""

    step: int
    gradient: Gradient
    """What decided: of a step that was computed again, the second result."""
    seconds: float
    outcome: Literal["applied", "skipped", "rewind"]
    """skipped: the weights are as before; rewind: and an earlier checkpoint is to be gone back to."""
    reason: str
    """Why the step is a spike, or an empty string."""


def take_step(run: Run, step: int) -> StepResult:
    """One optimizer step on all ranks, which all decide alike whether it is applied.

    Raises:
        DivergedError: too many steps were skipped lately.
        ReplicaError: the ranks' weights are not the same any more.
    """
    begin = time.perf_counter()
    training, past = run.config.training, run.past
    watchdog.guard(training.hang_timeout)
    gradient = compute_gradient(run, step)
    _prefetch(run, step + 1)
    reason = find_spike(past.history, gradient.figures, training.spikes)
    if reason and is_to_be_examined(past.examined, step, gradient.figures, training.spikes):
        past.examined.append(step)
        gradient = examine(run, step, gradient, reason)
        reason = find_spike(past.history, gradient.figures, training.spikes)
    elif reason:
        note(run, step, gradient, reason)
    outcome = _decide(run, step, gradient, reason)
    if outcome == "applied":
        if step % training.diagnose_every == 0:
            diagnose(run, step, gradient)
        engine.apply_step(run.engine, gradient.norm)
        past.history.append(gradient.figures)
        del past.history[: -training.spikes.window]
    else:
        engine.drop_step(run.engine)
    seconds = time.perf_counter() - begin
    run.stop.took("step", seconds)
    return StepResult(step, gradient, seconds, outcome, reason)


def _decide(run: Run, step: int, gradient: Gradient, reason: str) -> Literal["applied", "skipped", "rewind"]:
    """What becomes of a step, and the journal's word for a skip, by which it is skipped again whenever it comes."""
    training, skips = run.config.training, run.past.skips
    policy = training.spikes.policy
    if not reason or (policy == "log" and np.isfinite(gradient.figures).all()):
        return "applied"
    check_limit(skips, step, training.spikes, reason)
    skip = skip_for(step, training.spikes, training.steps)
    if policy != "rewind":
        skips.append(skip)
        if run.journal:
            run.journal.event("skip", first=skip.first, last=skip.last, reason=reason)
    return "rewind" if policy == "rewind" else "skipped"


def _prefetch(run: Run, first_step: int) -> None:
    """Have remote shards fetched for the coming steps while this one goes on."""
    training = run.config.training
    last = min(first_step + PREFETCHED_STEPS - 1, training.steps)
    firsts = [
        first
        for step in range(first_step, last + 1)
        for first in micro_batches(training, step, run.rank.rank, run.rank.world_size)
    ]
    run.stream.prefetch(np.add.outer(firsts, range(training.micro_batch)).ravel().astype(np.int64))


def check_memory(run: Run) -> None:
    """Say it where a step has taken more of a device than can be counted on; all ranks call this, after the first."""
    usable = int(USABLE_MEMORY * device_memory(run.device, run.rank.local_size))
    everyone = of_all_ranks((peak_memory(run.device), usable))
    if run.rank.is_first and (warning := over_memory(everyone, run.config.training.micro_batch)):
        say(warning)


def over_memory(everyone: Sequence[tuple[int, int]], micro_batch: int) -> str:
    """What to say of each rank's (bytes taken, bytes usable); empty where all is well."""
    rank = max(range(len(everyone)), key=lambda rank: everyone[rank][0] / everyone[rank][1])
    taken, usable = everyone[rank]
    if taken <= usable:
        return ""
    return (
        f"WARNING: the first step took {taken / 1e9:,.2f} GB on rank {rank}, of {usable / 1e9:,.2f} GB that can be "
        f"counted on: a later step may find no memory. {less_memory(micro_batch)}"
    )


def less_memory(micro_batch: int) -> str:
    """What to set."""
    rows = f"training.micro_batch below {micro_batch}, " if micro_batch > 1 else ""
    return f"Set {rows}training.activation_checkpointing=true, or another ZeRO stage: `domainlm plan` shows what fits"


def _noise(run: Run, result: StepResult) -> dict[str, float]:
    training, gradient = run.config.training, result.gradient
    rows = batch_size(training, result.step)
    return noise_of_step(gradient.micro_square, training.micro_batch, gradient.norm**2, rows)


def step_metrics(run: Run, result: StepResult, stated_flops: float | None) -> dict[str, float]:
    """The step's line of metrics.jsonl.

    MFU counts the computation that the model calls for, attention included; HFU also what activation checkpointing
    computes a second time (Narayanan et al. 2021, Chowdhery et al. 2022).

    Args:
        stated_flops: FLOP/s of a rank's device by its data sheet; None leaves both out.
    """
    training, model, gradient = run.config.training, run.config.model, result.gradient
    tokens_per_second = batch_size(training, result.step) * model.sequence_length / result.seconds
    shares = {}
    if stated_flops:
        recomputed_blocks = configured_placement(training).recomputed_blocks(model.layers)
        share = tokens_per_second / (stated_flops * run.rank.world_size)
        frozen = run.config.lora is not None
        shares = {
            "mfu": flop_per_token(model, frozen=frozen) * share,
            "hfu": flop_per_token(model, recomputed_blocks, frozen=frozen) * share,
        }
    slowest = max(gradient.seconds_by_rank)
    return {
        "step": result.step,
        "loss": gradient.loss,
        "learning_rate": learning_rate(training, result.step),
        "gradient_norm": gradient.norm,
        **(_noise(run, result) if run.part is None else {}),  # what a rank has of a shared row is no sample of its own
        "tokens": consumed_samples(training, result.step) * model.sequence_length,
        "tokens_per_second": tokens_per_second,
        **shares,
        "seconds": result.seconds,
        "data_wait": gradient.data_wait,
        "rank_seconds": statistics.median(gradient.seconds_by_rank),
        "slowest_rank": gradient.seconds_by_rank.index(slowest),
        "slowest_rank_seconds": slowest,
        "memory": peak_memory(run.device),
    }


def peak_memory(device: torch.device) -> int:
    """Bytes that this rank has taken at most: of the GPU by tensors, or of the host by everything."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
