"""What to set, and whether to train from scratch at all: rules with their sources, as pure functions of the plan.

Training from scratch is a last resort. It pays where there is so much text of the domain that a model cannot have it by
other means; otherwise a general model that is trained further on the same text is better and cheaper.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from domainlm.plan.costs import Saving, traffic
from domainlm.plan.placement import Fit
from domainlm.plan.scaling import NEARLY_FRESH_PASSES, REPEATS_WORTH, TOKENS_PER_PARAMETER, effective_tokens
from train.config import RunConfig
from train.engine.placement import Placement, Recomputation, configured_placement
from train.hardware import HardwareConfig, Machine

SMALLEST_USEFUL_TOKENS = 700_000
"""Below this much text a transformer did not beat an n-gram of the same text (measured on the demo's sources)."""

DOMAIN_SHARE = 0.5
"""Share of the text that its parameters call for which must be the domain's."""

SELECTIVE_COST = 1.03
"""A step under `selective` over one without recomputation: moving some 40 D bytes a token and block again, beside 72 D²
operations, takes 1 to 3 % from a width of 2,000 on."""


@dataclass(frozen=True)
class Text:
    """A source's text, in tokens, and what the run makes of it."""

    tokens: int
    passes: float
    is_domain: bool


@dataclass(frozen=True)
class Verdict:
    """Whether to train this model from scratch on this text."""

    answer: Literal["train", "train, but", "do not", "unknown", "continue", "demonstration"]
    reasons: list[str] = field(default_factory=list)
    """Each with the figures that decide."""
    would_change: list[str] = field(default_factory=list)
    """What would make the answer another one."""


@dataclass(frozen=True)
class Advice:
    """Settings that suit the machine."""

    placement: Placement | None
    """None: the model does not fit in any way."""
    micro_batch: int
    save_every: int | None
    """None without a `hardware` section."""
    seconds_per_step: float
    """With recomputation, and traffic where it takes longer than computation."""


def advise(
    config: RunConfig,
    hardware: HardwareConfig | None,
    machine: Machine,
    found: Sequence[Fit],
    computing: Mapping[Recomputation, float],
    saved: Saving | None,
) -> Advice:
    """The placement with the fastest step, which takes the longer of computation and traffic between machines.

    What needs no offload comes first; of equals (to 3 %) what is configured, then the lower stage, then what would be
    fastest if no traffic hid behind computation.

    Args:
        computing: seconds that a step computes, by how much is recomputed.
    """

    def parts(fit: Fit) -> tuple[float, float]:
        moved = traffic(config, hardware, machine, fit.placement, fit.micro_batch)
        return computing[fit.placement.recompute], moved.seconds_between_nodes

    def order(fit: Fit) -> tuple[int, int, bool, int, float]:
        placement = fit.placement
        offloaded = ("none", "optimizer", "optimizer, parameters").index(placement.offload)
        slower = int(math.log(max(parts(fit)) / fastest) / 0.03)
        return offloaded, slower, placement != configured, placement.zero_stage, sum(parts(fit))

    fitting = [fit for fit in found if fit.micro_batch]
    save_every = saved.interval_steps if saved else None
    if not fitting:
        return Advice(None, 0, save_every, 0.0)
    fastest, configured = min(max(parts(fit)) for fit in fitting), configured_placement(config.training)
    best = min(fitting, key=order)
    return Advice(best.placement, best.micro_batch, save_every, max(parts(best)))


def verdict(parameters: int, texts: Mapping[str, Text], init_from: str | None = None) -> Verdict:
    """Whether training from scratch pays. A run that begins with another model's weights is not asked.

    Rules, the first that holds decides:
    1. Less text than 0.7 M tokens: an n-gram is better.
    2. The domain's text, at four passes, gives less than half of the 20 tokens a parameter that Chinchilla calls for:
       most of what the model would learn is general, which published models know from a hundred times the computation.
       Training one of them further needs only the domain's text (Gururangan et al. 2020; Ibrahim et al. 2024), and such
       models have passed BloombergGPT on most of its own tasks.
    3. More than 4 passes over a source, or fewer than 20 effective tokens a parameter: train, knowing what that costs.
    """
    if init_from is not None:
        return Verdict("continue", [f"the run begins with the weights of {init_from}"])
    if not texts:
        needed = DOMAIN_SHARE * TOKENS_PER_PARAMETER * parameters / effective_tokens(1, NEARLY_FRESH_PASSES)
        return Verdict(
            "unknown",
            ["no shards yet: `domainlm tokenize` counts the text"],
            [f"training from scratch calls for about {short(needed)} tokens of the domain's own text or more"],
        )
    domain = sum(text.tokens for text in texts.values() if text.is_domain)
    everything = sum(text.tokens for text in texts.values())
    if everything < SMALLEST_USEFUL_TOKENS:
        return Verdict(
            "do not",
            [f"{short(everything)} tokens in all: below about {short(SMALLEST_USEFUL_TOKENS)} an n-gram is better"],
            [f"{short(SMALLEST_USEFUL_TOKENS)} tokens and more"],
        )
    if refused := _too_little_of_the_domain(parameters, domain, any(text.is_domain for text in texts.values())):
        return refused
    return _judge_use(parameters, texts)


def of_demonstration(judged: Verdict) -> Verdict:
    """What is said instead of the verdict on a run on demo texts alone, which shows the stages and makes no product."""
    would = "; ".join(judged.reasons) or "there is text enough"
    return Verdict(
        "demonstration",
        [
            "it shows every stage on public text, in minutes: the model is to be looked at, not to be put to use",
            f"of a model for use the same plan would say `{judged.answer}`: {would}",
        ],
    )


def _too_little_of_the_domain(parameters: int, domain: int, is_marked: bool) -> Verdict | None:
    worth = effective_tokens(domain, NEARLY_FRESH_PASSES)
    wanted = DOMAIN_SHARE * TOKENS_PER_PARAMETER * parameters
    if worth >= wanted:
        return None
    if not is_marked:
        return Verdict(
            "unknown",
            ["no source is marked as the domain's, so nothing says what the model is to be a specialist in"],
            ["`domain: true` at the sources of the domain"],
        )
    missing = (wanted - worth) / effective_tokens(1, NEARLY_FRESH_PASSES)
    return Verdict(
        "do not",
        [
            f"{short(domain)} tokens of the domain are worth {short(worth)} at {NEARLY_FRESH_PASSES} passes; "
            f"{short(parameters)} parameters call for {short(wanted)} (half of {TOKENS_PER_PARAMETER} a parameter)",
            "the rest would be general text, which published models have learnt from far more of: "
            "train one of them further on the domain's text instead",
        ],
        [
            f"{short(missing)} more tokens of the domain, or {short(worth / (DOMAIN_SHARE * TOKENS_PER_PARAMETER))} "
            "parameters or fewer",
            "a reason against every general model: licence, provenance of its text, held-out dates that it has seen, "
            "a language or notation that its tokenizer breaks up",
        ],
    )


def _judge_use(parameters: int, texts: Mapping[str, Text]) -> Verdict:
    worth = sum(effective_tokens(text.tokens, text.passes) for text in texts.values())
    ratio = worth / parameters
    reasons, change = [], []
    for name, text in texts.items():
        if text.passes > REPEATS_WORTH + 1:
            reasons.append(f"{name} is passed over {text.passes:.0f} times: beyond 16 passes text is worth nothing new")
        elif text.passes > NEARLY_FRESH_PASSES:
            reasons.append(f"{name} is passed over {text.passes:.1f} times: beyond 4 repeats lose worth")
        if text.passes > NEARLY_FRESH_PASSES:
            change.append(f"a weight of {name} at {NEARLY_FRESH_PASSES / text.passes:.2f} of what it is, or more text")
    if ratio < TOKENS_PER_PARAMETER:
        reasons.append(
            f"{ratio:.1f} effective tokens a parameter, Chinchilla's optimum has {TOKENS_PER_PARAMETER}: a smaller "
            "model would be as good at the same computation"
        )
        change.append(f"{short(worth / TOKENS_PER_PARAMETER)} parameters, or {short(20 * parameters)} effective tokens")
    return Verdict("train, but" if reasons else "train", reasons, change)


def short(number: float) -> str:
    """A count in three figures and a word people use: 569 B, 8.3 M, 700 k."""
    for size, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= 0.9995 * size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.3g}"
