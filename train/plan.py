"""What a run will be, before it is started: exact parameters, computation, tokens, steps, passes over each source."""

from dataclasses import dataclass

from data.errors import DataError
from data.stream import TokenStream
from model.sizes import flop_per_token, parameter_count
from train.config import RunConfig
from train.schedule import consumed_samples


@dataclass(frozen=True)
class Plan:
    """The arithmetic of a run; `epochs` and `mixture` are empty until the shards exist."""

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


def plan(config: RunConfig) -> Plan:
    """Compute the plan of a run; touches no GPU and builds no model."""
    parameters = parameter_count(config.model)
    samples = consumed_samples(config.training, config.training.steps)
    tokens = samples * config.model.sequence_length
    per_token = flop_per_token(config.model)
    unique: dict[str, int] = {}
    mixture: dict[str, float] = {}
    epochs: dict[str, float] = {}
    if (config.shards / "manifest.json").exists():
        stream = open_stream(config)
        unique = {name: source.tokens for name, source in stream.manifest.splits["train"].items()}
        mixture, epochs = dict(stream.weights), dict(stream.epochs(samples))
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
    )


def open_stream(config: RunConfig) -> TokenStream:
    """The run's token stream over its shards.

    Raises:
        DataError: the shards are missing or damaged, or were made with a larger vocabulary than the model's.
    """
    weights = {source.name: source.weight for source in config.data.sources if source.weight is not None}
    stream = TokenStream(config.shards, weights or None, config.model.sequence_length, config.seed)
    manifest = stream.manifest
    if manifest.vocabulary_size > config.model.vocabulary_size:
        raise DataError(
            f"{config.shards}: token ids go up to {manifest.vocabulary_size - 1}, but model.vocabulary_size is "
            f"{config.model.vocabulary_size}: set it to {manifest.vocabulary_size} or more"
        )
    return stream


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
        lines.append(f"  {'source':<28} {'unique tokens':>15} {'share':>7} {'passes':>7}")
        for name, passes in planned.epochs.items():
            lines.append(
                f"  {name:<28} {planned.training_tokens[name]:>15,} {planned.mixture[name]:>7.1%} {passes:>7.2f}"
            )
    else:
        lines.append("  passes over each source: known after `domainlm tokenize`")
    return "\n".join(lines)
