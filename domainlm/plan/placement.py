"""What a training step takes of each device's memory: ZeRO stage, offload and recomputation, and what of it fits."""

import math
from bisect import bisect_left
from dataclasses import dataclass
from itertools import product

from model.config import why_not_divided
from model.memory import Adapter, memory_per_gpu
from model.sizes import hidden_matrix_parameters, parameter_count
from train.config import RunConfig, TrainingConfig
from train.config_file import ConfigError
from train.engine.placement import Offload, Placement, Recomputation, configured_placement
from train.hardware import Machine

DEFAULT_BUCKET = 500_000_000
"""Elements of DeepSpeed's reduce_bucket_size where the file does not say."""


@dataclass(frozen=True)
class StepMemory:
    """Bytes of one device, and of its host's memory beside it, at the height of a step."""

    states: int
    """Weights, gradients, master weights and moments: the device's share."""
    gathered: int
    """Weights that ZeRO-3 has gathered."""
    buckets: int
    """DeepSpeed's buffers for gradients on their way."""
    activations: int
    """What the forward pass keeps."""
    loss: int
    """Logits and gradients that the loss holds."""
    host: int
    """What offload has moved to the host's memory, for each device."""

    @property
    def total(self) -> int:
        """Bytes of the device."""
        return self.states + self.gathered + self.buckets + self.activations + self.loss


@dataclass(frozen=True)
class Fit:
    """What a placement comes to on a machine."""

    placement: Placement
    micro_batch: int
    """The largest that divides the batch and fits; 0: not even one sequence does."""
    memory: StepMemory
    """At that micro-batch, or at 1 where nothing fits."""


@dataclass(frozen=True)
class Context:
    """How long a sequence may be."""

    sequence_ranks: int
    """Devices that share it."""
    tokens: int
    """The longest that fits, one at a time; up to LONGEST_CONTEXT."""


CONTEXT_STEP = 128
"""Tokens of a device's slice: contexts are measured in multiples of it."""
LONGEST_CONTEXT = 1 << 24

OFFLOADS: dict[int, tuple[Offload, ...]] = {
    0: ("none",),
    1: ("none",),
    2: ("none", "optimizer"),
    3: ("none", "optimizer", "optimizer, parameters"),
}
"""What can be moved to the host at each ZeRO stage."""

RECOMPUTATIONS: tuple[Recomputation, ...] = (0, "selective", 1)

PLACEMENTS = tuple(
    Placement(stage, offload, recompute)
    for stage, recompute in product(OFFLOADS, RECOMPUTATIONS)
    for offload in OFFLOADS[stage]
)
"""Every way that is offered, the simplest first."""


def adapter_of(config: RunConfig) -> Adapter | None:
    """What is trained beside the frozen weights of a base; None where all weights are trained.

    Raises:
        ConfigError: the base is not there, or the adapter is none for it.
    """
    if config.lora is None:
        return None
    from model.lora.lora import measure_adapter  # loads torch, which a plan for other machines does without
    from train.engine.initial_weights import trained_rows

    try:
        return measure_adapter(config.model, config.lora, trained_rows(config))
    except ValueError as error:
        raise ConfigError(f"lora: {error}") from None


def trained_count(config: RunConfig) -> int:
    """Parameters that are trained."""
    adapter = adapter_of(config)
    return adapter.trained if adapter else parameter_count(config.model)


def moved_by_muon(config: RunConfig) -> int:
    """Parameters that Muon trains, which have one moment instead of two."""
    return hidden_matrix_parameters(config.model) if config.training.optimizer == "muon" else 0


def step_memory(config: RunConfig, machine: Machine, placement: Placement, micro_batch: int) -> StepMemory:
    """Bytes of a step with gradients accumulated in fp32, as this framework has DeepSpeed do it."""
    model, precision, adapter = config.model, config.training.precision, adapter_of(config)
    recomputed_blocks, selective = placement.recomputed_blocks(model.layers), placement.recompute == "selective"
    whole = memory_per_gpu(
        model,
        gpus=machine.devices,
        zero_stage=placement.zero_stage,
        micro_batch=micro_batch,
        precision=precision,
        recomputed_blocks=recomputed_blocks,
        selective=selective,
        adapter=adapter,
        by_muon=moved_by_muon(config),
        sequence_ranks=config.training.sequence_ranks,
    )
    parameters, share = adapter.trained if adapter else parameter_count(model), 1 / machine.devices
    states = whole.states
    if precision == "fp32" and placement.zero_stage:
        states += math.ceil(4 * parameters * share)  # DeepSpeed keeps master weights even of weights in fp32
    weights = parameters + (adapter.frozen if adapter else 0)
    states += _secondary_copy_bytes(config.training, placement.zero_stage, weights, machine.devices)
    host = 0
    if placement.offload != "none":
        # master weights, moments and gradients
        host = math.ceil(share * ((12 + 4) * parameters - 4 * moved_by_muon(config)))
        states -= host
    if placement.offload == "optimizer, parameters":
        moved = math.ceil(weights * share * (2 if precision == "bf16" else 4))
        host, states = host + moved, states - moved
    return StepMemory(
        states=states,
        gathered=whole.gathered,
        buckets=_bucket_bytes(config.training, placement.zero_stage, parameters, machine.is_cpu),
        activations=whole.blocks + whole.around_blocks,
        loss=whole.loss,
        host=host,
    )


