"""Checks of the file system that a run writes to: room, speed, renaming, locks, whether other machines see it."""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from domainlm.doctor.findings import Finding

SHARED_FILE_SYSTEMS = (
    "nfs",
    "lustre",
    "gpfs",
    "beegfs",
    "ceph",
    "wekafs",
    "panfs",
    "fuse.",
    "9p",
    "afs",
    "ocfs2",
    "gfs2",
)
PROBE_BYTES = 128 << 20
SLOW_BYTES_PER_SECOND = 100e6


def check_storage(folder: Path, checkpoint_bytes: int, kept_checkpoints: int, nodes: int) -> list[Finding]:
    """All checks of the file system that `folder` is to be on; leaves nothing behind.

    Args:
        checkpoint_bytes: size of each of the run's checkpoints; 0: no run is meant.
        kept_checkpoints: that the run keeps; there must be room for one more, which is being written.
        nodes: machines of the run.
    """
    place = folder
    while not place.exists():
        place = place.parent
    if not os.access(place, os.W_OK):
        return [Finding("storage", "fail", f"{place} cannot be written to", "give the run another folder")]
    with tempfile.TemporaryDirectory(prefix=".doctor-", dir=place) as probe:
        return [
            check_room(place, checkpoint_bytes, kept_checkpoints),
            check_speed(Path(probe), checkpoint_bytes),
            check_renaming(Path(probe)),
            check_locks(Path(probe)),
            check_clock(Path(probe)),
            check_sharing(file_system(place), nodes),
        ]


def check_room(place: Path, checkpoint_bytes: int, kept_checkpoints: int) -> Finding:
    free = shutil.disk_usage(place).free
    needed = (kept_checkpoints + 1) * checkpoint_bytes
    seen = f"{free / 1e9:,.0f} GB free at {place}, checkpoints take {needed / 1e9:,.1f} GB"
    if free < needed:
        return Finding("room", "fail", seen, "lower training.keep_checkpoints, or give the run another folder")
    if free < 1.5 * needed or free < 1e9:
        return Finding("room", "warn", seen, "little is left for shards, logs and exports: make room")
    return Finding("room", "ok", seen)


def check_speed(probe: Path, checkpoint_bytes: int) -> Finding:
    block = os.urandom(1 << 20)
    begin = time.perf_counter()
    with (probe / "speed").open("wb") as file:
        for _ in range(PROBE_BYTES >> 20):
            file.write(block)
        os.fsync(file.fileno())
    speed = PROBE_BYTES / (time.perf_counter() - begin)
    seconds = checkpoint_bytes / speed
    seen = f"{speed / 1e6:,.0f} MB/s from this machine; a checkpoint from it alone would take {seconds:,.0f} s"
    if speed < SLOW_BYTES_PER_SECOND:
        return Finding("writing", "warn", seen, "saves will be slow: look for a faster file system")
    return Finding("writing", "ok", seen)


def check_renaming(probe: Path) -> Finding:
    """Whether a rename replaces a file at once and whole, also for a reader that has it open."""
    old, new, folder = probe / "old", probe / "new", probe / "folder.partial"
    old.write_bytes(b"old")
    with old.open("rb") as reader:
        new.write_bytes(b"new")
        new.replace(old)
        kept = reader.read()
    folder.mkdir()
    (folder / "file").write_bytes(b"x")
    folder.rename(probe / "folder")
    descriptor = os.open(probe, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if kept == b"old" and old.read_bytes() == b"new" and (probe / "folder" / "file").exists():
        return Finding("renaming", "ok", "a rename replaces files and folders whole")
    return Finding("renaming", "fail", "a rename is not whole", "checkpoints need it: use another file system")


def check_locks(probe: Path) -> Finding:
    """Whether a second process is kept out by the lock of a run's folder."""
    lock = probe / "lock"
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        attempt = "import fcntl, sys; fcntl.flock(open(sys.argv[1]), fcntl.LOCK_SH | fcntl.LOCK_NB)"
        other = subprocess.run([sys.executable, "-c", attempt, str(lock)], capture_output=True, check=False)
    if other.returncode:
        return Finding("locks", "ok", "a second process is kept out")
    return Finding(
        "locks", "warn", "locks are not kept", "two jobs could train in one folder: mount with locks, or take care"
    )


def check_clock(probe: Path) -> Finding:
    """Whether the file system's clock is this machine's."""
    (probe / "clock").write_bytes(b"")
    late = abs(time.time() - (probe / "clock").stat().st_mtime)
    if late > 5:
        return Finding("clock", "warn", f"the file system's clock differs by {late:.0f} s", "set both by NTP")
    return Finding("clock", "ok", "the file system's clock is this machine's")


def check_sharing(kind: str, nodes: int) -> Finding:
    if kind.startswith(SHARED_FILE_SYSTEMS):
        return Finding("sharing", "ok", f"{kind}: other machines can see it")
    if nodes > 1:
        return Finding(
            "sharing", "fail", f"{kind}: other machines do not see it", "put the run's folder on a shared file system"
        )
    return Finding("sharing", "ok", f"{kind}: of this machine alone, which is enough for one")


def file_system(place: Path) -> str:
    """Type of the file system that a path lies on."""
    where, kind = "", "unknown"
    resolved = str(place.resolve())
    for line in Path("/proc/mounts").read_text("utf-8").splitlines():
        mount, this_kind = line.split()[1:3]
        inside = resolved == mount or resolved.startswith(mount.rstrip("/") + "/")
        if inside and len(mount) >= len(where):
            where, kind = mount, this_kind
    return kind
