"""Kill -9 at random moments of training, many in a row: nothing is lost but the steps since the last save."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.launched.runs import metrics, run_python
from train.config_file import load_config

KILLS = int(os.environ.get("DOMAINLM_TRAINING_KILLS", "10"))
SAVE_EVERY = 3


@pytest.mark.slow
@pytest.mark.timeout(120 + 20 * KILLS)
def test_training_that_is_killed_again_and_again_is_the_run_that_never_was(small_run: Callable[..., Path]) -> None:
    file = small_run("killed_often", steps=100_000, batch_size=2, save_every=SAVE_EVERY, keep_checkpoints=2)
    out = file.with_suffix(".json")
    done = run_python("tests/launched/kill_training.py", file, str(KILLS), out, timeout=None)
    assert done.returncode == 0, done.stderr
    result = json.loads(out.read_text())
    assert result["codes"] == [0] + [-signal.SIGKILL] * KILLS + [0, 0], done.stderr
    for before, after in zip(result["left"], result["left"][1:], strict=False):
        assert after["checkpoint"] >= before["checkpoint"], "what was whole stays whole"
    for left in result["left"]:
        assert left["checkpoint"] >= left["saved"], "what was said to be saved is"
        # One save may be under way behind the steps, and the next waits for it.
        assert left["steps"] - left["checkpoint"] <= 2 * SAVE_EVERY
    config = load_config(file)
    killed, undisturbed = (
        metrics(load_config(file, [f"folder={config.run_folder}{end}"])) for end in ("", "-undisturbed")
    )
    assert result["end"] > KILLS / 4, "between the kills it went on"
    for step in range(1, result["end"] + 1):
        assert killed[step]["loss"] == undisturbed[step]["loss"], f"step {step}"