def _secondary_copy_bytes(training: TrainingConfig, zero_stage: int, parameters: int, devices: int) -> int:
    """The copy of the weights that hpZ keeps within each group of `zero_hpz_partition_size` devices."""
    group = int(training.deepspeed.get("zero_optimization", {}).get("zero_hpz_partition_size", 1))
    if zero_stage < 3 or group == 1 or group >= devices:
        return 0
    return math.ceil((2 if training.precision == "bf16" else 4) * parameters / group)


def _bucket_bytes(training: TrainingConfig, zero_stage: int, parameters: int, is_cpu: bool) -> int:
    """DeepSpeed's gradient buckets: whole on a GPU from the start; on a CPU only what has been written takes memory.

    Beside a bucket of another precision than the gradients lie these, until it is full.
    """
    zero = training.deepspeed.get("zero_optimization", {})
    if zero_stage == 0 or not zero.get("contiguous_gradients", True):
        return 0
    elements = int(zero.get("reduce_bucket_size", DEFAULT_BUCKET))
    filled = min(elements, parameters)
    buffers = 2 if zero.get("overlap_comm", False) and zero_stage < 3 else 1
    if training.precision == "fp32":
        return 4 * buffers * (filled if is_cpu else elements)
    value = 2 if zero_stage == 2 else 4
    return value * buffers * (filled if is_cpu else elements) + 2 * filled


def largest_micro_batch(config: RunConfig, machine: Machine, placement: Placement) -> int:
    """The largest micro-batch that divides every batch of the run over the devices and fits; 0 where none does."""
    for candidate in reversed(micro_batches_that_divide(config.training, machine.devices)):
        if step_memory(config, machine, placement, candidate).total <= machine.usable_memory:
            return candidate
    return 0


def micro_batches_that_divide(training: TrainingConfig, devices: int) -> list[int]:
    """Micro-batches by which every batch of the run can be divided over the devices, ascending."""
    common, (groups, rest) = math.gcd(*training.batch_sizes.values()), divmod(devices, training.sequence_ranks)
    if rest or common % groups:
        return []
    each = common // groups
    return [size for size in range(1, each + 1) if each % size == 0]


def longest_contexts(config: RunConfig, machine: Machine) -> list[Context]:
    """The longest sequence that the configured placement takes, by the ranks that share it: 1, 2, 4 … up to all.

    Numbers of ranks that the heads do not allow are left out, and those for which nothing fits.
    """
    placement, found = configured_placement(config.training), []
    for ranks in (1 << power for power in range(machine.devices.bit_length())):
        unit = ranks * CONTEXT_STEP

        def fits_as(units: int, ranks: int = ranks, unit: int = unit) -> bool:
            longer = config.model.model_copy(update={"sequence_length": units * unit})
            training = config.training.model_copy(update={"sequence_ranks": ranks})
            changed = config.model_copy(update={"model": longer, "training": training})
            return step_memory(changed, machine, placement, 1).total <= machine.usable_memory

        whole = config.model.model_copy(update={"sequence_length": unit})
        if machine.devices % ranks or why_not_divided(whole, ranks):
            continue
        if units := bisect_left(range(1, LONGEST_CONTEXT // unit + 1), True, key=lambda units: not fits_as(units)):
            found.append(Context(ranks, units * unit))
    return found


def fits(config: RunConfig, machine: Machine) -> list[Fit]:
    """What each way of laying the step out comes to; ways that make no sense there are left out."""
    found = []
    for placement in PLACEMENTS:
        if config.training.precision == "bf16" and placement.zero_stage == 0:
            continue
        if machine.is_cpu and placement.offload != "none":
            continue
        micro_batch = largest_micro_batch(config, machine, placement)
        found.append(Fit(placement, micro_batch, step_memory(config, machine, placement, max(1, micro_batch))))
    return found
