"""The shape of a decoder: every architectural choice that fixes its parameters and its arithmetic."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationInfo, field_validator, model_validator


class ModelConfig(BaseModel):
    """Architecture of a decoder-only transformer; frozen, unknown keys refused.

    The BLOOM and BloombergGPT family is ALiBi, LayerNorm, GELU, an embedding norm, biases and tied embeddings; the
    modern one is RoPE, RMSNorm, SwiGLU, query-key norm, grouped key-value heads and no biases. Any mixture trains.

    Raises:
        pydantic.ValidationError: a value is out of range or two of them contradict each other; the message says which.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    layers: PositiveInt
    """Number of blocks."""

    width: PositiveInt
    """Width of the residual stream."""

    heads: PositiveInt
    """Query heads; must divide `width`."""

    key_value_heads: PositiveInt = Field(default=None, validate_default=True)
    """Key and value heads, each shared by heads / key_value_heads query heads. None: one for every query head."""

    feed_forward_width: PositiveInt = Field(default=None, validate_default=True)
    """Hidden width of the feed-forward layer. None: 4 x width."""

    vocabulary_size: PositiveInt
    """Rows of the embedding; at least the tokenizer's number of pieces."""

    sequence_length: PositiveInt
    """Tokens of context in training. ALiBi models run beyond it, RoPE models do not."""

    positions: Literal["alibi", "rope"]
    """ALiBi (Press et al. 2022) biases attention by distance; RoPE (Su et al. 2021) rotates queries and keys."""

    rope_theta: float = Field(default=500_000.0, gt=0)
    """Base of the RoPE wavelengths; unused by ALiBi."""

    norm: Literal["layernorm", "rmsnorm"]
    """Kind of every normalisation in the model."""

    norm_epsilon: float = Field(default=1e-5, gt=0)
    """Added to the variance inside each norm."""

    activation: Literal["gelu", "swiglu"]
    """GELU in its tanh form, or SwiGLU (Shazeer 2020), which has a third feed-forward matrix."""

    embedding_norm: bool
    """Normalise the token embedding before the first block, as BLOOM does for stability."""

    bias: bool
    """Biases on the linear layers and LayerNorms of the blocks; RMSNorm and the output head never have one."""

    tied: bool
    """The output head uses the token embedding as its weight."""

    query_key_norm: bool
    """Normalise each head's queries and keys before their product."""

    query_key_layer_scaling: bool = False
    """Divide the queries of block n by n and multiply the logits by n inside the softmax, as BloombergGPT did: no
    effect in exact arithmetic, smaller products before the softmax in low precision."""

    document_masking: bool = False
    """Train with attention that never crosses a document's border inside a packed row, and positions that begin anew in
    each document."""

    z_loss: float = Field(default=0.0, ge=0)
    """Weight of the mean squared log-partition added to the loss (Chowdhery et al. 2022, section 5)."""

    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Probability of dropping an element of the embedding, the attention weights and each residual branch."""

    @field_validator("key_value_heads", "feed_forward_width", mode="before")
    @classmethod
    def _fill_default(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value is not None:
            return value
        # An invalid `heads` or `width` is absent here and reported by itself: one error is enough.
        heads: int = info.data.get("heads", 1)
        width: int = info.data.get("width", 1)
        return heads if info.field_name == "key_value_heads" else 4 * width

    @model_validator(mode="after")
    def _check_shape(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"heads={self.heads} must divide width={self.width}")
        if self.heads % self.key_value_heads:
            raise ValueError(f"key_value_heads={self.key_value_heads} must divide heads={self.heads}")
        if self.positions == "rope" and self.head_width % 2:
            raise ValueError(
                f"positions=rope rotates pairs, so width / heads must be even: {self.width} / {self.heads}"
                f" = {self.head_width}; change heads, or use positions=alibi"
            )
        return self

    @property
    def head_width(self) -> int:
        """Width of one attention head."""
        return self.width // self.heads

    @property
    def query_key_value_width(self) -> int:
        """Queries, keys and values of all heads together."""
        return (self.heads + 2 * self.key_value_heads) * self.head_width

    @property
    def expanded_width(self) -> int:
        """What the feed-forward layer's first product gives: gate and up of SwiGLU, or the argument of GELU."""
        return self.feed_forward_width * (2 if self.activation == "swiglu" else 1)
