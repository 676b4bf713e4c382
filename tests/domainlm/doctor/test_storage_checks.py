"""Checks of the file system, on this machine's own."""

import os
import stat
from pathlib import Path

import pytest

from domainlm.doctor.storage_checks import check_clock, check_room, check_sharing, check_storage, file_system


def test_a_good_file_system_passes_and_keeps_nothing(tmp_path: Path) -> None:
    findings = check_storage(tmp_path / "runs" / "new", 1_000_000, 2, nodes=1)
    assert [finding.name for finding in findings] == ["room", "writing", "renaming", "locks", "clock", "sharing"]
    assert all(finding.verdict != "fail" for finding in findings), findings
    assert list(tmp_path.iterdir()) == []


def test_too_little_room(tmp_path: Path) -> None:
    finding = check_room(tmp_path, 12 * 10**15, 2)
    assert finding.verdict == "fail"
    assert "checkpoints take 36,000,000.0 GB" in finding.seen


def test_a_clock_that_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    real = time.time()
    monkeypatch.setattr("domainlm.doctor.storage_checks.time.time", lambda: real + 100)
    assert check_clock(tmp_path).verdict == "warn"


def test_a_local_file_system_is_enough_for_one_machine_only() -> None:
    assert [check_sharing(kind, nodes).verdict for kind, nodes in (("ext4", 1), ("ext4", 2), ("lustre", 2))] == [
        *("ok", "fail", "ok")
    ]
    assert file_system(Path("/proc")) == "proc"
    assert file_system(Path("/dev/shm")) == "tmpfs"


def test_a_folder_that_cannot_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(stat.S_IRUSR | stat.S_IXUSR)
    place = Path("/proc") if os.geteuid() == 0 else locked  # to root, permissions are no obstacle
    if os.access(place, os.W_OK):
        place = Path("/proc/1")
    finding, *rest = check_storage(place / "run", 0, 0, 1)
    assert (finding.verdict, rest) == ("fail", [])
