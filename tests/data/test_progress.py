import io
import sys

import pytest

import data.progress
from data.progress import duration, progress, say


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that the module sees, in seconds; a test sets it."""
    now = [0.0]
    monkeypatch.setattr(data.progress.time, "monotonic", lambda: now[0])
    return now


def test_a_log_gets_a_line_every_ten_seconds(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    for item in progress(range(50), "reading", unit="files"):
        clock[0] = item + 1.0  # each takes a second
    assert capsys.readouterr().err.splitlines() == [
        f"reading: {done}/50 ({2 * done}%) files, 1.0 a second" for done in (10, 20, 30, 40, 50)
    ]


def test_without_a_total_only_what_is_done_is_said(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    for _ in progress(iter(range(3)), "reading"):
        clock[0] += 6.0
    assert capsys.readouterr().err == "reading: 2 documents, 0.2 a second\n"


def test_short_work_is_silent_and_items_pass_unchanged(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress("abc", "reading")) == ["a", "b", "c"]
    assert list(progress([], "reading")) == []
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert list(progress(iter("abc"), "reading", total=3)) == ["a", "b", "c"]
    assert "reading: 100%" in terminal.getvalue()
    assert "3/3" in terminal.getvalue()


def test_say_is_one_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    say("corpus: up to date")
    assert capsys.readouterr() == ("", "corpus: up to date\n")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(45, "45 s"), (382, "6 min 22 s"), (11_100, "3 h 05 min"), (187_200, "2 d 04 h"), (float("inf"), "?")],
)
def test_durations_read_well(seconds: float, text: str) -> None:
    assert duration(seconds) == text
