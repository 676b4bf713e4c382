"""What a run costs: seconds of a step, days, GPU-hours, money, energy, checkpoints, traffic between devices."""

import math
from dataclasses import dataclass

from domainlm.plan.placement import adapter_of, moved_by_muon, step_memory, trained_count
from model.config import ModelConfig
from model.memory import exchanged_values
from model.sizes import flop_per_token, flop_per_token_of_parameters, parameter_count
from train.config import RunConfig
from train.engine.placement import Placement, configured_placement
from train.hardware import HardwareConfig, Machine
from train.schedule import consumed_samples

CHECKPOINT_BYTES_PER_PARAMETER = 12
"""fp32 master weights and the two moments of AdamW; 4 fewer of what Muon trains."""

WEIGHTS_BYTES_PER_PARAMETER = 2
"""An export in bf16."""

SECONDS_PER_DAY = 86_400


@dataclass(frozen=True)
class Costs:
    """Time and money of the whole run."""

    seconds_per_step: float
    """Of the largest batch."""
    tokens_per_second: float
    mfu: float
    """Share of the peak by useful computation, attention counted."""
    mfu_of_parameters: float
    """The same in terms of 6 N, which leaves attention out."""
    hfu: float
    """Share of the peak that the hardware reaches: recomputation counted too."""
    tflops_of_parameters: float
    """Each device's 10¹² FLOP/s in terms of 6 N, or of 8 N with recomputation, as run logs often give it."""
    tflops: float
    """Each device's 10¹² FLOP/s, attention and recomputation counted."""
    computing_days: float
    """Without evaluations, saves or failures."""
    days: float
    """With saves and failures."""
    device_hours: float
    """Of all devices together, over those days."""
    money: float | None
    kilowatt_hours: float | None
    """None: it is not known what a device draws."""


@dataclass(frozen=True)
class Saving:
    """Checkpoints of a run, and how often they pay."""

    checkpoint_bytes: int
    weights_bytes: int
    """Of an export in bf16."""
    seconds: float
    """Of a save that the training waits for."""
    hours_between_failures: float
    interval_seconds: float
    """Young and Daly's: what saves cost equals what failures lose."""
    interval_steps: int
    lost_share: float
    """Of all time: saves, steps that failures lose, and restarts."""
    kept_bytes: int
    """On disk at once: what is kept, and the save under way."""


@dataclass(frozen=True)
class Traffic:
    """What a device sends, and as much receives, in a step of the largest batch."""

    bytes_per_device: float
    exchanged: float
    """Of these, what goes between devices that share sequences."""
    seconds_between_nodes: float
    """Of a machine's network, if none of it hides behind computation; 0 on one machine."""


@dataclass(frozen=True)
class HostMemory:
    """Bytes of one machine's own memory, all of its ranks together."""

    of_steps: int
    """What offload has moved there, or all of a step on a CPU."""
    snapshots: int
    """Copies of the state from which saves are written while training goes on."""
    machine: int | None
    """What it has; None: not known."""

    @property
    def total(self) -> int:
        """Bytes that the run takes."""
        return self.of_steps + self.snapshots


def expected_mfu(model: ModelConfig, hardware: HardwareConfig | None, machine: Machine) -> float:
    """The measured share, or the configured one, or what published runs reach.

    These reach 0.45 up to 7 B on one machine, 0.40 above and on CPUs.
    """
    if machine.step_flops:
        return machine.step_flops / machine.peak_flops
    if hardware and hardware.assumed_mfu:
        return hardware.assumed_mfu
    return 0.45 if not machine.is_cpu and machine.nodes == 1 and parameter_count(model) < 7.5e9 else 0.40


def costs(config: RunConfig, hardware: HardwareConfig | None, machine: Machine, lost_share: float) -> Costs:
    """Time and money at the measured or assumed share of the peak.

    Args:
        lost_share: of all time, to saves and failures.
    """
    model, training = config.model, config.training
    mfu = expected_mfu(model, hardware, machine)
    recomputed_blocks, frozen = configured_placement(training).recomputed_blocks(model.layers), config.lora is not None
    useful = flop_per_token(model, frozen=frozen)
    tokens_per_second = mfu * machine.peak_flops * machine.devices / useful
    seconds = seconds_of_steps(config, tokens_per_second)
    days = seconds / (1 - lost_share) / SECONDS_PER_DAY
    hours = days * 24 * machine.devices
    rate = tokens_per_second / machine.devices
    hardware_flop = flop_per_token(model, recomputed_blocks, frozen=frozen)
    by_parameters = flop_per_token_of_parameters(model, frozen=frozen)
    return Costs(
        seconds_per_step=largest_batch(config) * model.sequence_length / tokens_per_second,
        tokens_per_second=tokens_per_second,
        mfu=mfu,
        mfu_of_parameters=rate * by_parameters / machine.peak_flops,
        hfu=rate * hardware_flop / machine.peak_flops,
        tflops_of_parameters=rate * flop_per_token_of_parameters(model, recomputed_blocks > 0, frozen) / 1e12,
        tflops=rate * hardware_flop / 1e12,
        computing_days=seconds / SECONDS_PER_DAY,
        days=days,
        device_hours=hours,
        money=hours * hardware.price_per_gpu_hour if hardware and hardware.price_per_gpu_hour is not None else None,
        kilowatt_hours=hours * hardware.watts / 1000 if hardware and hardware.watts else None,
    )


