"""The shape of a decoder: every architectural choice that fixes its parameters and its arithmetic."""

import math
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationInfo, field_validator, model_validator

FROZEN = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

LayerKind: TypeAlias = Literal["full", "sliding", "unrotated"]
"""What a layer's attention sees: all before it, a window of it, or all without rotary positions."""

HuggingFaceClass: TypeAlias = Literal[
    "BloomForCausalLM",
    "LlamaForCausalLM",
    "MistralForCausalLM",
    "MinistralForCausalLM",
    "Qwen2ForCausalLM",
    "Qwen3ForCausalLM",
    "SmolLM3ForCausalLM",
    "Olmo2ForCausalLM",
    "Olmo3ForCausalLM",
]


class LinearScaling(BaseModel):
    """Rotary positions divided by `factor` (Chen et al. 2023)."""

    model_config = FROZEN

    kind: Literal["linear"]

    factor: float = Field(ge=1)
    """How many times longer the context has become."""


class Llama3Scaling(BaseModel):
    """Llama 3.1's: slow rotations are divided by `factor`, fast ones kept, those between blended.

    A pair's turns are those of its rotation within `original_length` tokens.
    """

    model_config = FROZEN

    kind: Literal["llama3"]

    factor: float = Field(ge=1)
    """Divisor of the slow rotations."""

    original_length: PositiveInt
    """Context of training before the scaling, in tokens."""

    low_frequency_factor: float = Field(default=1.0, gt=0)
    """Turns up to which a rotation is divided whole."""

    high_frequency_factor: float = Field(default=4.0, gt=0)
    """Turns from which it is kept."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.low_frequency_factor >= self.high_frequency_factor:
            raise ValueError(
                f"low_frequency_factor={self.low_frequency_factor} must lie below"
                f" high_frequency_factor={self.high_frequency_factor}"
            )
        return self


class YarnScaling(BaseModel):
    """YaRN (Peng et al. 2023): like Llama 3.1's with another blend, and logits grown by the square of a factor."""

    model_config = FROZEN

    kind: Literal["yarn"]

    factor: float = Field(ge=1)
    """Divisor of the slow rotations."""

    original_length: PositiveInt
    """Context of training before the scaling, in tokens."""

    attention_factor: float = Field(default=None, gt=0, validate_default=True)
    """What rotated queries and rotated keys are multiplied by. None: 0.1 ln(factor) + 1."""

    beta_fast: float = Field(default=32.0, gt=0)
    """Turns within `original_length` from which a rotation is kept."""

    beta_slow: float = Field(default=1.0, gt=0)
    """Turns up to which it is divided whole."""

    truncate: bool = True
    """The blend begins and ends at whole pairs."""

    @field_validator("attention_factor", mode="before")
    @classmethod
    def _fill_attention_factor(cls, value: float | None, info: ValidationInfo) -> float:
        return 0.1 * math.log(max(1.0, info.data.get("factor", 1.0))) + 1 if value is None else value

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.beta_slow >= self.beta_fast:
            raise ValueError(f"beta_slow={self.beta_slow} must lie below beta_fast={self.beta_fast}")
        return self


RopeScaling: TypeAlias = LinearScaling | Llama3Scaling | YarnScaling


