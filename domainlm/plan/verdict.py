"""Whether to train from scratch on this text: rules with their sources, as pure functions of sizes, shares and passes.

Each rule is used where it was measured. Text that is most of what a run reads follows the law of repeats of Muennighoff
et al. 2023; a domain that is mixed into general text at up to a tenth follows the studies of 2026, which let it be
passed over far more often. What neither has measured is said to be so.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from domainlm.plan.scaling import (
    MIXED_PASSES,
    MIXED_SHARES,
    NEARLY_FRESH_PASSES,
    REUSED_PASSES,
    TOKENS_PER_PARAMETER,
    effective_tokens,
    short,
    worth_of_next_pass,
)

SMALLEST_USEFUL_TOKENS = 700_000
"""Below this much text a transformer did not beat an n-gram of the same text (measured on the demo's sources)."""

LEAST_SHARE = 0.5
"""Of the text that its parameters call for; with less a model is not to be trained from scratch."""


@dataclass(frozen=True)
class Text:
    """A source's text, in tokens, and what the run makes of it."""

    tokens: int
    passes: float
    is_domain: bool

    @property
    def read(self) -> float:
        """Tokens that the run reads of it, repeats included."""
        return self.tokens * self.passes


@dataclass(frozen=True)
class Verdict:
    """Whether to train this model from scratch on this text."""

    answer: Literal["train", "train, but", "do not", "unknown", "continue", "demonstration"]
    reasons: list[str] = field(default_factory=list)
    """Each with the figures that decide."""
    would_change: list[str] = field(default_factory=list)
    """What would make the answer another one."""


def domain_share(texts: Mapping[str, Text]) -> float:
    """The domain's share of all tokens that are read; 0 where nothing is."""
    everything = sum(text.read for text in texts.values())
    return sum(text.read for text in texts.values() if text.is_domain) / everything if everything else 0.0


def is_mixture(texts: Mapping[str, Text]) -> bool:
    """Whether the domain is mixed into general text at a share that mixtures were measured at, or a smaller one."""
    return domain_share(texts) <= MIXED_SHARES[1]


def worth(texts: Mapping[str, Text]) -> dict[str, float | None]:
    """What each source is worth in tokens seen once; None where that is not known: the repeated domain of a mixture."""
    mixed = is_mixture(texts)
    return {
        name: None
        if mixed and text.is_domain and text.passes > NEARLY_FRESH_PASSES
        else effective_tokens(text.tokens, text.passes)
        for name, text in texts.items()
    }


def verdict(
    parameters: int,
    texts: Mapping[str, Text],
    init_from: str | None = None,
    tokens: int = 0,
    share: float | None = None,
) -> Verdict:
    """Whether training from scratch pays. A run that begins with another model's weights is not asked.

    Rules, the first that holds decides:
    1. Less text than 0.7 M tokens: an n-gram is better.
    2. All text, at four passes, is worth less than half of the 20 tokens a parameter that Chinchilla calls for. General
       text counts: what is repeated is then most of what is read, and of that the law of repeats was measured.
    3. The domain is at most a tenth of what is read: a mixture. It pays at 0.1 to 10 % and up to 50 passes (arXiv
       2603.16177); beyond, nothing was measured.
    4. More than four passes over what is more than that, or fewer than 20 effective tokens a parameter: train, knowing
       what that costs.

    Args:
        texts: what the shards have; empty before there are any.
        tokens: that the run reads.
        share: the domain's by the weights, where these say it.
    """
    if init_from is not None:
        return Verdict("continue", [f"the run begins with the weights of {init_from}"])
    if not texts:
        return _before_the_text_is_counted(parameters, tokens, share)
    everything = sum(text.tokens for text in texts.values())
    if everything < SMALLEST_USEFUL_TOKENS:
        return Verdict(
            "do not",
            [f"{short(everything)} tokens in all: below about {short(SMALLEST_USEFUL_TOKENS)} an n-gram is better"],
            [f"{short(SMALLEST_USEFUL_TOKENS)} tokens and more"],
        )
    if not any(text.is_domain for text in texts.values()):
        return Verdict(
            "unknown",
            ["no source is marked as the domain's, so nothing says what the model is to be a specialist in"],
            ["`domain: true` at the sources of the domain"],
        )
    return _too_little_text(parameters, texts) or _judge_use(parameters, texts)


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


def _before_the_text_is_counted(parameters: int, tokens: int, share: float | None) -> Verdict:
    needed = LEAST_SHARE * TOKENS_PER_PARAMETER * parameters / effective_tokens(1, NEARLY_FRESH_PASSES)
    wanted = [f"training from scratch calls for about {short(needed)} tokens of text or more, general text included"]
    if share is not None:
        passes = MIXED_PASSES[1] if share <= MIXED_SHARES[1] else NEARLY_FRESH_PASSES
        wanted.append(
            f"by its weights {short(tokens * share)} of {short(tokens)} tokens that the run reads are of the domain: "
            f"{passes} passes over {short(tokens * share / passes)}"
        )
    return Verdict("unknown", ["no shards yet: `domainlm tokenize` counts the text"], wanted)


def _too_little_text(parameters: int, texts: Mapping[str, Text]) -> Verdict | None:
    everything = sum(text.tokens for text in texts.values())
    available = effective_tokens(everything, NEARLY_FRESH_PASSES)
    wanted = LEAST_SHARE * TOKENS_PER_PARAMETER * parameters
    if available >= wanted:
        return None
    missing = (wanted - available) / effective_tokens(1, NEARLY_FRESH_PASSES)
    return Verdict(
        "do not",
        [
            f"{short(everything)} tokens of text are worth {short(available)} at {NEARLY_FRESH_PASSES} passes "
            f"(Muennighoff et al. 2023); {short(parameters)} parameters call for {short(wanted)} (half of "
            f"{TOKENS_PER_PARAMETER} each)",
            "a general model has learnt from far more, and is trained further on the same text: on court opinions a "
            "model from scratch did not match that (arXiv 2606.28538)",
        ],
        [
            f"{short(missing)} more tokens of any text, general text too: a domain mixed in at 0.1 to 10 % may be "
            "passed over 10 to 50 times (arXiv 2603.16177)",
            f"{short(available / (LEAST_SHARE * TOKENS_PER_PARAMETER))} parameters or fewer",
            "a reason against every general model: licence, provenance of its text, held-out dates that it has seen, "
            "a language or notation that its tokenizer breaks up",
        ],
    )


def _judge_use(parameters: int, texts: Mapping[str, Text]) -> Verdict:
    mixed = is_mixture(texts)
    grounds, doubts, change = _judge_mixture(texts) if mixed else ([], [], [])
    everything = sum(text.read for text in texts.values())
    for name, text in texts.items():
        if (mixed and text.is_domain) or text.passes <= NEARLY_FRESH_PASSES:
            continue
        share = text.read / everything
        more = "" if share >= 0.5 else "; beside so much other text repeats may be worth more (arXiv 2605.12715)"
        doubts.append(
            f"{name} is passed over {text.passes:.1f} times: a further pass is worth "
            f"{worth_of_next_pass(text.passes):.0%} of new text (Muennighoff et al. 2023, on text repeated as the "
            f"whole corpus; here it is {share:.0%} of what is read){more}"
        )
        change.append(_lighter(name, NEARLY_FRESH_PASSES / text.passes))
    # Of a mixture's domain this is the least that it may be worth; it is a tenth of all at most.
    new = sum(effective_tokens(text.tokens, text.passes) for text in texts.values())
    ratio = new / parameters
    if ratio < TOKENS_PER_PARAMETER:
        doubts.append(
            f"{ratio:.1f} effective tokens a parameter, Chinchilla's optimum has {TOKENS_PER_PARAMETER}: a smaller "
            "model would be as good at the same computation"
        )
        change.append(f"{short(new / TOKENS_PER_PARAMETER)} parameters, or {short(20 * parameters)} effective tokens")
    return Verdict("train, but" if doubts else "train", [*doubts, *grounds], change)


def _judge_mixture(texts: Mapping[str, Text]) -> tuple[list[str], list[str], list[str]]:
    """What speaks for a small share of the domain, what against it, and what would change that."""
    share, domain = domain_share(texts), {name: text for name, text in texts.items() if text.is_domain}
    least, most = MIXED_PASSES
    if share < MIXED_SHARES[0]:
        return (
            [],
            [f"the domain is {share:.2g} of what is read: less than 0.1 % was not measured (arXiv 2603.16177)"],
            ["larger weights of the domain's sources"],
        )
    grounds = [
        f"the domain is {share:.1%} of what is read: at 0.1 to 10 % from the first step, passed over {least} to {most} "
        "times, it paid (arXiv 2603.16177, three domains)"
    ]
    doubts, change = [], []
    for name, text in domain.items():
        if text.passes > most:
            doubts.append(f"{name} is passed over {text.passes:.0f} times: beyond {most} no mixture was measured")
            change.append(_lighter(name, most / text.passes))
        elif text.passes > REUSED_PASSES[1]:
            grounds.append(
                f"{name} is passed over {text.passes:.0f} times: another study reused such text "
                f"{REUSED_PASSES[0]} to {REUSED_PASSES[1]} times (arXiv 2605.12715), so watch its held-out bits"
            )
        elif text.passes < least:
            grounds.append(f"{name} is passed over {text.passes:.1f} times: its weight may grow")
    return grounds, doubts, change


def _lighter(name: str, factor: float) -> str:
    return f"a weight of {name} at {factor:.2f} of what it is, or more text"
