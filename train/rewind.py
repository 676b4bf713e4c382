"""Goes back to the checkpoint before a spike, with the batches around it marked to be passed over."""

import shutil
from pathlib import Path

import torch.distributed as dist

from data.files import write_atomically
from data.progress import say
from train import checkpoint
from train.run import Run
from train.spikes import Skip, skip_for


def go_back(run: Run, step: int, reason: str) -> int:
    """Mark the batches around a spike at `step` as skipped, and make the last checkpoint before them the newest.

    All ranks call this; the checkpoint is still to be loaded.

    Returns:
        The checkpoint's step.
    """
    chosen = [0]
    if run.journal:
        wanted = skip_for(step, run.config.training.spikes, run.config.training.steps)
        chosen = [_last_before(run.config.checkpoints, wanted.first)]
        skip = Skip(max(wanted.first, chosen[0] + 1), wanted.last)
        # A later checkpoint has seen what is to be skipped. It goes first: stopped here, the run meets the spike again.
        _discard_after(run.config.checkpoints, chosen[0])
        run.journal.event("skip", first=skip.first, last=skip.last, reason=reason, spike=step, back_to=chosen[0])
        say(f"step {step}  back to step {chosen[0]}; the batches of steps {skip.first} to {skip.last} are passed over")
    dist.broadcast_object_list(chosen)
    return chosen[0]


def _last_before(checkpoints: Path, step: int) -> int:
    """The step of the last whole checkpoint before `step`, or else of the first one that there is."""
    steps = checkpoint.saved_steps(checkpoints)
    for saved in [*(s for s in reversed(steps) if s < step), *(s for s in steps if s >= step)]:
        try:
            return checkpoint.read_checkpoint(checkpoint.step_folder(checkpoints, saved)).step
        except checkpoint.CheckpointError as error:
            say(str(error))
    raise checkpoint.CheckpointError(f"{checkpoints}: no whole checkpoint to go back to")


def _discard_after(checkpoints: Path, step: int) -> None:
    write_atomically(checkpoints / "latest", checkpoint.step_folder(checkpoints, step).name)
    for later in reversed(checkpoint.saved_steps(checkpoints)):
        if later > step:
            folder = checkpoint.step_folder(checkpoints, later)
            shutil.rmtree(folder.rename(folder.with_name(f".{folder.name}.partial")))
