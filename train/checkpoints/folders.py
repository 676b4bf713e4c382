"""Checkpoints on disk: written beside and renamed whole, found again, set aside when they are damaged.

checkpoints/step_000500/     the files of fragments.py, and manifest.json (written last: the folder is whole)
checkpoints/latest           the name of the newest
checkpoints/.step_000600.partial   a save that is under way, or was interrupted
checkpoints/damaged_step_000400    set aside: not as it was written; no program reads or deletes it
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xxhash

from data.files import remove, value_digest, write_atomically
from data.progress import progress, say
from train.config import RunConfig, to_yaml
from train.records.journal import NAME, may_be_own, read_journal

FORMAT = 3
OLDER = 2
"""Read too: the manifest has no digest of itself, and does not name its shards."""
KEYS = ("step", "samples", "optimizer_step", "tokenizer_digest", "data_digest", "config", "files")
"""What every manifest has."""
NEWER_KEYS = ("digest", "shards_digest")
"""What those of OLDER lack."""
READ_BYTES = 1 << 24


class CheckpointError(Exception):
    """A checkpoint that is missing, damaged or of another run."""


class DamagedError(CheckpointError):
    """A checkpoint that is not as it was written."""


class DeletedError(CheckpointError):
    """A checkpoint that was deleted while it was read, as training deletes old ones."""


@contextmanager
def still_there(folder: Path) -> Iterator[None]:
    """Raise DeletedError where what fails in the block does so because the checkpoint's folder is gone."""
    try:
        yield
    except (CheckpointError, OSError):
        if os.path.lexists(folder):
            raise
        raise DeletedError(
            f"{folder} was deleted while it was read, as training keeps the newest ones: take another, and put a file "
            "called PINNED into one that is to stay"
        ) from None


@dataclass(frozen=True)
class Checkpoint:
    """A whole checkpoint on disk."""

    folder: Path
    manifest: dict[str, Any]

    @property
    def step(self) -> int:
        return int(self.manifest["step"])

    @property
    def digest(self) -> str:
        """Of the manifest, and so of all that it describes."""
        return value_digest(self.manifest)


def partial_folder(checkpoints: Path, step: int) -> Path:
    """Where the checkpoint of `step` is written before it is whole."""
    return checkpoints / f".step_{step:06d}.partial"


def step_folder(checkpoints: Path, step: int) -> Path:
    """Where the checkpoint of `step` lies when it is whole."""
    return checkpoints / f"step_{step:06d}"


def discard_partial(checkpoints: Path) -> None:
    """Remove what interrupted saves left behind."""
    for folder in checkpoints.glob(".step_*.partial"):
        remove(folder)


def delete(folder: Path, ignore_errors: bool = False) -> None:
    """Delete a checkpoint. Renamed first: an interruption must not leave a folder that looks like one."""
    whole_or_link = folder if folder.is_symlink() else folder.rename(folder.with_name(f".{folder.name}.partial"))
    remove(whole_or_link, ignore_errors)


def discard_after(checkpoints: Path, step: int) -> None:
    """Delete the checkpoints of later steps, the newest first, so that a run goes on from that of `step`."""
    _name_latest(checkpoints, step)
    for later in reversed(saved_steps(checkpoints)):
        if later > step:
            delete(step_folder(checkpoints, later))


def publish(
    config: RunConfig,
    step: int,
    files: Mapping[str, Mapping[str, Any]],
    announce: Callable[[Checkpoint], None] = lambda checkpoint: None,
    **facts: Any,
) -> Checkpoint:
    """Make the partial checkpoint of `step` whole: manifest, rename, then `latest` (one rank calls this).

    Args:
        files: size and digest, as the manifest has them, of files that are on disk already; of any others in the
            folder they are taken here.
        announce: is told of the checkpoint before it gets its name, so that there is none which was not announced.
        facts: what else the manifest is to say.
    """
    checkpoints = config.checkpoints
    partial, folder = partial_folder(checkpoints, step), step_folder(checkpoints, step)
    write_atomically(partial / "config.yaml", to_yaml(config))
    found = sorted(file for file in partial.rglob("*") if file.is_file())
    listed = {str(file.relative_to(partial)): file for file in found}
    manifest = {
        "format": FORMAT,
        "step": step,
        "zero_stage": config.training.zero_stage,
        **facts,
        "config": config.model_dump(mode="json"),
        "files": {name: files[name] if name in files else _describe(file) for name, file in listed.items()},
    }
    manifest = json.loads(json.dumps(manifest))  # as it will be read, so that its digest is that of what is read
    write_atomically(partial / "manifest.json", json.dumps(manifest | {"digest": value_digest(manifest)}, indent=1))
    _sync(partial)
    announce(Checkpoint(folder, manifest))
    if os.path.lexists(folder):
        # The same step again, after an earlier save of it was damaged: that one is moved aside before it is deleted.
        replaced = folder.rename(checkpoints / f".{folder.name}.replaced.partial")
        partial.rename(folder)
        remove(replaced)
    else:
        partial.rename(folder)
    _sync(checkpoints)
    _name_latest(checkpoints, step)
    return Checkpoint(folder, manifest)


