"""GPUs by name, and machines of them."""

import pytest
from pydantic import ValidationError

from train.hardware import BF16_PEAKS, GPU_MEMORY, HardwareConfig, bf16_peak, board_watts, planned_machine


def test_every_gpu_has_a_peak_and_its_memory_is_what_its_name_says() -> None:
    for name, memory in GPU_MEMORY.items():
        stated = int(name.rpartition("-")[2].removesuffix("GB"))
        assert stated * 1e9 <= memory <= stated * 2**30
        assert planned_machine(HardwareConfig(gpu=name)).peak_flops == bf16_peak(name) in BF16_PEAKS.values()


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA GH200 480GB", 989e12),
        ("NVIDIA GeForce RTX 4090", 165e12),
        ("Tesla V100-SXM2-16GB", None),
    ],
)
def test_names_that_cuda_gives(name: str, peak: float | None) -> None:
    assert bf16_peak(name) == peak


def test_an_unknown_gpu_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValidationError, match=r"'V100' is not a GPU that is known here; known are A100-40GB, "):
        HardwareConfig(gpu="V100")


def test_gpus_fill_whole_machines() -> None:
    hardware = HardwareConfig(gpu="H100-80GB", nodes=2)
    assert planned_machine(hardware.with_gpus(512)).nodes == 64
    assert planned_machine(hardware.with_gpus(4)).devices_per_node == 4
    with pytest.raises(ValueError, match="12 GPUs do not fill machines of 8"):
        hardware.with_gpus(12)


@pytest.mark.parametrize(
    ("name", "watts"),
    [
        ("A100-40GB", 400),
        ("NVIDIA A100-SXM4-80GB", 400),
        ("NVIDIA H200", 700),
        ("NVIDIA A100-PCIE-40GB", None),
        ("NVIDIA H100 PCIe", None),
        ("NVIDIA H200 NVL", None),
        ("GH200-96GB", None),
        ("NVIDIA GeForce RTX 4090", 450),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", None),
        ("x86_64", None),
    ],
)
def test_power_is_known_of_the_form_that_a_name_means(name: str, watts: float | None) -> None:
    assert board_watts(name) == watts


def test_energy_as_it_was_published() -> None:
    """BLOOM: 1,082,990 hours of A100 were 433,196 kWh (Luccioni et al. 2022)."""
    assert HardwareConfig(gpu="A100-80GB").watts == 400
    assert 1_082_990 * 400 / 1000 == 433_196
    assert HardwareConfig(gpu="A100-80GB", watts_per_gpu=637).watts == 637
    for value in (0.7, 700_000):
        with pytest.raises(ValidationError, match="no GPU's power in watts"):
            HardwareConfig(gpu="A100-80GB", watts_per_gpu=value)


@pytest.mark.parametrize(
    ("budget", "says"),
    [
        ({}, "give money, kilowatt_hours or gpu_hours"),
        ({"money": 10}, "budget.money needs price_per_gpu_hour"),
        ({"kilowatt_hours": 10}, "budget.kilowatt_hours needs watts_per_gpu"),
        ({"gpu_hours": 0}, "greater than 0"),
    ],
)
def test_a_budget_that_cannot_be_counted_is_refused(budget: dict[str, float], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        HardwareConfig.model_validate({"gpu": "A100-80GB", "budget": budget})
