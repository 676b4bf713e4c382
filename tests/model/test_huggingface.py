"""The exported model, loaded by transformers, computes what ours computes; and back again."""

import json

import pytest
import torch
from transformers import AutoModelForCausalLM

from model.config import ModelConfig
from model.generate import generate
from model.huggingface import from_hugging_face, hugging_face_class, hugging_face_names, hugging_face_state
from model.huggingface_folder import export_folder
from tests.models import YARN


def export(model, folder, **changes):
    export_folder(model.state_dict(), model.config, folder, None, "<|endoftext|>", **changes)
    return folder


def batch(time=13):
    return torch.randint(61, (3, time), generator=torch.Generator().manual_seed(time))


def test_logits_in_float32(family, random_model, tmp_path):
    model = random_model(family)
    theirs = AutoModelForCausalLM.from_pretrained(export(model, tmp_path / "export"))
    assert type(theirs).__name__ == hugging_face_class(model.config)
    assert theirs.dtype == torch.float32
    logits = theirs(batch()).logits
    assert logits.std() > 0.5
    torch.testing.assert_close(model(batch()), logits, rtol=0, atol=1e-4)


def test_settings_are_those_of_the_model(family, random_model, tmp_path):
    config = random_model(family).config
    folder = export(random_model(family), tmp_path / "export")
    written = json.loads((folder / "config.json").read_text())
    theirs = AutoModelForCausalLM.from_pretrained(folder).config
    assert theirs.tie_word_embeddings == config.tied
    assert theirs.vocab_size == config.vocabulary_size
    if config.positions == "rope":
        assert theirs.max_position_embeddings == config.sequence_length
        assert theirs.rope_parameters == written["rope_parameters"]
        # The first is what transformers 5 reads, the second what earlier ones and other programs do.
        assert written["rope_parameters"]["rope_theta"] == written["rope_theta"] == 1000.0


def test_greedy_tokens_are_those_of_transformers(family, random_model, tmp_path):
    model = random_model(family)
    folder = export(model, tmp_path / "export")
    theirs = AutoModelForCausalLM.from_pretrained(folder)
    expected = theirs.generate(batch(5), attention_mask=torch.ones(3, 5), max_new_tokens=20, do_sample=False)[:, 5:]
    assert generate(model, batch(5).tolist(), 20) == expected.tolist()


def test_weights_come_back_as_they_were(family, random_model):
    model = random_model(family)
    theirs = hugging_face_state(model.state_dict(), model.config)
    for name, parameter in model.named_parameters():
        parts = [theirs[their_name] for their_name in hugging_face_names(name, model.config)]
        assert torch.equal(from_hugging_face(name, parts, model.config), parameter), name


WINDOWS = {"sliding_window": 8, "layer_pattern": ["full", "sliding"]}
OLMO3 = WINDOWS | {"norm_placement": "after", "query_key_norm": "all_heads"}
SWITCHES = [
    ("bloom", {"activation": "swiglu", "bias": False}, "BloomForCausalLM.*activation=swiglu.*bias=False"),
    ("bloom", {"key_value_heads": 3}, r"key_value_heads=3 \(must be 6\)"),
    ("bloom", {"feed_forward_width": 100}, r"feed_forward_width=100 \(must be 192\)"),
    ("bloom", {"positions": "rope"}, "LlamaForCausalLM.*norm=layernorm.*activation=gelu.*embedding_norm=True"),
    ("bloom", {"query_key_norm": True}, "query_key_norm=True"),
    ("llama", {"query_key_norm": True, "bias": True}, "Qwen3ForCausalLM.*bias=True"),
    ("llama", {"positions": "alibi"}, "BloomForCausalLM.*norm=rmsnorm"),
    ("bloom", {"head_width": 16}, r"head_width=16 \(must be 8\)"),
    ("bloom", {"sliding_window": 8}, r"layer_pattern=\['sliding'\] \(must be of full\)"),
    ("llama", {"bias": "query_key_value", "query_key_norm": True}, "Qwen3ForCausalLM.*bias=query_key_value"),
    ("llama", {"norm_placement": "after"}, r"Olmo2ForCausalLM.*query_key_norm=False \(must be all_heads\)"),
    ("llama", {"query_key_norm": "all_heads"}, r"query_key_norm=all_heads \(must be True\)"),
    ("llama", {"layer_pattern": ["sliding", "unrotated"], "sliding_window": 8}, "SmolLM3ForCausalLM.*layer_pattern"),
    ("llama", WINDOWS | {"exported_class": "MistralForCausalLM"}, "MistralForCausalLM.*layer_pattern"),
    ("llama", WINDOWS | {"rope_scaling": YARN}, r"MinistralForCausalLM.*rope_scaling beside layers that slide"),
    ("llama", OLMO3 | {"rope_scaling": YARN | {"truncate": False}}, "Olmo3ForCausalLM.*rope_scaling.truncate=False"),
]


@pytest.mark.parametrize(("base", "change", "words"), SWITCHES)
def test_an_architecture_without_counterpart_is_refused_by_its_switches(
    base, change, words, families, random_model, tmp_path
):
    with pytest.raises(ValueError, match=words):
        export(random_model(families[base] | change), tmp_path / "export")
    assert list(tmp_path.iterdir()) == []


def test_widths_that_llama_refuses_leave_as_mistral(families):
    settings = families["llama"] | {"heads": 5, "key_value_heads": 5, "head_width": 8}
    assert hugging_face_class(ModelConfig.model_validate(settings)) == "MistralForCausalLM"
    with pytest.raises(ValueError, match=r"heads=5 \(must divide width=48\)"):
        hugging_face_class(ModelConfig.model_validate(settings | {"exported_class": "LlamaForCausalLM"}))


def test_weights_of_another_model_are_refused(families, random_model):
    bloom, llama = random_model(families["bloom"]), random_model(families["llama"])
    with pytest.raises(ValueError, match="embedding_norm"):
        hugging_face_state(bloom.state_dict(), llama.config)
    with pytest.raises(ValueError, match="parameters"):
        hugging_face_state(llama.state_dict(), ModelConfig.model_validate(families["llama"] | {"layers": 3}))
