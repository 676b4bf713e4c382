import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import DataError
from data.files import (
    MANIFEST,
    atomic_write,
    begin_stage,
    file_digest,
    finish_stage,
    is_finished,
    new_digest,
    read_object,
    stage_digest,
    value_digest,
    write_atomically,
)
from train.config import CHECKOUT


def test_writing_makes_folders_and_leaves_nothing_else(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a" / "b.txt", "größer\n")
    assert (tmp_path / "a" / "b.txt").read_bytes() == "größer\n".encode()
    assert [file.name for file in (tmp_path / "a").iterdir()] == ["b.txt"]


def test_a_failed_write_leaves_the_old_content(tmp_path: Path) -> None:
    write_atomically(tmp_path / "file", "old")
    with pytest.raises(TypeError), atomic_write(tmp_path / "file") as file:
        file.writelines([b"ne", None])  # type: ignore[list-item]
    assert (tmp_path / "file").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_killed_write_leaves_the_old_content_and_can_be_repeated(tmp_path: Path) -> None:
    write_atomically(tmp_path / "file", "old")
    program = (
        "import os, signal, sys; from pathlib import Path; from data.files import atomic_write\n"
        "with atomic_write(Path(sys.argv[1])) as file:\n"
        "    file.write(b'ne'); file.flush(); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", program, tmp_path / "file"], cwd=CHECKOUT, env={**os.environ})
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / "file").read_text() == "old"
    write_atomically(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@given(st.binary(max_size=3_000))
def test_a_files_digest_is_that_of_its_bytes(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.mktemp("digest") / "file"
    file.write_bytes(content)
    assert file_digest(file) == new_digest(content).hexdigest()


def test_golden_digests() -> None:
    # blake2b of 16 bytes, as `b2sum --length 128` prints it
    assert new_digest().hexdigest() == "cae66941d9efbd404e4d88758ea67670"
    assert value_digest({"b": 1, "a": [True, None]}) == new_digest(b'{"a":[true,null],"b":1}').hexdigest()


def finished(folder: Path, inputs: dict[str, object], content: str = "text") -> None:
    begin_stage(folder, ["part", "out.txt"])
    write_atomically(folder / "part" / "out.txt", content)
    finish_stage(folder, inputs, [folder / "part" / "out.txt"])


def test_a_stage_is_finished_with_the_same_inputs_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "stage"
    assert not is_finished("corpus", folder, {"seed": 1})
    finished(folder, {"seed": 1, "paths": ("a", "b"), "old": None})
    assert is_finished("corpus", folder, {"seed": 1, "paths": ["a", "b"]})
    assert "is up to date" in capsys.readouterr().err
    assert not is_finished("corpus", folder, {"seed": 2, "paths": ["a"]})
    assert "corpus: inputs changed (paths, seed), redoing" in capsys.readouterr().err


@pytest.mark.parametrize("damage", ["missing file", "shorter file", "broken manifest", "empty manifest", "no manifest"])
def test_a_damaged_stage_is_not_finished(tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]) -> None:
    finished(tmp_path, {"seed": 1})
    assert is_finished("corpus", tmp_path, {"seed": 1})
    match damage:
        case "missing file":
            (tmp_path / "part" / "out.txt").unlink()
        case "shorter file":
            (tmp_path / "part" / "out.txt").write_text("tex")
        case "broken manifest":
            (tmp_path / MANIFEST).write_text('{"inputs": {"seed"')
        case "empty manifest":
            (tmp_path / MANIFEST).write_text("[]")
        case "no manifest":
            (tmp_path / MANIFEST).unlink()
    assert not is_finished("corpus", tmp_path, {"seed": 1})
    assert ("going on" if damage == "no manifest" else "is damaged, redoing it") in capsys.readouterr().err
    with pytest.raises(DataError, match="missing or unfinished: run `domainlm tokenizer CONFIG` first"):
        stage_digest(tmp_path, "tokenizer")


def test_beginning_removes_what_the_stage_owns_and_nothing_else(tmp_path: Path) -> None:
    finished(tmp_path, {})
    write_atomically(tmp_path / "out.txt", "left over")
    write_atomically(tmp_path / "notes.txt", "the user's")
    begin_stage(tmp_path, ["part", "out.txt", "absent"])
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_stages_digest_depends_on_its_output_alone(tmp_path: Path) -> None:
    finished(tmp_path / "a", {"file": "here", "time": 1})
    finished(tmp_path / "b", {"file": "there", "time": 2})
    finished(tmp_path / "c", {"file": "here", "time": 1}, content="other")
    assert stage_digest(tmp_path / "a") == stage_digest(tmp_path / "b") != stage_digest(tmp_path / "c")
    assert json.loads((tmp_path / "a" / MANIFEST).read_text())["files"]["part/out.txt"]["bytes"] == 4


@pytest.mark.parametrize("content", [b"", b"[1, 2]", b'{"half": "of a l', b"\xff\xfe", b"null"])
def test_a_record_that_is_none_is_named_with_what_to_do(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "facts.json").write_bytes(content)
    with pytest.raises(
        DataError, match=r"facts.json is no record \(a JSON object\): delete it, and run what writes it"
    ):
        read_object(tmp_path / "facts.json")
