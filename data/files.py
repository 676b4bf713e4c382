"""Files that are whole or absent: atomic writing, digests, and the manifest that marks a stage's folder as finished."""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from data.errors import TO_DO, DataError
from data.progress import say

MANIFEST = "manifest.json"
DIGEST_BYTES = 16
READ_BYTES = 1 << 20


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open a binary file beside `path` that takes its name, synced to disk, when the block ends without an error.

    A reader sees the old content or the new, never a part. Missing parent folders are made.

    Raises:
        OSError: from writing, with the name of the file.
        DataError: another process writes the same file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    try:
        with naming(path):
            with partial.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            try:
                partial.replace(path)
            except FileNotFoundError:
                raise DataError(f"{path}: another process has written it at the same time: let one run alone") from None
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Have errors of the system name this file where they do not say what could not be written."""
    try:
        yield
    except OSError as error:
        if error.errno in TO_DO and error.filename is None:
            error.filename = str(path)
        raise


def append(descriptor: int, line: bytes, path: Path) -> None:
    """Write a whole line to an open file, past every buffer, so that nothing is left to fail when it is closed.

    Raises:
        OSError: with the name `path`; a part of the line may be there.
    """
    with naming(path):
        while line:
            line = line[os.write(descriptor, line) :]


def write_atomically(path: Path, text: str) -> None:
    """Write a whole text file in UTF-8 through `atomic_write`."""
    with atomic_write(path) as file:
        file.write(text.encode())


def new_digest(content: bytes = b"") -> "hashlib.blake2b":
    """The project's hash: BLAKE2b of 128 bits, fed with `content`."""
    return hashlib.blake2b(content, digest_size=DIGEST_BYTES)


def file_digest(path: Path) -> str:
    """Hexadecimal digest of a file's bytes, read in blocks."""
    digest = new_digest()
    with path.open("rb") as file:
        while block := file.read(READ_BYTES):
            digest.update(block)
    return digest.hexdigest()


def value_digest(value: Any) -> str:
    """Hexadecimal digest of a JSON value in one canonical spelling, independent of the order of keys."""
    return new_digest(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def file_stamp(path: Path) -> list[int]:
    """Size in bytes and modification time in nanoseconds: what tells a changed file without reading it.

    Not the change time (ctime), which differs for each copy of the same file: a corpus would be made anew on every
    machine. So content that is replaced with size and modification time kept is not seen.
    """
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def is_finished(stage: str, folder: Path, inputs: Mapping[str, Any]) -> bool:
    """Whether `folder` holds the whole output of a stage made from exactly these inputs; says what was found.

    Args:
        stage: its name, for the message.
        inputs: everything that decides the output, as JSON values under names that the user knows.
    """
    if not folder.exists() or not any(folder.iterdir()):
        return False
    manifest = _read_manifest(folder)
    if manifest is None:
        is_there = (folder / MANIFEST).exists()
        say(f"{stage}: {folder} is damaged, redoing it" if is_there else f"{stage}: going on with {folder}")
        return False
    old, new = manifest["inputs"], json.loads(json.dumps(inputs))
    changed = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    if changed:
        say(f"{stage}: inputs changed ({', '.join(changed)}), redoing {folder}")
        return False
    say(f"{stage}: {folder} is up to date")
    return True


def finished_inputs(folder: Path) -> dict[str, Any]:
    """What a finished stage was made from, as its manifest says; nothing for an unfinished one."""
    manifest = _read_manifest(folder)
    return dict(manifest["inputs"]) if manifest else {}


def finished_digest(folder: Path) -> str | None:
    """Digest of a finished stage's output, as `stage_digest` has it; None for an unfinished one."""
    manifest = _read_manifest(folder)
    return str(manifest["digest"]) if manifest else None


def begin_stage(folder: Path, owned: Iterable[str]) -> None:
    """Make `folder` ready for a stage to write into: its manifest goes first, then the entries that the stage owns."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)
    for name in owned:
        remove(folder / name)


def remove(path: Path, ignore_errors: bool = False) -> None:
    """Delete a file, a folder with all that is in it, or a link: what it leads to stays, which is said.

    Args:
        ignore_errors: leave what cannot be deleted now.
    """
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=ignore_errors)
        return
    leads_to = path.resolve() if path.is_symlink() else None
    with contextlib.suppress(OSError) if ignore_errors else contextlib.nullcontext():
        path.unlink(missing_ok=True)
        if leads_to:
            say(f"{path} was a link: it is deleted, and {leads_to}, to which it led, is left")


def finish_stage(folder: Path, inputs: Mapping[str, Any], outputs: Iterable[Path]) -> None:
    """Write the manifest, which says that every output is whole; nothing may be written to the folder after it."""
    files = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "digest": file_digest(path)}
        for path in sorted(outputs)
    }
    manifest = {"digest": value_digest(files), "files": files, "inputs": inputs}
    write_atomically(folder / MANIFEST, json.dumps(manifest, indent=1, sort_keys=True))


def stage_digest(folder: Path, made_by: str = "prepare") -> str:
    """Digest of a finished stage's output: equal for equal files, whenever, wherever and from whatever they were made.

    Args:
        made_by: the command that makes it, for the message.

    Raises:
        DataError: the folder has no manifest, or a file that it names is missing or has another size.
    """
    digest = finished_digest(folder)
    if digest is None:
        raise DataError(f"{folder} is missing or unfinished: run `domainlm {made_by} CONFIG` first")
    return digest


def changed_files(folder: Path, names: Iterable[str] | None = None) -> list[str]:
    """Which of a stage's files (None: all) are not, byte by byte, what its manifest says; none without a manifest."""
    try:
        files = json.loads((folder / MANIFEST).read_bytes())["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    wanted = files if names is None else [name for name in names if name in files]
    return [
        name for name in wanted if not (folder / name).exists() or file_digest(folder / name) != files[name]["digest"]
    ]


def _read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of a folder, or None if there is none or the folder is not as it says."""
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_bytes())
        whole = all((folder / name).stat().st_size == file["bytes"] for name, file in manifest["files"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return manifest if whole and {"digest", "inputs"} <= manifest.keys() else None


def read_object(path: Path, remedy: str = "delete it, and run what writes it again") -> dict[str, Any]:
    """The JSON object of a file that some stage has written. Raises DataError: it is none; OSError: unreadable."""
    return parse_object(path.read_bytes(), str(path), remedy)


def parse_object(content: bytes, place: str, remedy: str) -> dict[str, Any]:
    """A JSON object. Raises DataError, with what to do about it at `place`, when it is none."""
    try:
        found = json.loads(content)
    except ValueError:  # what is not UTF-8 is one too
        found = None
    if not isinstance(found, dict):
        raise DataError(f"{place} is no record (a JSON object): {remedy}")
    return found
