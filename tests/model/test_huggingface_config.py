"""config.json: what published ones say, what the classes have where they say nothing, and what is refused by name."""

import json

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoConfig, AutoModelForCausalLM

from model.config import ModelConfig
from model.huggingface import FAMILIES
from model.huggingface_config import DEFAULTS, architecture, hugging_face_config
from model.pretrained import load_pretrained, read_architecture
from model.sizes import parameter_count
from model.transformer import Transformer
from tests.models import PUBLISHED

SIZES = {"vocab_size": 61, "hidden_size": 64, "intermediate_size": 88, "num_hidden_layers": 4}
SIZES |= {"max_position_embeddings": 64}


def configured(said):
    return ModelConfig.model_validate(said)


def test_the_architecture_comes_back_as_it_was(family):
    config = configured(family)
    back = configured(architecture(hugging_face_config(config, "float32")))
    # BLOOM does not rotate, so its config.json has no base of wavelengths.
    assert back.model_copy(update={"rope_theta": config.rope_theta}) == config


@pytest.mark.parametrize("published", PUBLISHED.values(), ids=PUBLISHED.keys())
def test_that_of_published_models_comes_back_as_it_was(published):
    config = configured(published)
    assert configured(architecture(hugging_face_config(config, "float32"))) == config


@pytest.mark.parametrize("name", FAMILIES)
def test_defaults_are_those_of_the_class(name):
    theirs = getattr(transformers, name.replace("ForCausalLM", "Config"))
    made = theirs(num_hidden_layers=1)
    for key, ours in DEFAULTS[name].items():
        # What the class has, not what it makes of it.
        default = getattr(theirs, key) if hasattr(theirs, key) else getattr(made, key, ours)
        assert default == ours, f"{name}: {key}"


HEADS = {"MistralForCausalLM": 8, "MinistralForCausalLM": 8, "Qwen2ForCausalLM": 32, "Qwen3ForCausalLM": 32}


