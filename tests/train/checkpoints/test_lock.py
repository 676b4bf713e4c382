"""Only one process trains in a run's folder, whoever asks takes nothing from it; and its names are those of files."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from train.checkpoints.folders import CheckpointError
from train.checkpoints.lock import FILES, check_names, check_unlocked, is_locked, only_trainer
from train.config_file import load_config


def test_a_folder_in_which_a_process_trains_is_refused_to_others(tmp_path: Path) -> None:
    refusal = re.escape(f"{tmp_path}: another process is training there: let it run, or `touch {tmp_path / 'STOP'}`")
    check_unlocked(tmp_path)
    with only_trainer(tmp_path):
        assert is_locked(tmp_path)
        with pytest.raises(CheckpointError, match=refusal):
            check_unlocked(tmp_path)
        with pytest.raises(CheckpointError, match=refusal), only_trainer(tmp_path):
            pass
        assert is_locked(tmp_path)
    check_unlocked(tmp_path)


def test_a_folder_in_the_place_of_a_file_of_the_run_is_refused_in_one_line(
    small_run: Callable[..., Path], command_line: Callable[..., tuple[int, str, str]]
) -> None:
    """As `mkdir STOP` makes one, before any rank is started."""
    file = small_run("folders")
    run_folder = load_config(file).run_folder
    run_folder.mkdir()
    check_names(run_folder)
    for name in FILES:
        (run_folder / name).mkdir(parents=True)
        with pytest.raises(CheckpointError, match=re.escape(f"{run_folder / name}: there is a folder in the place")):
            check_names(run_folder)
        code, _, said = command_line("train", file)
        assert code == 2
        assert said.splitlines()[-1].startswith(f"error: {run_folder / name}: there is a folder")
        (run_folder / name).rmdir()
