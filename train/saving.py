"""Saves a step: all ranks write, one publishes the folder and removes old ones."""

import time

import torch.distributed as dist

from data.progress import say
from train import checkpoint, engine, watchdog
from train.run import Run
from train.schedule import consumed_samples


def save(run: Run, step: int) -> None:
    """Save the step: all ranks write, then rank 0 publishes the folder and removes old ones."""
    begin = time.perf_counter()
    config = run.config
    watchdog.guard(config.training.hang_timeout)
    engine.save(run.engine, checkpoint.partial_folder(config.checkpoints, step))
    dist.barrier()
    if run.journal:
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
        run.journal.event("save", step=step, seconds=round(seconds, 3), folder=saved.folder.name, removed=removed)
        say(f"step {step}  saved {saved.folder} in {seconds:.1f} s")
    dist.barrier()
    run.stop.took("save", time.perf_counter() - begin)
