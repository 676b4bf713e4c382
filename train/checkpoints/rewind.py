"""Goes back to the checkpoint before a spike, with the batches around it marked to be passed over."""

import shutil
from pathlib import Path

import torch.distributed as dist

from data.files import write_atomically
from data.progress import say
from train.checkpoints.folders import Checkpoint, CheckpointError, saved_steps, step_folder
from train.checkpoints.resume import first_whole
from train.past import Skip
from train.run import Run
from train.spikes.rules import skip_for


def go_back(run: Run, step: int, reason: str) -> Checkpoint:
    """Mark the batches around a spike at `step` as skipped, and make the last checkpoint before them the newest.

    All ranks call this; the checkpoint is still to be loaded.

    Raises:
        CheckpointError: no whole checkpoint is left.
    """
    wanted = skip_for(step, run.config.training.spikes, run.config.training.steps)
    found = first_whole(run.config, run.rank, lambda saved: last_before(saved, wanted.first))
    if found is None:
        raise CheckpointError(f"{run.config.checkpoints}: no whole checkpoint to go back to")
    if run.journal:
        skip = Skip(max(wanted.first, found.step + 1), wanted.last)
        # A later checkpoint has seen what is to be skipped. It goes first: stopped here, the run meets the spike again.
        _discard_after(run.config.checkpoints, found.step)
        run.journal.event("skip", first=skip.first, last=skip.last, reason=reason, spike=step, back_to=found.step)
        say(f"step {step}  back to step {found.step}; the batches of steps {skip.first} to {skip.last} are passed over")
    dist.barrier()
    return found


def last_before(saved: list[int], step: int) -> list[int]:
    """Ascending steps as they are wanted: the last before `step` first, those from it on only after all of these."""
    return [*(s for s in reversed(saved) if s < step), *(s for s in saved if s >= step)]


def _discard_after(checkpoints: Path, step: int) -> None:
    write_atomically(checkpoints / "latest", step_folder(checkpoints, step).name)
    for later in reversed(saved_steps(checkpoints)):
        if later > step:
            folder = step_folder(checkpoints, later)
            shutil.rmtree(folder.rename(folder.with_name(f".{folder.name}.partial")))
