"""GPUs by name, and machines of them."""

import pytest
from pydantic import ValidationError

from train.hardware import BF16_PEAKS, GPU_MEMORY, HardwareConfig, bf16_peak, planned_machine


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
