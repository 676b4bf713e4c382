import ctypes
import functools
import os
from pathlib import Path

import pytest

from data.errors import DataError
from data.readers import isolated as module
from data.readers.isolated import isolated
from data.readers.rows import MalformedError


def _double(number: int, fault: str = "") -> object:
    """What a library may do with a bad document."""
    match fault:
        case "crash":
            ctypes.string_at(0)
        case "ask for memory":
            return bytearray(module.MEMORY)
        case "recurse":
            return _double(number, fault)
        case "raise":
            raise ValueError("\n some\n name")
        case "malformed":
            raise MalformedError("its kind: and more", 3)
        case "miss":
            raise ImportError("no", name="selectolax")
        case "spin":
            while True:
                pass
    return number * 2


def test_calls_are_answered_by_one_process() -> None:
    assert [isolated(_double, number) for number in range(3)] == [0, 2, 4]
    assert isolated(os.getpid) == isolated(os.getpid) != os.getpid()


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("crash", "crashes its reader: SIGSEGV"),
        ("ask for memory", "too large: its reader needs more than 4 GiB"),
        ("recurse", "nested too deep"),
        ("raise", "unreadable document: ValueError: some name"),
        ("malformed", "its kind: and more"),
    ],
)
def test_a_fault_is_of_its_document_alone(fault: str, said: str) -> None:
    found = isolated(_double, 1, fault)
    assert isinstance(found, MalformedError)
    assert str(found) == said
    assert found.size == (3 if fault == "malformed" else 0)
    assert isolated(_double, 4) == 8, "the next document is read"


def _spin_with_a_second() -> object:
    module.CPU_SECONDS = 1
    return module._called(lambda: _double(1, "spin"))


def test_time_is_bounded() -> None:
    found = isolated(_spin_with_a_second)
    assert isinstance(found, MalformedError)
    assert str(found) == "too slow: it takes its reader more than 60 seconds of a processor"


def test_a_missing_library_is_said() -> None:
    with pytest.raises(DataError, match=r"read with selectolax: pip install 'domainlm\[documents\]'"):
        isolated(_double, 1, "miss")


def test_it_starts_wherever_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder with modules of the same names is not looked into."""
    (tmp_path / "data.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(tmp_path)
    _anew(monkeypatch)
    assert isolated(_double, 2) == 4


def test_one_that_does_not_start_is_no_fault_of_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    _anew(monkeypatch)
    monkeypatch.setattr(module, "STARTS", "raise SystemExit(3)")
    with pytest.raises(DataError, match=r"did not start \(status 3\)"):
        isolated(_double, 2)


def _anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_child", functools.cache(module._child.__wrapped__))
