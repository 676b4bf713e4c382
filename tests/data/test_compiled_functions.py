"""Compiled functions are never older than the source code, also that of the functions which they call."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import data

CALLED = "import numba\n\n@numba.njit(cache=True)\ndef called():\n    return {}\n"
CALLING = (
    "import numba\nfrom data.called import called\n\n@numba.njit(cache=True)\ndef calling():\n    return called() + 1\n"
)
PLAIN = "def called():\n    return {}\n"
COMPILING = CALLING.replace("@numba", "called = numba.njit(called)\n\n@numba")


@pytest.mark.parametrize(
    ("called", "calling", "given"),
    [(CALLED, CALLING, False), (CALLED, CALLING, True), (PLAIN, COMPILING, False)],
    ids=["False", "True", "compiled where it is called"],
)
def test_a_function_of_another_file_that_has_changed_is_compiled_anew(
    tmp_path: Path, called: str, calling: str, given: bool
) -> None:
    package = tmp_path / "data"
    package.mkdir()
    (package / "__init__.py").write_bytes(Path(data.__file__).read_bytes())
    (package / "calling.py").write_text(calling)
    variables = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    variables |= {"PYTHONPATH": str(tmp_path)} | ({"NUMBA_CACHE_DIR": str(tmp_path / "kept")} if given else {})

    def call() -> tuple[int, str]:
        program = "import os\nfrom data.calling import calling\nprint(calling(), os.environ['NUMBA_CACHE_DIR'])"
        done = subprocess.run(
            [sys.executable, "-c", program], env=variables, cwd=tmp_path, capture_output=True, text=True, check=True
        )
        result, folder = done.stdout.split()
        return int(result), folder

    (package / "called.py").write_text(called.format(1))
    result, folder = call()
    assert result == 2
    assert Path(folder).parent == (tmp_path / "kept" if given else package / "__pycache__")
    assert list(Path(folder).rglob("*.nbi")), "they are kept"
    (package / "note.py").write_text("nothing that is compiled")
    assert call() == (2, folder)
    (package / "called.py").write_text(called.format(5))
    assert call()[0] == 6


def test_processes_that_this_one_starts_share_its_folder() -> None:
    program = "import os, data; print(os.environ['NUMBA_CACHE_DIR'])"
    done = subprocess.run([sys.executable, "-c", program], env=os.environ, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == os.environ["NUMBA_CACHE_DIR"]
