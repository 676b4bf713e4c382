"""The status as people see it, through the command line."""

import json
from pathlib import Path

from domainlm.status.read import read_status
from domainlm.status.text import describe
from tests.launched.runs import run_domainlm
from train.config import RunConfig


def test_a_runs_folder_is_enough(undisturbed: RunConfig) -> None:
    shown = run_domainlm("status", undisturbed.run_folder, "--follow")
    assert shown.returncode == 0, shown.stderr
    for part in (
        "finished: at step 12",
        "12/12",
        "100.0%",
        "tokens/s  waiting for data",
        "last save",
        "step 12",
        "goodput",
    ):
        assert part in shown.stdout
    assert shown.stdout.count("█" * 30) == 1
    assert "▁" in shown.stdout, "the loss falls"


def test_json_has_the_ledger(undisturbed: RunConfig) -> None:
    shown = run_domainlm("status", undisturbed.run_folder, "--json", "hardware={gpu: A100-40GB, price_per_gpu_hour: 2}")
    facts = json.loads(shown.stdout.splitlines()[-1])
    assert facts["state"] == "finished"
    assert facts["money"]["training"] == 2 * facts["device_hours"]["training"]


def test_a_run_that_has_not_begun(undisturbed: RunConfig, tmp_path: Path) -> None:
    shown = describe(read_status(undisturbed.model_copy(update={"folder": str(tmp_path / "nowhere")})))
    assert "not started" in shown
    assert "goodput" not in shown
