"""How much of a planted secret a model has kept: its exposure (Carlini et al. 2019, The Secret Sharer, 1802.08232, §4).

A canary's rank is its place among other secrets that could as well have been planted, ordered by how likely the model
finds each one's text. Its exposure is log₂ of the number of candidates, itself among them, less log₂ of the rank: 0
for the last, and the most there can be for the first. All secrets would be too many, so that the candidates are drawn:
where a canary comes before all of them, its exposure is what is given or more. Nothing is extrapolated.
"""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from data.config import CanariesConfig
from data.corpus.canaries import Canary
from data.progress import progress
from data.shards.format import EncodedDocument
from evaluation.audit.memorisation import Likeliest
from evaluation.audit.rates import rate
from evaluation.bits_per_byte import score_encoded
from evaluation.language_model import LanguageModel

CANDIDATES = 1_000
"""For each canary, itself among them: exposures up to log₂ 1,000 = 9.97 bits."""


@dataclass(frozen=True)
class Asked:
    """What the model says of one canary.

    Attributes:
        rank: 1 for the likeliest of the candidates; those that are as likely come before it.
        written: whether the likeliest token each time, behind the form's beginning, writes the secret.
    """

    rank: int
    written: bool

    @property
    def exposure(self) -> float:
        """In bits."""
        return math.log2(CANDIDATES / self.rank)


def ask(canary: Canary, config: CanariesConfig, model: LanguageModel, likeliest: Likeliest, seed: int) -> Asked:
    """Where a canary stands among others of its form, drawn with the seed, each with the same account."""
    drawn = random.Random(f"{seed}:{canary.account}").sample(range(10**config.digits), CANDIDATES)
    others = [code for number in drawn if (code := f"{number:0{config.digits}d}") != canary.code][: CANDIDATES - 1]
    encoded = [np.asarray(model.encode(canary.text(config.form, code)), np.int64) for code in (canary.code, *others)]
    scores = score_encoded(
        model.token_losses,
        [EncodedDocument("", None, ids[1:].astype(np.uint64), 1, int(ids[0])) for ids in encoded],
        window=model.window,
        batch_tokens=max(model.batch_tokens, model.window),
        shown=False,
    )
    own, *rest = (score.nats for score in scores)
    ids = encoded[0]
    begin = min(_common(ids, other) for other in encoded[1:])  # the secret's first token
    written = likeliest(ids[None, -model.window - 1 : -1])[0]
    return Asked(1 + sum(nats <= own for nats in rest), bool((written[begin - len(ids) :] == ids[begin:]).all()))


def _common(ids: np.ndarray, other: np.ndarray) -> int:
    """Tokens that both begin with."""
    shorter = min(len(ids), len(other))
    differing = np.flatnonzero(ids[:shorter] != other[:shorter])
    return int(differing[0]) if len(differing) else shorter


def measure_exposure(
    canaries: Sequence[Canary],
    config: CanariesConfig,
    model: LanguageModel,
    likeliest: Likeliest,
    times_seen: Callable[[Canary], float],
    seed: int,
) -> dict[str, Any]:
    """The `canaries` of audit.json: exposures by how often a canary was planted, 0 for those that never were."""
    asked = [
        ask(canary, config, model, likeliest, seed)
        for canary in progress(canaries, "asking for canaries", unit="canaries")
    ]
    by_times: dict[str, Any] = {}
    for times in sorted({canary.times for canary in canaries}):
        those = [(canary, one) for canary, one in zip(canaries, asked, strict=True) if canary.times == times]
        exposures = [one.exposure for _, one in those]
        by_times[str(times)] = {
            "canaries": len(those),
            "mean_times_seen": float(np.mean([times_seen(canary) for canary, _ in those])),
            "exposure": {
                "mean": float(np.mean(exposures)),
                "lowest": min(exposures),
                "median": float(np.median(exposures)),
                "highest": max(exposures),
            },
            "first_of_all": rate(sum(one.rank == 1 for _, one in those), len(those)),
            "written": rate(sum(one.written for _, one in those), len(those)),
        }
    return {
        "form": config.form,
        "digits": config.digits,
        "candidates": CANDIDATES,
        "most_exposure": math.log2(CANDIDATES),
        "exposure_by_chance": _by_chance(),
        "by_times_planted": by_times,
    }


def _by_chance() -> float:
    """Mean exposure where every rank is equally likely."""
    return float(np.mean(np.log2(CANDIDATES / np.arange(1, CANDIDATES + 1))))
