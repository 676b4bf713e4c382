"""What counts as a spike, which steps a run skips for it, and when it is to be given up: arithmetic without processes.

Only comparisons, medians and the four operations are used, which IEEE 754 gives the same bits on every machine: all
ranks decide alike from the same numbers, and so does a run that is repeated.
"""

import math
import statistics
from collections.abc import Iterable, Sequence

from train.config import SpikesConfig
from train.earlier_steps import Figures, Skip
from train.outliers import relative_spread

FLOOR = 0.005
"""Least spread that a figure is taken to have, relative to its median: a loss may repeat."""


class DivergedError(Exception):
    """A run that spikes again and again: going on would waste what it costs."""


def find_spike(history: Sequence[Figures], figures: Figures, config: SpikesConfig) -> str:
    """Why a step is a spike beside the applied steps before it (the newest last), or an empty string.

    What is not finite always is one; the rest is judged once half a window is there.
    """
    recent = history[-config.window :]
    for name, value, past in (
        ("loss", figures.loss, [step.loss for step in recent]),
        ("gradient norm", figures.gradient_norm, [step.gradient_norm for step in recent]),
    ):
        if not math.isfinite(value):
            return f"{name} {value} is not finite"
        if len(past) >= config.window / 2 and value > (most := threshold(past, config.sigmas)):
            return f"{name} {value:.4g} is above {most:.4g}"
    return ""


def threshold(values: Sequence[float], sigmas: float) -> float:
    """Median (1 + sigmas × relative spread), the spread by the median absolute deviation.

    Up to half of the values may be wild without moving it far.
    """
    median = statistics.median(values)
    if median <= 0:
        return math.inf
    return median * (1 + sigmas * max(relative_spread(values, median), FLOOR))


def is_to_be_examined(examined: Iterable[int], step: int, figures: Figures, config: SpikesConfig) -> bool:
    """Whether a spike at `step` is worth a second computing, which answers what is to be done about it.

    Where spikes are applied whatever it says, a window with as many as the limit is a shift of level, not a spike.
    """
    if config.policy != "log" or not all(map(math.isfinite, figures)):
        return True
    return sum(at >= step - config.window for at in examined) < config.limit


def is_skipped(skips: Iterable[Skip], step: int) -> bool:
    """Whether the batch of `step` is passed over."""
    return any(skip.first <= step <= skip.last for skip in skips)


def skip_for(step: int, config: SpikesConfig, steps: int) -> Skip:
    """What is skipped for a spike at `step`: the step itself, or when going back the batches around it too."""
    if config.policy != "rewind":
        return Skip(step, step)
    return Skip(max(1, step - config.margin), min(steps, step + config.margin))


def check_limit(skips: Iterable[Skip], step: int, config: SpikesConfig, reason: str) -> None:
    """Raise DivergedError when the window before a spike at `step` has as many skips as are allowed."""
    recent = sum(skip.last >= step - config.window and skip.first <= step for skip in skips)
    if recent >= config.limit:
        raise DivergedError(
            f"step {step}: {reason}, and {recent} spikes within training.spikes.window = {config.window} steps have "
            "been skipped already: the run diverges. Look at the spikes in journal.jsonl, then branch from an earlier "
            "step with a lower training.learning_rate (docs/runs.md)"
        )
