"""Arithmetic of a model's size: parameters, floating-point operations, bytes of the key-value cache."""

from model.config import ModelConfig


def parameter_count(config: ModelConfig) -> int:
    """Exact number of parameters, a tied embedding counted once.

    For the GPT shape (GELU, biases, embedding norm, tied) this is V D + L (12 D^2 + 13 D) + 4 D.
    """
    embeddings = config.vocabulary_size * config.width * (1 if config.tied else 2)
    norms = _norm_vectors(config) * config.width * (2 if config.embedding_norm else 1)
    return embeddings + config.layers * block_parameters(config) + norms


def block_parameters(config: ModelConfig) -> int:
    """Parameters of one block: 12 D^2 + 13 D for the GPT shape."""
    biases = config.query_key_value_width + config.width + config.expanded_width + config.width if config.bias else 0
    normed_widths = 2 * config.width + (2 * config.head_width if config.query_key_norm else 0)
    return _block_matrix_weights(config) + biases + _norm_vectors(config) * normed_widths


def flop_per_token(
    config: ModelConfig, recomputed_blocks: int = 0, causal: bool = False, frozen: bool = False
) -> float:
    """Floating-point operations to train on one token of a full sequence.

    Forward: 2 for each weight of a matrix product plus 4 L D s for attention; backward: twice the forward. For the GPT
    shape this is 3 (24 L D^2 + 2 V D + 4 L D s), and with all blocks recomputed equation 3 of Narayanan et al. 2021.
    Utilisation of the model (MFU) takes it without recomputation, that of the hardware (HFU) with.

    Args:
        recomputed_blocks: blocks whose forward pass activation checkpointing makes a second time, counted whole as the
            literature does; torch leaves out a block's last product, which the backward pass does not need.
        causal: count only the half of attention that the causal mask leaves.
        frozen: the weights have no gradient, as beside an adapter, whose own products are not counted: a third of the
            matrix products is not made.
    """
    attention = 4 * config.width * config.sequence_length * (0.5 if causal else 1.0)
    block = 2 * _block_matrix_weights(config) + attention
    head = 2 * config.vocabulary_size * config.width
    all_trained = 3 * (config.layers * block + head) + recomputed_blocks * block
    return all_trained - (config.layers * (block - attention) + head if frozen else 0)


def flop_per_token_of_parameters(config: ModelConfig, recompute: bool = False) -> int:
    """The field's shorthand, which leaves attention out: 6 N, and 8 N where the forward pass is made twice."""
    return (8 if recompute else 6) * parameter_count(config)


def kv_cache_bytes(config: ModelConfig, batch: int, tokens: int, bytes_per_value: int = 2) -> int:
    """Bytes that the keys and values of `batch` sequences of `tokens` take in all layers together."""
    return 2 * config.layers * batch * tokens * config.key_value_heads * config.head_width * bytes_per_value


def _block_matrix_weights(config: ModelConfig) -> int:
    attention = config.query_key_value_width + config.width
    return config.width * (attention + config.expanded_width + config.feed_forward_width)


def _norm_vectors(config: ModelConfig) -> int:
    """Vectors of one norm: the gain, and LayerNorm's bias."""
    return 2 if config.norm == "layernorm" and config.bias else 1
