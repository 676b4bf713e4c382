"""What the runs of a swarm say: the law of each held-out text, the best mixture, and how sure both are."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from domainlm.mixture.law import Law, best_shares, fit
from domainlm.mixture.swarm import rounded
from evaluation.bits_per_byte import DocumentScore
from evaluation.intervals import FEWEST, LEVEL, difference_interval

Floats = npt.NDArray[np.float64]
Texts = dict[tuple[str, str], list[int]]
"""(Source, split) → indices of its documents."""

RESAMPLES = 400
CURVE_POINTS = 21
CLOSE, CLOSE_PART = 0.005, 0.1
"""Mixtures of which no share differs by more, nor by more than a tenth of it, are one."""


@dataclass(frozen=True)
class Tried:
    """A mixture and what a run that was trained with it needs for the held-out documents, the same for all."""

    shares: Mapping[str, float]
    documents: Sequence[DocumentScore]

    def value(self, indices: Sequence[int]) -> float:
        """Bits per byte of some documents."""
        scores = [self.documents[index].score for index in indices]
        return sum(score.nats for score in scores) / math.log(2) / sum(score.bytes for score in scores)


@dataclass(frozen=True)
class Bounds:
    """What may be proposed, by source in the order of the shares."""

    low: Floats
    high: Floats


def texts_of(documents: Sequence[DocumentScore]) -> Texts:
    """The documents by source and split."""
    texts: Texts = {}
    for index, each in enumerate(documents):
        texts.setdefault((each.source, each.split), []).append(index)
    return texts


def aims(texts: Texts, domain: set[str]) -> list[tuple[str, str]]:
    """The texts whose mean is to be least: of each of the domain's sources (of all, where none is marked) that of after
    the cutoff where it has such text, and else that drawn by chance."""
    own = [text for text in texts if not domain or text[0] in domain]
    later = {source for source, split in own if split == "future"}
    return [(source, split) for source, split in own if split == "future" or source not in later]


def bounds(
    tried: Sequence[Tried], tokens: Mapping[str, int], wanted_tokens: int, passes: Mapping[str, float]
) -> Bounds:
    """No share beyond what was tried, for the law is known there alone, nor one that passes over a source more often
    than `passes` says in a run of `wanted_tokens`; but that of the configured mixture, the first, is always allowed."""
    shares = _matrix(tried)
    most = np.array([passes[name] * tokens[name] / wanted_tokens for name in tried[0].shares])
    return Bounds(shares.min(0), np.maximum(np.minimum(shares.max(0), most), shares[0]))


def propose(tried: Sequence[Tried], aimed: Sequence[tuple[str, str]], allowed: Bounds, seed: int) -> dict[str, Any]:
    """The laws and the mixture that they call best.

    Its intervals are percentiles of 400 resamples: of documents, and of the laws' residuals, which stand for what
    another seed would have changed.

    Returns:
        {"laws": [{"source", "split", "documents", "floor", "slopes": {SOURCE}, "error": root mean square by which a run
        is missed that the law has not seen, bits per byte}], "weights": {SOURCE: {"value", "low", "high"}},
        "predicted": {"configured", "proposed", "gain": {"value", "low", "high"}}, bits per byte, the mean of the aimed
        texts, "curves": {SOURCE: [{"share", "bits_per_byte"}]}, the same mean along its share, the others in
        proportion, "steepness": {SOURCE: {"value", "low", "high"}}, by which they fall for a share of 1 more of a
        source in place of the others, at the configured mixture}.
    """
    texts = texts_of(tried[0].documents)
    shares, values = _matrix(tried), np.array([[run.value(indices) for run in tried] for indices in texts.values()])
    laws, missed = fit(shares, values)
    names, places = list(tried[0].shares), [list(texts).index(text) for text in aimed]
    importance = np.full(len(places), 1 / len(places))
    aimed_laws = Law(laws.floors[places], laws.slopes[places])
    best = rounded(best_shares(aimed_laws, importance, allowed.low, allowed.high))
    drawn = _resampled(tried, [texts[text] for text in aimed], aimed_laws, seed)
    drawn_best = best_shares(drawn, importance, allowed.low, allowed.high)
    pair = np.array([shares[0], best])

    def means(of: Law) -> Floats:
        return np.asarray((of.predict(pair) * importance[:, None]).sum(-2))

    own, spread = means(aimed_laws), means(drawn)
    steepness, spread_steepness = (_steepness(of, importance, shares[0]) for of in (aimed_laws, drawn))
    return {
        "laws": [
            {
                "source": source,
                "split": split,
                "documents": len(indices),
                "floor": float(laws.floors[place]),
                "slopes": dict(zip(names, laws.slopes[place].tolist(), strict=True)),
                "error": float(np.sqrt((missed[place] ** 2).mean())),
            }
            for place, ((source, split), indices) in enumerate(texts.items())
        ],
        "weights": _with_ends(names, best, drawn_best),
        "predicted": {
            "configured": float(own[0]),
            "proposed": float(own[1]),
            "gain": _with_ends(["gain"], own[:1] - own[1:], spread[:, :1] - spread[:, 1:])["gain"],
        },
        "curves": {name: _curve(aimed_laws, importance, shares, place) for place, name in enumerate(names)},
        "steepness": _with_ends(names, steepness, spread_steepness),
    }


def _matrix(tried: Sequence[Tried]) -> Floats:
    return np.array([list(run.shares.values()) for run in tried], np.float64)


def _resampled(tried: Sequence[Tried], aimed: Sequence[Sequence[int]], laws: Law, seed: int) -> Law:
    """The laws (resamples, texts) of other documents and of other noise."""
    random, shares = np.random.default_rng(seed), _matrix(tried)
    runs, sources = shares.shape
    drawn = []
    for place, indices in enumerate(aimed):
        scores = [[run.documents[index].score for index in indices] for run in tried]
        bits = np.array([[score.nats / math.log(2) for score in row] for row in scores])
        sizes = np.array([score.bytes for score in scores[0]], np.float64)
        counts = random.multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), RESAMPLES).astype(np.float64)
        values = (counts @ bits.T) / (counts @ sizes)[:, None]
        own = Law(laws.floors[place], laws.slopes[place])
        residuals = bits.sum(1) / sizes.sum() - own.predict(shares)
        residuals *= math.sqrt(runs / (runs - sources - 1))  # least squares leave too little
        drawn.append(fit(shares, values + random.choice(residuals, (RESAMPLES, runs)))[0])
    return Law(np.stack([law.floors for law in drawn], axis=1), np.stack([law.slopes for law in drawn], axis=1))


def _curve(laws: Law, importance: Floats, shares: Floats, place: int) -> list[dict[str, float]]:
    """The mean at all shares of a source that were tried, the others as in the configured mixture."""
    own = np.linspace(shares[:, place].min(), shares[:, place].max(), CURVE_POINTS)
    others = np.delete(shares[0], place)
    mixed = np.insert(np.outer(1 - own, others / others.sum()), place, own, axis=1)
    means = (laws.predict(mixed) * importance[:, None]).sum(-2)
    return [{"share": float(share), "bits_per_byte": float(mean)} for share, mean in zip(own, means, strict=True)]


def _steepness(laws: Law, importance: Floats, shares: Floats) -> Floats:
    """How the mean falls for a share of 1 more of each source, taken from the others in proportion: (…, sources)."""
    gradient = (laws.gradient(shares) * importance[:, None]).sum(-2)
    rest = ((gradient * shares).sum(-1, keepdims=True) - gradient * shares) / (1 - shares)
    return np.asarray(rest - gradient)


def _with_ends(names: Sequence[str], values: Floats, drawn: Floats) -> dict[str, dict[str, float]]:
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return {
        name: {"value": float(values[place]), "low": float(low[place]), "high": float(high[place])}
        for place, name in enumerate(names)
    }


def is_configured(shares: Mapping[str, float], configured: Mapping[str, float]) -> bool:
    """Whether a mixture is as good as the configured one."""
    return all(
        abs(share - configured[name]) <= min(CLOSE, CLOSE_PART * configured[name]) for name, share in shares.items()
    )


def measured_gain(configured: Tried, proposed: Tried, aimed: Sequence[tuple[str, str]], seed: int) -> dict[str, Any]:
    """What the proposed mixture needs less than the configured one, each measured: of each aimed text, and "shown",
    whether it is more than 0 for all of them, by their 95 % intervals over documents."""
    texts = texts_of(configured.documents)
    found = {}
    for source, split in aimed:
        scores = [[run.documents[index].score for index in texts[source, split]] for run in (configured, proposed)]
        difference = difference_interval(scores[0], scores[1], seed)
        found[f"{source}/{split}"] = {
            "value": difference.value,
            "low": difference.low,
            "high": difference.high,
            "documents": len(scores[0]),
        }
    return {"texts": found, "shown": all((each["low"] or 0) > 0 for each in found.values())}


def verdict(result: Mapping[str, Any]) -> str:
    """What to do, in a sentence or two."""
    if result["measured"] is None:
        return (
            "By the law no mixture is better than the configured one, within what was tried and may be repeated "
            "(--passes): keep it."
        )
    gains = "; ".join(
        f"{name} {abs(each['value']):.3f} bits per byte {'less' if each['value'] > 0 else 'more'}" + _span(each)
        for name, each in result["measured"]["texts"].items()
    )
    if result["measured"]["shown"]:
        return f"Take the proposed mixture: a run with it needs {gains}."
    return f"The proposed mixture is not shown to be better, a run with it needs {gains}: keep the configured one."


def _span(each: Mapping[str, Any]) -> str:
    if each["low"] is None:
        return f" (of {each['documents']} documents, {FEWEST} are needed for an interval)"
    return f" ({each['low']:+.3f} to {each['high']:+.3f})"
