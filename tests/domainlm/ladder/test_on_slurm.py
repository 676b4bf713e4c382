"""A ladder's array as it is asked for; on a real Slurm: tests/slurm/test_jobs.py."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

WORDS = "--rungs 3 --largest 0.3 --gpus-per-node 0"


@pytest.fixture
def file(write_small_config: Callable[..., Path], data_folder: Path, tmp_path: Path) -> Path:
    return write_small_config(
        tmp_path / "planned.yaml",
        tmp_path / "planned",
        name="planned",
        data={"folder": str(data_folder)},
        model={"width": 64, "heads": 8},
        training={"steps": 40},
    )


def test_a_dry_run_shows_an_array_of_the_rungs(
    file: Path, command_line: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    code, shown, said = command_line(
        "ladder", file, *WORDS.split(), "--nodes", "1", "--time", "10", "--dry-run", "--json"
    )
    assert code == 0, said
    result = json.loads(shown.splitlines()[-1])
    assert not result["finished"]
    assert result["job"] is None
    script = result["script"]
    assert "#SBATCH --array=1-3\n" in script
    assert "#SBATCH --job-name=planned-ladder\n" in script
    folders = re.findall(r"^    \d\) export RUN_FOLDER=(\S+) ", script, re.M)
    assert folders == [run["folder"] for run in reversed(result["runs"])], "the one that takes longest is begun first"
    assert not (tmp_path / "planned" / "submitted").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--nodes 1", "a job on Slurm takes both --nodes and --time"),
        ("--time 10", "a job on Slurm takes both --nodes and --time"),
        ("--dry-run", "options of a job on Slurm go with --nodes and --time"),
        (
            "--nodes 5 --time 10",
            r"ladder: the rungs' batches of [\d, ]+ rows cannot be divided over 5 ranks: ask for \d",
        ),
    ],
)
def test_what_cannot_be_submitted_is_refused(
    file: Path, command_line: Callable[..., tuple[int, str, str]], words: str, said: str
) -> None:
    code, _, errors = command_line("ladder", file, *WORDS.split(), *words.split())
    assert code == 2
    assert re.search(said, errors), errors
