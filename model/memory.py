"""Arithmetic of memory in training: activations, loss, the parts of a model's state under ZeRO, all of a GPU together.

Bytes follow from shapes alone; nothing here builds a model. What it does not count: the CUDA context, communication
buckets, what the allocator loses to fragments, and the masks of ALiBi and of windows where no kernel makes them on the
fly. Layers whose queries and keys are not rotated keep less than is counted: these, as they were packed.
"""

from dataclasses import dataclass
from typing import Literal

from model.config import ModelConfig
from model.sizes import block_parameters, parameter_count

LOSS_CHUNK_TOKENS = 1024
"""Tokens whose logits `model.loss` has alive at once: enough to keep its matrix products at full speed."""

Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True)
class MemoryPerGpu:
    """Bytes on one GPU at the height of a training step."""

    states: int
    """Weights, gradients, master weights and the optimizer's moments: the GPU's share of them."""
    gathered: int
    """Whole weights that ZeRO stage 3 has gathered: two blocks and the embedding; 0 at the other stages."""
    blocks: int
    """What the forward pass keeps of the blocks for the backward pass."""
    around_blocks: int
    """The same of the embedding and the norms outside the blocks, which published estimates leave out."""
    loss: int
    """Logits and gradients that the loss holds."""

    @property
    def total(self) -> int:
        return self.states + self.gathered + self.blocks + self.around_blocks + self.loss


@dataclass(frozen=True)
class Adapter:
    """What an adapter beside frozen weights changes of the memory of a step."""

    trained: int
    """Parameters that have gradients and moments: its own, and whole embeddings where these are trained."""
    frozen: int
    """Parameters that have neither."""
    head_rows: int
    """Rows of the output head that have a gradient."""
    values: int
    """Of each token, that a block keeps for the adapter beside what it keeps anyway."""
    masks: int
    """Of each token, bytes of a block's masks of the adapter's own dropout."""


