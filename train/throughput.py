"""How fast a run trains: a step's line of metrics.jsonl, the time that is left, ranks that hold the others up."""

import resource
import statistics
import time
from collections import deque
from collections.abc import Sequence

import torch

from model.sizes import flop_per_token
from train.config import TrainingConfig
from train.run import Run
from train.schedule import batch_size, consumed_samples, learning_rate
from train.step import StepResult

STRAGGLER_SLOWNESS = 1.15
"""A rank that needs this many times what others need is named."""


def step_metrics(run: Run, result: StepResult, peak_flops: float) -> dict[str, float]:
    """The step's line of metrics.jsonl.

    MFU counts the computation that the model calls for, attention included; HFU also what activation checkpointing
    computes a second time (Narayanan et al. 2021, Chowdhery et al. 2022).

    Args:
        peak_flops: FLOP/s that a rank's device can reach.
    """
    training, model = run.config.training, run.config.model
    tokens_per_second = batch_size(training, result.step) * model.sequence_length / result.seconds
    recomputed_blocks = model.layers if training.activation_checkpointing else 0
    share = tokens_per_second / (peak_flops * run.rank.world_size)
    slowest = max(result.seconds_by_rank)
    return {
        "step": result.step,
        "loss": result.loss,
        "learning_rate": learning_rate(training, result.step),
        "gradient_norm": result.gradient_norm,
        "tokens": consumed_samples(training, result.step) * model.sequence_length,
        "tokens_per_second": tokens_per_second,
        "mfu": flop_per_token(model) * share,
        "hfu": flop_per_token(model, recomputed_blocks) * share,
        "seconds": result.seconds,
        "data_wait": result.data_wait,
        "rank_seconds": statistics.median(result.seconds_by_rank),
        "slowest_rank": result.seconds_by_rank.index(slowest),
        "slowest_rank_seconds": slowest,
        "memory": peak_memory(run.device),
    }


def peak_memory(device: torch.device) -> int:
    """Bytes that this rank has taken at most: of the GPU by tensors, or of the host by everything."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class Pace:
    """How fast this process trains, from which the time that is left follows."""

    def __init__(self, training: TrainingConfig, first_step: int) -> None:
        self._training = training
        self._begin, self._first_sample = time.perf_counter(), consumed_samples(training, first_step)

    def seconds_left(self, step: int) -> float:
        """Seconds from `step` to the last step, evaluations and saves included."""
        done, all_samples = (consumed_samples(self._training, at) for at in (step, self._training.steps))
        return (time.perf_counter() - self._begin) * (all_samples - done) / (done - self._first_sample)


class Stragglers:
    """Which ranks have lately held the others up, by each rank's median over a window of steps.

    Under ZeRO-3 the weights are gathered within the forward pass, where ranks wait for each other: a straggler then
    shows by its batches only, and by the node's health check.
    """

    def __init__(self, window: int = 20) -> None:
        self._steps: deque[Sequence[float]] = deque(maxlen=window)
        self._named: set[int] = set()

    def news(self, seconds_by_rank: Sequence[float]) -> dict[int, float]:
        """Take in a step; returns {rank: times slower than the median rank} when other ranks than before are slow."""
        self._steps.append(seconds_by_rank)
        if len(self._steps) < (self._steps.maxlen or 0) or len(seconds_by_rank) < 2:
            return {}
        medians = [statistics.median(of_rank) for of_rank in zip(*self._steps, strict=True)]
        usual = statistics.median_low(medians)
        slow = {rank: round(own / usual, 2) for rank, own in enumerate(medians) if own > STRAGGLER_SLOWNESS * usual}
        if slow.keys() <= self._named:
            self._named &= slow.keys()
            return {}
        self._named = set(slow)
        return slow


def describe_stragglers(step: int, slowness: dict[int, float]) -> str:
    """One line that names the ranks, the slowest first."""
    ranks = ", ".join(f"{rank} ({slowness[rank]:.2f} ×)" for rank in sorted(slowness, key=lambda r: -slowness[r]))
    return f"step {step}  slower than the other ranks: {ranks}; the whole run waits for them"
