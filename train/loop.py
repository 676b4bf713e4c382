"""The training loop: batch → step → log → evaluate → save, until the last step or a request to stop."""

import os
import time

from data.progress import say
from model.sizes import flop_per_token
from train import checkpoint, engine
from train.config import RunConfig
from train.held_out import evaluate
from train.plan import open_stream
from train.process import StopRequest, find_rank, peak_flops, use_machine
from train.run import Run
from train.saving import Saver, warn_of_space
from train.schedule import batch_size, check_ranks, consumed_samples, learning_rate
from train.start import describe, find_start, load, only_writer, open_monitor, take_over
from train.step import StepResult, take_step


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
    found, changed = find_start(config, stream)
    checkpoint.check_writable(config.checkpoints)
    with only_writer(config, rank):
        stop = StopRequest(config.run_folder / "STOP" if rank.is_first else None)
        device = use_machine(rank)
        engine.connect(device)
        stream.verify(rank.rank, rank.world_size)
        started = engine.build_engine(config, device, rank.world_size)
        if found:
            load(started, found, rank)
        with open_monitor(config, rank, device, found.step if found else 0) as monitor:
            if monitor:
                take_over(config, monitor, found, changed)
                describe(config, rank, stream, started)
            run = Run(config, rank, device, stream, started, stop, monitor)
            if monitor:
                warn_of_space(run)
            _steps(run, found.step if found else 0)
        engine.disconnect()


def _steps(run: Run, first_step: int) -> None:
    """Run the steps after `first_step`."""
    config, training = run.config, run.config.training
    pace, saver = _Pace(run, first_step), Saver(run)
    step, stopping = first_step, False
    while step < training.steps and not stopping:
        step += 1
        result = take_step(run, step)
        stopping, last = result.stopping, step == training.steps
        if run.monitor:
            run.monitor.step(_metrics(run, result, pace.flops), training.steps, pace.seconds_left(step))
            saver.report()
        if last or (step % config.evaluation.every == 0 and not stopping):
            evaluate(run, step)
        if last or stopping or step % training.save_every == 0:
            saver.save(step)
    saver.finish()
    if run.monitor:
        _finish(run, step, stopped=step < training.steps)


def _metrics(run: Run, result: StepResult, flops: float) -> dict[str, float]:
    """The step's line of metrics.jsonl; `flops` is a token's share of what all ranks can compute in a second."""
    training, length = run.config.training, run.config.model.sequence_length
    tokens_per_second = batch_size(training, result.step) * length / result.seconds
    return {
        "step": result.step,
        "loss": result.loss,
        "learning_rate": learning_rate(training, result.step),
        "gradient_norm": result.gradient_norm,
        "tokens": consumed_samples(training, result.step) * length,
        "tokens_per_second": tokens_per_second,
        "mfu": flops * tokens_per_second,
        "seconds": result.seconds,
    }


class _Pace:
    """How fast this process trains, from which the time that is left follows."""

    def __init__(self, run: Run, first_step: int) -> None:
        self._training = run.config.training
        self._begin, self._first_sample = time.perf_counter(), consumed_samples(self._training, first_step)
        self.flops = flop_per_token(run.config.model) / (peak_flops(run.device) * run.rank.world_size)

    def seconds_left(self, step: int) -> float:
        """Seconds from `step` to the last step, evaluations and saves included."""
        done, all_samples = (consumed_samples(self._training, at) for at in (step, self._training.steps))
        return (time.perf_counter() - self._begin) * (all_samples - done) / (done - self._first_sample)


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
