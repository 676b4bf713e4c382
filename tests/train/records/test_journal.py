"""The journal keeps every event through crashes in the middle of a line, and says where it is damaged."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from data.errors import DataError
from train.config import CHECKOUT
from train.records.journal import Journal, read_journal


def names(folder: Path) -> list[str]:
    return [event["event"] for event in read_journal(folder)]


def test_events_come_back_in_order_over_several_writers(tmp_path: Path) -> None:
    assert read_journal(tmp_path) == []
    with Journal(tmp_path) as journal:
        journal.event("start", step=0, loss=float("nan"), parts={"a": [1.5, float("inf")]})
    with Journal(tmp_path) as journal:
        journal.event("resume", step=4)
    first, second = read_journal(tmp_path)
    assert first["loss"] is None
    assert first["parts"] == {"a": [1.5, None]}
    assert (second["event"], second["step"]) == ("resume", 4)
    assert first["time"] <= second["time"]


@pytest.mark.parametrize("cut", range(1, 40, 7))
def test_a_torn_last_line_is_left_out_and_written_over(tmp_path: Path, cut: int) -> None:
    with Journal(tmp_path) as journal:
        journal.event("start")
        journal.event("save", step=4)
    file = tmp_path / "journal.jsonl"
    os.truncate(file, file.stat().st_size - cut)
    assert names(tmp_path) == ["start"]
    with Journal(tmp_path) as journal:
        journal.event("resume")
    assert names(tmp_path) == ["start", "resume"]
    assert all(json.loads(line) for line in file.read_text().splitlines())


def test_damage_elsewhere_is_named(tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").write_text('{"event": "start"}\n{"event": "sk\n{"event": "resume"}\n')
    with pytest.raises(DataError, match=r"journal\.jsonl: line 2 is not an event"):
        read_journal(tmp_path)


def test_a_failure_is_recorded(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="broken"), Journal(tmp_path):
        raise ValueError("broken")
    assert read_journal(tmp_path)[-1]["error"] == "ValueError: broken"


def test_a_full_disk_leaves_whole_events_and_is_what_the_user_sees(tmp_path: Path) -> None:
    """The kernel's limit on the size of a file stands for the full disk: the last line is torn just as there."""
    program = (
        "import sys; from pathlib import Path; from train.records.journal import Journal\n"
        "with Journal(Path(sys.argv[1])) as journal:\n"
        "    for step in range(1000): journal.event('save', step=step)\n"
    )
    failed = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        cwd=CHECKOUT,
        env=os.environ | {"PYTHONPATH": str(CHECKOUT), "PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)),
        text=True,
        capture_output=True,
    )
    assert failed.returncode == 1
    assert "OSError: [Errno 27] File too large" in failed.stderr
    assert (tmp_path / "journal.jsonl").stat().st_size == 1000
    steps = [event["step"] for event in read_journal(tmp_path)]
    assert steps == list(range(len(steps)))
    assert len(steps) > 5


def test_secrets_of_addresses_are_left_out(tmp_path: Path) -> None:
    changes = {"data.shards": {"was": "s3://box/a", "now": "https://anna:pa55@host/a?token=t0k"}}
    with Journal(tmp_path) as journal:
        journal.event("configuration changed", changes=changes)
    (event,) = read_journal(tmp_path)
    assert event["changes"]["data.shards"] == {"was": "s3://box/a", "now": "https://***@host/a?token=***"}


@pytest.mark.parametrize("lost", [(0, 1), (1, 3), (2, 3)])
def test_lines_that_were_taken_out_are_missed(tmp_path: Path, lost: tuple[int, int]) -> None:
    """A run without them would train what it has skipped."""
    file = tmp_path / "journal.jsonl"
    file.write_text('{"event": "start", "step": 0}\n')  # as older versions write it
    with Journal(tmp_path) as journal:
        journal.event("skip", first=7, last=9)
        with Journal(tmp_path) as second:  # as while a checkpoint is set aside
            second.event("save", step=4)
        journal.event("stop", step=5)
    assert names(tmp_path) == ["start", "skip", "save", "stop"]
    lines = file.read_bytes().splitlines(keepends=True)
    first, end = lost
    file.write_bytes(b"".join([*lines[:first], *lines[end:]]))
    with pytest.raises(DataError, match=rf"journal\.jsonl: before line {first + 1} lines are missing or changed"):
        read_journal(tmp_path)
