"""What rates, decay, epsilon and initial values are multiplied by, so that those of a small model serve in a large one.

With m = width / width of the small model and d = layers / layers of the small one:

| parameter                                          | initial | rate, decay: AdamW | Muon   | epsilon   |
| -------------------------------------------------- | ------- | ------------------ | ------ | --------- |
| embedding, head                                    | √m      | 1, 1               | –      | 1 / m     |
| gain and bias of the embedding's norm              | 1       | 1                  | –      | 1 / m     |
| gain and bias of the final norm                    | 1 / m   | 1 / m              | –      | 1         |
| matrices of the blocks                             | 1       | 1/m, m             | 1, 1   | 1 / (m d) |
| those that write into the residual stream          | 1 / √d  | 1/(m d), m d       | 1/d, d | 1 / m     |
| gains and biases of the blocks                     | 1       | 1                  | –      | 1 / (m d) |
| those that write into the residual stream          | 1       | 1 / d              | –      | 1 / m     |
| with norms after: their gains and biases           | 1 / d   | 1 / d              | –      | 1 / m     |
| with norms after: the matrices in front of them    | √d      | 1/m, m             | 1, 1   | 1 / (m d) |

`initial` is beside `model.initialise`'s own values, which fall as 1 / √width in every matrix: an embedding's deviation
is that of the small model, whatever the width.

Sources. Width: the maximal update parametrisation (Yang et al. 2022, arXiv 2203.03466, tables 3 and 8). Depth:
CompleteP, α = 1 (Dey et al. 2025, arXiv 2505.01618, table 1), which adds each branch to the residual stream times
1 / d, and has AdamW's epsilon and decay as here. Muon: the spectral condition (Yang et al. 2023, arXiv 2310.17813),
which its factor √max(1, rows / columns) fulfils at any width.

These have multipliers in the forward pass: of the logits by 1 / m, of the branches by 1 / d. Here they stand in weights
that are there anyway, so that models stay of the class that they are exported as: a weight W behind a multiplier c is a
weight c W at c times the rate, decay / c and epsilon / c. That of the logits is the gain of the final norm, and so the
embedding keeps its own scale and rate where the head is tied to it. A head's width stays, so that attention keeps
1 / √head width.
"""

from collections.abc import Callable
from math import sqrt
from typing import Literal, NamedTuple

from model.config import ModelConfig
from model.initialise import RESIDUAL_OUTPUTS
from train.rates.settings import TunedAt


class Factors(NamedTuple):
    """What a parameter's values are times."""

    initial: float = 1.0
    """Standard deviation of a matrix, value of a gain."""
    rate: float = 1.0
    decay: float = 1.0
    """Of the setting, which the rate multiplies."""
    epsilon: float = 1.0


FactorsOf = Callable[[str], Factors]
"""By a parameter's name."""


def as_given(_: str) -> Factors:
    """Nothing is scaled."""
    return Factors()


def carry_over(model: ModelConfig, tuned_at: TunedAt | None, optimizer: Literal["adamw", "muon"]) -> FactorsOf:
    """The factors of each parameter of `model` by the table above; all 1 without `tuned_at`, or at that size."""
    if tuned_at is None:
        return as_given
    wider = model.width / tuned_at.width
    deeper = model.layers / (tuned_at.layers or model.layers)

    def of_block(name: str) -> Factors:
        *_, module, kind = name.split(".")
        is_norm, norms_after = module.endswith("_norm"), model.norm_placement == "after"
        ends_branch = module in ("attention_norm", "feed_forward_norm") if norms_after else module == "output"
        epsilon = 1 / wider if ends_branch else 1 / (wider * deeper)
        added = 1 / deeper if ends_branch else 1.0
        if is_norm:
            return Factors(added, added, 1.0, epsilon)
        if kind == "bias":
            return Factors(1.0, added, 1.0, epsilon)
        initial = added * sqrt(deeper) if name.endswith(RESIDUAL_OUTPUTS) else 1.0
        if optimizer == "muon":
            return Factors(initial, added, 1 / added)
        return Factors(initial, added / wider, wider / added, epsilon)

    def of(name: str) -> Factors:
        if name.startswith("blocks."):
            return of_block(name)
        if name.startswith("final_norm."):
            return Factors(1 / wider, 1 / wider)
        initial = 1.0 if name.startswith("embedding_norm.") else sqrt(wider)
        return Factors(initial, epsilon=1 / wider)

    return of
