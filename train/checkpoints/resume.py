"""Which checkpoint a run goes on from: the newest whole one, or the last before a spike that it goes back from.

Those that turn out damaged are set aside on the way. Rank 0 finds and decides; every rank compares its share of the
files with their digests, and all come to the same.
"""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import torch.distributed as dist

from data.errors import DataError, refused_file
from data.progress import say
from data.stream.stream import TokenStream
from model.huggingface_folder import check_weights_as_written
from train.checkpoints.compatibility import check_journal, check_optimizer, check_stream
from train.checkpoints.folders import (
    OLDER,
    Checkpoint,
    CheckpointError,
    DamagedError,
    damaged_files,
    damaged_folders,
    discard_after,
    read_checkpoint,
    saved_steps,
    set_aside,
    step_folder,
)
from train.checkpoints.identity import check_base, check_metrics
from train.config import RunConfig
from train.process import Rank
from train.ranks import of_all_ranks, of_first_rank
from train.records.journal import REFUSED, SET_ASIDE, Journal, read_journal
from train.run import Run
from train.spikes.skip_rules import skip_for

Decision = TypeVar("Decision")


def find_start(config: RunConfig, rank: Rank, stream: TokenStream) -> tuple[Checkpoint | None, dict[str, Any]]:
    """The checkpoint to go on from, None for a new run, and what has changed in the configuration since.

    All ranks call this, and return or raise the same.

    Raises:
        CheckpointError: there were checkpoints and none is whole, or the one to go on from, or metrics.jsonl, is of
            another run.
    """
    found = first_whole(config, rank, lambda steps: steps[::-1])
    lacking = _agree(rank, lambda: check_metrics(config))
    if rank.is_first and lacking:
        say(f"WARNING: {lacking}")
    if found is None:
        _agree(rank, lambda: _refuse_anew(config))
        _agree(rank, lambda: _check_beginning(config))
        return None, {}
    _agree(rank, lambda: check_journal(found, config))
    if rank.is_first and found.manifest["format"] == OLDER:
        say(f"{found.folder} is of format {OLDER}: damage to its manifest.json could not be told; the next save has it")
    changed = check_stream(found, config, stream)
    _agree(rank, lambda: check_optimizer(found, config))
    _agree(rank, lambda: check_base(found, config))
    return found, changed


def go_back(run: Run, step: int, reason: str) -> Checkpoint:
    """Mark the batches around a spike at `step` as skipped, and make the last checkpoint before them the newest.

    All ranks call this; the checkpoint is still to be loaded.

    Raises:
        CheckpointError: no whole checkpoint is left.
    """
    config = run.config
    wanted = skip_for(step, config.training.spikes, config.training.steps)
    found = first_whole(config, run.rank, lambda saved: last_before(saved, wanted.first))
    if found is None:
        raise CheckpointError(f"{config.checkpoints}: no whole checkpoint to go back to")
    if run.journal:
        first, last = max(wanted.first, found.step + 1), wanted.last
        # A later checkpoint has seen what is to be skipped. It goes first: stopped here, the run meets the spike again.
        discard_after(config.checkpoints, found.step)
        run.journal.event("skip", first=first, last=last, reason=reason, spike=step, back_to=found.step)
        say(f"step {step}  back to step {found.step}; the batches of steps {first} to {last} are passed over")
    dist.barrier()
    return found


def last_before(saved: list[int], step: int) -> list[int]:
    """Ascending steps as they are wanted: the last before `step` first, those from it on only after all of these."""
    return [*(s for s in reversed(saved) if s < step), *(s for s in saved if s >= step)]


