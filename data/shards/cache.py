"""Local copies of remote shards: whole files, checked, in bounded room, shared by the processes of a machine."""

import contextlib
import fcntl
import os
import queue
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from data.addresses import NOT_WHOLE, is_whole, without_secrets
from data.corpus.split import SPLITS
from data.errors import DataError
from data.files import MANIFEST, new_digest
from data.progress import say
from data.shards.packing import SPLIT, packing_folder, read_packing
from data.shards.reader import shard_name

ATTEMPTS = 4
FIRST_PAUSE = 1.0  # seconds before the second attempt; each later pause is twice as long
STALL_SECONDS = 60.0  # without a byte, after which an attempt is given up
BLOCK_BYTES = 4 << 20


def open_cache(location: str, folder: Path, room: int, policy: str, sequence_length: int) -> "ShardCache":
    """A cache of remote shards whose manifests and held-out text are there; training files come as they are needed.

    Copies of other shards that were at the same place before are removed. Raises DataError when something cannot be
    fetched, or the shards are not packed like this.
    """
    from data.shards.format import read_manifest

    cache = ShardCache(location, folder, room)
    packed = packing_folder(Path(), policy, sequence_length)
    cache.renew(MANIFEST, [*SPLITS, "packed"])
    cache.renew(f"{packed}/{MANIFEST}", [f"{packed}/{SPLIT}"])
    held_out = [sources for split, sources in read_manifest(folder).splits.items() if split != SPLIT]
    for file in (file for sources in held_out for shards in sources.values() for file in shards.files):
        cache.fetch(file.tokens_path, file.tokens_digest)
        cache.fetch(file.documents_path, file.documents_digest)
    packing = read_packing(folder, policy, sequence_length)
    if packing.has_counted:
        raise DataError(f"{without_secrets(location)} are shards of examples: copy the folder here, and name the copy")
    for source, of_source in packing.sources.items():
        for number, (tokens, rows) in enumerate(zip(of_source.token_digests, of_source.row_digests, strict=True)):
            name = shard_name(SPLIT, source, number)
            cache.digests[f"{name}.bin"] = tokens
            if rows:
                cache.digests[f"{packed}/{name}.rows"] = rows
    return cache