class ModelConfig(BaseModel):
    """Architecture of a decoder-only transformer; frozen, unknown keys refused.

    The BLOOM and BloombergGPT family is ALiBi, LayerNorm, GELU, an embedding norm, biases and tied embeddings; the
    modern one is RoPE, RMSNorm, SwiGLU, query-key norm, grouped key-value heads and no biases. Any mixture trains; the
    table of `docs/export.md` says which published model has which switches.

    Raises:
        pydantic.ValidationError: a value is out of range or two of them contradict each other; the message says which.
    """

    model_config = FROZEN

    layers: PositiveInt
    """Number of blocks."""

    width: PositiveInt
    """Width of the residual stream."""

    heads: PositiveInt
    """Query heads; must divide `width` where there is no `head_width`."""

    head_width: PositiveInt = Field(default=None, validate_default=True)
    """Width of one head. None: width / heads."""

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

    rope_scaling: Annotated[RopeScaling, Field(discriminator="kind")] | None = None
    """How a context longer than in the first training is reached, in layers of full attention; a sliding window needs
    none, and its layers rotate unscaled."""

    sliding_window: PositiveInt | None = None
    """Tokens that a token of a sliding layer sees, itself included."""

    layer_pattern: tuple[LayerKind, ...] = Field(default=None, validate_default=True, min_length=1, max_length=2_000)
    """The kinds of the layers from the first on, repeated over the depth: `full` attention, `sliding` in windows of
    `sliding_window`, `unrotated` for full attention without rotary positions. None: every layer slides if there is a
    `sliding_window`, and is full otherwise."""

    norm: Literal["layernorm", "rmsnorm"]
    """Kind of every normalisation in the model."""

    norm_placement: Literal["before", "after"] = "before"
    """Of each block's two norms: of what a sublayer is given, or (OLMo 2) of what it adds to the residual stream."""

    norm_epsilon: float = Field(default=1e-5, gt=0)
    """Added to the variance inside each norm."""

    activation: Literal["gelu", "swiglu"]
    """GELU in its tanh form, or SwiGLU (Shazeer 2020), which has a third feed-forward matrix."""

    embedding_norm: bool
    """Normalise the token embedding before the first block, as BLOOM does for stability."""

    bias: bool | Literal["query_key_value"]
    """Biases on the linear layers and LayerNorms of the blocks; RMSNorm and the output head never have one.
    `query_key_value`: on queries, keys and values alone."""

    tied: bool
    """The output head uses the token embedding as its weight."""

    query_key_norm: bool | Literal["all_heads"]
    """Normalise queries and keys before their product: each head's, or those of all heads together."""

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

    exported_class: HuggingFaceClass | None = None
    """The class of transformers to export as where several compute the same, as Llama and Mistral without a window do.
    None: the first of them."""

    @field_validator("key_value_heads", "feed_forward_width", mode="before")
    @classmethod
    def _fill_default(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value is not None:
            return value
        # An invalid `heads` or `width` is absent here and reported by itself: one error is enough.
        heads: int = info.data.get("heads", 1)
        width: int = info.data.get("width", 1)
        return heads if info.field_name == "key_value_heads" else 4 * width

    @field_validator("head_width", mode="before")
    @classmethod
    def _fill_head_width(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value is not None:
            return value
        heads: int = info.data.get("heads", 1)
        width: int = info.data.get("width", heads)
        if width % heads:
            raise ValueError(f"heads={heads} must divide width={width}, or head_width be given")
        return width // heads

    @field_validator("layer_pattern", mode="before")
    @classmethod
    def _fill_layer_pattern(cls, value: object, info: ValidationInfo) -> object:
        if value is not None:
            return value
        return ("sliding",) if info.data.get("sliding_window") else ("full",)

    @field_validator("layer_pattern")
    @classmethod
    def _shorten(cls, value: tuple[LayerKind, ...], info: ValidationInfo) -> tuple[LayerKind, ...]:
        """The shortest period that gives every layer its kind, so that equal models have equal patterns."""
        seen = min(2 * len(value), info.data.get("layers", len(value)))  # no period needs more to be found out
        return period(repeated(value, seen))

    @model_validator(mode="after")
    def _check_shape(self) -> Self:
        if self.heads % self.key_value_heads:
            raise ValueError(f"key_value_heads={self.key_value_heads} must divide heads={self.heads}")
        if self.positions == "rope" and self.head_width % 2:
            raise ValueError(
                f"positions=rope rotates pairs, so head_width (width / heads) must be even: {self.width} / {self.heads}"
                f" = {self.head_width}; change heads or head_width, or use positions=alibi"
            )
        return self

    @model_validator(mode="after")
    def _check_pattern(self) -> Self:
        said = f"layer_pattern={list(self.layer_pattern)}"
        if "sliding" in self.layer_pattern and self.sliding_window is None:
            raise ValueError(f"{said} needs a sliding_window")
        if "sliding" not in self.layer_pattern and self.sliding_window is not None:
            raise ValueError(f"sliding_window={self.sliding_window} needs layers that slide, and {said} has none")
        if "unrotated" in self.layer_pattern and self.positions != "rope":
            raise ValueError(f"{said} needs positions=rope: there is nothing else to leave out")
        if self.rope_scaling is not None and (self.positions != "rope" or "full" not in self.layer_pattern):
            raise ValueError(f"rope_scaling needs positions=rope and layers of full attention, not {said}")
        if isinstance(self.rope_scaling, YarnScaling) and self.rope_theta <= 1:
            raise ValueError(f"rope_theta={self.rope_theta} must be above 1 for rope_scaling of kind yarn")
        return self

    @property
    def layer_kinds(self) -> tuple[LayerKind, ...]:
        """The kind of each layer."""
        return repeated(self.layer_pattern, self.layers)

    def layers_of(self, kind: LayerKind) -> int:
        """How many layers are of this kind."""
        whole, rest = divmod(self.layers, len(self.layer_pattern))
        return whole * self.layer_pattern.count(kind) + self.layer_pattern[:rest].count(kind)

    @property
    def attention_width(self) -> int:
        """Queries of all heads together, and what attention makes of them."""
        return self.heads * self.head_width

    @property
    def query_key_value_width(self) -> int:
        """Queries, keys and values of all heads together."""
        return (self.heads + 2 * self.key_value_heads) * self.head_width

    @property
    def expanded_width(self) -> int:
        """What the feed-forward layer's first product gives: gate and up of SwiGLU, or the argument of GELU."""
        return self.feed_forward_width * (2 if self.activation == "swiglu" else 1)


def why_not_divided(model: ModelConfig, ranks: int) -> str:
    """Why so many ranks cannot share rows (`model.kernels.RowPart`); empty where they can."""
    heads, key_value_heads = model.heads, model.key_value_heads
    if ranks == 1:
        return ""
    if model.sequence_length % ranks:
        return f"sequence_length={model.sequence_length} is no multiple of {ranks}: ranks take equal slices of a row"
    if heads % ranks:
        return f"heads={heads} is no multiple of {ranks}, and in attention each rank takes as many heads"
    if key_value_heads % ranks and ranks % key_value_heads:
        return (
            f"key_value_heads={key_value_heads} is neither a multiple nor a divisor of {ranks}: they can be neither "
            "dealt to the ranks nor copied as often for each"
        )
    if model.dropout:
        return f"dropout={model.dropout} would fall otherwise than on one rank, its draws are those of whole rows"
    return ""


def repeated(pattern: tuple[LayerKind, ...], layers: int) -> tuple[LayerKind, ...]:
    """The kinds of so many layers."""
    return tuple(pattern[layer % len(pattern)] for layer in range(layers))


def period(kinds: tuple[LayerKind, ...]) -> tuple[LayerKind, ...]:
    """The shortest pattern that `repeated` makes these of."""
    lengths = range(1, len(kinds) + 1)
    return next(kinds[:length] for length in lengths if repeated(kinds[:length], len(kinds)) == kinds)
