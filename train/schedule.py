"""Schedules as pure functions of the step: learning rate, batch size and consumed samples.

Step n is the n-th optimizer step, counted from 1: the line of metrics.jsonl and the checkpoint that carry its number.
"""

import math

from train.config import TrainingConfig
from train.config_file import ConfigError


def learning_rate(training: TrainingConfig, step: int) -> float:
    """Learning rate of step `step` (from 1): linear warm-up, then a cosine or a stable phase with a linear decay.

    The warm-up reaches the highest rate at `warmup_steps`; step `steps` has the minimum rate.
    """
    high, low = training.learning_rate, training.minimum_learning_rate
    if step <= training.warmup_steps:
        return high * step / training.warmup_steps
    if training.schedule == "cosine":
        progress = (step - training.warmup_steps) / (training.steps - training.warmup_steps)
        return low + (high - low) * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
    decay_steps = max(1, round(training.decay_fraction * training.steps))
    remaining = max(training.steps - step, 0) / decay_steps
    return low + (high - low) * min(remaining, 1.0)


LOWEST_RATE, HIGHEST_RATE = 1e-7, 0.1
"""What AdamW trains transformers with lies well within: 1.2e-5 (GPT-3's largest, fine-tuned) to 2e-2 (the smallest)."""
LOWEST_MUON_RATE, HIGHEST_MUON_RATE = 1e-5, 1.0
"""What Muon trains with, its steps scaled as here, lies well within: 1e-3 to 0.1 (Jordan et al. 2024: 0.02)."""


def doubtful_rate(training: TrainingConfig) -> str:
    """What to say of highest learning rates at which the optimizer teaches nothing or diverges; empty of any others."""
    found = []
    if not LOWEST_RATE <= training.learning_rate <= HIGHEST_RATE:
        what = "diverges" if training.learning_rate > HIGHEST_RATE else "learns next to nothing"
        found.append(
            f"training.learning_rate is {training.learning_rate:g}, at which AdamW {what}: transformers are trained "
            "with 1e-5 to 1e-2, the larger the lower"
        )
    rate = training.muon.learning_rate
    if training.optimizer == "muon" and not LOWEST_MUON_RATE <= rate <= HIGHEST_MUON_RATE:
        what = "diverges" if rate > HIGHEST_MUON_RATE else "learns next to nothing"
        found.append(
            f"training.muon.learning_rate is {rate:g}, at which Muon {what}: transformers are trained with 1e-3 to "
            "0.1, whatever their size"
        )
    return "; ".join(found)


def batch_size(training: TrainingConfig, step: int) -> int:
    """Sequences in the global batch of step `step` (from 1)."""
    return next(size for first, size in reversed(training.batch_sizes.items()) if step > first)


def consumed_samples(training: TrainingConfig, step: int) -> int:
    """Sequences consumed by the first `step` steps: the index of the first sample of step `step` + 1."""
    sizes = training.batch_sizes
    firsts = [*sizes, max(step, *sizes)]
    phases = zip(firsts, firsts[1:], sizes.values(), strict=False)
    return sum(max(0, min(end, step) - begin) * size for begin, end, size in phases)


def accumulation(training: TrainingConfig, step: int, world_size: int) -> int:
    """Micro-batches that each rank takes in step `step`, together with those that it shares rows with.

    Raises:
        ConfigError: the batch cannot be divided over the ranks, or the ranks into groups that share rows.
    """
    groups, rest = divmod(world_size, training.sequence_ranks)
    if rest:
        raise ConfigError(
            f"training.sequence_ranks {training.sequence_ranks} does not divide the {world_size} ranks of the run: "
            "start a multiple of it, or set it to a divisor"
        )
    size, slots = batch_size(training, step), training.micro_batch * groups
    if size % slots:
        what = "ranks" if training.sequence_ranks == 1 else "groups of ranks"
        raise ConfigError(
            f"training.batch_size {size} cannot be divided: it must be a multiple of micro_batch × {what} = "
            f"{training.micro_batch} × {groups} = {slots}"
        )
    return size // slots


def check_ranks(training: TrainingConfig, world_size: int) -> None:
    """Raise ConfigError when any batch of the run cannot be divided over `world_size` ranks."""
    for steps_done in training.batch_sizes:
        accumulation(training, steps_done + 1, world_size)


def micro_batches(training: TrainingConfig, step: int, rank: int, world_size: int) -> list[int]:
    """First sample of each micro-batch that a rank takes in step `step`.

    Of each micro_batch × ranks samples, rank r takes the r-th part: the global batch does not depend on how many ranks
    there are. Consecutive ranks that share rows take the same.
    """
    group, groups = rank // training.sequence_ranks, world_size // training.sequence_ranks
    first = consumed_samples(training, step - 1) + group * training.micro_batch
    count = accumulation(training, step, world_size)
    return [first + number * training.micro_batch * groups for number in range(count)]