class ShardCache:
    """A local folder that looks like the remote one; a file is there once `fetch` has returned its path.

    Any number of processes may share it: a lock beside each file lets one fetch while the others wait. The copies stay
    within `room` bytes: those used longest ago go before another takes its place; files that are not in `digests`
    (manifests, held-out text) are not counted and never removed.
    """

    def __init__(self, location: str, folder: Path, room: int) -> None:
        """Raises DataError when the location's protocol is unknown, or needs a package that is not installed."""
        import fsspec

        self.location, self.folder, self.room = location.rstrip("/"), folder, room
        if not is_whole(location):
            raise DataError(f"data.shards: {location} cannot be opened: {NOT_WHOLE}")
        try:
            self._system, self._root = fsspec.core.url_to_fs(self.location)
        except (ImportError, ValueError) as error:
            raise DataError(f"data.shards: {location} cannot be opened: {error}") from None
        self.digests: dict[str, str] = {}
        self._wanted: queue.Queue[str] = queue.Queue()
        self._queued: set[str] = set()
        self._thread: threading.Thread | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def fetch(self, name: str, digest: str | None = None) -> Path:
        """The local copy of a file, fetched unless it is there.

        `digest` is that of its bytes, where it is not in `digests`; without any, the copy is taken as it comes. Raises
        DataError when the file could not be fetched, or came damaged, in every attempt.
        """
        path = self.folder / name
        if _touch(path):
            return path
        with self._locked(name):
            if not _touch(path):  # another process may have fetched it meanwhile
                self._fetch_checked(name, path, digest or self.digests.get(name))
        return path

    def renew(self, name: str, described: Sequence[str]) -> None:
        """Fetch a file again; if it has changed, remove the files and folders that its old content described."""
        path = self.folder / name
        with self._locked(name):
            old = path.read_bytes() if path.exists() else None
            self._fetch_checked(name, path, None)
            if old != path.read_bytes():
                for stale in described:
                    shutil.rmtree(self.folder / stale, ignore_errors=True)

    def prefetch(self, name: str) -> None:
        """Fetch a file in the background; what fails there is raised by the `fetch` that needs it."""
        if name in self._queued or (self.folder / name).exists():
            return
        self._queued.add(name)
        self._wanted.put(name)
        if self._thread is None:
            self._thread = threading.Thread(target=self._fetch_wanted, name="prefetch shards", daemon=True)
            self._thread.start()

    def _fetch_wanted(self) -> None:
        while True:
            name = self._wanted.get()
            with contextlib.suppress(DataError, OSError):
                self.fetch(name)
            self._queued.discard(name)

    def _fetch_checked(self, name: str, path: Path, expected: str | None) -> None:
        pause, reason = FIRST_PAUSE, ""
        for attempt in range(ATTEMPTS):
            if attempt:
                say(f"fetching {self.location}/{name} again in {pause:g} s: {reason}")
                time.sleep(pause)
                pause *= 2
            partial = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}-{attempt}.partial")
            partial.parent.mkdir(parents=True, exist_ok=True)
            transfer = _Transfer(lambda: self._system.open(f"{self._root}/{name}", "rb", cache_type="none"), partial)
            try:
                digest, reason = transfer.run()
                if not reason and expected and digest != expected:
                    reason = "it is damaged (its digest is not the manifest's)"
                if not reason:
                    self._admit(partial, path)
                    return
            finally:
                partial.unlink(missing_ok=True)
        raise DataError(f"{self.location}/{name} could not be fetched in {ATTEMPTS} attempts: {reason}")

    def _admit(self, partial: Path, path: Path) -> None:
        """Give a file that has come its name, after those used longest ago have made room for it."""
        with self._locked("room"):
            if path.relative_to(self.folder).as_posix() in self.digests:
                self._make_room(partial.stat().st_size)
            partial.replace(path)

    def _make_room(self, size: int) -> None:
        copies = []
        for folder in {name.rpartition("/")[0] for name in self.digests}:
            for path in (self.folder / folder).glob("*"):
                with contextlib.suppress(FileNotFoundError):
                    status = path.stat()
                    if path.suffix == ".partial" and time.time() - status.st_mtime > 10 * STALL_SECONDS:
                        path.unlink()  # of a process that was killed
                    if path.relative_to(self.folder).as_posix() in self.digests:
                        copies.append((status.st_mtime_ns, status.st_size, path))
        excess = sum(taken for _, taken, _ in copies) + size - self.room
        for _, taken, path in sorted(copies):
            if excess <= 0:
                break
            path.unlink(missing_ok=True)  # who has it open reads on
            excess -= taken

    @contextlib.contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        path = self.folder / ".locks" / name.replace("/", "_")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


class _Transfer:
    """One attempt to copy a file, in a thread of its own: a connection that hangs cannot be interrupted, only left."""

    def __init__(self, open_source: Callable[[], Any], target: Path) -> None:
        self._open_source, self._target = open_source, target
        self._moved = time.monotonic()  # when a byte came last
        self._left = False
        self._result = ("", "")

    def run(self) -> tuple[str, str]:
        """Digest of the copy, and why there is none."""
        thread = threading.Thread(target=self._copy, name=f"fetch {self._target.name}", daemon=True)
        thread.start()
        while thread.is_alive():
            thread.join(min(1.0, STALL_SECONDS / 4))
            if thread.is_alive() and time.monotonic() - self._moved > STALL_SECONDS:
                self._left = True
                return "", f"no byte came for {STALL_SECONDS:g} s"
        return self._result

    def _copy(self) -> None:
        digest = new_digest()
        try:
            with self._open_source() as source, self._target.open("wb") as target:
                while (block := source.read(BLOCK_BYTES)) and not self._left:
                    self._moved = time.monotonic()
                    digest.update(block)
                    target.write(block)
                target.flush()
                os.fsync(target.fileno())
            self._result = (digest.hexdigest(), "")
        except Exception as error:  # each kind of storage has its own kinds
            self._result = ("", f"{type(error).__name__}: {error}")
        if self._left:
            self._target.unlink(missing_ok=True)


def _touch(path: Path) -> bool:
    """Whether the file is there; if so, it counts as used now."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True
