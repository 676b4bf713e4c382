"""The architecture's configuration: defaults that follow other settings, and refusals that say why."""

import pytest
from pydantic import ValidationError

from model.config import ModelConfig
from tests import models
from tests.models import YARN

LINEAR = {"kind": "linear", "factor": 2.0}
BLOOM = models.shape(layers=2, width=48, heads=6, vocabulary_size=64, sequence_length=16) | models.BLOOM


def test_absent_and_null_widths_follow_heads_and_width():
    absent = ModelConfig.model_validate(BLOOM)
    null = ModelConfig.model_validate(BLOOM | {"key_value_heads": None, "feed_forward_width": None})
    assert absent == null
    assert (absent.key_value_heads, absent.feed_forward_width, absent.head_width) == (6, 192, 8)


def test_a_config_survives_being_written_and_read_back():
    config = ModelConfig.model_validate(BLOOM | {"key_value_heads": 3, "z_loss": 1e-4, "dropout": 0.1})
    assert ModelConfig.model_validate(config.model_dump()) == config
    assert ModelConfig.model_validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize("settings", models.PUBLISHED.values(), ids=models.PUBLISHED.keys())
def test_those_of_published_models_survive_it_too(settings):
    config = ModelConfig.model_validate(settings)
    assert ModelConfig.model_validate(config.model_dump()) == config
    assert ModelConfig.model_validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize(
    ("layers", "pattern", "kept"),
    [
        (8, "ssfssf", "ssf"),
        (8, "ssssf", "ssssf"),
        (4, "ssssf", "s"),
        (4, "ssfssffffff", "ssf"),
        (5, "fsf", "fsf"),
        (3, "fsf", "fs"),
        (1_000_000_000, "sfsf", "sf"),
    ],
)
def test_a_pattern_is_kept_as_its_shortest_period(layers, pattern, kept):
    names = {"s": "sliding", "f": "full"}
    said = {"layers": layers, "layer_pattern": [names[kind] for kind in pattern], "sliding_window": 4}
    config = ModelConfig.model_validate(BLOOM | said)
    assert config.layer_pattern == tuple(names[kind] for kind in kept)
    assert config.layers_of("sliding") + config.layers_of("full") == layers
    if layers < 10:
        assert config.layer_kinds == tuple(names[pattern[layer % len(pattern)]] for layer in range(layers))
        assert config.layers_of("full") == config.layer_kinds.count("full")


def test_a_window_is_of_every_layer_unless_a_pattern_says_which():
    assert ModelConfig.model_validate(BLOOM).layer_pattern == ("full",)
    assert ModelConfig.model_validate(BLOOM | {"sliding_window": 4}).layer_pattern == ("sliding",)


def test_yarn_has_the_factor_of_its_authors_where_none_is_given():
    config = ModelConfig.model_validate(BLOOM | {"positions": "rope", "rope_scaling": YARN})
    assert config.rope_scaling.attention_factor == pytest.approx(1.138629436111989, rel=1e-15)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"heads": 5}, "heads=5 must divide width=48"),
        ({"key_value_heads": 4}, "key_value_heads=4 must divide heads=6"),
        ({"positions": "rope", "heads": 16}, "must be even: 48 / 16 = 3"),
        ({"width": 0}, "width"),
        ({"dropout": 1.0}, "dropout"),
        ({"norm_epsilon": 0.0}, "norm_epsilon"),
        ({"norm_epsilon": float("inf")}, "norm_epsilon"),
        ({"rope_theta": float("nan")}, "rope_theta"),
        ({"z_loss": float("inf")}, "z_loss"),
        ({"activation": "relu"}, "'gelu' or 'swiglu'"),
        ({"postions": "rope"}, "postions"),
        ({"heads": 5, "head_width": 0}, "head_width"),
        ({"positions": "rope", "head_width": 5}, r"must be even: .* = 5"),
        ({"layer_pattern": ["sliding"]}, r"layer_pattern=\['sliding'\] needs a sliding_window"),
        ({"sliding_window": 4, "layer_pattern": ["full"]}, "sliding_window=4 needs layers that slide"),
        (
            {"sliding_window": 4, "layer_pattern": ["full", "full", "sliding"]},
            "sliding_window=4 needs layers that slide",
        ),
        ({"sliding_window": 0}, "sliding_window"),
        ({"layer_pattern": []}, "layer_pattern"),
        ({"layer_pattern": ["local"]}, "layer_pattern"),
        ({"layer_pattern": ["unrotated"]}, r"layer_pattern=\['unrotated'\] needs positions=rope"),
        ({"rope_scaling": LINEAR}, "rope_scaling needs positions=rope"),
        ({"positions": "rope", "sliding_window": 4, "rope_scaling": LINEAR}, "and layers of full attention"),
        ({"positions": "rope", "rope_scaling": {"kind": "longrope"}}, "rope_scaling"),
        ({"positions": "rope", "rope_scaling": LINEAR | {"factor": 0.5}}, "factor"),
        ({"positions": "rope", "rope_scaling": LINEAR | {"beta_fast": 1}}, "beta_fast"),
        (
            {"positions": "rope", "rope_scaling": YARN | {"beta_slow": 32}},
            "beta_slow=32.0 must lie below beta_fast=32.0",
        ),
        ({"positions": "rope", "rope_theta": 1.0, "rope_scaling": YARN}, "rope_theta=1.0 must be above 1"),
        ({"bias": "query"}, "bias"),
        ({"query_key_norm": "head"}, "query_key_norm"),
        ({"norm_placement": "both"}, "norm_placement"),
        ({"exported_class": "GPT2LMHeadModel"}, "exported_class"),
    ],
)
def test_a_contradiction_is_refused_by_name(change, words):
    with pytest.raises(ValidationError, match=words):
        ModelConfig.model_validate(BLOOM | change)


def test_one_bad_value_is_reported_once():
    with pytest.raises(ValidationError) as raised:
        ModelConfig.model_validate(BLOOM | {"heads": "many", "width": -1})
    assert {error["loc"] for error in raised.value.errors()} == {("heads",), ("width",)}


def test_a_config_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        ModelConfig.model_validate(BLOOM).layers = 3
