"""Which small runs a ladder has: the planned run made narrower, shallower and shorter by one rule.

Every rung is a whole run with a schedule of its own: what a long run has learnt by a step, before its rate has come
down, is no point of a law. All rungs read as many tokens a parameter as the planned run, in the same order from the
same shards, so that they lie on one line to it.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from domainlm.ladder.arguments import FEWEST, LARGEST_SHARE
from domainlm.ladder.small_runs import without_the_rest
from model.config import ModelConfig
from model.sizes import flop_per_token, parameter_count
from train.config import RunConfig
from train.config_file import ConfigError
from train.schedule import consumed_samples

SPACING = 3
"""A rung has this many times the computation of the one below, about."""
BATCH_EXPONENT, RATE_EXPONENT = 0.3271, -0.1250
"""Batch size and learning rate in computation (DeepSeek LLM, arXiv 2401.02954, section 3.1), from the planned run's."""
MOST_ASPECT = 2
"""How far the layers by width may be from the planned model's."""
ASPECT_COUNTS = 0.5
"""What a step of ln(layers by width) weighs beside one of ln computation where a shape is chosen."""


@dataclass(frozen=True)
class Rung:
    """A small run: its model, and how it is trained."""

    model: ModelConfig
    training: dict[str, Any]
    """What differs from the planned run's section, as JSON values."""
    stages: list[int]
    """The step from which each of data.stages holds."""
    parameters: int


def choose_rungs(config: RunConfig, number: int, largest: float = LARGEST_SHARE, ranks: int = 1) -> list[Rung]:
    """The rungs, the smallest first; fewer than `number` where the planned model is too small for so many.

    Args:
        largest: share of the planned run's computation that no rung exceeds.
        ranks: of this machine; a rung takes as many of them as its batch can be divided over.

    Raises:
        ConfigError: fewer than three models with heads of this width are that small.
    """
    planned = _flop(config.model, tokens_of(config))
    tokens_per_parameter = tokens_of(config) / parameter_count(config.model)
    shapes = [
        (_flop(shape, tokens_per_parameter * parameter_count(shape)) / planned, aspect, shape)
        for shape, aspect in shapes_below(config.model)
    ]
    chosen: list[tuple[float, ModelConfig]] = []
    limit = target = largest
    for _ in range(number):
        fitting = [each for each in shapes if each[0] <= limit]
        if not fitting:
            break
        share, _, shape = min(
            fitting, key=lambda each: abs(math.log(each[0] / target)) + ASPECT_COUNTS * abs(math.log(each[1]))
        )
        chosen.append((share, shape))
        target, limit = share / SPACING, share / math.sqrt(SPACING)
    if len(chosen) < FEWEST:
        raise ConfigError(
            f"ladder: only {len(chosen)} models of this kind, with heads of {config.model.head_width}, need at most "
            f"{largest:g} of the planned run's computation, and a law needs {FEWEST}: raise --largest, or plan a "
            "larger model"
        )
    return [_rung(config, shape, share, ranks) for share, shape in reversed(chosen)]


def tokens_of(config: RunConfig) -> int:
    return consumed_samples(config.training, config.training.steps) * config.model.sequence_length


def _flop(model: ModelConfig, tokens: float) -> float:
    return flop_per_token(model) * tokens


def shapes_below(model: ModelConfig) -> Iterator[tuple[ModelConfig, float]]:
    """Narrower models with heads of the same width, and their layers by width as a multiple of the planned model's."""
    shared = model.heads // model.key_value_heads
    for heads in range(1, model.heads):
        width, rest = divmod(model.width * heads, model.heads)
        if rest or heads % min(shared, heads):
            continue
        suited = model.layers * heads / model.heads
        fewest, most = (round(end, 9) for end in (suited / MOST_ASPECT, suited * MOST_ASPECT))
        for layers in range(max(1, math.ceil(fewest)), math.floor(most) + 1):
            yield (
                model.model_copy(
                    update={
                        "layers": layers,
                        "width": width,
                        "heads": heads,
                        "key_value_heads": heads // min(shared, heads),
                        "feed_forward_width": max(1, round(model.feed_forward_width * heads / model.heads)),
                    }
                ),
                layers / suited,
            )


def _rung(config: RunConfig, model: ModelConfig, share: float, ranks: int) -> Rung:
    planned, parameters = config.training, parameter_count(model)
    wanted = tokens_of(config) * parameters / parameter_count(config.model) / model.sequence_length
    sizes = {first / planned.steps: scaled_batch(size, share) for first, size in planned.batch_sizes.items()}
    ends = [*list(sizes)[1:], 1.0]
    mean = sum((end - first) * size for (first, size), end in zip(sizes.items(), ends, strict=True))
    steps = max(2, round(wanted / mean))
    used = math.gcd(ranks, *sizes.values())
    a_rank = math.gcd(*sizes.values()) // used
    factor = 1.0 if planned.tuned_at else share**RATE_EXPONENT
    training: dict[str, Any] = {
        "steps": steps,
        "batch_size": {round(first * steps): size for first, size in sizes.items()},
        "micro_batch": max(part for part in range(1, planned.micro_batch + 1) if a_rank % part == 0),
        "learning_rate": planned.learning_rate * factor,
        "minimum_learning_rate": planned.minimum_learning_rate * factor,
        "warmup_steps": min(steps - 1, round(planned.warmup_steps * steps / planned.steps)),
        "local_ranks": used,
        "keep_best": None,
    }
    stages = [max(1, round(stage.from_step * steps / planned.steps)) for stage in config.data.stages]
    return Rung(model, training, stages, parameters)


def scaled_batch(size: int, share: float) -> int:
    """Sequences of a batch for this share of computation, with three binary digits, so that ranks can divide it."""
    wanted = size * share**BATCH_EXPONENT
    unit = 1 << max(0, math.floor(math.log2(max(1.0, wanted))) - 2)
    return int(max(1, round(wanted / unit)) * unit)


def rate_notes(config: RunConfig) -> list[str]:
    """Which rates do not go by the exponents above: what is carried over, and Muon's, of which none is published."""
    if tuned_at := config.training.tuned_at:
        depth = f" and {tuned_at.layers} layers" if tuned_at.layers else ""
        return [f"rates: carried over to every rung from a model of width {tuned_at.width}{depth}, at any batch size"]
    if config.training.optimizer != "muon":
        return []
    rate = config.training.muon.learning_rate
    return [f"rates: Muon's is {rate:g} in every rung, as in the planned run; AdamW's goes by the rung's computation"]


def derive(config: RunConfig, rung: Rung) -> dict[str, Any]:
    """The configuration of a rung's run, as JSON values: the planned run's text, its own size and schedule."""
    stages = [
        stage.model_dump(mode="json") | {"from_step": first}
        for stage, first in zip(config.data.stages, rung.stages, strict=True)
    ]
    return without_the_rest(config, "ladder", rung.training, {"stages": stages}) | {
        "name": f"{config.name}-rung-{rung.parameters}",
        "model": rung.model.model_dump(mode="json"),
    }
