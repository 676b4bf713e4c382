"""What the operating system refuses is one line that names the file, and nothing half is left; then it goes on."""

import errno
import os
import pickle
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
import wandb

from data.errors import one_line, refused_file
from data.files import atomic_write, write_atomically
from data.shards.encode import encode_corpus
from model.weight_files import write_weights
from train.config import RunConfig
from train.records.journal import Journal
from train.records.metrics import Monitor

CommandLine = Callable[..., tuple[int, str, str]]


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """A limit that users have too, on clusters and in containers."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def small_disk(folder: Path, *options: str) -> Iterator[None]:
    """A file system of its own in `folder`, where this user may mount one."""
    folder.mkdir(exist_ok=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", *options, "none", folder], check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip("needs the right to mount a file system")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def refusal(command_line: CommandLine, *words: str | Path) -> str:
    """The one line of a command that is refused."""
    code, _, said = command_line(*words)
    assert code == 2, said
    assert "Traceback" not in said
    [line] = [line for line in said.splitlines() if line.startswith("error: ")]
    return line


def test_every_stage_that_cannot_write_says_so_in_one_line_and_goes_on_later(
    write_small_config: Callable[..., Path], data_folder: Path, tmp_path: Path, command_line: CommandLine
) -> None:
    assert data_folder.exists()  # so that all functions are compiled, which are kept in larger files
    run = tmp_path / "run"
    file = write_small_config(tmp_path / "run.yaml", run)
    for command, place in (
        ("prepare", "corpus/staging/news/"),
        ("tokenizer", "tokenizer/"),
        ("tokenize", "reports/"),
    ):
        with largest_file(3_000):
            line = refusal(command_line, command, file)
        assert line.startswith(f"error: {run}/{place}")
        assert ": File too large (its file system, at /" in line
        assert line.endswith(
            "GB free): raise the limit of a file's size (ulimit -f), or choose another folder, and run the same "
            "command again; what is finished is kept"
        )
        assert not list(run.rglob("*.partial"))
        assert not list(run.rglob("*.lock"))
        assert command_line(command, file)[0] == 0
    with largest_file(3_000), pytest.raises(OSError, match="File too large") as refused:
        encode_corpus(run / "corpus", run / "tokenizer", tmp_path / "shards", seed=1, workers=1)
    assert refused.value.filename.startswith(f"{tmp_path}/shards/train/")


def test_a_full_disk_and_one_that_cannot_be_written(
    write_small_config: Callable[..., Path], tmp_path: Path, command_line: CommandLine
) -> None:
    disk = tmp_path / "disk"
    file = write_small_config(tmp_path / "run.yaml", disk / "run")
    with small_disk(disk, "-o", "size=16k"):
        line = refusal(command_line, "prepare", file)
        assert f": No space left on device (its file system, at {disk}, has 0.00 of 0.00 GB free" in line
        assert "): make room there, or choose another folder, and run" in line
    with small_disk(disk, "-o", "ro"):
        line = refusal(command_line, "prepare", file)
        assert f"error: {disk}/run: Read-only file system (its file system, at {disk}, has " in line


def test_weights_that_cannot_be_written_name_their_file(tmp_path: Path) -> None:
    with largest_file(10_000), pytest.raises(OSError, match="File too large") as refused:
        write_weights({"a": torch.zeros(10_000)}, tmp_path, torch.float32, 10**9)
    assert refused_file(refused.value)
    assert refused.value.filename == str(tmp_path / "model.safetensors")


def test_the_name_of_the_file_comes_back_from_another_process(tmp_path: Path) -> None:
    refused = pytest.raises(OSError, match="File too large")
    with largest_file(10), refused as error, atomic_write(tmp_path / "a") as file:
        file.write(b"x" * 100)
    assert list(tmp_path.iterdir()) == []
    line = refused_file(pickle.loads(pickle.dumps(error.value)))
    assert line
    assert line.startswith(f"{tmp_path}/a: File too large (")


def test_a_line_that_does_not_fit_names_its_file_and_leaves_nothing_to_fail_behind_it(
    make_config: Callable[..., RunConfig],
) -> None:
    config = make_config(training={"log_every": 1000})
    config.run_folder.mkdir()
    figures = {"loss": 5.0, "learning_rate": 1e-3, "gradient_norm": 1.5, "tokens_per_second": 1000.0, "seconds": 2.0}
    refused = pytest.raises(OSError, match="File too large")
    with largest_file(1000), refused as error, Monitor(config, {}, resumed_at=0) as monitor:
        for step in range(2, 100):
            monitor.step({"step": step, **figures}, 100, 60.0)
    assert error.value.filename == str(config.metrics)
    assert error.value.__context__ is None
    assert config.metrics.stat().st_size == 1000, "the last line is cut short"
    refused = pytest.raises(OSError, match="File too large")
    with largest_file(1000), refused as error, Journal(config.run_folder) as journal:
        for step in range(100):
            journal.event("save", step=step)
    assert error.value.filename == str(config.run_folder / "journal.jsonl")


def test_a_folder_in_the_place_of_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "DONE").mkdir()
    (tmp_path / "file").touch()
    done = tmp_path / "DONE"
    for attempt in (done.read_bytes, done.unlink, lambda: write_atomically(done, "")):
        with pytest.raises(OSError, match="Is a directory") as refused:
            attempt()
        line = refused_file(refused.value)
        assert line
        assert line.startswith(f"{tmp_path}/DONE: Is a directory (")
        assert "): there is a folder in the place of a file: move it away, and run the same command again" in line
    with pytest.raises(OSError, match="Not a directory") as refused:
        (tmp_path / "file" / "manifest.json").read_bytes()
    assert "there is a file in the place of a folder" in str(refused_file(refused.value))


def test_an_error_of_several_lines_is_one_line_that_keeps_its_cause() -> None:
    """As W&B's settings and DeepSpeed's are refused by pydantic."""
    with pytest.raises(ValueError, match="init_timeout") as refused:
        wandb.Settings(init_timeout="soon", finish_timeout="late")
    line = one_line(refused.value)
    assert line.startswith("2 validation errors for Settings init_timeout Input should be a valid number")
    assert "finish_timeout Input should be a valid number" in line
    assert "\n" not in line
    assert "pydantic.dev" not in line
    assert one_line(ValueError()) == "ValueError"
    assert len(one_line(ValueError("a word " * 1000))) <= 500


def test_only_what_a_user_can_mend_is_such_a_line() -> None:
    assert refused_file(FileNotFoundError(errno.ENOENT, "No such file", "x")) is None
    assert refused_file(OSError("without a number")) is None
    unnamed = refused_file(OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)))
    assert unnamed
    assert unnamed.startswith("Disk quota exceeded, for a file that the system does not name: in the run's folder, /")
