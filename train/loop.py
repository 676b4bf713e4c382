"""The training loop: batch → step → log → evaluate → save, until the last step or a request to stop."""

import fcntl
import json
import math
import os
import platform
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from data.files import write_atomically
from data.progress import say
from data.stream import TokenStream
from evaluation.bits_per_byte import Score, score_held_out
from model.loss import IGNORE
from model.sizes import flop_per_token, parameter_count
from train import checkpoint, engine
from train.config import RunConfig, to_yaml
from train.monitor import Monitor
from train.optimizer import describe_groups
from train.plan import open_stream
from train.process import Rank, StopRequest, find_rank, peak_flops, use_machine
from train.schedule import batch_size, check_ranks, consumed_samples, learning_rate, micro_batches
from train.trained import token_losses

PREFETCHED_STEPS = 8


@dataclass(frozen=True)
class Run:
    """Everything that the steps of a run need."""

    config: RunConfig
    rank: Rank
    device: torch.device
    stream: TokenStream
    engine: engine.Engine
    stop: StopRequest
    monitor: Monitor | None
    """Rank 0's; the others say nothing."""


def train(config: RunConfig) -> None:
    """Train to the last step, or go on from the newest checkpoint; every rank calls this.

    The run is finished when its DONE file says so; a run that was asked to stop has saved its step and can be
    continued by the same command.

    Raises:
        ConfigError, DataError, CheckpointError: nothing was started.
    """
    rank, variables = find_rank(os.environ)
    os.environ.update(variables)
    check_ranks(config.training, rank.world_size)
    finished = checkpoint.finished_step(config.run_folder)
    if finished >= config.training.steps:
        if rank.is_first:
            say(f"training: already finished at step {finished} ({config.run_folder / 'DONE'})")
        return
    stream = open_stream(config)
    found = checkpoint.find_latest(config.checkpoints)
    changed = (
        checkpoint.check_continues(found, config, rank.world_size, stream.digest(found.manifest["samples"]))
        if found
        else {}
    )
    config.checkpoints.mkdir(parents=True, exist_ok=True)
    with _only_writer(config, rank):
        stop = StopRequest(config.run_folder / "STOP" if rank.is_first else None)
        device = use_machine(rank)
        engine.connect(device)
        stream.verify(rank.rank, rank.world_size)
        started = engine.build_engine(config, device, rank.world_size)
        if found:
            engine.load(started, found.folder)
        with _monitor(config, rank, device, found.step if found else 0) as monitor:
            if monitor:
                _begin(config, monitor, found, changed)
                _describe(config, rank, stream, started)
            _steps(Run(config, rank, device, stream, started, stop, monitor), found.step if found else 0)
        engine.disconnect()


def _begin(
    config: RunConfig,
    monitor: Monitor,
    found: checkpoint.Checkpoint | None,
    changed: Mapping[str, Any],
) -> None:
    """Take over the run's folder from whatever trained there before (rank 0)."""
    checkpoint.discard_partial(config.checkpoints)
    write_atomically(config.run_folder / "config.yaml", to_yaml(config))
    if found:
        say(f"resuming from {found.folder}")
    for key, values in changed.items():
        say(f"resuming with another {key}: was {values['was']}, now {values['now']}")
    if changed:
        monitor.event("configuration changed", changes=changed)


def _steps(run: Run, first_step: int) -> None:
    """Run the steps after `first_step`."""
    config, training = run.config, run.config.training
    step = first_step
    flops = flop_per_token(config.model) / (peak_flops(run.device) * run.rank.world_size)
    begin, stopping = time.perf_counter(), False
    samples, first_sample = consumed_samples(training, training.steps), consumed_samples(training, first_step)
    for step in range(first_step + 1, training.steps + 1):
        step_begin = time.perf_counter()
        loss, gradient_norm, stopping = take_step(run, step)
        seconds = time.perf_counter() - step_begin
        tokens = batch_size(training, step) * config.model.sequence_length
        if run.monitor:
            done = consumed_samples(training, step)
            seconds_a_sample = (time.perf_counter() - begin) / (done - first_sample)
            run.monitor.step(
                {
                    "step": step,
                    "loss": loss,
                    "learning_rate": learning_rate(training, step),
                    "gradient_norm": gradient_norm,
                    "tokens": done * config.model.sequence_length,
                    "tokens_per_second": tokens / seconds,
                    "mfu": flops * tokens / seconds,
                    "seconds": seconds,
                },
                training.steps,
                seconds_a_sample * (samples - done),
            )
        last = step == training.steps
        if last or (step % config.evaluation.every == 0 and not stopping):
            _evaluate(run, step)
        if last or stopping or step % training.save_every == 0:
            _save(run, step)
        if stopping:
            break
    if run.monitor:
        _finish(run, step, stopped=stopping and step < training.steps)