@pytest.mark.parametrize("name", [name for name in FAMILIES if name != "BloomForCausalLM"])
def test_what_config_json_does_not_say_is_what_the_class_has(name, tmp_path):
    """A file of nothing but sizes."""
    said = SIZES | {"num_attention_heads": HEADS.get(name, 4)}
    if name == "MinistralForCausalLM":
        said["head_dim"] = 8  # transformers has no default
    model_type = name.removesuffix("ForCausalLM").lower()
    reference = AutoModelForCausalLM.from_config(
        AutoConfig.for_model(model_type, **said | {"pad_token_id": None})
    ).eval()
    reference.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(said | {"architectures": [name]}))
    model = Transformer(configured(read_architecture(tmp_path))).eval()
    load_pretrained(model, tmp_path)
    tokens = torch.randint(61, (2, 40), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(model(tokens), reference(tokens).logits, rtol=0, atol=1e-4)


def file(name, layers, width, heads, key_value_heads, feed_forward, vocabulary, length, tied, **others):
    said = {"architectures": [f"{name}ForCausalLM"], "model_type": name.lower(), "hidden_act": "silu"}
    said |= {"attention_dropout": 0.0, "initializer_range": 0.02, "torch_dtype": "bfloat16", "use_cache": True}
    said |= {"bos_token_id": 1, "eos_token_id": [1, 2], "transformers_version": "4.57.1", "tie_word_embeddings": tied}
    said |= {"num_hidden_layers": layers, "hidden_size": width, "num_attention_heads": heads, "vocab_size": vocabulary}
    said |= {
        "num_key_value_heads": key_value_heads,
        "intermediate_size": feed_forward,
        "max_position_embeddings": length,
    }
    return said | others


LLAMA_3 = {"rope_type": "llama3", "low_freq_factor": 1.0, "high_freq_factor": 4.0}
LLAMA_3 |= {"original_max_position_embeddings": 8192}
YARN = {"rope_type": "yarn", "factor": 8.0, "attention_factor": 1.2079441541679836, "beta_fast": 32, "beta_slow": 1}
YARN |= {"original_max_position_embeddings": 8192}
NO_WINDOW = {"use_sliding_window": False, "sliding_window": 32768, "max_window_layers": 24}
FILES = {
    "Llama-3.1-8B": (
        8_030_261_248,
        file(
            *("Llama", 32, 4096, 32, 8, 14336, 128256, 131072, False),
            **{
                "rope_theta": 500000.0,
                "rope_scaling": LLAMA_3 | {"factor": 8.0},
                "mlp_bias": False,
                "pretraining_tp": 1,
            },
        ),
    ),
    "Llama-3.2-1B": (
        1_235_814_400,
        file(
            *("Llama", 16, 2048, 32, 8, 8192, 128256, 131072, True),
            **{"rope_theta": 500000.0, "rope_scaling": LLAMA_3 | {"factor": 32.0}, "head_dim": 64},
        ),
    ),
    "SmolLM2-135M": (
        134_515_008,
        file(
            *("Llama", 30, 576, 9, 3, 1536, 49152, 8192, True),
            **{"rope_theta": 100000, "rope_scaling": None, "rope_interleaved": False, "is_llama_config": True},
        ),
    ),
    "Qwen2.5-0.5B": (
        494_032_768,
        file(
            *("Qwen2", 24, 896, 14, 2, 4864, 151936, 32768, True),
            **{"rope_theta": 1000000.0, "rms_norm_eps": 1e-6, "use_mrope": False} | NO_WINDOW,
        ),
    ),
    "Qwen3-0.6B": (
        596_049_920,
        file(
            *("Qwen3", 28, 1024, 16, 8, 3072, 151936, 40960, True),
            **{"rope_theta": 1000000, "rope_scaling": None, "head_dim": 128, "attention_bias": False} | NO_WINDOW,
        ),
    ),
    "Mistral-7B-v0.1": (
        7_241_732_096,
        file(*("Mistral", 32, 4096, 32, 8, 14336, 32000, 32768, False), rope_theta=10000.0, sliding_window=4096),
    ),
    "Mistral-Nemo": (
        12_247_782_400,
        file(
            *("Mistral", 40, 5120, 32, 8, 14336, 131072, 131072, False),
            **{"rope_theta": 1000000.0, "sliding_window": None, "head_dim": 128},
        ),
    ),
    "SmolLM3-3B": (
        3_075_098_624,
        file(
            *("SmolLM3", 36, 2048, 16, 4, 11008, 128256, 65536, True),
            **{"rope_theta": 5000000.0, "rope_scaling": None, "no_rope_layer_interval": 4, "max_window_layers": 28},
            **{"no_rope_layers": [1, 1, 1, 0] * 9, "use_sliding_window": False, "sliding_window": None},
        ),
    ),
    "OLMo-2-1B": (
        1_484_916_736,
        file(*("Olmo2", 16, 2048, 16, 16, 8192, 100352, 4096, False), rope_theta=500000, rms_norm_eps=1e-6),
    ),
    "OLMo-3-7B": (
        7_298_011_136,
        file(
            *("Olmo3", 32, 4096, 32, 32, 11008, 100278, 65536, False),
            **{"rope_theta": 500000, "rope_scaling": YARN, "sliding_window": 4096, "rms_norm_eps": 1e-6},
            **{"layer_types": [*["sliding_attention"] * 3, "full_attention"] * 8},
        ),
    ),
}


@pytest.mark.parametrize(("parameters", "said"), FILES.values(), ids=FILES.keys())
def test_files_as_they_are_published_are_taken_whole(parameters, said):
    config = configured(architecture(said))
    assert parameter_count(config) == parameters
    written = hugging_face_config(config, "bfloat16")
    assert written["architectures"] == said["architectures"]
    assert configured(architecture(written)) == config


def test_patterns_and_scalings_of_published_files():
    olmo, smol, nemo = (
        configured(architecture(FILES[name][1])) for name in ("OLMo-3-7B", "SmolLM3-3B", "Mistral-Nemo")
    )
    assert (olmo.layer_pattern, olmo.sliding_window) == (("sliding", "sliding", "sliding", "full"), 4096)
    assert olmo.rope_scaling.attention_factor == pytest.approx(1.2079441541679836, rel=1e-15)
    assert smol.layer_pattern == ("full", "full", "full", "unrotated")
    assert (nemo.head_width, nemo.attention_width, nemo.exported_class) == (128, 4096, "MistralForCausalLM")


def changed(name, **changes):
    return {key: value for key, value in (FILES[name][1] | changes).items() if value is not ...}


REFUSED = [
    (
        changed("Llama-3.1-8B", architectures=["GPT2LMHeadModel"]),
        "it is a GPT2LMHeadModel; only BloomForCausalLM, Llama",
    ),
    (changed("Llama-3.1-8B", architectures=None, model_type="gpt2"), "no `architectures`, gpt2"),
    (changed("Llama-3.1-8B", architectures=["Gemma3ForCausalLM"]), "Gemma3ForCausalLM, but it multiplies embeddings"),
    (changed("Llama-3.1-8B", architectures=["Ministral3ForCausalLM"]), "but its queries grow with their position"),
    (changed("Llama-3.1-8B", model_type="mistral"), "of model_type mistral, and transformers goes by the latter"),
    (changed("Llama-3.1-8B", num_hidden_layers=10**12), "its num_hidden_layers is 1000000000000"),
    (changed("Llama-3.1-8B", hidden_act="gelu"), "its hidden_act is gelu, and this model computes with silu only"),
    (changed("Llama-3.1-8B", attention_bias=True), "its attention_bias is True"),
    (changed("Llama-3.1-8B", mlp_bias=True), "its mlp_bias is True"),
    (changed("Llama-3.1-8B", partial_rotary_factor=0.5), "its partial_rotary_factor is 0.5"),
    (changed("Llama-3.1-8B", rope_interleaved=True), "its rope_interleaved is True"),
    (changed("Llama-3.1-8B", hidden_size=...), "does not say 'hidden_size'"),
    (changed("Llama-3.1-8B", num_attention_heads=0), "it says something that is not possible"),
    (changed("Llama-3.1-8B", num_hidden_layers="many"), "it says something that is not possible"),
    (changed("Llama-3.1-8B", attention_multiplier=0.2), "it says attention_multiplier=0.2, of which"),
    (changed("Llama-3.1-8B", logit_scale=0.1), "it says logit_scale=0.1"),
    (changed("Llama-3.1-8B", final_logit_softcapping=30.0), "it says final_logit_softcapping=30.0"),
    (changed("Llama-3.1-8B", original_max_position_embeddings=4096), "it says original_max_position_embeddings=4096"),
    (changed("Llama-3.1-8B", quantization_config={"bits": 4}), "it says quantization_config=.*remove it from the file"),
    (
        changed("Mistral-Nemo", layer_types=["full_attention"] * 40),
        "transformers ignores in a MistralForCausalLM: name",
    ),
    (changed("Mistral-Nemo", use_sliding_window=False), "it says use_sliding_window=False"),
    (changed("OLMo-3-7B", layer_types=["chunked_attention"] * 32), "its layer_types have chunked_attention"),
    (changed("OLMo-3-7B", layer_types=["full_attention"] * 31), "its layer_types are 31, and its num_hidden_layers 32"),
    (changed("OLMo-3-7B", sliding_window=None), "its layer_types slide, and its sliding_window is off"),
    (
        changed("Qwen2.5-0.5B", layer_types=["sliding_attention"] * 24),
        "its layer_types slide, and its sliding_window is",
    ),
    (changed("SmolLM3-3B", use_sliding_window=True, sliding_window=8), "its unrotated layers slide"),
    (changed("SmolLM3-3B", no_rope_layers=[1, 0]), "its no_rope_layers are 2, and its num_hidden_layers 36"),
    (changed("SmolLM3-3B", no_rope_layers=None, no_rope_layer_interval=0), "it says something that is not possible"),
]


@pytest.mark.parametrize(("said", "words"), REFUSED, ids=[words[:50] for _, words in REFUSED])
def test_what_the_model_cannot_compute_is_refused_by_name(said, words):
    with pytest.raises(ValueError, match=words) as error:
        architecture(said)
    assert "\n" not in str(error.value)


ANYTHING = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers()) | st.just({})


