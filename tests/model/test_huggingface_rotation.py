"""Rotations of config.json against those that transformers makes of the same file, in both of its spellings."""

import pytest
import torch
from transformers import LlamaConfig, Olmo3Config
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from model.config import ModelConfig
from model.huggingface_config import architecture, hugging_face_config
from model.huggingface_rotation import read_rotation
from model.positions import rotary_angles
from tests.models import PUBLISHED

LENGTHS = {"max_position_embeddings": 131072}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 8192}
SCALINGS = [
    {"type": "linear", "factor": 3.0},
    {"rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 8192}
    | {"low_freq_factor": 1.0, "high_freq_factor": 4.0},
    {"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1, "high_freq_factor": 2},
    YARN,
    {"rope_type": "yarn", "factor": 4.0},
    YARN | {"truncate": False, "beta_fast": 16, "beta_slow": 2},
    YARN | {"attention_factor": 1.5},
    YARN | {"mscale": 0.7, "mscale_all_dim": 1.2},
    YARN | {"mscale": 0.7},
    YARN | {"factor": 1.0},
    YARN | {"factor": None, "original_max_position_embeddings": 16384},
    YARN | {"original_max_position_embeddings": 5},  # the blend begins and ends before the first pair
]


def angles_of(read, positions, head_width=128):
    config = ModelConfig.model_validate(
        PUBLISHED["llama-3"] | read | {"head_width": head_width, "sequence_length": 131072}
    )
    at = (positions, 2, torch.float64, torch.device("cpu"))
    return rotary_angles(head_width, config.rope_theta, *at, config.rope_scaling)


@pytest.mark.parametrize("scaling", SCALINGS, ids=str)
@pytest.mark.parametrize("older", [False, True])
def test_angles_and_factors_are_those_of_transformers(scaling, older):
    kind = scaling.get("rope_type", scaling.get("type"))
    said = (
        {"rope_theta": 1e6, "rope_scaling": dict(scaling)}
        if older
        else {"rope_parameters": scaling | {"rope_theta": 1e6}}
    )
    read = read_rotation(said | LENGTHS, "LlamaForCausalLM", ["full"])
    theirs = LlamaConfig(head_dim=128, **said | LENGTHS)
    frequencies, factor = ROPE_INIT_FUNCTIONS[kind](theirs)
    cosine, sine = angles_of(read, 1)
    torch.testing.assert_close(cosine[0, 0].float(), frequencies.cos() * factor, rtol=0, atol=1e-6)
    torch.testing.assert_close(sine[0, 0].float(), frequencies.sin() * factor, rtol=0, atol=1e-6)
    # Of slow pairs sines tell more.
    torch.testing.assert_close(sine[0, 0, -20:].float(), (frequencies.sin() * factor)[-20:], rtol=1e-5, atol=0)


KINDS = ["sliding", "full"]


def test_layers_that_slide_are_not_scaled_in_olmo_3():
    older = {"rope_theta": 500000, "rope_scaling": YARN} | LENGTHS
    newer = {
        "rope_parameters": {
            "full_attention": YARN | {"rope_theta": 500000.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 500000.0},
        }
    } | LENGTHS
    assert read_rotation(older, "Olmo3ForCausalLM", KINDS) == read_rotation(newer, "Olmo3ForCausalLM", KINDS)
    theirs = Olmo3Config(**older).rope_parameters
    assert theirs["full_attention"]["rope_type"] == "yarn"
    assert theirs["sliding_attention"] == {"rope_type": "default", "rope_theta": 500000.0}


REFUSED = [
    ("Llama", ["full"], {"rope_scaling": {"rope_type": "longrope", "factor": 4.0}}, "its rope_type is longrope"),
    ("Llama", ["full"], {"rope_scaling": {"type": "dynamic", "factor": 4.0}}, "its rope_type is dynamic"),
    ("Llama", ["full"], {"rope_scaling": YARN | {"finetuned": True}}, "of rope_type yarn have finetuned"),
    ("Llama", ["full"], {"rope_scaling": YARN | {"low_freq_factor": 1.0}}, "of rope_type yarn have low_freq_factor"),
    ("Llama", ["full"], {"rope_parameters": {"partial_rotary_factor": 0.5}}, "partial_rotary_factor is below 1"),
    ("Llama", ["full"], {"rope_parameters": {"full_attention": {}}}, "of rope_type default, and have full_attention"),
    (
        "Llama",
        ["full"],
        {"rope_theta": 1e4, "rope_parameters": {"rope_theta": 5e5}},
        "its rope_theta is 10000.0, and 5",
    ),
    ("Qwen3", KINDS, {"rope_scaling": YARN}, "scaled in layers that slide"),
    ("Olmo3", KINDS, {"rope_theta": 10000.0}, "by rope_theta 10000.0 and 500000.0"),
    ("Olmo3", KINDS, {"rope_parameters": {"rope_theta": 1e4}}, "its rope_parameters have rope_theta beside"),
    ("Olmo3", KINDS, {"rope_parameters": {"sliding_attention": YARN}}, "or the latter scaled"),
    ("Olmo3", KINDS, {"rope_scaling": YARN | {"truncate": False}}, "its truncate is False, which transformers 5"),
]


@pytest.mark.parametrize(("name", "kinds", "said", "words"), REFUSED, ids=[words for *_, words in REFUSED])
def test_other_rotations_are_refused_by_name(name, kinds, said, words):
    with pytest.raises(ValueError, match=words):
        read_rotation(said | LENGTHS, f"{name}ForCausalLM", kinds)


def test_what_is_missing_or_impossible_is_said_in_one_line():
    whole = hugging_face_config(ModelConfig.model_validate(PUBLISHED["llama-3"]), "float32")
    for change, words in (
        ({"factor": ...}, "it does not say 'factor'"),
        ({"low_freq_factor": 9.0}, "its rotations: .*low_frequency_factor=9.0 must lie below"),
        ({"factor": 0.5}, "its rotations: factor: Input should be greater than or equal to 1"),
    ):
        scaling = {key: value for key, value in (whole["rope_scaling"] | change).items() if value is not ...}
        with pytest.raises(ValueError, match=words) as error:
            architecture(whole | {"rope_scaling": scaling})
        assert "\n" not in str(error.value)
