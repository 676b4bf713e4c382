"""Saves a run's steps while it goes on: copied at once, written by a thread, published when every rank has written."""

import shutil
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import torch.distributed as dist

from data.progress import say
from train import watchdog
from train.checkpoints import fragments, retention, state
from train.checkpoints.folders import Checkpoint, CheckpointError, partial_folder, publish
from train.checkpoints.identity import shards_in_use, to_carry
from train.ranks import any_rank
from train.records.journal import SAVING
from train.run import Run
from train.schedule import consumed_samples

SECONDS_BETWEEN_LOOKS = 0.02


class SaveError(CheckpointError):
    """The last save of a run failed."""


@dataclass
class _Save:
    """One save on its way to the disk."""

    step: int
    begin: float
    loss: float | None
    """Of the step, as metrics.jsonl has it (rank 0)."""
    stall: float = 0.0
    """Seconds that training stood still for it."""
    written: threading.Event = field(default_factory=threading.Event)
    """This rank has done its part, or failed to."""
    abandoned: threading.Event = field(default_factory=threading.Event)
    """Some rank has failed: there is nothing to publish."""
    error: str = ""
    published: dict[str, Any] | None = None
    """What the journal says of it, when it is whole (rank 0)."""


class Saver:
    """This rank's saves, at most one under way.

    Every rank writes its own file and then a record of it; rank 0's thread waits for the records of all, publishes the
    folder and deletes old ones. Nobody else waits for that: ranks only meet when the next save begins.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._carried = to_carry(run.config, run.stream)
        if run.journal and not self._carried.files:
            folder = run.config.tokenizer_folder
            say(
                f"no tokenizer lies in {folder}: the checkpoints carry none, `generate` and `export` will need it there"
            )
        self._snapshot = state.Snapshot()
        self._save: _Save | None = None
        self._thread = threading.Thread()

    def save(self, step: int) -> None:
        """Begin to save the step, after the one before it has ended; all ranks call this.

        A save that failed is said, recorded, and given up: training goes on and the next one may succeed.
        """
        self.wait()
        loss = self._run.monitor.loss_of(step) if self._run.monitor else None
        self._save = save = _Save(step, time.perf_counter(), loss)
        engine, asynchronous = self._run.engine, self._run.config.training.asynchronous_saves
        parts = self._snapshot.take(engine) if asynchronous else state.own_parts(engine)
        arguments = (save, parts, state.optimizer_step(engine))
        self._thread = threading.Thread(target=self._write, args=arguments, daemon=True)
        self._thread.start()
        if not asynchronous:
            save.written.wait()  # it is the engine's own memory that is being written
        save.stall = time.perf_counter() - save.begin

    def finish(self) -> None:
        """Wait for the save under way; all ranks call this.

        Raises:
            SaveError: it failed, on any rank.
        """
        if error := self.wait():
            raise SaveError(f"{error}; mend that and run the same command again: it goes on from the newest checkpoint")

    def wait(self) -> str:
        """Wait until the save under way has ended on all ranks; returns what went wrong, on whichever rank."""
        save = self._save
        if save is None:
            return ""
        watchdog.guard(self._run.config.training.hang_timeout)
        begin = time.perf_counter()
        save.written.wait()
        if any_rank(bool(save.error), self._run.device):
            save.abandoned.set()
        self._thread.join()
        save.stall += time.perf_counter() - begin
        self.report()
        failed = any_rank(bool(save.error), self._run.device)
        self._save = None
        if not failed:
            return ""
        partial = partial_folder(self._run.config.checkpoints, save.step)
        if self._run.journal:
            shutil.rmtree(partial, ignore_errors=True)
            self._run.journal.event("save failed", step=save.step, error=save.error or "on another rank")
        dist.barrier()  # nobody writes the next one while this one is being removed
        return f"step {save.step} was not saved: {save.error or 'another rank could not write its part'}"

    def report(self) -> None:
        """Record a save that has ended meanwhile (rank 0; cheap)."""
        save = self._save
        if save and save.published and self._run.monitor and self._run.journal:
            published, save.published = save.published, None
            facts = published | {"stall_seconds": round(save.stall, 3)}
            self._run.monitor.saved(save.step, facts)
            self._run.journal.event("save", step=save.step, **facts)
            self._run.stop.took("save", facts["seconds"])
            say(f"step {save.step}  saved in {facts['seconds']:.1f} s, training stood still for {save.stall:.2f} s")

    def _write(self, save: _Save, parts: list[state.Part], optimizer_step: int) -> None:
        """This rank's part and, on rank 0, the rest (in the thread)."""
        config, rank = self._run.config, self._run.rank
        folder = partial_folder(config.checkpoints, save.step)
        try:
            fragments.write_rank(
                folder,
                rank.rank,
                [part.fragment for part in parts],
                state.arrays(parts),
                optimizer_step,
            )
            save.written.set()
            if rank.is_first:
                self._publish(save)
        except Exception as error:
            save.error = f"{type(error).__name__}: {error}"
            # Room is needed at once where the disk is full; rank 0 removes the rest when all ranks meet again.
            (folder / fragments.rank_file(rank.rank)).unlink(missing_ok=True)
            say(
                f"WARNING: rank {rank.rank} could not save step {save.step} ({save.error}). Training goes on, the next "
                f"save is tried at its time; until then a failure costs the steps since the last checkpoint"
            )
        finally:
            save.written.set()

    def _publish(self, save: _Save) -> None:
        config, run = self._run.config, self._run
        folder = partial_folder(config.checkpoints, save.step)
        while not fragments.all_written(folder, run.rank.world_size):
            if save.abandoned.wait(SECONDS_BETWEEN_LOOKS):
                return
        files, optimizer_step = fragments.merge_records(folder, run.rank.world_size)
        samples = consumed_samples(config.training, save.step)
        shards_in_use(config, run.stream)
        self._carried.write(folder)

        def announce(checkpoint: Checkpoint) -> None:
            assert run.journal
            run.journal.event(SAVING, step=save.step, digest=checkpoint.digest, loss=save.loss)

        saved = publish(
            config,
            save.step,
            files,
            announce,
            samples=samples,
            optimizer_step=optimizer_step,
            world_size=run.rank.world_size,
            data_digest=run.stream.digest(samples),
            **self._carried.facts,
        )
        removed = retention.prune(config)
        save.published = {
            "seconds": round(time.perf_counter() - save.begin, 3),
            "bytes": sum(file["bytes"] for file in saved.manifest["files"].values()),
            "folder": saved.folder.name,
            "removed": removed,
        }


def warn_of_space(run: Run) -> None:
    """Say before the first save when the disk has no room for the checkpoints that are to be kept, and one more."""
    size = state.bytes_to_save(run.engine)
    checkpoints, kept = run.config.checkpoints, run.config.training.keep_checkpoints
    there = sum(file.stat().st_size for file in checkpoints.glob("step_*/*") if file.is_file())
    free = shutil.disk_usage(checkpoints).free
    if free + there < (kept + 1) * size:
        say(
            f"WARNING: {checkpoints} has {free / 1e9:.1f} GB free; {kept} checkpoints and one under way need "
            f"{(kept + 1) * size / 1e9:.1f} GB: make room or lower training.keep_checkpoints"
        )
