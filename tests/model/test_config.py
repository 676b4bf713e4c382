"""The architecture's configuration: defaults that follow other settings, and refusals that say why."""

import pytest
from pydantic import ValidationError

from model.config import ModelConfig
from tests import models

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