def first_whole(config: RunConfig, rank: Rank, order: Callable[[list[int]], Sequence[int]]) -> Checkpoint | None:
    """The first checkpoint whose every byte is as it was written; all ranks call this.

    Args:
        order: the saved steps, which it is given ascending, in the order in which they are wanted.

    Raises:
        CheckpointError: on all ranks: the first is of another version's format.
    """
    while found := _agree(rank, lambda: _first_readable(config, order)):
        damaged = of_all_ranks(damaged_files(found, rank.rank, rank.world_size))
        names = [name for part in damaged for name in part]
        if not names:
            return found
        if rank.is_first:
            _set_aside(config, found.step, f"the content of {', '.join(names)} is not what was written")
    return None


def _agree(rank: Rank, decide: Callable[[], Decision]) -> Decision:
    """What rank 0 decides, or what it cannot read, as a CheckpointError on all ranks."""
    decided: Any = None
    if rank.is_first:
        try:
            decided = decide()
        except CheckpointError as error:
            decided = error
        except DataError as error:
            decided = CheckpointError(str(error))
        except OSError as error:
            if (refused := refused_file(error)) is None:
                raise
            decided = CheckpointError(refused)
    decision: Decision | CheckpointError = of_first_rank(decided)
    if isinstance(decision, CheckpointError):
        raise decision
    return decision


def _first_readable(config: RunConfig, order: Callable[[list[int]], Sequence[int]]) -> Checkpoint | None:
    """The first that has all of its files in their sizes."""
    for step in order(saved_steps(config.checkpoints)):
        try:
            return read_checkpoint(step_folder(config.checkpoints, step))
        except DamagedError as error:
            _set_aside(config, step, str(error))
    return None


def _set_aside(config: RunConfig, step: int, reason: str) -> None:
    folder = set_aside(step_folder(config.checkpoints, step))
    with Journal(config.run_folder) as journal:
        journal.event(SET_ASIDE, step=step, folder=folder.name, reason=reason)
    say(f"WARNING: the checkpoint of step {step} is damaged ({reason}). It is set aside as {folder}")


def _check_beginning(config: RunConfig) -> None:
    """Raise CheckpointError where weights that the run would begin with are not as they were written; reads them."""
    adapter = config.lora.adapter if config.lora else None
    for setting, folder in (("init_from", config.init_from), ("lora.adapter", adapter)):
        try:
            if folder is not None:
                check_weights_as_written(Path(folder))
        except ValueError as error:
            raise CheckpointError(f"{setting}: {error}") from None


def _refuse_anew(config: RunConfig) -> None:
    """As `check_begins`, noted in the journal, by which a job knows that it is of no use to queue again."""
    try:
        check_begins(config)
    except CheckpointError as error:
        with Journal(config.run_folder) as journal:
            journal.event(REFUSED, error=str(error))
        raise


def check_begins(config: RunConfig) -> None:
    """Raise CheckpointError where there is no checkpoint, and the run had some: it cannot go on, nor begin anew."""
    if saved_steps(config.checkpoints):
        return
    damaged, saved = damaged_folders(config.checkpoints), _last_saved(config)
    if damaged:
        names = ", ".join(path.name for path in damaged)
        refusal = f"no whole checkpoint is left, there is only {names}. Put a whole one back as step_N; or delete these"
    elif saved is not None:
        refusal = f"there is no checkpoint, but the run has saved, last at step {saved}. Put that back as step_N; or"
    else:
        return
    if saved is not None:
        refusal += f"{' and' if damaged else ''} move journal.jsonl and metrics.jsonl out of {config.run_folder}"
    raise CheckpointError(f"{config.checkpoints}: {refusal}, and the run begins at its first step")


def _last_saved(config: RunConfig) -> int | None:
    """The last step that the run's records say was saved, or that a branch began with; None where they say of none."""
    steps = [event["step"] for event in read_journal(config.run_folder) if event["event"] in ("save", "branch")]
    lines = config.metrics.read_bytes().splitlines() if config.metrics.exists() else []
    for line in lines:
        if b'"save"' in line:
            with suppress(ValueError):  # cut short by an interruption
                steps.append(json.loads(line)["step"])
    return max(steps, default=None)
