"""What a run will be, before it is started: exact parameters, computation, tokens, steps, passes over each source."""

import math
from dataclasses import dataclass

from data.errors import DataError
from data.shard_cache import open_cache
from data.stream import TokenStream
from model.sizes import flop_per_token, parameter_count
from train.config import RunConfig
from train.schedule import consumed_samples

REPEATS_WORTH = 15.39
"""R* of `effective_tokens`: repeats lose half of their worth in about 0.7 R* passes."""


@dataclass(frozen=True)
class Plan:
    """The arithmetic of a run; what depends on the shards is empty until they exist.

    `mixture` is each source's share of the run's samples, over all stages; `effective_tokens` what its tokens, the
    repeated ones too, are worth in tokens seen once.
    """

    name: str
    parameters: int
    flop_per_token: float
    tokens: int
    steps: int
    samples: int
    training_flop: float
    tokens_per_parameter: float
    training_tokens: dict[str, int]
    mixture: dict[str, float]
    epochs: dict[str, float]
    effective_tokens: dict[str, float]


def plan(config: RunConfig) -> Plan:
    """Compute the plan of a run; touches no GPU and builds no model."""
    parameters = parameter_count(config.model)
    samples = consumed_samples(config.training, config.training.steps)
    tokens = samples * config.model.sequence_length
    per_token = flop_per_token(config.model)
    unique: dict[str, int] = {}
    mixture: dict[str, float] = {}
    epochs: dict[str, float] = {}
    if config.shards_are_remote or (config.shards / "manifest.json").exists():
        stream = open_stream(config)
        unique = {name: sum(source.tokens) for name, source in stream.packing.sources.items()}
        epochs = stream.epochs(samples)
        rows = sum(epochs[name] * stream.passes[name] for name in epochs)
        mixture = {name: epochs[name] * stream.passes[name] / rows for name in epochs}
    return Plan(
        name=config.name,
        parameters=parameters,
        flop_per_token=per_token,
        tokens=tokens,
        steps=config.training.steps,
        samples=samples,
        training_flop=per_token * tokens,
        tokens_per_parameter=tokens / parameters,
        training_tokens=unique,
        mixture=mixture,
        epochs=epochs,
        effective_tokens={name: effective_tokens(unique[name], passes) for name, passes in epochs.items()},
    )


def open_stream(config: RunConfig) -> TokenStream:
    """The run's token stream over its shards.

    Raises:
        DataError: the shards are missing or damaged, have a larger vocabulary than the model, are not packed for its
            sequence length, or a source would be passed over more often than it may be.
    """
    data, training, length = config.data, config.training, config.model.sequence_length
    weights = {source.name: source.weight for source in data.sources if source.weight is not None}
    cache = None
    if data.shards and config.shards_are_remote:
        room = int(data.cache_gigabytes * 1e9)
        cache = open_cache(data.shards, config.shards, room, data.packing, length)
    stream = TokenStream(
        config.shards,
        weights or None,
        length,
        config.seed,
        policy=data.packing,
        stages={consumed_samples(training, stage.from_step - 1): stage.weights for stage in data.stages},
        reshuffles={consumed_samples(training, step - 1): seed for step, seed in data.reshuffles.items()},
        cache=cache,
    )
    if stream.packing.vocabulary_size > config.model.vocabulary_size:
        raise DataError(
            f"{config.shards}: token ids go up to {stream.packing.vocabulary_size - 1}, but model.vocabulary_size is "
            f"{config.model.vocabulary_size}: set it to {stream.packing.vocabulary_size} or more"
        )
    _check_epochs(config, stream)
    return stream


def _check_epochs(config: RunConfig, stream: TokenStream) -> None:
    epochs = stream.epochs(consumed_samples(config.training, config.training.steps))
    for source in config.data.sources:
        passes, most = epochs.get(source.name, 0.0), source.maximum_epochs
        if most is not None and passes > most:
            raise DataError(
                f"source '{source.name}' would be passed over {passes:.2f} times, its maximum_epochs is {most:g}: "
                "lower its weight or training.steps, or raise the maximum"
            )


def effective_tokens(unique: float, epochs: float) -> float:
    """What repeated tokens are worth in tokens seen once: U (1 + R* (1 - exp(-R / R*))), R = epochs - 1, R* = 15.39.

    Muennighoff et al. 2023, "Scaling Data-Constrained Language Models", equation 5. Up to one pass, what was seen.
    """
    if epochs <= 1:
        return unique * epochs
    return unique * (1 - REPEATS_WORTH * math.expm1(-(epochs - 1) / REPEATS_WORTH))


def describe(planned: Plan) -> str:
    """The plan as a table for people."""
    rows = [
        ("parameters", f"{planned.parameters:,}"),
        ("steps", f"{planned.steps:,}"),
        ("tokens", f"{planned.tokens:,}  ({planned.tokens_per_parameter:.1f} per parameter)"),
        ("FLOP per token", f"{planned.flop_per_token:.4g}"),
        ("FLOP in all", f"{planned.training_flop:.4g}"),
    ]
    lines = [f"{planned.name}", *(f"  {name:<15} {value}" for name, value in rows)]
    if planned.epochs:
        lines.append(f"  {'source':<28} {'unique tokens':>15} {'share':>7} {'passes':>7} {'worth in new tokens':>20}")
        for name, passes in planned.epochs.items():
            lines.append(
                f"  {name:<28} {planned.training_tokens[name]:>15,} {planned.mixture[name]:>7.1%} {passes:>7.2f} "
                f"{planned.effective_tokens[name]:>20,.0f}"
            )
    else:
        lines.append("  passes over each source: known after `domainlm tokenize`")
    return "\n".join(lines)
