"""What is known about a spike is frozen in the journal, and the step computed again: is it the data or the device?"""

import math

import numpy as np
import torch

from data.progress import say
from data.stream.ledger import documents_of
from model.loss import IGNORE
from train.engine import engine
from train.gradient import Gradient, compute_gradient, micro_batches_of
from train.ranks import of_all_ranks
from train.run import Run
from train.schedule import learning_rate

WORST_SEQUENCES = 4
"""Sequences of the highest loss whose documents are named."""
SAME = 1e-3
"""Relative difference that a second computing may have: kernels on GPUs add in any order."""


def examine(run: Run, step: int, first: Gradient, reason: str) -> Gradient:
    """Compute a step that spikes again, with the same weights and batch, and journal the evidence.

    A result that does not come again was made by a faulty device. All ranks call this.

    Returns:
        The second result, whose gradient waits in the engine in place of the first's.
    """
    engine.drop_step(run.engine)
    losses = _sequence_losses(run, step)
    second = compute_gradient(run, step)
    differing = _differing_ranks(first, second)
    if run.journal:
        verdict = _verdict(first, second, differing)
        worst = sorted(losses, key=lambda sample: -losses[sample])[:WORST_SEQUENCES]
        names = [name for name, _ in run.engine.module.named_parameters()]
        run.journal.event(
            "spike",
            step=step,
            reason=reason,
            verdict=verdict,
            policy=run.config.training.spikes.policy,
            learning_rate=learning_rate(run.config.training, step),
            loss=[first.loss, second.loss],
            gradient_norm=[first.norm, second.norm],
            tensor_gradient_norms=dict(zip(names, first.tensor_norms, strict=True)),
            sequence_losses={sample: round(loss, 4) for sample, loss in losses.items()},
            worst=[{"sample": sample, "documents": documents_of(run.stream, [sample])} for sample in worst],
        )
        is_applied = run.config.training.spikes.policy == "log" and np.isfinite(second.figures).all()
        outcome = "; the step is applied" if is_applied else ""
        say(f"step {step}  spike: {reason}; {verdict}{outcome}; evidence in {run.config.run_folder / 'journal.jsonl'}")
    return second


def note(run: Run, step: int, gradient: Gradient, reason: str) -> None:
    """Write down a spike that is applied without being computed again: there were as many as the limit just before."""
    if run.journal:
        spikes = run.config.training.spikes
        run.journal.event(
            "spike not examined", step=step, reason=reason, loss=gradient.loss, gradient_norm=gradient.norm
        )
        say(
            f"step {step}  spike: {reason}; applied and not computed again, as {spikes.limit} were within "
            f"{spikes.window} steps: the level has shifted"
        )


def _sequence_losses(run: Run, step: int) -> dict[int, float]:
    """Mean loss of each sequence of the step's batch, by sample, without dropout; the same on every rank."""
    own: list[tuple[int, float, int]] = []
    run.engine.eval()
    with torch.no_grad():
        for batch in micro_batches_of(run, step):
            losses = run.engine(batch.inputs, batch.targets, reduction="none", documents=batch.documents, part=run.part)
            samples = range(batch.first_sample, batch.first_sample + len(losses))
            counts = (batch.targets != IGNORE).sum(dim=1).tolist()
            own += zip(samples, losses.double().sum(dim=1).tolist(), counts, strict=True)
    run.engine.train()
    sums: dict[int, tuple[float, int]] = {}
    for sample, loss, count in (one for rank in of_all_ranks(own) for one in rank):
        before, counted = sums.get(sample, (0.0, 0))
        sums[sample] = before + loss, counted + count  # of ranks that share rows, each has a slice
    return {sample: loss / count if count else math.nan for sample, (loss, count) in sorted(sums.items())}


def _differing_ranks(first: Gradient, second: Gradient) -> list[int]:
    """The ranks whose own part of the loss did not come again."""
    alike = np.isclose(first.own_loss, second.own_loss, rtol=SAME, atol=0, equal_nan=True)
    return [rank for rank, same in enumerate(of_all_ranks(bool(alike))) if not same]


def _verdict(first: Gradient, second: Gradient, differing: list[int]) -> str:
    if differing:
        faulty = "its device is faulty" if len(differing) == 1 else "a device of theirs is faulty"
        return f"computed again, rank {', '.join(map(str, differing))} gets another loss: {faulty}"
    if not np.allclose(first.figures, second.figures, rtol=SAME, atol=0, equal_nan=True):
        return "computed again, the losses are the same and the gradient is not: a device or a link is faulty"
    return "computed again, it is the same: the data or the weights, not a device"