def memory_per_gpu(
    config: ModelConfig,
    *,
    gpus: int,
    zero_stage: int,
    micro_batch: int,
    precision: Precision = "bf16",
    recomputed_blocks: int = 0,
    selective: bool = False,
    accumulation_bytes: int = 4,
    attention_matrix: bool = False,
    chunked_loss: bool = True,
    adapter: Adapter | None = None,
    by_muon: int = 0,
    sequence_ranks: int = 1,
) -> MemoryPerGpu:
    """Bytes that training takes on each of `gpus` GPUs which share the model's state.

    Args:
        gpus: size of the group that ZeRO divides the state over; with replicas of the group, not their product.
        micro_batch: sequences of full length that a GPU takes through the model at a time.
        recomputed_blocks: blocks under activation checkpointing.
        selective: of the others only what products and attention have computed is kept.
        accumulation_bytes: of a gradient's value; this framework accumulates in fp32 (4), the literature counts 2.
        attention_matrix: attention keeps its matrix of probabilities, as kernels other than flash attention do.
        chunked_loss: the loss goes through the vocabulary in chunks of tokens, as `model.loss` does.
        adapter: what alone is trained, if not all weights are. What frozen matrices without an update would have kept
            of the blocks is counted all the same.
        by_muon: of the parameters, those that Muon trains.
        sequence_ranks: GPUs that share each sequence (`model.kernels.RowPart`), with a slice of its positions each.
    """
    value = _value_bytes(precision)
    trained, frozen = (adapter.trained, adapter.frozen) if adapter else (parameter_count(config), 0)
    states = state_bytes(trained, gpus, zero_stage, precision, accumulation_bytes, by_muon)
    kept = 0
    if adapter:
        blocks = config.layers - recomputed_blocks + (1 if recomputed_blocks else 0)
        kept = blocks * micro_batch * config.sequence_length * (adapter.values * value + adapter.masks)
    config = config.model_copy(update={"sequence_length": config.sequence_length // sequence_ranks})
    whole = block_parameters(config) * 2 + config.vocabulary_size * config.width
    return MemoryPerGpu(
        states=states + -(-value * frozen // (gpus if zero_stage == 3 else 1)),
        gathered=value * whole if zero_stage == 3 else 0,
        blocks=_blocks_bytes(config, micro_batch, precision, recomputed_blocks, selective, attention_matrix)
        + _turned_bytes(config, micro_batch, precision, recomputed_blocks, sequence_ranks)
        + kept,
        around_blocks=_around_blocks_bytes(config, micro_batch, precision),
        loss=loss_bytes(config, micro_batch, precision, chunked_loss, adapter.head_rows if adapter else None),
    )


def state_bytes(
    parameters: int,
    gpus: int,
    zero_stage: int,
    precision: Precision = "bf16",
    accumulation_bytes: int = 4,
    by_muon: int = 0,
) -> int:
    """Bytes of weights, gradients, master weights and AdamW's moments on one of `gpus` GPUs (Rajbhandari et al. 2020).

    With N parameters, bf16 and gradients of 2 bytes: 16 N at stage 0, 4 N + 12 N / G at 1, 2 N + 14 N / G at 2 and
    16 N / G at 3. In fp32 the weights are their own master: 16 N at stage 0 too. Muon keeps one moment of each of the
    `by_muon` parameters that it trains, 4 bytes fewer.

    Raises:
        ValueError: there is no such stage.
    """
    if precision == "fp32":
        weights, gradients, optimizer = 4, 4, 8
    else:
        weights, gradients, optimizer = 2, accumulation_bytes, 12
    divided_from_stage_on = {3: weights, 2: gradients, 1: optimizer}
    if zero_stage not in (0, *divided_from_stage_on):
        raise ValueError(f"zero_stage={zero_stage} must be 0, 1, 2 or 3")
    divided = sum(size for stage, size in divided_from_stage_on.items() if stage <= zero_stage)
    whole = weights + gradients + optimizer - divided
    held_by_all, shared_out = whole * parameters, divided * parameters
    if zero_stage == 0:
        held_by_all -= 4 * by_muon
    else:
        shared_out -= 4 * by_muon
    return held_by_all + -(-shared_out // gpus)


def exchanged_values(config: ModelConfig, sequence_ranks: int) -> tuple[int, int]:
    """Of each token, values that ranks which share its row exchange: those that attention is given, and those it makes.

    Of key-value heads that are fewer than the ranks go copies.
    """
    key_value_heads = max(config.key_value_heads, sequence_ranks)
    return (config.heads + 2 * key_value_heads) * config.head_width, config.attention_width


def _turned_bytes(config: ModelConfig, batch: int, precision: Precision, recomputed_blocks: int, ranks: int) -> int:
    """What blocks of shared sequences, of which `config` has the slice, keep more than of whole ones.

    Attention is given queries, keys and values as they came, in place of those that were packed or rotated; and it is
    kept what it makes of them, before and after it is sent back.
    """
    if ranks == 1:
        return 0
    given, mixed = exchanged_values(config, ranks)
    packed = config.query_key_value_width if config.query_key_norm else 0
    more = packed + given + 2 * mixed - _attention_values(config)
    alive = config.layers - recomputed_blocks + (1 if recomputed_blocks else 0)
    return alive * batch * config.sequence_length * more * _value_bytes(precision)


def _blocks_bytes(
    config: ModelConfig,
    batch: int,
    precision: Precision,
    recomputed_blocks: int,
    selective: bool,
    attention_matrix: bool,
) -> int:
    """Bytes that the forward pass of all blocks keeps for `batch` full sequences.

    A recomputed block keeps only its input, 2 s b D in bf16; while the backward pass is in it, it is alive as a whole.
    Under `selective` the half of a block that the backward pass is in has its cheap rest alive too.
    """
    if selective:
        kept = selective_block_bytes(config, batch, precision)
        return config.layers * kept + _cheap_rest_bytes(config, batch, precision)
    block = block_activation_bytes(config, batch, precision, attention_matrix)
    kept_inputs = recomputed_blocks * batch * config.sequence_length * config.width * _value_bytes(precision)
    alive = config.layers - recomputed_blocks + (1 if recomputed_blocks else 0)
    return alive * block + kept_inputs


def block_activation_bytes(
    config: ModelConfig, batch: int, precision: Precision = "bf16", attention_matrix: bool = False
) -> int:
    """Bytes that the forward pass of one block keeps for `batch` full sequences.

    For the GPT shape in bf16 this is 34 s b D, as Korthikanti et al. 2022 count it, where there is dropout and 32 s b D
    where there is none (they keep two masks of one byte), plus the statistics of norms and of attention; with the
    attention matrix 5 a s^2 b more, or 2 a s^2 b without dropout.
    """
    tokens, value = batch * config.sequence_length, _value_bytes(precision)
    values = 4 * config.width  # what the two norms are given, and the matrices before or behind them
    values += _attention_values(config)
    values += 2 * config.expanded_width  # gate and up, SiLU and product; or both sides of GELU
    statistics = 2 * _norm_statistics(config)
    if config.query_key_norm:
        norms = 2 if config.query_key_norm == "all_heads" else config.heads + config.key_value_heads
        statistics += norms * _norm_statistics(config)
    statistics += 0 if attention_matrix else 4 * config.heads  # each row's log of its sum
    masks = 2 * config.width if config.dropout else 0
    kept = tokens * (values * value + statistics + masks)
    if attention_matrix:
        kept += config.heads * config.sequence_length * tokens * (2 * value + 1 if config.dropout else value)
    return kept


def selective_block_bytes(config: ModelConfig, batch: int, precision: Precision = "bf16") -> int:
    """Bytes that the forward pass of one block keeps for `batch` full sequences under `selective` recomputation.

    These are the block's input, the results of its four products, what attention is given and what it makes of it:
    11 s b D values for the GPT shape. Norms, activation, sums and dropout are made again (`model.block`), where
    Korthikanti et al. 2022, who had no fused attention, made attention again.
    """
    values = config.width  # the block's input
    values += _attention_values(config)
    values += config.width + config.expanded_width + config.width  # results of the other three products
    return batch * config.sequence_length * (values * _value_bytes(precision) + 4 * config.heads)


def _cheap_rest_bytes(config: ModelConfig, batch: int, precision: Precision) -> int:
    """What the second half of a block computes again under `selective`: sum, norm, activation, masks of dropout."""
    values = 2 * config.width + config.expanded_width
    masks = 2 * config.width if config.dropout else 0
    return batch * config.sequence_length * (values * _value_bytes(precision) + _norm_statistics(config) + masks)


def _attention_values(config: ModelConfig) -> int:
    """Of each token: packed queries, keys and values, what attention is given beside them, and what it makes of all."""
    values = config.query_key_value_width + config.attention_width
    if config.positions == "rope" or config.query_key_norm:
        # Queries and keys as attention sees them; the values keep the packed ones alive beside them.
        values += (config.heads + config.key_value_heads) * config.head_width
    elif config.query_key_layer_scaling:
        values += config.attention_width  # the divided queries, likewise
    return values


def loss_bytes(
    config: ModelConfig,
    batch: int,
    precision: Precision = "bf16",
    chunked: bool = True,
    head_rows: int | None = None,
) -> int:
    """Bytes that the output head and its loss hold for `batch` full sequences.

    Chunked: the gradients of hidden states and of the weight, the latter in fp32, and one chunk's logits. Otherwise
    the logits, and in fp32 a copy of them and its gradient: 10 s b V in bf16.

    `head_rows` of the weight alone have a gradient, where an adapter is trained; where these are some, the whole weight
    is copied to put them into it.
    """
    tokens, value = batch * config.sequence_length, _value_bytes(precision)
    if not chunked:
        return tokens * config.vocabulary_size * (value + 8)
    rows = config.vocabulary_size if head_rows is None else head_rows
    gradients = tokens * config.width * value + 4 * rows * config.width
    if 0 < rows < config.vocabulary_size:
        gradients += config.vocabulary_size * config.width * value
    copies = 4 if precision == "fp32" else 2 * value + 4
    return gradients + min(LOSS_CHUNK_TOKENS, tokens) * config.vocabulary_size * copies


def _around_blocks_bytes(config: ModelConfig, batch: int, precision: Precision) -> int:
    norms = 2 if config.embedding_norm else 1
    of_norms = norms * (config.width * _value_bytes(precision) + _norm_statistics(config))
    mask = config.width if config.dropout else 0
    return batch * config.sequence_length * (of_norms + mask + 8)  # 8: the token's id


def _value_bytes(precision: Precision) -> int:
    return {"fp32": 4, "bf16": 2}[precision]


def _norm_statistics(config: ModelConfig) -> int:
    """Bytes a norm keeps of each row: the reciprocal of its deviation, and LayerNorm its mean, in fp32."""
    return 8 if config.norm == "layernorm" else 4
