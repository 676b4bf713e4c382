"""What a run will be, before it is started: size, text, memory, time, money, and whether to start it at all."""

from dataclasses import dataclass, replace

from pydantic import ValidationError

from domainlm.plan.advice import SELECTIVE_COST, Advice, advise
from domainlm.plan.costs import Costs, HostMemory, Saving, Traffic, costs, host_memory, saving, traffic
from domainlm.plan.placement import Context, Fit, StepMemory, fits, longest_contexts, step_memory, trained_count
from domainlm.plan.scaling import Optimum, chinchilla, width_for_depth
from domainlm.plan.verdict import Text, Verdict, of_demonstration, verdict, worth
from domainlm.plan.ways import Law, Way, hours_of_a_hundredth, ways
from model.sizes import flop_per_token, flop_per_token_of_parameters, kv_cache_bytes, parameter_count
from train.config import RunConfig
from train.config_file import ConfigError
from train.engine.placement import Placement, Recomputation, configured_placement
from train.hardware import HardwareConfig, Machine, planned_machine
from train.records.budget import limit
from train.schedule import consumed_samples, doubtful_rate
from train.token_stream import open_stream


@dataclass(frozen=True)
class Plan:
    """The arithmetic of a run; what depends on the shards is empty until they exist.

    `mixture` is each source's share of the run's samples, over all stages; `effective_tokens` what its tokens, the
    repeated ones too, are worth in tokens seen once (None: not known).
    """

    name: str
    parameters: int
    trained_parameters: int
    """Fewer where an adapter is trained beside frozen weights: of its own, and whole embeddings."""
    flop_per_token: float
    tokens: int
    steps: int
    samples: int
    training_flop: float
    hardware_flop: float
    """In terms of 6 N, or of 8 N where blocks are recomputed: what published runs often give."""
    tokens_per_parameter: float
    training_tokens: dict[str, int]
    mixture: dict[str, float]
    epochs: dict[str, float]
    effective_tokens: dict[str, float | None]
    chinchilla: list[Optimum]
    width_for_depth: float
    kv_cache_bytes_per_token: int
    """Of generation in bf16, like `kv_cache_bytes`."""
    kv_cache_bytes: int
    """Of one text of the model's full length."""
    machine: Machine
    hardware: HardwareConfig | None
    """None: planned for this machine."""
    configured: Placement
    micro_batch: int
    memory: StepMemory
    """Of the configured placement and micro-batch."""
    host: HostMemory
    """Of the configured run."""
    fits: list[Fit]
    sequence_ranks: int
    longest_contexts: list[Context]
    """Of the configured placement, by the devices that share a sequence."""
    traffic: Traffic
    costs: Costs
    saving: Saving | None
    save_every: int
    advice: Advice
    doubt: str
    """Of the learning rate; empty where there is none."""
    verdict: Verdict
    ways: list[Way]
    """From scratch, continued, fine-tuned, with retrieval."""
    device_hours_of_a_hundredth: dict[str, float]
    """By source, what 0.01 bits per byte cost at the run's end, as the law has it; empty: not known."""
    budget: tuple[float, str] | None
    """Device-hours that the run may spend, and as people have set it."""


def plan(config: RunConfig, law: Law | None = None) -> Plan:
    """Compute the plan of a run; for this machine's CPU passes of the model are timed, else nothing is built.

    Args:
        law: of the run's bits per byte, as fitted to smaller runs of it; None: what it will reach is not known.
    """
    model, training, hardware = config.model, config.training, config.hardware
    machine = _timed(config, machine_of(config))
    parameters = parameter_count(model)
    samples = consumed_samples(training, training.steps)
    tokens = samples * model.sequence_length
    text = _text(config, samples)
    ideal = costs(config, hardware, machine, lost_share=0)
    saved = saving(config, hardware, machine, ideal.seconds_per_step) if hardware else None
    placement, found = configured_placement(training), fits(config, machine)
    frozen = config.lora is not None
    useful = flop_per_token(model, frozen=frozen)
    spent = costs(config, hardware, machine, saved.lost_share if saved else 0)
    judged = text.judged(config)
    return Plan(
        name=config.name,
        parameters=parameters,
        trained_parameters=trained_count(config),
        flop_per_token=useful,
        tokens=tokens,
        steps=training.steps,
        samples=samples,
        training_flop=useful * tokens,
        hardware_flop=flop_per_token_of_parameters(model, placement.recomputed_blocks(model.layers) > 0, frozen)
        * tokens,
        tokens_per_parameter=tokens / parameters,
        training_tokens=text.unique,
        mixture=text.mixture,
        epochs=text.epochs,
        effective_tokens=worth(judged),
        chinchilla=chinchilla(flop_per_token_of_parameters(model, frozen=frozen) * tokens),
        width_for_depth=width_for_depth(model.layers),
        kv_cache_bytes_per_token=kv_cache_bytes(model, batch=1, tokens=1),
        kv_cache_bytes=kv_cache_bytes(model, batch=1, tokens=model.sequence_length),
        machine=machine,
        hardware=hardware,
        configured=placement,
        micro_batch=training.micro_batch,
        memory=step_memory(config, machine, placement, training.micro_batch),
        host=host_memory(config, machine),
        fits=found,
        sequence_ranks=training.sequence_ranks,
        longest_contexts=longest_contexts(config, machine),
        traffic=traffic(config, hardware, machine, placement, training.micro_batch),
        costs=spent,
        saving=saved,
        save_every=training.save_every,
        advice=advise(config, hardware, machine, found, _computing(config, ideal.seconds_per_step), saved),
        doubt=doubtful_rate(training),
        verdict=_verdict(config, parameters, judged, tokens),
        ways=ways(config, spent, tokens, judged, law),
        device_hours_of_a_hundredth=hours_of_a_hundredth(law, spent.device_hours),
        budget=limit(hardware) if hardware else None,
    )


