"""Bits per byte of the held-out text while the run goes on, shared out over the ranks."""

import time

import numpy as np
import torch
import torch.distributed as dist

from data.progress import say
from evaluation.bits_per_byte import Score, by_split, score_documents
from train import watchdog
from train.checkpoints.identity import shards_in_use
from train.checkpoints.trained import token_losses
from train.config import RunConfig
from train.run import Run


class _StoppedError(Exception):
    """The ranks agreed to stop between two batches."""


def evaluate(run: Run, step: int) -> bool:
    """Bits per byte of a sample of the held-out text, by source and split.

    Returns:
        False when the ranks were asked to stop and did, between two batches; it is then made up for at the resume.

    Raises:
        DataError: other shards have taken the place of those that the run began with.
    """
    begin = time.perf_counter()
    shards_in_use(run.config, run.stream)
    losses = token_losses(run.engine, run.device)

    def interruptible(inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        watchdog.guard(run.config.training.hang_timeout)
        if run.asked_to_stop():
            raise _StoppedError
        return losses(inputs, targets)

    run.engine.eval()
    try:
        documents = score_documents(
            interruptible,
            run.config.shards,
            sequence_length=run.config.model.sequence_length,
            batch_size=run.config.evaluation.batch_size,
            maximum_tokens=run.config.evaluation.training_tokens,
            rank=run.rank.rank,
            world_size=run.rank.world_size,
        )
    except _StoppedError:
        if run.monitor:
            say(f"step {step}  evaluation interrupted ({run.stop.reason or 'another rank'}); the resume makes it up")
        return False
    finally:
        run.engine.train()
    totals = _summed_over_ranks(by_split(documents), run.device)
    if run.monitor:
        bits = {
            source: {split: score.bits_per_byte for split, score in splits.items()} for source, splits in totals.items()
        }
        run.monitor.evaluation(step, bits, time.perf_counter() - begin)
    return True


def is_due(config: RunConfig, step: int) -> bool:
    """Whether `step` is to be evaluated."""
    return step > 0 and (step == config.training.steps or step % config.evaluation.every == 0)


def _summed_over_ranks(scores: dict[str, dict[str, Score]], device: torch.device) -> dict[str, dict[str, Score]]:
    cells = [(source, split) for source in scores for split in scores[source]]
    sums = torch.tensor(
        [[scores[a][b].nats, scores[a][b].tokens, scores[a][b].bytes] for a, b in cells],
        dtype=torch.float64,
        device=device,
    )
    dist.all_reduce(sums)
    totals: dict[str, dict[str, Score]] = {}
    for (source, split), (nats, tokens, size) in zip(cells, sums.tolist(), strict=True):
        totals.setdefault(source, {})[split] = Score(nats, int(tokens), int(size))
    return totals
