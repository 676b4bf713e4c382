"""What ladder.json has of the planned run, for whoever plans it, compared with the run as it is planned now."""

from dataclasses import dataclass, field, fields
from typing import Any

from data.errors import DataError
from data.files import MANIFEST, read_object, value_digest
from evaluation.pages.ladder import FACTS
from train.config import RunConfig

OF_THE_MACHINE = {
    *("micro_batch", "local_ranks", "deepspeed", "compile", "activation_checkpointing", "asynchronous_saves"),
    *("save_every", "keep_checkpoints", "keep_every", "keep_best", "log_every", "diagnose_every", "hang_timeout"),
}
"""Settings of training that change how a run is computed, not what it learns."""


@dataclass(frozen=True)
class Predicted:
    """Bits per byte of one source and split, and the ends of what the ladder leaves open."""

    bits_per_byte: float
    low: float
    high: float
    floor: float
    scale: float
    exponent: float

    def at(self, share: float) -> float:
        """Of a run with this share of the planned one's computation and as many tokens a parameter."""
        return float(self.floor + self.scale * share**-self.exponent)


@dataclass(frozen=True)
class LadderPrediction:
    """What a ladder says of the planned run; nothing where it is of another plan."""

    sources: dict[str, dict[str, Predicted]] = field(default_factory=dict)
    """{source: {split: …}}."""
    largest_share: float = 0.0
    """Of the planned run's computation, in the largest rung."""
    backtest: float = 0.0
    """By how much (a share) the rungs below the largest mispredicted that one, over all held-out text."""
    stale: str = ""
    """Why the ladder is none of this plan's."""

    def at(self, share: float) -> dict[str, float]:
        """Bits per byte of every SOURCE / SPLIT, as `Predicted.at`."""
        return {
            f"{source} / {split}": found.at(share)
            for source, splits in self.sources.items()
            for split, found in splits.items()
        }


_FIELDS = [each.name for each in fields(Predicted)]


def identity(config: RunConfig) -> str:
    """Digest of what decides the loss of a run on given shards."""
    given = config.model_dump(mode="json")
    data = given["data"]
    training = {key: value for key, value in given["training"].items() if key not in OF_THE_MACHINE}
    weights = {source["name"]: source["weight"] for source in data["sources"]}
    return value_digest(
        {
            **{key: given[key] for key in ("seed", "model", "init_from", "lora")},
            "training": training,
            "weights": weights,
            "canaries": (data["canaries"] or {}).get("weight"),
            **{key: data[key] for key in ("alpha", "stages", "reshuffles", "packing")},
        }
    )


def read_prediction(config: RunConfig) -> LadderPrediction | None:
    """What reports/ladder.json predicts for this run; None where there is none."""
    file = config.reports / FACTS
    try:
        content = read_object(file)
        inputs = content["inputs"]
        if changed := _changed(config, inputs):
            return LadderPrediction(stale=f"{file} is {changed}: `domainlm ladder` makes a new one")
        return LadderPrediction(
            {
                source: {split: Predicted(*(float(found[key]) for key in _FIELDS)) for split, found in splits.items()}
                for source, splits in content["sources"].items()
            },
            float(content["rungs"][-1]["share"]),
            float(content["laws"][0]["backtest"]),
        )
    except FileNotFoundError:
        return None
    except (DataError, KeyError, TypeError, ValueError, IndexError):
        return LadderPrediction(stale=f"{file} cannot be read: `domainlm ladder` makes a new one")


def _changed(config: RunConfig, inputs: dict[str, Any]) -> str:
    from data.shards.format import read_manifest  # loads pyarrow, and a plan may have no ladder

    if not (config.shards / MANIFEST).exists():
        return f"of shards that are not here to be compared ({config.shards})"
    if inputs["shards"] != read_manifest(config.shards).digest:
        return "of other text (shards)"
    return "" if inputs["planned"] == identity(config) else "of a run with other settings of model, training or data"


def describe_prediction(predicted: LadderPrediction | None) -> list[str]:
    """Lines for the plan's text; none where there is no ladder."""
    if predicted is None:
        return []
    if predicted.stale:
        return ["", f"predicted by a ladder: nothing, {predicted.stale}"]
    lines = [
        "",
        "bits per byte on held-out text, predicted by a ladder whose largest rung has "
        f"{predicted.largest_share:.1%} of the computation",
    ]
    for source, splits in predicted.sources.items():
        for split, found in splits.items():
            span = f"{found.low:.3f} to {found.high:.3f}"
            lines.append(f"  {f'{source} / {split}':<36} {found.bits_per_byte:>8.3f}  ({span})")
    return [*lines, f"  the rungs below it predicted that one within {predicted.backtest:.1%}"]