def _name_latest(checkpoints: Path, step: int) -> None:
    write_atomically(checkpoints / "latest", step_folder(checkpoints, step).name)


def _describe(file: Path) -> dict[str, Any]:
    _sync(file)
    return {"bytes": file.stat().st_size, "digest": _digest(file)}


def _digest(file: Path) -> str:
    """XXH3 of 128 bits in hexadecimal: it tells damage, not malice, and costs little beside the reading."""
    digest = xxhash.xxh3_128()
    with file.open("rb") as content:
        while block := content.read(READ_BYTES):
            digest.update(block)
    return digest.hexdigest()


def find_latest(checkpoints: Path, contents: bool = False) -> Checkpoint | None:
    """The newest checkpoint whose files are all there, or None where there is none at all; damaged ones are said.

    Args:
        contents: compare every byte, not only the files' sizes.

    Raises:
        CheckpointError: there are checkpoints, and every one of them is damaged.
    """
    for step in reversed(saved_steps(checkpoints)):
        try:
            return read_checkpoint(step_folder(checkpoints, step), contents)
        except DeletedError:
            return find_latest(checkpoints, contents)  # there is a newer one
        except DamagedError as error:
            say(f"WARNING: passed over: {error}")
    if saved_steps(checkpoints) or damaged_folders(checkpoints):
        raise CheckpointError(f"{checkpoints}: no whole checkpoint is left")
    return None


def newest_checkpoint(config: RunConfig, contents: bool = False) -> Checkpoint:
    """The newest whole checkpoint of the run. Raises CheckpointError when there is none."""
    found = find_latest(config.checkpoints, contents)
    if found is None:
        raise CheckpointError(f"{config.checkpoints}: no checkpoint yet; run `domainlm train` first")
    return found


def find_checkpoint(config: RunConfig, step: int | None = None, contents: bool = False) -> Checkpoint:
    """The whole checkpoint of a step, or the newest. Raises CheckpointError when there is none."""
    if step is None:
        return newest_checkpoint(config, contents)
    saved = saved_steps(config.checkpoints)
    if step not in saved:
        there = f"there are those of {', '.join(map(str, saved))}" if saved else "there are none"
        raise CheckpointError(f"{config.checkpoints}: no checkpoint of step {step}; {there}")
    return read_checkpoint(step_folder(config.checkpoints, step), contents)


def saved_steps(checkpoints: Path) -> list[int]:
    """The steps that checkpoints are there for, ascending."""
    return sorted(step for folder in checkpoints.glob("step_*") if (step := _step_of(folder)) is not None)


def misnamed_folders(checkpoints: Path) -> list[Path]:
    """What looks like a checkpoint, as step_5 does, and is not where one of its step would be sought."""
    return sorted(folder for folder in checkpoints.glob("step_*") if _step_of(folder) is None)


def _step_of(folder: Path) -> int | None:
    digits = folder.name.removeprefix("step_")
    step = int(digits) if digits.isdecimal() and digits.isascii() else None
    return step if step is not None and step_folder(folder.parent, step) == folder else None


def damaged_folders(checkpoints: Path) -> list[Path]:
    """The damaged checkpoints that have been set aside."""
    return sorted(checkpoints.glob("damaged_step_*"))


def set_aside(folder: Path) -> Path:
    """Give a damaged checkpoint a name by which no program takes, counts or deletes it; returns where it lies then.

    `latest` then names the newest of those that are left.
    """
    target, number = folder.with_name(f"damaged_{folder.name}"), 1
    while target.exists():
        number += 1
        target = folder.with_name(f"damaged_{folder.name}_{number}")
    folder.rename(target)
    _sync(folder.parent)
    if left := saved_steps(folder.parent):
        _name_latest(folder.parent, left[-1])
    else:
        (folder.parent / "latest").unlink(missing_ok=True)
    return target


def read_checkpoint(folder: Path, contents: bool = False) -> Checkpoint:
    """Open one checkpoint; compare its manifest with its own digest, and every file's size with the manifest.

    Args:
        contents: compare every byte of the files too.

    Raises:
        DamagedError: the manifest is missing or not as it was written, or a file is missing or not as it says.
        DeletedError: it was deleted meanwhile.
        CheckpointError: it may not be read, is of another version's format, or not of the run in whose folder it lies.
        DataError: the run's journal is damaged.
    """
    with still_there(folder):
        return _read(folder, contents)


