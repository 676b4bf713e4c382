"""The four ways to a specialist side by side: what each would cost here, and what is known of what it would reach.

Costs are arithmetic on tokens and the speed of the plan. Bits per byte are a law's that was fitted to smaller runs of
this one, or not known: the published laws are of other text and other tokenizers, or of benchmarks.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from domainlm.plan.costs import Costs
from domainlm.plan.scaling import short
from domainlm.plan.verdict import Text
from model.sizes import flop_per_token
from train.config import RunConfig
from train.config_file import load_config
from train.schedule import consumed_samples

Law = Callable[[float], Mapping[str, float]]
"""Share of the planned run's computation, in model and text alike → bits per byte of each held-out text."""

LAST_PART = 0.1
"""Share of a run's computation, at its end, over which the fall of its bits per byte is taken."""

CONTINUED = (
    "of the gain on 400 M tokens of SEC filings most came in the first 200 M (arXiv 2512.12384, 1 and 3 B parameters); "
    "on court opinions a model from scratch did not match it (arXiv 2606.28538, encoders)"
)
FINE_TUNED = (
    "changes how a model answers more than what it knows; domain text kept for it alone is learnt by heart sooner than "
    "text that was mixed in from the start (arXiv 2603.16177)"
)
RETRIEVED = (
    "trains nothing: an index of the passages, made by a CPU, stands beside any model. It brings most where little was "
    "pretrained and the model is small (arXiv 2604.00715, 30 M to 3 B parameters, on benchmarks)"
)


@dataclass(frozen=True)
class Way:
    """One way to a specialist, on the plan's hardware."""

    name: Literal["scratch", "continue", "fine-tune", "retrieve"]
    says: str
    """What was reckoned, and what is known of it."""
    tokens: float | None = None
    """That are trained on; None, as below: not known."""
    device_hours: float | None = None
    days: float | None = None
    money: float | None = None
    kilowatt_hours: float | None = None
    bits_per_byte: dict[str, float] = field(default_factory=dict)
    """Predicted, by source; empty: not known."""


def ways(config: RunConfig, planned: Costs, tokens: int, texts: Mapping[str, Text], law: Law | None) -> list[Way]:
    """From scratch, continued, fine-tuned and with retrieval.

    Args:
        planned: of the configured run.
        tokens: that it is trained on.
        texts: of the sources; empty before they are counted.
        law: fitted to smaller runs of this one; None: there is none.
    """
    own, frozen = flop_per_token(config.model), config.lora is not None
    run = flop_per_token(config.model, frozen=frozen) * tokens

    def way(name: Literal["scratch", "continue", "fine-tune"], says: str, of: float | None, flop: float) -> Way:
        if of is None:
            return Way(name, says)
        share = flop * of / run
        return Way(
            name,
            says,
            of,
            planned.device_hours * share,
            planned.days * share,
            None if planned.money is None else planned.money * share,
            None if planned.kilowatt_hours is None else planned.kilowatt_hours * share,
            dict(law(1.0)) if law and name == "scratch" else {},
        )

    examples, flop_of_examples = _examples(config)
    if config.init_from is None:
        continued, flop = sum(text.tokens for text in texts.values() if text.is_domain) or None, own
        reckoned = (
            "one pass over the domain's text with a general model of this size (another's costs go by its size); "
        )
    else:
        continued, flop, reckoned = tokens, run / tokens, "this run; "
    begun = "this run" if config.init_from is None else "this model from random weights on as many tokens"
    if law is None:
        begun += "; `domainlm ladder` predicts what it reaches from smaller runs of it; published laws do not"
    counted = "" if examples else "`domainlm finetune` counts the examples of the `finetune` section; it "
    trains_nothing = 0.0
    return [
        way("scratch", begun, tokens, own),
        way("continue", reckoned + CONTINUED, continued, flop),
        way("fine-tune", counted + FINE_TUNED, examples, flop_of_examples),
        Way(
            "retrieve",
            RETRIEVED,
            trains_nothing,
            trains_nothing,
            trains_nothing,
            None if planned.money is None else trains_nothing,
            None if planned.kilowatt_hours is None else trains_nothing,
        ),
    ]


def _examples(config: RunConfig) -> tuple[int | None, float]:
    """Tokens of the fine-tuning that the `finetune` section describes and FLOP of each; None before it is prepared."""
    wanted = config.finetune
    if wanted is None:
        return None, 0.0
    folder = Path(wanted.folder) if wanted.folder else config.run_folder / "finetune" / wanted.name
    file = folder / "config.yaml"
    if not file.exists():
        return None, 0.0
    derived = load_config(file)
    tokens = consumed_samples(derived.training, derived.training.steps) * derived.model.sequence_length
    return tokens, flop_per_token(derived.model, frozen=derived.lora is not None)


def hours_of_a_hundredth(law: Law | None, device_hours: float) -> dict[str, float]:
    """Device-hours for which 0.01 bits per byte are had at the size of a run, by held-out text, as a law has it.

    Texts whose bits per byte it sees fall no more are left out, and without a law all.
    """
    if law is None:
        return {}
    end, before = law(1.0), law(1 - LAST_PART)
    fallen = {source: before[source] - bits for source, bits in end.items()}
    return {source: 0.01 * LAST_PART * device_hours / fall for source, fall in fallen.items() if fall > 0}


def said_tokens(way: Way) -> str:
    """What is trained on, for people."""
    if way.tokens is None:
        return "not known"
    return f"{short(way.tokens)} tokens" if way.tokens else "nothing"
