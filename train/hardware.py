"""The hardware that a run is planned for: the `hardware` section, and GPUs as their data sheets describe them."""

from dataclasses import dataclass
from typing import Self

from pydantic import (
    BaseModel,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

BF16_PEAKS = {
    "A100": 312e12,
    "H100": 989e12,
    "H200": 989e12,
    "GH200": 989e12,
    "B200": 2250e12,
    "L40S": 362e12,
    "RTX 4090": 165e12,
}
"""Dense bf16 FLOP/s by chip, in the form with the fastest clock (SXM)."""

GPU_MEMORY = {
    "A100-40GB": 40 << 30,
    "A100-80GB": 80 << 30,
    "H100-80GB": 80 << 30,
    "GH200-96GB": 96 << 30,
    "H200-141GB": 141 * 10**9,
    "B200-180GB": 180 * 10**9,
    "L40S-48GB": 48 * 10**9,
    "RTX 4090-24GB": 24 << 30,
}
"""Bytes by the names that `hardware.gpu` takes."""

GPU_WATTS = {"A100": 400, "H100": 700, "H200": 700, "B200": 1000, "L40S": 350, "RTX 4090": 450}
"""Thermal design power of the form with the fastest clock (SXM), by chip. A GH200's is set by whoever runs it."""

OTHER_FORMS = ("GH200", "GB200", "PCIe", "PCIE", "NVL", "Laptop", "4090 D")
"""Words in CUDA's names of forms that draw something else than `GPU_WATTS` says."""

USABLE_MEMORY = 0.92
"""Share of a GPU's memory left by the CUDA context, NCCL's buffers and fragmentation."""


class BudgetConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """What a run may spend; the first limit that is reached stops it."""

    money: PositiveFloat | None = None
    """In `hardware.currency`, by `hardware.price_per_gpu_hour`."""
    kilowatt_hours: PositiveFloat | None = None
    """By `hardware.watts_per_gpu`."""
    gpu_hours: PositiveFloat | None = None
    """Hours of all GPUs together; on a CPU, of its ranks."""

    @model_validator(mode="after")
    def _has_a_limit(self) -> Self:
        if self.money is None and self.kilowatt_hours is None and self.gpu_hours is None:
            raise ValueError("give money, kilowatt_hours or gpu_hours")
        return self


class HardwareConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """What a run will be trained on and at what price, for `domainlm plan`, `status`, `doctor`; its budget stops it."""

    gpu: str
    """A100-40GB, A100-80GB, H100-80GB, GH200-96GB, H200-141GB, B200-180GB, L40S-48GB or RTX 4090-24GB."""
    nodes: PositiveInt = 1
    """Machines."""
    gpus_per_node: PositiveInt = 8
    """GPUs, and so ranks, of each machine."""
    memory_gigabytes_per_node: PositiveFloat | None = None
    """Memory of each machine itself, beside its GPUs'; without it what offload and saves take is shown, not judged."""
    price_per_gpu_hour: NonNegativeFloat | None = None
    """What an hour of one GPU costs; without it no money is shown."""
    currency: str = "$"
    """Shown before sums of money."""
    watts_per_gpu: PositiveFloat | None = None
    """What a GPU draws with its share of the machine and of cooling; without it the plan takes its data sheet's."""
    budget: BudgetConfig | None = None
    """What the run may spend before it is stopped in good order. None: no limit."""
    assumed_mfu: float | None = Field(default=None, gt=0, lt=1)
    """Share of the GPUs' peak that useful computation is expected to reach; without it a value from published runs."""
    network_gigabits_per_node: PositiveFloat = 400
    """What a machine can exchange with the others."""
    storage_gigabytes_per_second: PositiveFloat = 5
    """What all machines together can write to the file system of the checkpoints."""
    gpu_hours_between_failures: PositiveFloat = 28_000
    """GPU-hours from one failure to the next; published large runs had one in 12,000 to 64,000."""
    restart_minutes: NonNegativeFloat = 10
    """From a failure to the first step after it."""

    @field_validator("gpu")
    @classmethod
    def _gpu_is_known(cls, value: str) -> str:
        if value not in GPU_MEMORY:
            raise ValueError(f"{value!r} is not a GPU that is known here; known are {', '.join(GPU_MEMORY)}")
        return value

    @field_validator("watts_per_gpu")
    @classmethod
    def _watts_are_watts(cls, value: float | None) -> float | None:
        if value is not None and not 10 <= value <= 10_000:
            raise ValueError(f"{value:g} is no GPU's power in watts (10 to 10,000): is it in kilowatts or milliwatts?")
        return value

    @model_validator(mode="after")
    def _budget_can_be_counted(self) -> Self:
        if self.budget and self.budget.money and not self.price_per_gpu_hour:
            raise ValueError("budget.money needs price_per_gpu_hour: what an hour of one GPU costs")
        if self.budget and self.budget.kilowatt_hours and not self.watts_per_gpu:
            raise ValueError(
                "budget.kilowatt_hours needs watts_per_gpu: what a GPU draws with its share of the machine"
            )
        return self

    @property
    def watts(self) -> float | None:
        """What a GPU draws, as given or by its data sheet; None: not known."""
        return self.watts_per_gpu or board_watts(self.gpu)

    def with_gpus(self, gpus: int) -> "HardwareConfig":
        """The same hardware with this many GPUs, on as few machines as they fit.

        Raises:
            ValueError: they do not fill whole machines.
        """
        nodes = -(-gpus // self.gpus_per_node)
        per_node = gpus if nodes == 1 else self.gpus_per_node
        if nodes * per_node != gpus:
            raise ValueError(f"{gpus} GPUs do not fill machines of {self.gpus_per_node}: take a multiple of it")
        return self.model_copy(update={"nodes": nodes, "gpus_per_node": per_node})


@dataclass(frozen=True)
class Machine:
    """The devices of a run, for arithmetic."""

    device: str
    memory: int
    """Bytes of one device."""
    peak_flops: float
    """bf16 FLOP/s of one device."""
    nodes: int
    devices_per_node: int
    is_cpu: bool = False
    host_memory: int | None = None
    """Bytes of each machine itself; None: not known."""
    step_flops: float | None = None
    """Useful FLOP/s of one device in steps of the run's own model, measured; None: not measured."""

    @property
    def devices(self) -> int:
        """Ranks of the run."""
        return self.nodes * self.devices_per_node

    @property
    def usable_memory(self) -> int:
        return int(USABLE_MEMORY * self.memory)


def bf16_peak(device_name: str) -> float | None:
    """FLOP/s of a GPU under the name that CUDA or `hardware.gpu` gives it; None where it is not known."""
    for chip in sorted(BF16_PEAKS, key=len, reverse=True):
        if chip in device_name:
            return BF16_PEAKS[chip]
    return None


def board_watts(device_name: str) -> float | None:
    """Thermal design power under the name that CUDA or `hardware.gpu` gives a GPU; None where it is not known."""
    if any(word in device_name for word in OTHER_FORMS):
        return None
    return next((watts for chip, watts in GPU_WATTS.items() if chip in device_name), None)


def planned_machine(hardware: HardwareConfig) -> Machine:
    """The machine that the configuration names."""
    peak = bf16_peak(hardware.gpu)
    assert peak is not None, "every name in GPU_MEMORY begins with a chip"
    host = None if hardware.memory_gigabytes_per_node is None else int(hardware.memory_gigabytes_per_node * 1e9)
    return Machine(
        hardware.gpu, GPU_MEMORY[hardware.gpu], peak, hardware.nodes, hardware.gpus_per_node, host_memory=host
    )
