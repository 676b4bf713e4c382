"""Attention against a plain float64 computation, with and without a cache."""

import math

import pytest
import torch

from model.attention import Attention, LayerCache
from model.config import ModelConfig
from model.kernels import choose_kernel
from model.positions import alibi_slopes, rotary_angles


def config(**changes):
    shape = {"layers": 1, "width": 48, "heads": 6, "vocabulary_size": 8, "sequence_length": 8}
    switches = {"positions": "alibi", "norm": "layernorm", "activation": "gelu", "embedding_norm": False}
    return ModelConfig.model_validate(
        shape | switches | {"bias": True, "tied": True, "query_key_norm": False} | changes
    )


def random_attention(settings, layer=1):
    attention = Attention(settings, layer).double()
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return attention


def attend(attention, settings, x, cache=None, documents=None):
    """The three steps as a block takes them; rotations do not begin anew, which exact arithmetic does not see."""
    past = cache.length if cache else 0
    angles = (settings.head_width, settings.rope_theta, past, x.shape[1], x.dtype, x.device)
    q, k, v = attention.project(x, rotary_angles(*angles) if settings.positions == "rope" else None)
    kernel = choose_kernel(settings, x, past, documents)
    return attention.output(attention.mix(q, k, v, kernel, cache))


def plain_attention(attention, c, x, documents=None):
    """The definition, head by head and query by query."""
    packed = x @ attention.query_key_value.weight.T
    packed = packed if attention.query_key_value.bias is None else packed + attention.query_key_value.bias
    heads = packed.reshape(*x.shape[:2], -1, c.head_width)
    q, k, v = heads[:, :, : c.heads], heads[:, :, c.heads : -c.key_value_heads], heads[:, :, -c.key_value_heads :]
    q, k = attention.query_norm(q), attention.key_norm(k)
    result = torch.zeros(*x.shape[:2], c.heads, c.head_width, dtype=x.dtype)
    for row in range(len(x)):
        for head in range(c.heads):
            shared = head // (c.heads // c.key_value_heads)
            for t in range(x.shape[1]):
                seen = [s for s in range(t + 1) if documents is None or documents[row, s] == documents[row, t]]
                logits = torch.stack([logit(c, head, q[row, t, head], k[row, s, shared], t, s) for s in seen])
                result[row, t, head] = logits.softmax(0) @ v[row, seen, shared]
    output = result.flatten(2) @ attention.output.weight.T
    return output if attention.output.bias is None else output + attention.output.bias


def logit(c, head, query, key, t, s):
    if c.positions == "alibi":
        return (query * key).sum() / math.sqrt(c.head_width) + alibi_slopes(c.heads)[head] * (s - t)
    pairs = c.head_width // 2
    angle = torch.tensor([(t - s) * c.rope_theta ** (-i / pairs) for i in range(pairs)], dtype=torch.float64)
    # A complex number for each rotated pair: only the angle between query and key matters.
    relative = torch.complex(query[:pairs], query[pairs:]) * torch.polar(torch.ones_like(angle), angle)
    return (relative * torch.complex(key[:pairs], -key[pairs:])).real.sum() / math.sqrt(c.head_width)


VARIANTS = [
    config(),
    config(key_value_heads=2, bias=False),
    config(positions="rope", norm="rmsnorm", bias=False),
    config(positions="rope", norm="rmsnorm", bias=False, key_value_heads=3, query_key_norm=True, rope_theta=100.0),
    config(positions="rope", query_key_norm=True, key_value_heads=1),
]
DOCUMENTS = torch.tensor([[0, 0, 0, 1, 1, 1, 1], [0, -1, 1, 1, 2, 3, 3]], dtype=torch.int32)


@pytest.mark.parametrize("settings", VARIANTS)
@pytest.mark.parametrize("documents", [None, DOCUMENTS], ids=["whole", "documents"])
@pytest.mark.parametrize("layer", [None, 3], ids=["plain", "scaled"])
def test_attention_is_its_definition(settings, documents, layer):
    """Also where logits are divided by the number of the layer and multiplied by it again."""
    torch.manual_seed(0)
    settings = settings.model_copy(update={"query_key_layer_scaling": layer is not None})
    attention = random_attention(settings, layer or 1)
    x = torch.randn(2, 7, settings.width, dtype=torch.float64)
    expected = plain_attention(attention, settings, x, documents)
    torch.testing.assert_close(attend(attention, settings, x, documents=documents), expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize("settings", VARIANTS)
@pytest.mark.parametrize("pieces", [[1] * 7, [3, 1, 2, 1], [6, 1], [2, 5]])
def test_the_cache_gives_what_the_whole_sequence_gives(settings, pieces):
    torch.manual_seed(0)
    attention = random_attention(settings)
    x = torch.randn(2, 7, settings.width, dtype=torch.float64)
    cache = LayerCache()
    parts = [attend(attention, settings, piece, cache) for piece in x.split(pieces, dim=1)]
    torch.testing.assert_close(torch.cat(parts, dim=1), attend(attention, settings, x), rtol=0, atol=1e-11)
    assert cache.length == 7


@pytest.mark.parametrize("settings", VARIANTS)
@pytest.mark.parametrize("documents", [None, DOCUMENTS[:1]], ids=["whole", "documents"])
def test_a_token_sees_neither_the_future_nor_another_document(settings, documents):
    torch.manual_seed(0)
    attention = random_attention(settings)
    x = torch.randn(1, 7, settings.width, dtype=torch.float64, requires_grad=True)
    attend(attention, settings, x, documents=documents)[:, 4].sum().backward()
    seen = slice(0 if documents is None else 3, 5)
    assert x.grad[:, seen].abs().amax(-1).min() > 0
    x.grad[:, seen] = 0
    assert x.grad.abs().max() == 0


@pytest.mark.parametrize("settings", VARIANTS)
def test_what_inference_mode_made_serves_training(settings):
    attention = random_attention(settings)
    x = torch.randn(1, 11, settings.width, dtype=torch.float64)
    with torch.inference_mode():
        attend(attention, settings, x)
    attend(attention, settings, x).sum().backward()
    assert attention.query_key_value.weight.grad.abs().sum() > 0