@settings(max_examples=60)
@given(st.sampled_from(list(FILES)), st.data())
def test_a_damaged_file_is_refused_or_taken_as_what_it_says(name, data):
    said = FILES[name][1]
    key = data.draw(st.sampled_from(sorted(said)))
    value = data.draw(ANYTHING | st.sampled_from(list(said.values())))
    try:
        ModelConfig.model_validate(architecture(said | {key: value}))
    except ValueError:
        return


def test_a_window_from_some_layer_on_is_a_pattern():
    said = changed("Qwen2.5-0.5B", use_sliding_window=True, sliding_window=16, max_window_layers=20)
    config = configured(architecture(said))
    assert config.layer_kinds == ("full",) * 20 + ("sliding",) * 4
    assert configured(architecture(hugging_face_config(config, "float32"))) == config
    none_left = changed("Qwen2.5-0.5B", use_sliding_window=True, sliding_window=16, max_window_layers=24)
    assert configured(architecture(none_left)) == configured(architecture(FILES["Qwen2.5-0.5B"][1]))


def test_older_spellings_of_config_json_are_understood(families):
    bloom = hugging_face_config(configured(families["bloom"]), "float32")
    older = bloom | {"n_embed": bloom["hidden_size"], "num_attention_heads": bloom["n_head"]}
    del older["hidden_size"], older["n_head"]
    assert architecture(older) == architecture(bloom)
    llama = hugging_face_config(configured(families["llama"]), "float32")
    older = {key: value for key, value in llama.items() if key not in ("rope_parameters", "head_dim")}
    assert architecture(older) == architecture(llama)
    assert architecture({k: v for k, v in older.items() if k != "rope_theta"})["rope_theta"] == 10_000