def _computing(config: RunConfig, seconds_per_step: float) -> dict[Recomputation, float]:
    """Seconds that a step computes, by how much is recomputed; those of the configured way are given."""
    model, placement, frozen = config.model, configured_placement(config.training), config.lora is not None
    useful = flop_per_token(model, frozen=frozen)
    configured = flop_per_token(model, placement.recomputed_blocks(model.layers), frozen=frozen) / useful
    plain = seconds_per_step / configured
    repeated = flop_per_token(model, model.layers, frozen=frozen) / useful
    return {0: plain, "selective": plain * SELECTIVE_COST, 1: plain * repeated}


def _verdict(config: RunConfig, parameters: int, texts: dict[str, Text], tokens: int) -> Verdict:
    weights = {source: source.weight for source in config.data.sources if source.weight is not None}
    share = None
    if weights and not config.data.stages:
        share = sum(weight for source, weight in weights.items() if source.domain) / sum(weights.values())
    judged = verdict(parameters, texts, config.init_from, tokens, share)
    is_demo = all(source.path.startswith("demo://") for source in config.data.sources)
    return of_demonstration(judged) if is_demo else judged


def machine_of(config: RunConfig) -> Machine:
    """The machines that the run's `hardware` section names, or this one."""
    if config.hardware:
        return planned_machine(config.hardware)
    from domainlm.launcher import local_ranks  # these load torch, which a plan for other machines does without
    from train.process import this_machine

    return this_machine(local_ranks(config))


def on_hardware(config: RunConfig, gpu: str | None, gpus: int | None) -> RunConfig:
    """The run on the GPUs that the command line names, over those of its `hardware` section."""
    if gpu is None and gpus is None:
        return config
    if config.hardware is None and gpu is None:
        raise ConfigError("--gpus says how many, not which: add --gpu A100-80GB or a `hardware` section")
    try:
        given = config.hardware.model_dump() if config.hardware else {}
        hardware = HardwareConfig.model_validate(given | ({"gpu": gpu} if gpu else {}))
        return config.model_copy(update={"hardware": hardware.with_gpus(gpus) if gpus else hardware})
    except ValidationError as error:
        raise ConfigError(f"--gpu: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None
    except ValueError as error:
        raise ConfigError(f"--gpus: {error}") from None


def _timed(config: RunConfig, machine: Machine) -> Machine:
    """A CPU with the speed of the run's own steps; there is no data sheet to take it from."""
    if not machine.is_cpu:
        return machine
    from domainlm.plan.measure import measured_flops

    return replace(machine, step_flops=measured_flops(config, machine.devices))


@dataclass(frozen=True)
class _RunText:
    """Each source's text, as the shards have it; empty until they exist."""

    unique: dict[str, int]
    mixture: dict[str, float]
    epochs: dict[str, float]

    def judged(self, config: RunConfig) -> dict[str, Text]:
        domain = {source.name for source in config.data.sources if source.domain}
        return {name: Text(self.unique[name], passes, name in domain) for name, passes in self.epochs.items()}


def _text(config: RunConfig, samples: int) -> _RunText:
    if not (config.shards_are_remote or (config.shards / "manifest.json").exists()):
        return _RunText({}, {}, {})
    stream = open_stream(config)
    epochs = stream.epochs(samples)
    rows = {name: epochs[name] * stream.passes[name] for name in epochs}
    return _RunText(
        unique={name: sum(source.tokens) for name, source in stream.packing.sources.items()},
        mixture={name: count / sum(rows.values()) for name, count in rows.items()},
        epochs=epochs,
    )