def seconds_of_steps(config: RunConfig, tokens_per_second: float) -> float:
    """Seconds that all steps compute."""
    return consumed_samples(config.training, config.training.steps) * config.model.sequence_length / tokens_per_second


def largest_batch(config: RunConfig) -> int:
    """Sequences of the run's largest batch."""
    return max(config.training.batch_sizes.values())


def saving(config: RunConfig, hardware: HardwareConfig, machine: Machine, seconds_per_step: float) -> Saving:
    """How large checkpoints are and how often to save, √(2 · save · time between failures) (Young 1974, Daly 2006)."""
    size = checkpoint_bytes(config)
    seconds = size / (hardware.storage_gigabytes_per_second * 1e9)
    between_failures = hardware.gpu_hours_between_failures * 3600 / machine.devices
    interval = math.sqrt(2 * seconds * between_failures)
    steps = max(1, min(config.training.steps, round(interval / seconds_per_step)))
    restart = 60 * hardware.restart_minutes
    return Saving(
        checkpoint_bytes=size,
        weights_bytes=WEIGHTS_BYTES_PER_PARAMETER * parameter_count(config.model),
        seconds=seconds,
        hours_between_failures=between_failures / 3600,
        interval_seconds=interval,
        interval_steps=steps,
        lost_share=seconds / interval + (interval / 2 + restart) / between_failures,
        kept_bytes=(config.training.keep_checkpoints + 1) * size,
    )


def checkpoint_bytes(config: RunConfig) -> int:
    """Size of a checkpoint of all ranks together."""
    return CHECKPOINT_BYTES_PER_PARAMETER * trained_count(config) - 4 * moved_by_muon(config)


def host_memory(config: RunConfig, machine: Machine) -> HostMemory:
    """What the run as it is configured takes of each machine's own memory.

    The copy for saves is as large as a checkpoint, over the ranks. For GPUs it is in pinned memory, of which torch's
    allocator takes the next power of two.
    """
    step = step_memory(config, machine, configured_placement(config.training), config.training.micro_batch)
    snapshot = 0
    if config.training.asynchronous_saves:
        snapshot = math.ceil(checkpoint_bytes(config) / machine.devices)
        if not machine.is_cpu:
            snapshot = 1 << (snapshot - 1).bit_length()
    of_step = step.total if machine.is_cpu else step.host
    ranks = machine.devices_per_node
    return HostMemory(of_step * ranks, snapshot * ranks, machine.host_memory)


def traffic(
    config: RunConfig,
    hardware: HardwareConfig | None,
    machine: Machine,
    placement: Placement,
    micro_batch: int,
    gradient_bytes: int = 4,
) -> Traffic:
    """Bytes that ZeRO moves in a step of the largest batch.

    With weights of w bytes, gradients of g bytes, N parameters and A micro-batches in a step: 2 g N at stage 0,
    (g + w) N at 1, (A g + w) N at 2 and A (2 w + g) N at 3. The literature has w = g = 2, that is 2 M, 2 M, (A + 1) M
    and 3 A M for M = 2 N; this framework reduces gradients in fp32. Between machines all goes but the share that
    devices of the same machine hold. Beside frozen weights N are the parameters that are trained, and stage 3 gathers
    all weights. Devices that share sequences exchange what attention is given and makes besides.
    """
    weight = 2 if config.training.precision == "bf16" else 4
    groups = machine.devices // config.training.sequence_ranks
    micro_batches = max(1, largest_batch(config) // (micro_batch * max(1, groups)))
    adapter, trained = adapter_of(config), trained_count(config)
    weights = trained + (adapter.frozen if adapter else 0)
    moved = {
        0: 2 * gradient_bytes * trained,
        1: (gradient_bytes + weight) * trained,
        2: (micro_batches * gradient_bytes + weight) * trained,
        3: micro_batches * (2 * weight * weights + gradient_bytes * trained),
    }[placement.zero_stage]
    if machine.devices == 1:
        return Traffic(0, 0, 0)
    outside = 1 - 1 / machine.nodes
    network = hardware.network_gigabits_per_node * 1e9 / 8 if hardware else math.inf
    exchanged = micro_batches * _exchanged_bytes(config, placement, micro_batch)
    # Consecutive ranks share sequences: only what of a group is on other machines is reached by the network, and all
    # devices of a machine reach for it at once.
    others = config.training.sequence_ranks - 1
    far = max(0, config.training.sequence_ranks - machine.devices_per_node) / max(1, others)
    seconds = (moved * outside + exchanged * far * machine.devices_per_node) / network
    return Traffic(moved + exchanged, exchanged, seconds)


def _exchanged_bytes(config: RunConfig, placement: Placement, micro_batch: int) -> float:
    """What a device sends to those that it shares the sequences of a micro-batch with.

    In each block two all-to-alls, of what attention is given and of what it makes; as many back in the backward pass,
    and the same again of blocks that are computed a second time.
    """
    model, ranks = config.model, config.training.sequence_ranks
    passes = 2 * model.layers + placement.recomputed_blocks(model.layers)
    tokens = micro_batch * model.sequence_length / ranks
    values = sum(exchanged_values(model, ranks)) * (1 - 1 / ranks)
    return passes * tokens * values * (2 if config.training.precision == "bf16" else 4)