def take_step(run: Run, step: int) -> tuple[float, float, bool]:
    """One optimizer step on all ranks: mean loss of the predicted tokens, gradient norm, and whether all agree to stop.

    The gradient is that of the summed loss over the tokens of a batch without padding, so that each predicted token
    weighs the same however the batch is divided.
    """
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
    return mean, norm, stopping > 0


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


def _evaluate(run: Run, step: int) -> None:
    """Bits per byte of a sample of the held-out text, by source and split."""
    begin = time.perf_counter()
    run.engine.eval()
    scores = score_held_out(
        token_losses(run.engine, run.device),
        run.config.shards,
        sequence_length=run.config.model.sequence_length,
        batch_size=run.config.evaluation.batch_size,
        maximum_tokens=run.config.evaluation.training_tokens,
        rank=run.rank.rank,
        world_size=run.rank.world_size,
    )
    run.engine.train()
    totals = _summed_over_ranks(scores, run.device)
    if run.monitor:
        bits = {
            source: {split: score.bits_per_byte for split, score in splits.items()} for source, splits in totals.items()
        }
        run.monitor.evaluation(step, bits, time.perf_counter() - begin)


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


def _save(run: Run, step: int) -> None:
    """Save the step: all ranks write, then rank 0 publishes the folder and removes old ones."""
    begin = time.perf_counter()
    config = run.config
    engine.save(run.engine, checkpoint.partial_folder(config.checkpoints, step))
    dist.barrier()
    if run.monitor:
        saved = checkpoint.publish(
            config.checkpoints,
            step,
            config,
            world_size=run.rank.world_size,
            data_digest=run.stream.digest(consumed_samples(config.training, step)),
            samples=consumed_samples(config.training, step),
        )
        removed = checkpoint.prune(config.checkpoints, config.training.keep_checkpoints)
        seconds = time.perf_counter() - begin
        run.monitor.event("save", step=step, seconds=round(seconds, 3), folder=saved.folder.name, removed=removed)
        say(f"step {step}  saved {saved.folder} in {seconds:.1f} s")
    dist.barrier()


def _finish(run: Run, step: int, stopped: bool) -> None:
    assert run.monitor is not None
    if stopped:
        run.monitor.event("stop", step=step, reason=run.stop.reason or "another rank was asked to stop")
        say(f"stopped after step {step} ({run.stop.reason or 'another rank'}); the same command goes on from there")
        return
    tokens = consumed_samples(run.config.training, step) * run.config.model.sequence_length
    run.monitor.event("done", step=step, tokens=tokens)
    run.monitor.summary(step=step, tokens=tokens)
    checkpoint.mark_finished(run.config.run_folder, step, tokens)
    say(f"finished at step {step}: {tokens:,} tokens")


def _describe(config: RunConfig, rank: Rank, stream: TokenStream, started: engine.Engine) -> None:
    """What is about to be trained, on what."""
    training = config.training
    samples = consumed_samples(training, training.steps)
    say(
        f"{config.name}: {parameter_count(config.model):,} parameters, {training.steps:,} steps, "
        f"{samples * config.model.sequence_length:,} tokens, {rank.world_size} ranks, ZeRO-{training.zero_stage}, "
        f"{training.precision}"
    )
    epochs = "  ".join(f"{name} {passes:.2f}" for name, passes in stream.epochs(samples).items())
    say(f"passes over each source: {epochs}")
    if shortage := stream.shortage():
        say(shortage)
    say(describe_groups(started.module, training.weight_decay))


def _monitor(config: RunConfig, rank: Rank, device: torch.device, first_step: int) -> AbstractContextManager[Any]:
    """Rank 0's monitor, and environment.json beside its files; nothing on the other ranks."""
    if not rank.is_first:
        return nullcontext()
    environment = {
        "versions": {name: version(name) for name in ("torch", "deepspeed", "tokenizers", "numpy")}
        | {"python": platform.python_version()},
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine(),
        "host": platform.node(),
        "ranks": rank.world_size,
        "threads": torch.get_num_threads(),
    }
    write_atomically(config.run_folder / "environment.json", json.dumps(environment, indent=1))
    return Monitor(config, environment, first_step)


@contextmanager
def _only_writer(config: RunConfig, rank: Rank) -> Iterator[None]:
    """Hold the run folder's lock, so that a requeued job never writes beside one that still runs."""
    if not rank.is_first:
        yield
        return
    with (config.run_folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise checkpoint.CheckpointError(f"{config.run_folder}: another process is training there") from None
        yield
