"""Only one process trains in a run's folder; whoever asks takes nothing from it."""

import re
from pathlib import Path

import pytest

from train.checkpoints.folders import CheckpointError
from train.checkpoints.lock import check_unlocked, is_locked, only_trainer


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
