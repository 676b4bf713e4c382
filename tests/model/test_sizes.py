"""Parameter and operation counts against published figures and against the model itself."""

from itertools import product

import pytest
import torch
import yaml
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.checkpoint import set_checkpoint_early_stop
from torch.utils.flop_counter import FlopCounterMode

from model.attention import LayerCache
from model.config import ModelConfig
from model.sizes import (
    block_parameters,
    flop_per_token,
    flop_per_token_of_parameters,
    kv_cache_bytes,
    parameter_count,
)
from model.transformer import Transformer
from tests.models import BLOOM, shape
from train.config import CHECKOUT

PRESETS = CHECKOUT / "configs" / "model"
PUBLISHED = {
    "bbg-125m": 110_223_360,
    "bbg-350m": 335_867_904,
    "bbg-1.3b": 1_342_824_448,
    "bbg-7b": 6_981_042_176,
    "bloomberggpt-50b": 50_558_868_480,
    "modern-125m": 100_684_032,
    "modern-350m": 337_694_720,
    "modern-1.3b": 1_350_672_384,
    "modern-7b": 6_744_715_264,
}


def preset(name):
    return ModelConfig.model_validate(yaml.safe_load((PRESETS / f"{name}.yaml").read_text(encoding="utf-8")))


def bloom(layers, width, heads, **changes):
    return ModelConfig.model_validate(shape(layers, width, heads, 250_880, 2048) | BLOOM | changes)


def built(config):
    with torch.device("meta"):
        return Transformer(config)


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


def test_there_is_a_published_count_for_every_preset():
    assert {path.stem for path in PRESETS.iterdir()} == set(PUBLISHED)


@pytest.mark.parametrize("name", PUBLISHED)
def test_presets_have_exactly_the_published_parameters(name):
    config = preset(name)
    assert parameter_count(config) == PUBLISHED[name]
    assert count(built(config)) == PUBLISHED[name]
    assert config.sequence_length == (2048 if "b" in name.split("-")[0] else 4096)


@pytest.mark.parametrize(
    ("shape", "parameters"),
    [((24, 1024, 16), 559_214_592), ((30, 4096, 32), 7_069_016_064), ((70, 14336, 112), 176_247_271_424)],
    ids=["560m", "7b1", "176b"],
)
def test_bloom_has_its_published_parameters(shape, parameters):
    config = bloom(*shape)
    assert parameter_count(config) == parameters
    assert count(built(config)) == parameters


SWITCHES = {
    "norm": ["layernorm", "rmsnorm"],
    "activation": ["gelu", "swiglu"],
    "embedding_norm": [True, False],
    "bias": [True, False],
    "tied": [True, False],
    "query_key_norm": [True, False],
    "key_value_heads": [None, 2],
}


@pytest.mark.parametrize("values", list(product(*SWITCHES.values())))
def test_the_closed_form_counts_every_combination_of_switches(values):
    changes = dict(zip(SWITCHES, values, strict=True))
    config = bloom(2, 24, 6, vocabulary_size=13, feed_forward_width=20, **changes)
    model = built(config)
    assert parameter_count(config) == count(model)
    assert block_parameters(config) == count(model.blocks[0])


OF_WEIGHTS = {
    "bias": [True, False, "query_key_value"],
    "query_key_norm": [True, False, "all_heads"],
    "head_width": [None, 6],
    "norm_placement": ["before", "after"],
    "norm": ["layernorm", "rmsnorm"],
}


@pytest.mark.parametrize("values", list(product(*OF_WEIGHTS.values())))
def test_the_closed_form_counts_what_published_models_have(values):
    changes = dict(zip(OF_WEIGHTS, values, strict=True)) | {"key_value_heads": 2}
    config = bloom(2, 24, 6, vocabulary_size=13, feed_forward_width=20, **changes)
    model = built(config)
    assert parameter_count(config) == count(model)
    assert block_parameters(config) == count(model.blocks[0])


