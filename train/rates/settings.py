"""The settings of rates that are more than a number: Muon's, and the model that rates were found on."""

from pydantic import BaseModel, Field, PositiveFloat, PositiveInt


class MuonConfig(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True):
    """How Muon moves the matrices of the blocks, where `optimizer` is muon; they are decayed by `weight_decay` too."""

    learning_rate: PositiveFloat = 0.02
    """Highest learning rate of these matrices; it rises and falls as `training.learning_rate` does, which is that of
    embeddings, head, gains and biases. One rate serves models of all widths: the step of a matrix is scaled by
    √max(1, rows / columns)."""
    momentum: float = Field(default=0.95, ge=0, lt=1)
    """Share of the last momentum in the new one."""


class TunedAt(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """The model on which rates were found, of this one's kind: heads as wide, other widths in proportion."""

    width: PositiveInt
    """Its `model.width`."""
    layers: PositiveInt | None = None
    """Its `model.layers`. None: as many as this one has, nothing is scaled by depth."""
