"""The settings of an adapter: how large it is, where it sits, which rows of the vocabulary it replaces."""

from collections.abc import Sequence
from math import sqrt
from typing import Literal

from pydantic import BaseModel, Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator


class LoraConfig(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True):
    """Low-rank adaptation (Hu et al. 2021, arXiv 2106.09685): W + scale B A, of which A and B alone are trained."""

    rank: PositiveInt = 16
    """Rows of each A and columns of each B."""
    alpha: PositiveFloat = 32.0
    """The update counts alpha / rank."""
    rank_stabilised: bool = False
    """The update counts alpha / sqrt(rank) instead (rsLoRA, Kalajdzievski 2023)."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Probability of dropping an element of what A is given."""
    targets: tuple[Literal["attention", "feed_forward"], ...] = Field(("attention", "feed_forward"), min_length=1)
    """Which matrices get an update: attention (queries to output), feed_forward (gate, up, down), or both."""
    embeddings: Literal["none", "new", "all"] = "none"
    """What of embedding and output head is trained too, whole and not by low rank: nothing, the rows that the base does
    not have, or all of both."""
    tokens: tuple[NonNegativeInt, ...] = ()
    """Ids of further tokens whose rows are trained, such as special ones that the base left unused."""
    adapter: str | None = None
    """Folder of an adapter, made by peft or by `domainlm export --adapter`, that training begins with."""

    @model_validator(mode="after")
    def _rows_are_named_once(self) -> "LoraConfig":
        if self.tokens and self.embeddings == "all":
            raise ValueError("tokens names rows that embeddings=all trains already: leave one of them out")
        return self

    @property
    def scale(self) -> float:
        """The factor of B A."""
        return self.alpha / (sqrt(self.rank) if self.rank_stabilised else self.rank)

    def trained_rows(self, base_rows: int, rows: int, added: Sequence[int] = ()) -> tuple[int, ...]:
        """Ids of the tokens whose rows are trained one by one, ascending.

        Args:
            base_rows: rows of the vocabulary that the base has.
            rows: those that the model has.
            added: ids of pieces that the tokenizer was extended by, for which the base may have room.

        Raises:
            ValueError: rows that no one has trained would stay as they are, there are none to train, or an id has none.
        """
        new = {*range(base_rows, rows), *added}
        if new and self.embeddings == "none":
            raise ValueError(
                f"the vocabulary has {len(new)} rows that the base does not have, and nothing would train "
                "them: set lora.embeddings to new or all"
            )
        if not new and self.embeddings == "new":
            raise ValueError(
                f"lora.embeddings is new, but the base has all {rows} rows of the vocabulary: set it to none"
            )
        if beyond := [token for token in self.tokens if token >= rows]:
            raise ValueError(f"lora.tokens names {beyond[0]}, and the vocabulary ends at {rows - 1}")
        return tuple(sorted({*(new if self.embeddings == "new" else ()), *self.tokens}))
