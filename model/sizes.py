"""Arithmetic of a model's size: parameters, floating-point operations, bytes of the key-value cache."""

from model.config import LayerKind, ModelConfig


def parameter_count(config: ModelConfig) -> int:
    """Exact number of parameters, a tied embedding counted once.

    For the GPT shape (GELU, biases, embedding norm, tied) this is V D + L (12 D^2 + 13 D) + 4 D.
    """
    embeddings = config.vocabulary_size * config.width * (1 if config.tied else 2)
    norms = _norm_vectors(config) * config.width * (2 if config.embedding_norm else 1)
    return embeddings + config.layers * block_parameters(config) + norms


def block_parameters(config: ModelConfig) -> int:
    """Parameters of one block: 12 D^2 + 13 D for the GPT shape."""
    biases = config.query_key_value_width if config.bias else 0
    biases += config.width + config.expanded_width + config.width if config.bias is True else 0
    normed_widths = 2 * config.width
    if config.query_key_norm:
        all_heads = config.query_key_norm == "all_heads"
        normed_widths += config.head_width * (config.heads + config.key_value_heads if all_heads else 2)
    return _block_matrix_weights(config) + biases + _norm_vectors(config) * normed_widths


def hidden_matrix_parameters(config: ModelConfig) -> int:
    """Parameters of the blocks' matrices, biases left out: what Muon trains."""
    return config.layers * _block_matrix_weights(config)


def flop_per_token(
    config: ModelConfig, recomputed_blocks: int = 0, causal: bool = False, frozen: bool = False
) -> float:
    """Floating-point operations to train on one token of a full sequence.

    Forward: 2 for each weight of a matrix product plus 4 L D s for attention; backward: twice the forward. For the GPT
    shape this is 3 (24 L D^2 + 2 V D + 4 L D s), and with all blocks recomputed equation 3 of Narayanan et al. 2021.
    In layers that slide over windows of w tokens, w stands for s where it is smaller: no kernel need compute more.
    Utilisation of the model (MFU) takes it without recomputation, that of the hardware (HFU) with.

    Args:
        recomputed_blocks: blocks whose forward pass activation checkpointing makes a second time, counted whole as the
            literature does; torch leaves out a block's last product, which the backward pass does not need. Of layers
            of two kinds they are taken as of their average.
        causal: count only what the causal mask leaves of attention: half of it, and of a window w - w^2 / 2s.
        frozen: the weights have no gradient, as beside an adapter, whose own products are not counted: a third of the
            matrix products is not made.
    """
    length = config.sequence_length
    window = min(length, config.sliding_window or length)
    seen: dict[LayerKind, float] = {"full": length, "unrotated": length, "sliding": window}
    if causal:
        seen = {kind: keys - keys * keys / (2 * length) for kind, keys in seen.items()}
    keys = sum(config.layers_of(kind) * seen[kind] for kind in set(config.layer_pattern))
    blocks = 2 * config.layers * _block_matrix_weights(config) + 4 * config.attention_width * keys
    head = 2 * config.vocabulary_size * config.width
    all_trained = 3 * (blocks + head) + recomputed_blocks * blocks / config.layers
    return all_trained - (2 * config.layers * _block_matrix_weights(config) + head if frozen else 0)


def flop_per_token_of_parameters(config: ModelConfig, recompute: bool = False, frozen: bool = False) -> int:
    """The field's shorthand, which leaves attention out: 6 N, and 8 N where the forward pass is made twice.

    2 N less where the weights are frozen and have no gradient.
    """
    return ((8 if recompute else 6) - (2 if frozen else 0)) * parameter_count(config)


def kv_cache_bytes(config: ModelConfig, batch: int, tokens: int, bytes_per_value: int = 2) -> int:
    """Bytes that the keys and values of `batch` sequences of `tokens` take in all layers together.

    Layers that slide keep all tokens too, as `model.attention.LayerCache` does.
    """
    return 2 * config.layers * batch * tokens * config.key_value_heads * config.head_width * bytes_per_value


def _block_matrix_weights(config: ModelConfig) -> int:
    attention = config.query_key_value_width + config.attention_width
    return config.width * (attention + config.expanded_width + config.feed_forward_width)


def _norm_vectors(config: ModelConfig) -> int:
    """Vectors of one norm: the gain, and LayerNorm's bias."""
    return 2 if config.norm == "layernorm" and config.bias is True else 1
