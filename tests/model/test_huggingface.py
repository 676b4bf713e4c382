"""The exported model, loaded by transformers, computes what ours computes; and back again."""

import json

import pytest
import torch
from transformers import AutoModelForCausalLM

from model.config import ModelConfig
from model.generate import generate
from model.huggingface import (
    architecture,
    from_hugging_face,
    hugging_face_class,
    hugging_face_config,
    hugging_face_names,
    hugging_face_state,
)
from model.huggingface_folder import export_folder


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


def test_the_architecture_comes_back_as_it_was(family):
    config = ModelConfig.model_validate(family)
    back = ModelConfig.model_validate(architecture(hugging_face_config(config, "float32")))
    # BLOOM does not rotate, so its config.json has no base of wavelengths.
    assert back.model_copy(update={"rope_theta": config.rope_theta}) == config


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"architectures": ["MistralForCausalLM"]}, "it is a MistralForCausalLM; only BloomForCausalLM, Llama"),
        ({"architectures": None, "model_type": "gpt2"}, "no `architectures`, model_type gpt2"),
        ({"hidden_act": "gelu"}, "its hidden_act is gelu, and this model computes with silu only"),
        ({"attention_bias": True}, "its attention_bias is True"),
        ({"head_dim": 16}, "its head_dim is 16, and this model computes with 8 only"),
        ({"rope_parameters": {"rope_type": "yarn", "factor": 4.0}}, "its rope_type is yarn"),
        ({"rope_parameters": None, "rope_scaling": {"type": "linear", "factor": 2.0}}, "its rope_type is linear"),
        ({"hidden_size": None}, "does not say 'hidden_size'"),
    ],
)
def test_what_the_model_cannot_compute_is_refused_by_name(families, change, words):
    theirs = hugging_face_config(ModelConfig.model_validate(families["llama"]), "float32") | change
    with pytest.raises(ValueError, match=words):
        architecture({key: value for key, value in theirs.items() if value is not None})


def test_older_spellings_of_config_json_are_understood(families):
    bloom = hugging_face_config(ModelConfig.model_validate(families["bloom"]), "float32")
    older = bloom | {"n_embed": bloom["hidden_size"], "num_attention_heads": bloom["n_head"]}
    del older["hidden_size"], older["n_head"]
    assert architecture(older) == architecture(bloom)
    llama = hugging_face_config(ModelConfig.model_validate(families["llama"]), "float32")
    older = {key: value for key, value in llama.items() if key not in ("rope_parameters", "head_dim")}
    assert architecture(older) == architecture(llama)
    assert architecture({k: v for k, v in older.items() if k != "rope_theta"})["rope_theta"] == 10_000


SWITCHES = [
    ("bloom", {"activation": "swiglu", "bias": False}, "BloomForCausalLM.*activation=swiglu.*bias=False"),
    ("bloom", {"key_value_heads": 3}, r"key_value_heads=3 \(must be 6\)"),
    ("bloom", {"feed_forward_width": 100}, r"feed_forward_width=100 \(must be 192\)"),
    ("bloom", {"positions": "rope"}, "LlamaForCausalLM.*norm=layernorm.*activation=gelu.*embedding_norm=True"),
    ("bloom", {"query_key_norm": True}, "query_key_norm=True"),
    ("llama", {"query_key_norm": True, "bias": True}, "Qwen3ForCausalLM.*bias=True"),
    ("llama", {"positions": "alibi"}, "BloomForCausalLM.*norm=rmsnorm"),
]


@pytest.mark.parametrize(("base", "change", "words"), SWITCHES)
def test_an_architecture_without_counterpart_is_refused_by_its_switches(
    base, change, words, families, random_model, tmp_path
):
    with pytest.raises(ValueError, match=words):
        export(random_model(families[base] | change), tmp_path / "export")
    assert list(tmp_path.iterdir()) == []


def test_weights_of_another_model_are_refused(families, random_model):
    bloom, llama = random_model(families["bloom"]), random_model(families["llama"])
    with pytest.raises(ValueError, match="embedding_norm"):
        hugging_face_state(bloom.state_dict(), llama.config)
    with pytest.raises(ValueError, match="parameters"):
        hugging_face_state(llama.state_dict(), ModelConfig.model_validate(families["llama"] | {"layers": 3}))
