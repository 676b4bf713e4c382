"""Norms and feed-forward layers against their formulas in float64."""

import math

import pytest
import torch

from model.config import ModelConfig
from model.layers import FeedForward, make_norm


def config(**changes):
    settings = {"layers": 1, "width": 12, "heads": 2, "feed_forward_width": 20, "vocabulary_size": 8}
    settings |= {"sequence_length": 8, "positions": "alibi", "norm": "layernorm", "activation": "gelu"}
    settings |= {"embedding_norm": False, "bias": True, "tied": True, "query_key_norm": False}
    return ModelConfig.model_validate(settings | changes)


def randomised(module):
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter)
    return module.double()


def test_layernorm_is_its_formula():
    torch.manual_seed(0)
    norm, x = randomised(make_norm(config(norm_epsilon=0.1), 12)), torch.randn(5, 12, dtype=torch.float64)
    centred = x - x.mean(-1, keepdim=True)
    expected = centred / (centred.square().mean(-1, keepdim=True) + 0.1).sqrt() * norm.weight + norm.bias
    torch.testing.assert_close(norm(x), expected, rtol=0, atol=1e-12)


def test_rmsnorm_is_its_formula():
    torch.manual_seed(0)
    norm, x = randomised(make_norm(config(norm="rmsnorm", norm_epsilon=0.1), 12)), torch.randn(5, 12).double()
    expected = x / (x.square().mean(-1, keepdim=True) + 0.1).sqrt() * norm.weight
    torch.testing.assert_close(norm(x), expected, rtol=0, atol=1e-12)
    assert [name for name, _ in norm.named_parameters()] == ["weight"]


@pytest.mark.parametrize("kind", ["layernorm", "rmsnorm"])
def test_norm_statistics_of_bfloat16_are_made_in_float32(kind):
    # 1 + 1/256 + ... needs more than the 8 bits of bfloat16: squares summed in bfloat16 would be off by percents.
    norm = make_norm(config(norm=kind, bias=False), 4096).to(torch.bfloat16)
    x = torch.randn(4, 4096, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16)
    exact = make_norm(config(norm=kind, bias=False), 4096)(x.float())
    torch.testing.assert_close(norm(x).float(), exact, rtol=2**-8, atol=1e-6)


def test_layernorm_has_a_bias_only_where_the_model_has():
    assert make_norm(config(bias=False), 12).bias is None


def test_gelu_feed_forward_uses_the_tanh_form():
    torch.manual_seed(0)
    layer, x = randomised(FeedForward(config())), torch.randn(2, 3, 12, dtype=torch.float64)
    hidden = x @ layer.expand.weight.T + layer.expand.bias
    hidden = 0.5 * hidden * (1 + torch.tanh(math.sqrt(2 / math.pi) * (hidden + 0.044715 * hidden**3)))
    torch.testing.assert_close(layer(x), hidden @ layer.output.weight.T + layer.output.bias, rtol=0, atol=1e-11)


def test_swiglu_feed_forward_gates_with_silu():
    torch.manual_seed(0)
    layer, x = randomised(FeedForward(config(activation="swiglu", bias=False))), torch.randn(2, 3, 12).double()
    gate, up = x @ layer.expand.weight[:20].T, x @ layer.expand.weight[20:].T
    expected = (gate / (1 + torch.exp(-gate)) * up) @ layer.output.weight.T
    torch.testing.assert_close(layer(x), expected, rtol=0, atol=1e-11)
