"""Attention against a plain float64 computation; ALiBi slopes and rotations against the published values."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.attention import Attention, LayerCache, Positions, alibi_mask, alibi_slopes, rotary_angles, rotate
from model.config import ModelConfig

CPU = torch.device("cpu")


def config(**changes):
    shape = {"layers": 1, "width": 48, "heads": 6, "vocabulary_size": 8, "sequence_length": 8}
    switches = {"positions": "alibi", "norm": "layernorm", "activation": "gelu", "embedding_norm": False}
    return ModelConfig.model_validate(
        shape | switches | {"bias": True, "tied": True, "query_key_norm": False} | changes
    )


def random_attention(settings):
    attention = Attention(settings, Positions(settings)).double()
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return attention


def plain_attention(attention, x):
    """The definition, head by head and query by query."""
    c = attention.config
    packed = x @ attention.query_key_value.weight.T
    packed = packed if attention.query_key_value.bias is None else packed + attention.query_key_value.bias
    heads = packed.reshape(*x.shape[:2], -1, c.head_width)
    q, k, v = heads[:, :, : c.heads], heads[:, :, c.heads : -c.key_value_heads], heads[:, :, -c.key_value_heads :]
    q, k = attention.query_norm(q), attention.key_norm(k)
    result = torch.zeros(*x.shape[:2], c.heads, c.head_width, dtype=x.dtype)
    for head in range(c.heads):
        shared = head // (c.heads // c.key_value_heads)
        for t in range(x.shape[1]):
            logits = torch.stack([logit(c, head, q[:, t, head], k[:, s, shared], t, s) for s in range(t + 1)], dim=1)
            result[:, t, head] = (logits.softmax(1)[..., None] * v[:, : t + 1, shared]).sum(1)
    output = result.flatten(2) @ attention.output.weight.T
    return output if attention.output.bias is None else output + attention.output.bias


def logit(c, head, query, key, t, s):
    if c.positions == "alibi":
        return (query * key).sum(-1) / math.sqrt(c.head_width) + alibi_slopes(c.heads)[head] * (s - t)
    pairs = c.head_width // 2
    angle = torch.tensor([(t - s) * c.rope_theta ** (-i / pairs) for i in range(pairs)], dtype=torch.float64)
    # A complex number for each rotated pair: only the angle between query and key matters.
    relative = torch.complex(query[:, :pairs], query[:, pairs:]) * torch.polar(torch.ones_like(angle), angle)
    return (relative * torch.complex(key[:, :pairs], -key[:, pairs:])).real.sum(-1) / math.sqrt(c.head_width)


VARIANTS = [
    config(),
    config(key_value_heads=2, bias=False),
    config(positions="rope", norm="rmsnorm", bias=False),
    config(positions="rope", norm="rmsnorm", bias=False, key_value_heads=3, query_key_norm=True, rope_theta=100.0),
    config(positions="rope", query_key_norm=True, key_value_heads=1),
]


@pytest.mark.parametrize("settings", VARIANTS)
def test_attention_is_its_definition(settings):
    torch.manual_seed(0)
    attention = random_attention(settings)
    x = torch.randn(2, 7, settings.width, dtype=torch.float64)
    torch.testing.assert_close(attention(x), plain_attention(attention, x), rtol=0, atol=1e-11)


@pytest.mark.parametrize("settings", VARIANTS)
@pytest.mark.parametrize("pieces", [[1] * 7, [3, 1, 2, 1], [6, 1], [2, 5]])
def test_the_cache_gives_what_the_whole_sequence_gives(settings, pieces):
    torch.manual_seed(0)
    attention = random_attention(settings)
    x = torch.randn(2, 7, settings.width, dtype=torch.float64)
    cache = LayerCache()
    parts = [attention(piece, cache) for piece in x.split(pieces, dim=1)]
    torch.testing.assert_close(torch.cat(parts, dim=1), attention(x), rtol=0, atol=1e-11)
    assert cache.length == 7


@pytest.mark.parametrize("settings", VARIANTS)
def test_a_token_does_not_see_the_future(settings):
    torch.manual_seed(0)
    attention = random_attention(settings)
    x = torch.randn(1, 7, settings.width, dtype=torch.float64, requires_grad=True)
    attention(x)[:, 3].sum().backward()
    assert x.grad[:, :4].abs().amax(-1).min() > 0
    assert torch.equal(x.grad[:, 4:], torch.zeros_like(x.grad[:, 4:]))


def test_slopes_of_powers_of_two_and_of_bloomberggpt():
    assert alibi_slopes(1) == [2**-8]
    assert alibi_slopes(8) == [2.0**-k for k in range(1, 9)]
    slopes = alibi_slopes(40)
    assert slopes[:32] == pytest.approx([2 ** (-k / 4) for k in range(1, 33)], rel=1e-15)
    assert slopes[32:] == pytest.approx([2 ** (-(k - 0.5) / 4) for k in range(1, 9)], rel=1e-15)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 300))
def test_slopes_are_distinct_and_lie_between_the_published_ends(heads):
    slopes = alibi_slopes(heads)
    assert len(set(slopes)) == heads
    assert min(slopes) >= 2**-8
    assert max(slopes) < 1


def test_the_mask_holds_slope_times_distance_rounded_once():
    mask = alibi_mask(2, 0, 400, torch.bfloat16, CPU)
    assert mask.shape == (1, 2, 400, 400)
    assert mask.dtype == torch.bfloat16
    # Positions from 257 on have nine bits: differences of bfloat16 positions would be wrong.
    distance = torch.arange(400)[None, :] - torch.arange(400)[:, None]
    for head, slope in enumerate((2**-4, 2**-8)):
        expected = (slope * distance.double()).masked_fill(distance > 0, -torch.inf).to(torch.bfloat16)
        assert torch.equal(mask[0, head], expected)


def test_rotary_angles_stay_exact_in_bfloat16():
    cosine, sine = rotary_angles(8, 10_000.0, 2000, 3, torch.bfloat16, CPU)
    assert cosine.shape == (3, 1, 4)
    for row, position in enumerate((2000, 2001, 2002)):
        for i in range(4):
            angle = position * 10_000.0 ** (-2 * i / 8)
            assert cosine[row, 0, i].item() == pytest.approx(math.cos(angle), abs=2**-8)
            assert sine[row, 0, i].item() == pytest.approx(math.sin(angle), abs=2**-8)


def test_rotation_keeps_lengths_and_is_nothing_at_position_zero():
    x = torch.randn(1, 5, 2, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    rotated = rotate(x, *rotary_angles(8, 500.0, 0, 5, torch.float64, CPU))
    torch.testing.assert_close(rotated.norm(dim=-1), x.norm(dim=-1), rtol=0, atol=1e-12)
    assert torch.equal(rotated[:, 0], x[:, 0])


def test_positions_are_kept_until_the_question_changes():
    positions = Positions(config())
    first, _ = positions(0, 5, torch.float32, CPU)
    assert positions(0, 5, torch.float32, CPU)[0] is first
    longer, _ = positions(0, 50, torch.float32, CPU)
    assert longer.shape[-1] == 50
    assert positions(0, 5, torch.float64, CPU)[0].dtype == torch.float64
    assert torch.equal(positions(0, 5, torch.float32, CPU)[0], first)


@pytest.mark.parametrize("settings", VARIANTS)
def test_attention_weights_are_dropped_in_training_only(settings):
    attention = random_attention(settings.model_copy(update={"dropout": 0.5}))
    x = torch.randn(1, 7, settings.width, dtype=torch.float64)
    assert not torch.equal(attention(x), attention(x))
    assert torch.equal(attention.eval()(x), attention(x))


@pytest.mark.parametrize("settings", VARIANTS)
def test_positions_made_in_inference_mode_serve_training(settings):
    attention = random_attention(settings)
    x = torch.randn(1, 7, settings.width, dtype=torch.float64)
    with torch.inference_mode():
        attention(x)
    attention(x).sum().backward()
    assert attention.query_key_value.weight.grad.abs().sum() > 0
