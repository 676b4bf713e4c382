"""The loss and the gradient of a step's batch on all ranks; the gradient waits in the engine."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.distributed as dist

from model.loss import IGNORE
from train.earlier_steps import Figures
from train.engine import engine
from train.engine.micro_gradients import watched_norms
from train.records.stopwatch import Stopwatch
from train.run import Run
from train.schedule import accumulation, batch_size, consumed_samples, learning_rate, micro_batches


@dataclass(frozen=True)
class Gradient:
    """What a batch came to; the same on every rank, but for `own_loss`."""

    loss: float
    """Mean over the predicted tokens of the global batch, in nats."""
    norm: float
    """Global norm before clipping."""
    micro_square: float
    """Mean, over the micro-batches of all ranks, of the square of each one's own norm."""
    tensor_norms: tuple[float, ...]
    """Norm of each parameter tensor's gradient, in the order of the module's parameters."""
    own_loss: float
    """This rank's share of the sum that `loss` is made of."""
    stopping: bool
    """All ranks agree to stop after this step."""
    data_wait: float
    """Seconds that the rank which was fed most slowly waited for its batches."""
    seconds_by_rank: tuple[float, ...]
    """Seconds that each rank needed for its own batches and forward passes, before it waited for the others."""

    @property
    def figures(self) -> Figures:
        """What a spike is judged by."""
        return Figures(self.loss, self.norm)


def compute_gradient(run: Run, step: int) -> Gradient:
    """Forward and backward passes of the batch of `step`, and one all-reduce.

    The gradient is that of the summed loss over the tokens of a batch without padding, so that each predicted token
    weighs the same however the batch is divided. Where not all count, it is that of the mean over the counted tokens of
    the global batch, for the same reason no mean of means.
    """
    training = run.config.training
    engine.set_step(run.engine, training, step, learning_rate(training, step))
    scale = _positions_per_counted(run, step)
    figures = torch.zeros(4, dtype=torch.float64, device=run.device)
    reading, forward = Stopwatch(), Stopwatch(run.device)
    with watched_norms(run.engine.module) as norms:
        for batch in reading.timed(micro_batches_of(run, step)):
            # Dropout, the only other use of chance, is a function of the seed and of a micro-batch's first row, which
            # no other step has: a resumed run repeats it, on any number of ranks.
            torch.manual_seed(hash((run.config.seed, batch.first_sample)))
            share = (batch.targets != IGNORE).mean(dtype=torch.float32) * scale
            with forward:
                loss = _loss(run, batch) * share
            figures[0] += loss.detach()
            figures[1] += share
            engine.backward(run.engine, loss)
    figures[2] = bool(run.stop.reason)
    figures[3] = torch.stack(norms).square().sum()
    own_loss = figures[0].clone()
    times = torch.zeros(2, run.rank.world_size, dtype=torch.float64)
    times[:, run.rank.rank] = torch.tensor([reading.seconds(), forward.seconds()])
    summed = torch.cat([figures, times.flatten().to(run.device), engine.gradient_squares(run.engine)])
    dist.all_reduce(summed)
    own, loss_sum, counted, stopping, micro_squares, *rest = torch.cat([own_loss[None], summed]).tolist()
    ranks, passes = run.rank.world_size, accumulation(training, step, run.rank.world_size)
    waits, forwards, squares = rest[:ranks], rest[ranks : 2 * ranks], rest[2 * ranks :]
    return Gradient(
        loss=loss_sum / counted,
        norm=math.sqrt(sum(squares)),
        micro_square=passes * micro_squares / ranks,  # DeepSpeed has divided each loss by the rank's passes
        tensor_norms=tuple(math.sqrt(square) for square in squares),
        own_loss=own,
        stopping=stopping > 0,
        data_wait=max(waits),
        seconds_by_rank=tuple(wait + passed for wait, passed in zip(waits, forwards, strict=True)),
    )


def _loss(run: Run, batch: "MicroBatch") -> torch.Tensor:
    """Mean over the counted targets of a micro-batch, or of this rank's slice of it."""
    loss: torch.Tensor = run.engine(
        batch.inputs, batch.targets, documents=batch.documents, counted=batch.counted, part=run.part
    )
    return loss


def _positions_per_counted(run: Run, step: int) -> float:
    """Positions of the global batch by those that count in the loss; 1 where all that are predicted do.

    Every rank finds the same number in the stream, without asking the others.
    """
    training = run.config.training
    samples = batch_size(training, step)
    counted = run.stream.counted_tokens(consumed_samples(training, step - 1), samples)
    return 1.0 if counted is None else samples * run.config.model.sequence_length / max(1, counted)


@dataclass(frozen=True)
class MicroBatch:
    """What the model is given at a time: (micro_batch, sequence_length), of inputs and targets this rank's slice."""

    first_sample: int
    inputs: torch.Tensor
    targets: torch.Tensor
    """IGNORE where nothing is predicted."""
    documents: torch.Tensor | None
    """The document of each position of the whole rows, where attention is masked by them."""
    counted: torch.Tensor | None
    """Where the targets lie that count in the loss, among all behind one another; None where all that are predicted
    do. It is found before the tokens are on the GPU, which would have to be waited for."""


def micro_batches_of(run: Run, step: int) -> Iterator[MicroBatch]:
    """This rank's micro-batches of a step.

    The end-of-text token that begins a document is an input of that document and a target of the one before: position t
    reads a token of the document that it predicts one of. So a slice's last position predicts the first token of the
    next slice.
    """
    own = run.part.positions(run.config.model.sequence_length) if run.part else slice(None)
    for first in micro_batches(run.config.training, step, run.rank.rank, run.rank.world_size):
        batch = run.stream.batch(first, run.config.training.micro_batch)
        tokens = torch.from_numpy(batch.tokens).to(run.device, non_blocking=True)
        documents = torch.from_numpy(batch.documents).to(run.device, non_blocking=True)
        targets = tokens[:, 1:][:, own].where(documents[:, own] >= 0, IGNORE)
        places = None
        if batch.counted is not None:
            counted = torch.from_numpy(batch.counted)[:, own]
            places = counted.flatten().nonzero()[:, 0].to(run.device, non_blocking=True)
            targets = targets.where(counted.to(run.device, non_blocking=True), IGNORE)
        masked_by = documents if run.config.model.document_masking else None
        yield MicroBatch(first, tokens[:, :-1][:, own], targets, masked_by, places)
