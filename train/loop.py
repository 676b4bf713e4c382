"""The training loop: batch → step → log → evaluate → save, until the last step or a request to stop."""

import os
from contextlib import nullcontext
from datetime import timedelta

import psutil

from data.progress import say
from train import watchdog
from train.checkpoints import state
from train.checkpoints.folders import (
    Checkpoint,
    CheckpointError,
    describe_finished,
    mark_finished,
    step_folder,
)
from train.checkpoints.lock import check_names, check_writable, only_trainer
from train.checkpoints.resume import find_start, go_back
from train.checkpoints.saving import Saver, warn_of_space
from train.config import RunConfig
from train.engine import engine
from train.engine.machine import check_device
from train.engine.row_parts import own_part
from train.held_out import evaluate, is_due, tasks_of_run
from train.process import find_rank, stated_flops, use_machine
from train.records.budget import open_budget
from train.records.journal import STOPPED_BY_BUDGET, how_to_go_on
from train.records.throughput import Pace, Stragglers, describe_stragglers
from train.run import Run
from train.schedule import check_ranks, consumed_samples
from train.spikes.skip_rules import is_skipped
from train.start import describe, open_records, recall, take_over
from train.step import check_memory, step_metrics, take_step
from train.stop import StopRequest, stop_stamp
from train.token_stream import open_stream


def train(config: RunConfig, stop: StopRequest) -> None:
    """Train to the last step, or go on from the newest checkpoint; every rank calls this.

    The run is finished when its DONE file says so and the checkpoint of that step is there; a run that was asked to
    stop has saved its step and can be continued by the same command.

    Raises:
        ConfigError, DataError, CheckpointError: nothing was started.
        DivergedError: spike followed on spike.
    """
    rank = find_rank(os.environ)
    check_ranks(config.training, rank.world_size)
    check_names(config.run_folder)
    if finished := describe_finished(config):
        if rank.is_first:
            say(finished)
        return
    if rank.is_first:
        stop.budget = open_budget(config, rank.world_size, psutil.Process().create_time())
    check_device(config.training)
    engine.check_settings(config.training)
    tasks_of_run(config)  # what cannot be scored is said before anything is trained
    stream = open_stream(config)
    check_writable(config.run_folder)
    check_writable(config.checkpoints)
    with only_trainer(config.run_folder) if rank.is_first else nullcontext():
        device = use_machine(rank)
        # Longer than the watchdog, which says more about a rank that does not come.
        engine.connect(device, timedelta(seconds=2 * config.training.hang_timeout))
        try:
            found, changed = find_start(config, rank, stream)
        except CheckpointError:
            engine.disconnect()  # all ranks refuse alike: rank 0 alone says it
            raise
        stream.verify(rank.rank, rank.world_size)
        watchdog.guard(config.training.hang_timeout)
        part = own_part(config.training)
        started = engine.build_engine(config, device, rank.world_size, fresh=found is None)
        while True:
            first_step = found.step if found else 0
            if found:
                state.load(started, found.folder, found.manifest["optimizer_step"])
            with open_records(config, rank, device, found) as (monitor, journal):
                if journal:
                    take_over(config, journal, found, changed)
                    describe(config, rank, stream, started)
                past = recall(config, rank, first_step, stop)
                run = Run(config, rank, device, stream, started, stop, past, monitor, journal, part)
                if monitor:
                    warn_of_space(run)
                found, changed = _steps(run, first_step), {}
            if found is None:
                break
        engine.disconnect()
        watchdog.rest()


def _steps(run: Run, first_step: int) -> Checkpoint | None:
    """Run the steps after `first_step`; returns the checkpoint to go back to when there is a spike to avoid."""
    config, training, past = run.config, run.config.training, run.past
    peak, pace, stragglers, saver = stated_flops(run.device), Pace(training, first_step), Stragglers(), Saver(run)
    step, stopping = first_step, run.asked_to_stop()
    if first_step == 0 and training.spikes.policy == "rewind":
        saver.save(0)  # so that there is always something to go back to
    if not past.evaluated and not stopping:
        stopping = not evaluate(run, step)
    while step < training.steps and not stopping:
        step += 1
        if not is_skipped(past.skips, step):
            result = take_step(run, step)
            if step == first_step + 1:
                check_memory(run)
            saver.report()
            if result.outcome == "rewind":
                saver.wait()
                return go_back(run, step, result.reason)
            stopping = result.gradient.stopping
            if run.journal and (news := stragglers.news(result.gradient.seconds_by_rank)) is not None:
                run.journal.event("stragglers", step=step, slowness=news)
                say(describe_stragglers(step, news))
            if run.monitor and result.outcome == "applied":
                run.monitor.step(step_metrics(run, result, peak), training.steps, pace.seconds_left(step))
        if is_due(config, step) and not stopping:
            stopping = not evaluate(run, step)
        if step == training.steps or stopping or step % training.save_every == 0:
            saver.save(step)
            stopping = stopping or (step < training.steps and run.asked_to_stop())
    saver.finish()
    if run.journal:
        _finish(run, step, stopped=stopping or step < training.steps)
    return None


def _finish(run: Run, step: int, stopped: bool) -> None:
    assert run.monitor is not None
    assert run.journal is not None
    if stopped:
        # With it the STOP file is met, whatever the reason was, and the next start takes it away.
        reason = run.stop.reason or "another rank was asked to stop"
        stop = {"step": step, "reason": reason, "stop_file": stop_stamp(run.config.stop_file)}
        if run.stop.spent:
            stop[STOPPED_BY_BUDGET] = run.stop.spent.device_hours
        run.journal.event("stop", **stop)
        say(f"stopped after step {step} ({reason}); {how_to_go_on(stop)}")
        return
    tokens = consumed_samples(run.config.training, step) * run.config.model.sequence_length
    run.journal.event("done", step=step, tokens=tokens)
    run.monitor.finished(step, tokens, step_folder(run.config.checkpoints, step))
    mark_finished(run.config.run_folder, step, tokens)
    say(f"finished at step {step}: {tokens:,} tokens")