def _read(folder: Path, contents: bool) -> Checkpoint:
    try:
        manifest = json.loads((folder / "manifest.json").read_bytes())
        digest = manifest.pop("digest", None)
    except PermissionError as error:
        raise CheckpointError(f"{folder}: {error.strerror}: let this user read its files") from None
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise DamagedError(f"{folder}: no readable manifest.json ({error})") from None
    _check_manifest(folder, manifest, digest)
    for name, described in manifest["files"].items():
        file, size = folder / name, described["bytes"]
        found = file.stat().st_size if file.exists() else None
        if found != size:
            state = "is missing" if found is None else f"has {found} bytes instead of {size}"
            raise DamagedError(f"{file} {state}: the checkpoint is damaged")
    checkpoint = Checkpoint(folder, manifest)
    _check_owner(checkpoint)
    if contents and (damaged := damaged_files(checkpoint)):
        raise DamagedError(
            f"{folder}: the content of {', '.join(damaged)} is not what was written: it is damaged, take another"
        )
    return checkpoint


def _check_manifest(folder: Path, manifest: dict[str, Any], digest: str | None) -> None:
    file, version = folder / "manifest.json", manifest.get("format")
    if digest is not None and digest != value_digest(manifest):
        raise DamagedError(f"{file} is not as it was written (its digest is another): the checkpoint is damaged")
    if version not in (FORMAT, OLDER):
        raise CheckpointError(
            f"{folder} has format {version}, this version reads {FORMAT}: train with the one it is of"
        )
    present = {*manifest, *(["digest"] if digest is not None else [])}
    missing = [key for key in (KEYS if version == OLDER else (*KEYS, *NEWER_KEYS)) if key not in present]
    if missing:
        raise DamagedError(f"{file} lacks {', '.join(missing)}: the checkpoint is damaged")
    if folder.name != f"step_{str(manifest['step']).zfill(6)}":
        raise DamagedError(f"{file} says that it is of step {manifest['step']}: the checkpoint is damaged")
    try:
        sizes = {described["bytes"]: described["digest"] for described in manifest["files"].values()}
    except (AttributeError, KeyError, TypeError):
        sizes = {}
    if not sizes:
        raise DamagedError(f"{file} does not describe the files beside it: the checkpoint is damaged")


def _check_owner(checkpoint: Checkpoint) -> None:
    folder = checkpoint.folder
    run_folder = folder.parent.parent
    if not may_be_own(read_journal(run_folder), checkpoint.step, checkpoint.digest):
        raise CheckpointError(
            f"{folder} is not of this run: {run_folder / NAME} does not know it. Move it "
            "away, or put back what belongs there; `domainlm branch` goes on from a checkpoint of another run"
        )


def damaged_files(checkpoint: Checkpoint, part: int = 0, parts: int = 1) -> list[str]:
    """Names of the files whose bytes are not those that were written; of every `parts`-th file from `part` on."""
    damaged = []
    files = sorted(checkpoint.manifest["files"].items())[part::parts]
    for name, file in progress(files, f"verify {checkpoint.folder.name}", unit="files"):
        try:
            whole = _digest(checkpoint.folder / name) == file["digest"]
        except OSError:
            whole = False
        if not whole:
            damaged.append(name)
    return damaged


def mark_finished(run_folder: Path, step: int, tokens: int) -> None:
    """Write the DONE file, which alone says that a run has come to its end."""
    write_atomically(run_folder / "DONE", json.dumps({"step": step, "tokens": tokens}))


def finished_step(run_folder: Path) -> int:
    """The step that the DONE file names, or -1 while there is none; a run that is extended goes on after it.

    Raises:
        CheckpointError: it names none.
    """
    done = run_folder / "DONE"
    try:
        return int(json.loads(done.read_bytes())["step"]) if done.exists() else -1
    except (ValueError, TypeError, KeyError):
        raise CheckpointError(
            f"{done} does not name the run's last step: delete it, and the run goes on from its newest checkpoint"
        ) from None


def describe_finished(config: RunConfig) -> str | None:
    """What to say of a run that has done all its steps and has its last checkpoint; None while there are steps to do.

    Raises:
        CheckpointError: the DONE file names no step.
    """
    step = finished_step(config.run_folder)
    if step < config.training.steps or lost_end(config):
        return None
    return f"training: already finished at step {step} ({config.run_folder / 'DONE'})"


def lost_end(config: RunConfig) -> str | None:
    """Why a run is not finished though its DONE file says so: the checkpoint of that step is missing or damaged.

    None where nothing is lost. Sizes are compared, not contents.
    """
    try:
        step = finished_step(config.run_folder)
        if step >= config.training.steps:
            find_checkpoint(config, step)
    except CheckpointError as error:
        return f"{config.run_folder / 'DONE'} says that the run is finished, and its last checkpoint is lost: {error}"
    return None


def discard_done_after(run_folder: Path, step: int) -> None:
    """Remove a DONE file of a later step than that from which the run goes on; it is said."""
    if (finished := finished_step(run_folder)) > step:
        say(f"WARNING: DONE was of step {finished}; it is removed, as the run goes on from step {step}")
        (run_folder / "DONE").unlink()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
