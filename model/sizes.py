"""Arithmetic of a model's size: parameters, floating-point operations, memory of the key-value cache."""

from model.config import ModelConfig


def parameter_count(config: ModelConfig) -> int:
    """Exact number of parameters, a tied embedding counted once.

    For the GPT shape (GELU, biases, embedding norm, tied) this is V D + L (12 D^2 + 13 D) + 4 D.
    """
    width, bias = config.width, int(config.bias)
    norm_vectors = 1 + bias if config.norm == "layernorm" else 1
    query_key_value = (config.heads + 2 * config.key_value_heads) * config.head_width
    expand = config.feed_forward_width * (2 if config.activation == "swiglu" else 1)
    biases = bias * (query_key_value + width + expand + width)
    norms = norm_vectors * (2 * width + (2 * config.head_width if config.query_key_norm else 0))
    layer = _block_matrix_weights(config) + biases + norms
    embeddings = config.vocabulary_size * width * (1 if config.tied else 2)
    return embeddings + config.layers * layer + norm_vectors * width * (2 if config.embedding_norm else 1)


def flop_per_token(config: ModelConfig, recompute: bool = False, causal: bool = False) -> float:
    """Floating-point operations to train on one token of a full sequence.

    Forward: 2 for each weight of a matrix product plus 4 L D s for attention; backward: twice the forward. For the GPT
    shape this is 3 (24 L D^2 + 2 V D + 4 L D s), and with `recompute` equation 3 of Narayanan et al. 2021.

    Args:
        recompute: count the second forward pass through the blocks that activation checkpointing makes.
        causal: count only the half of attention that the causal mask leaves.
    """
    attention = 4 * config.layers * config.width * config.sequence_length * (0.5 if causal else 1.0)
    blocks = 2 * config.layers * _block_matrix_weights(config) + attention
    head = 2 * config.vocabulary_size * config.width
    return 3 * (blocks + head) + (blocks if recompute else 0)


def kv_cache_bytes(config: ModelConfig, batch: int, tokens: int, bytes_per_value: int = 2) -> int:
    """Bytes that the keys and values of `batch` sequences of `tokens` take in all layers together."""
    return 2 * config.layers * batch * tokens * config.key_value_heads * config.head_width * bytes_per_value


def _block_matrix_weights(config: ModelConfig) -> int:
    attention = (2 * config.heads + 2 * config.key_value_heads) * config.head_width * config.width
    matrices = 3 if config.activation == "swiglu" else 2
    return attention + matrices * config.width * config.feed_forward_width
