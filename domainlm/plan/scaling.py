"""Laws and measurements that a plan is judged by, each with what it was measured on."""

import math
from dataclasses import dataclass

REPEATS_WORTH = 15.39
"""R* of `effective_tokens`: repeats lose half of their worth in about 0.7 R* passes."""

NEARLY_FRESH_PASSES = 4
"""Up to here repeated text is worth nearly what fresh text is (Muennighoff et al. 2023)."""

MIXED_SHARES = (0.001, 0.1)
"""Share of the domain in all that is read at which mixing it in from the first step paid (arXiv 2603.16177).

Measured on chemistry, music and proofs mixed into web text.
"""

MIXED_PASSES = (10, 50)
"""Passes over the domain's text at which it did there."""

REUSED_PASSES = (15, 20)
"""How often another study of mixtures found scarce text reusable, by its amount, budget and size (arXiv 2605.12715)."""

TOKENS_PER_PARAMETER = 20
"""What Chinchilla's optimum comes to at budgets of 1e21 to 1e23 FLOP (Hoffmann et al. 2022)."""


@dataclass(frozen=True)
class Optimum:
    """The model and the text that make the best of a budget."""

    approach: int
    parameters: float
    tokens: float


_FITS = {1: ((0.49810, -1.00367), (0.50185, 0.22945)), 2: ((0.48994, -0.83900), (0.51002, 0.06174))}
"""Approach → (slope, offset) of log10 of parameters and of tokens against log10 of FLOP."""


def chinchilla(training_flop: float) -> list[Optimum]:
    """The optimum by approaches 1 and 2 of Hoffmann et al. 2022, their tables fitted anew (arXiv 2303.17564 §3.2)."""
    budget = math.log10(training_flop)
    return [
        Optimum(approach, *(10 ** (slope * budget + offset) for slope, offset in fit))
        for approach, fit in _FITS.items()
    ]


def effective_tokens(unique: float, epochs: float) -> float:
    """What repeated tokens are worth in tokens seen once: U (1 + R* (1 - exp(-R / R*))), R = epochs - 1, R* = 15.39.

    Muennighoff et al. 2023, "Scaling Data-Constrained Language Models", equation 5, measured on text that is repeated
    as the whole corpus. Up to one pass, what was seen.
    """
    if epochs <= 1:
        return unique * epochs
    return unique * (1 - REPEATS_WORTH * math.expm1(-(epochs - 1) / REPEATS_WORTH))


def worth_of_next_pass(epochs: float) -> float:
    """What a further pass is worth after so many, in passes over new text: the slope of `effective_tokens`."""
    return math.exp(-max(0.0, epochs - 1) / REPEATS_WORTH)


def width_for_depth(layers: int) -> float:
    """The width that suits a depth: exp(5.039) exp(0.0555 L) (Levine et al. 2020)."""
    return math.exp(5.039 + 0.0555 * layers)


def short(number: float) -> str:
    """A count in three figures and a word people use: 569 B, 8.3 M, 700 k."""
    for size, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= 0.9995 * size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.3g}"
