"""What to set: the fastest placement that fits the machine, as a pure function of the plan."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from domainlm.plan.costs import Saving, traffic
from domainlm.plan.placement import Fit
from train.config import RunConfig
from train.engine.placement import Placement, Recomputation, configured_placement
from train.hardware import HardwareConfig, Machine

SELECTIVE_COST = 1.03
"""A step under `selective` over one without recomputation: moving some 40 D bytes a token and block again, beside 72 D²
operations, takes 1 to 3 % from a width of 2,000 on."""


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
