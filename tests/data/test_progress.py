import io
import re
import sys
import time

import numpy as np
import pytest

import data.progress
from data.progress import duration, progress, say, working
from data.tokenizer.bpe import learn_bpe


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of a second stands for the ten seconds."""
    monkeypatch.setattr(data.progress, "SECONDS_BETWEEN_LINES", 0.1)


@pytest.mark.usefixtures("impatient")
def test_a_log_gets_a_line_again_and_again(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in progress(range(50), "reading", unit="files"):
        time.sleep(0.01)
    lines = capsys.readouterr().err.splitlines()
    assert 1 <= len(lines) <= 6
    found = [re.fullmatch(r"reading: (\d+)/50 \((\d+)%\) files, \d+\.\d a second", line) for line in lines]
    counts = [(int(match[1]), int(match[2])) for match in found if match]
    assert len(counts) == len(lines)
    assert counts == sorted(counts)
    assert all(percent == 2 * done for done, percent in counts)


@pytest.mark.usefixtures("impatient")
def test_one_item_that_takes_long_is_no_silence(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in progress(iter(range(1)), "reading"):
        time.sleep(0.35)
    assert "reading: 0 documents, 0.0 a second\n" in capsys.readouterr().err


@pytest.mark.usefixtures("impatient")
def test_work_without_items_is_no_silence(capsys: pytest.CaptureFixture[str]) -> None:
    with working(lambda: "learning"):
        time.sleep(0.35)
    said = capsys.readouterr().err
    assert said.startswith("learning, 0 s so far\n")
    time.sleep(0.2)
    assert not capsys.readouterr().err, "nothing is said of work that is over"


def test_pieces_that_are_learnt_are_counted_while_they_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The compiled code lets the line through, and the count is of pieces that are there."""
    monkeypatch.setattr(data.progress, "SECONDS_BETWEEN_LINES", 0.01)
    chance = np.random.default_rng(0)
    text, offsets = chance.integers(97, 123, 500_000, np.uint8), np.arange(0, 500_001, 100)
    learn_bpe(text, offsets, np.ones(5_000, np.int64), bytes(range(256)), 2_000, 16)
    counts = [
        int(found.replace(",", ""))
        for found in re.findall(r"learning pieces: ([\d,]+) of 2,000", capsys.readouterr().err)
    ]
    assert len(counts) > 2
    assert len(set(counts)) > 2, "the count stood still: the code kept the interpreter's lock"


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