def test_operations_of_windows_count_what_can_be_seen():
    s, w, layers, width = 2048, 512, 6, 24
    full = bloom(layers, width, 6)
    mixed = bloom(layers, width, 6, sliding_window=w, layer_pattern=["sliding", "sliding", "full"])
    saved = flop_per_token(full) - flop_per_token(mixed)
    assert saved == 3 * 4 * 4 * width * (s - w)
    seen = sum(min(place + 1, w) for place in range(s)) / s  # half a token more than the integral
    saved = flop_per_token(full, causal=True) - flop_per_token(mixed, causal=True)
    assert saved == pytest.approx(3 * 4 * 4 * width * (s / 2 + 0.5 - seen), rel=1e-3)
    assert flop_per_token(bloom(layers, width, 6, sliding_window=s)) == flop_per_token(full)
    assert flop_per_token(mixed, recomputed_blocks=6) == pytest.approx(
        flop_per_token(mixed) * 4 / 3 - 2 * 250_880 * width, rel=1e-12
    )


def test_gpt_operations_are_those_of_the_recipe():
    config = preset("bloomberggpt-50b")
    layers, width, vocabulary, s = 70, 7680, 131_072, 2048
    dense, attention = 24 * layers * width**2 + 2 * vocabulary * width, 4 * layers * width * s
    assert flop_per_token(config) == 3 * (dense + attention)
    assert flop_per_token(config, causal=True) == 3 * (dense + attention / 2)
    assert flop_per_token(config, frozen=True) == 2 * dense + 3 * attention, "no gradient of weights"
    # Six operations a parameter, but for biases, norms and attention.
    biases_and_norms = 13 * layers * width + 4 * width
    six_n = 6 * (parameter_count(config) - biases_and_norms)
    assert flop_per_token(config) == six_n + 12 * layers * width * s


def test_recomputation_gives_the_megatron_formula_and_the_logged_speed_of_bloom():
    config = bloom(70, 14336, 112)
    batch, s, layers, width, vocabulary = 2048, 2048, 70, 14336, 250_880
    megatron = 96 * batch * s * layers * width**2 * (1 + s / (6 * width) + vocabulary / (16 * layers * width))
    # BLOOM's log: 105.22 s a step of 2,048 sequences on 384 GPUs, 149.02 TFLOP/s each.
    assert megatron / (105.22 * 384) / 1e12 == pytest.approx(149.02, rel=1e-4)
    assert flop_per_token(config, recomputed_blocks=70) * batch * s == pytest.approx(megatron, rel=1e-12)


def test_the_shorthand_is_that_of_the_published_figures():
    # 102 TFLOP/s a GPU: 32.5 s a step of 4,194,304 tokens on 512 GPUs, recomputation counted (8 N).
    config = preset("bloomberggpt-50b")
    assert flop_per_token_of_parameters(config, recompute=True) * 4_194_304 / (32.5 * 512) == pytest.approx(
        102e12, rel=1e-3
    )
    assert flop_per_token_of_parameters(config) == 6 * 50_558_868_480
    # Attention is what it leaves out: 3.8 % at this width and length.
    assert flop_per_token(config) / flop_per_token_of_parameters(config) == pytest.approx(1.0435, rel=1e-3)


@pytest.mark.parametrize("recomputed", [False, True])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"key_value_heads": 2, "tied": False},
        {"activation": "swiglu", "feed_forward_width": 40},
        {"positions": "rope", "query_key_norm": True, "norm": "rmsnorm", "bias": False},
        {"positions": "rope", "head_width": 8, "query_key_norm": "all_heads", "norm_placement": "after"},
    ],
)
def test_operations_are_what_a_training_step_really_does(changes, recomputed):
    config = bloom(2, 24, 6, vocabulary_size=50, sequence_length=16, **changes)
    model, tokens = Transformer(config), torch.zeros(3, 16, dtype=torch.int64)
    model.set_training(recomputed)
    # torch counts the products of this attention, not those inside the CPU's fused kernel.
    # And it ends a block's second forward pass once it has what the backward pass needs: before the last product.
    whole_blocks = set_checkpoint_early_stop(False)
    with whole_blocks, sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(tokens, tokens).backward()
    expected = flop_per_token(config, recomputed_blocks=2 if recomputed else 0) * tokens.numel()
    assert counter.get_total_flops() == pytest.approx(expected, rel=0.05)


def test_cache_bytes_are_those_of_a_cache():
    config = bloom(3, 24, 6, vocabulary_size=50, key_value_heads=2)
    model, cache = Transformer(config), [LayerCache(capacity=20) for _ in range(3)]
    model(torch.zeros(4, 7, dtype=torch.int64), cache=cache)
    assert kv_cache_bytes(config, batch=4, tokens=20, bytes_per_value=4) == sum(layer.nbytes for layer in cache)
