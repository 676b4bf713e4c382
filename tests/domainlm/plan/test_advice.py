"""Which placement is advised, of those that fit."""

import pytest

from domainlm.plan.advice import advise
from domainlm.plan.placement import fits
from train.config import CHECKOUT
from train.config_file import load_config
from train.engine.placement import configured_placement
from train.hardware import HardwareConfig, planned_machine

FILE = CHECKOUT / "configs" / "bbg-1.3b.yaml"


@pytest.mark.parametrize(
    ("computing", "recompute"),
    [
        ({0: 1.0, "selective": 1.03, 1: 1.3}, 0),
        ({0: 1.3, "selective": 1.02, 1: 1.0}, "configured"),  # to 3 % they are equals
        ({0: 1.3, "selective": 1.0, 1: 1.3}, "selective"),
    ],
)
def test_the_fastest_step_wins_and_the_configured_one_of_equals(
    computing: dict[int | str, float], recompute: int | str
) -> None:
    config = load_config(FILE, ["training.activation_checkpointing=true"])
    hardware = HardwareConfig(gpu="H100-80GB")
    machine = planned_machine(hardware)
    found = fits(config, machine)
    advice = advise(config, hardware, machine, found, computing, None)  # type: ignore[arg-type]
    assert advice.placement is not None
    configured = configured_placement(config.training)
    assert advice.placement.recompute == (configured.recompute if recompute == "configured" else recompute)
    assert advice.placement.offload == "none"
    assert advice.seconds_per_step == pytest.approx(min(computing.values()), rel=0.04)
    assert advice.save_every is None


def test_what_fits_in_no_way_is_said_to() -> None:
    config = load_config(FILE)
    hardware = HardwareConfig(gpu="RTX 4090-24GB", gpus_per_node=3)  # no batch of the run can be divided by three
    machine = planned_machine(hardware)
    advice = advise(config, hardware, machine, fits(config, machine), {0: 1.0, "selective": 1.0, 1: 1.0}, None)
    assert (advice.placement, advice.micro_batch) == (None, 0)
