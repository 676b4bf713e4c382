"""One optimizer step on all ranks: batch → loss → gradient → update."""

import math
import time
from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed as dist

from data.progress import say
from model.loss import IGNORE
from train import engine
from train.run import Run
from train.schedule import learning_rate, micro_batches

PREFETCHED_STEPS = 8


@dataclass(frozen=True)
class StepResult:
    """What one step came to; the same on every rank, but for `seconds`."""

    step: int
    loss: float
    """Mean over the predicted tokens of the global batch, in nats."""
    gradient_norm: float
    """Global norm before clipping."""
    seconds: float
    stopping: bool
    """All ranks agree to stop after this step."""


def take_step(run: Run, step: int) -> StepResult:
    """One optimizer step on all ranks.

    The gradient is that of the summed loss over the tokens of a batch without padding, so that each predicted token
    weighs the same however the batch is divided.
    """
    begin = time.perf_counter()
    training, rank = run.config.training, run.rank
    # Dropout, the only other use of chance, is a function of seed, step and rank, so that a resumed run repeats it.
    torch.manual_seed(hash((run.config.seed, step, rank.rank)))
    engine.set_step(run.engine, training, step, learning_rate(training, step))
    total = torch.zeros(3, dtype=torch.float64, device=run.device)
    norm = 0.0
    for first in micro_batches(training, step, rank.rank, rank.world_size):
        inputs, targets, documents = _rows(run, first)
        share = (targets != IGNORE).mean(dtype=torch.float32)
        loss = run.engine(inputs, targets, documents=documents) * share
        total[0] += loss.detach()
        total[1] += share
        norm = engine.backward_and_step(run.engine, loss)
    total[2] = bool(run.stop.reason)
    _prefetch(run, step + 1)
    dist.all_reduce(total)
    summed, counted, stopping = total.tolist()
    mean = summed / counted
    if not (math.isfinite(mean) and math.isfinite(norm)) and rank.is_first:
        say(f"step {step}: loss {mean} or gradient norm {norm} is not finite; the step was not applied")
    return StepResult(step, mean, norm, time.perf_counter() - begin, stopping > 0)


def _rows(run: Run, first: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """Inputs and targets of one micro-batch, and its documents where attention is masked by them.

    All are (micro_batch, sequence_length). The end-of-text token that begins a document is an input of that document
    and a target of the one before: position t reads a token of the document that it predicts one of.
    """
    batch = run.stream.batch(first, run.config.training.micro_batch)
    tokens = torch.from_numpy(batch.tokens).to(run.device, non_blocking=True)
    documents = torch.from_numpy(batch.documents).to(run.device, non_blocking=True)
    targets = tokens[:, 1:].where(documents >= 0, IGNORE)
    return tokens[:, :-1], targets, documents if run.config.model.document_masking else None


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
