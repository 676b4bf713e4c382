"""The status as people see it, through the command line."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from domainlm.status.read import read_status
from domainlm.status.returns import Returns
from domainlm.status.text import describe
from tests.launched.runs import run_domainlm
from train.config import RunConfig
from train.hardware import HardwareConfig


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
        "critical not known: 12 steps are measured, and it takes 40",
    ):
        assert part in shown.stdout
    assert shown.stdout.count("█" * 30) == 1
    assert "▁" in shown.stdout, "the loss falls"


def test_json_has_the_ledger(undisturbed: RunConfig) -> None:
    shown = run_domainlm(
        "status",
        undisturbed.run_folder,
        "--json",
        "hardware={gpu: A100-40GB, price_per_gpu_hour: 2, watts_per_gpu: 600}",
    )
    facts = json.loads(shown.stdout.splitlines()[-1])
    assert facts["state"] == "finished"
    assert facts["money"]["training"] == 2 * facts["device_hours"]["training"]
    assert facts["kilowatt_hours"]["training"] == pytest.approx(0.6 * facts["device_hours"]["training"])
    (price,) = facts["returns"]
    assert (price["text"], price["evaluations"]) == ("news/future", 2)
    assert price["money"] == pytest.approx(2 * price["device_hours"])
    assert price["kilowatt_hours"] == pytest.approx(0.6 * price["device_hours"])
    hardware = HardwareConfig(gpu="A100-40GB", price_per_gpu_hour=2, watts_per_gpu=600)
    text = describe(read_status(undisturbed.model_copy(update={"hardware": hardware})))
    assert f"0.01 less    news/future: {price['device_hours']:.3g} device-hours, $ " in text
    assert " kWh at 600 W a device" in text


def test_what_a_bit_costs_is_not_known_before_two_evaluations(undisturbed: RunConfig) -> None:
    status = replace(read_status(undisturbed), returns=[])
    assert "0.01 less    what they cost is not known yet: it takes two evaluations" in describe(status)
    priced = Returns("news/future", 3, 0.5, None, None, None)
    assert "news/future: not to be had, bits per byte do not fall (last 3" in describe(
        replace(status, returns=[priced])
    )


def test_power_is_that_of_the_devices_that_trained(undisturbed: RunConfig) -> None:
    """On a CPU it is not known, whatever GPU the run was planned for."""
    planned = undisturbed.model_copy(update={"hardware": HardwareConfig(gpu="H100-80GB")})
    assert read_status(planned).ledger.kilowatt_hours is None


def test_a_run_that_has_not_begun(undisturbed: RunConfig, tmp_path: Path) -> None:
    shown = describe(read_status(undisturbed.model_copy(update={"folder": str(tmp_path / "nowhere")})))
    assert "not started" in shown
    assert "goodput" not in shown
