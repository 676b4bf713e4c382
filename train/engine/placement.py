"""Where a step's memory lies: its ZeRO stage, what is offloaded, and what is computed a second time instead of kept."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from train.config import TrainingConfig

Offload = Literal["none", "optimizer", "optimizer, parameters"]
Recomputation: TypeAlias = int | Literal["selective"]
"""Every how many blocks one is recomputed whole, 0 for none; or of all blocks what is cheap."""


@dataclass(frozen=True)
class Placement:
    """One way to lay a step out."""

    zero_stage: int
    offload: Offload
    recompute: Recomputation

    def recomputed_blocks(self, layers: int) -> int:
        """How many of a model's blocks are computed a second time, products included."""
        return 0 if self.recompute in (0, "selective") else -(-layers // int(self.recompute))


def configured_placement(training: TrainingConfig) -> Placement:
    """What the run's own configuration asks for."""
    zero = training.deepspeed.get("zero_optimization", {})
    parts = [
        part for part in ("optimizer", "param") if (zero.get(f"offload_{part}") or {}).get("device", "none") != "none"
    ]
    offload: Offload = "none" if not parts else "optimizer" if parts == ["optimizer"] else "optimizer, parameters"
    recompute = training.activation_checkpointing
    return Placement(training.zero_stage, offload, recompute if recompute == "selective" else int(recompute))
