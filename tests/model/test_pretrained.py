"""Weights taken from folders of transformers and of our own export, and folders that must be refused."""

import json
from contextlib import contextmanager

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

from model.config import ModelConfig
from model.huggingface_config import hugging_face_config
from model.huggingface_folder import export_folder
from model.initialise import initialise
from model.pretrained import check_architecture, load_pretrained, read_architecture
from model.transformer import Transformer
from tests.models import PUBLISHED


def batch(time=13):
    return torch.randint(61, (3, time), generator=torch.Generator().manual_seed(time))


def empty(settings, **changes):
    """A model whose every value is a number that no weight has."""
    model = Transformer(ModelConfig.model_validate(settings | changes)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(-1e6)
    return model


def theirs(settings, **changes):
    """A randomly initialised model of the transformers library of the same shape, gains and biases random too."""
    config = hugging_face_config(ModelConfig.model_validate(settings), "float32")
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**config | {"eos_token_id": 0} | changes)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn(parameter.shape)
    return model


@pytest.fixture
def exported(random_model, families, tmp_path):
    """Our own export of each named family: (name, further settings) → folder."""

    def make(name, **changes):
        model = random_model(families[name] | changes)
        export_folder(model.state_dict(), model.config, tmp_path / name, None, "<|endoftext|>")
        return tmp_path / name

    return make


@pytest.mark.parametrize("limit", ["5GB", "20KB"], ids=["one-file", "sharded"])
def test_a_model_of_transformers_computes_the_same_here(family, limit, tmp_path):
    reference, model = theirs(family), empty(family)
    reference.save_pretrained(tmp_path, max_shard_size=limit)
    assert (tmp_path / "model.safetensors").exists() == (limit == "5GB")
    load_pretrained(model, tmp_path)
    assert read_architecture(tmp_path).items() <= model.config.model_dump().items()
    with torch.no_grad():
        torch.testing.assert_close(model(batch()), reference(batch()).logits, rtol=0, atol=1e-4)


@pytest.mark.parametrize("settings", PUBLISHED.values(), ids=PUBLISHED.keys())
def test_what_people_continue_from_comes_and_leaves_as_the_same_class(settings, tmp_path):
    """theirs → ours → theirs, each by its own files; at lengths beyond their windows."""
    reference = theirs(settings)
    reference.save_pretrained(tmp_path / "theirs")
    model = Transformer(ModelConfig.model_validate(read_architecture(tmp_path / "theirs"))).eval()
    assert model.config == ModelConfig.model_validate(settings)
    load_pretrained(model, tmp_path / "theirs")
    export_folder(model.state_dict(), model.config, tmp_path / "ours", None, "<|endoftext|>")
    back = AutoModelForCausalLM.from_pretrained(tmp_path / "ours")
    assert type(back) is type(reference)
    with torch.no_grad():
        expected = reference(batch(40)).logits
        torch.testing.assert_close(model(batch(40)), expected, rtol=0, atol=1e-4)
        torch.testing.assert_close(back(batch(40)).logits, expected, rtol=0, atol=1e-4)


def test_export_and_import_give_equal_weights(family, random_model, tmp_path):
    original, model = random_model(family), empty(family)
    export_folder(original.state_dict(), original.config, tmp_path / "export", None, "<|endoftext|>")
    load_pretrained(model, tmp_path / "export")
    for name, tensor in original.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor), name
    assert (model.head.weight is model.embedding.weight) == family["tied"]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_weights_are_converted_to_the_dtype_of_the_model(families, dtype, tmp_path):
    reference, model = theirs(families["qwen3"]).to(dtype), empty(families["qwen3"])
    reference.save_pretrained(tmp_path)
    load_pretrained(model, tmp_path)
    assert torch.equal(model.embedding.weight, reference.get_parameter("model.embed_tokens.weight").float())


def test_a_model_saved_without_its_head_is_taken(families, tmp_path):
    settings = families["bloom"]
    reference, model = theirs(settings), empty(settings)
    reference.transformer.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(
        json.dumps(reference.config.to_dict() | {"architectures": ["BloomForCausalLM"]})
    )
    assert "word_embeddings.weight" in load_file(tmp_path / "model.safetensors")
    load_pretrained(model, tmp_path)
    with torch.no_grad():
        torch.testing.assert_close(model(batch()), reference(batch()).logits, rtol=0, atol=1e-4)


def test_further_rows_of_vocabulary_keep_their_initial_values(family, tmp_path):
    reference = theirs(family)
    reference.save_pretrained(tmp_path)
    model, untouched = (Transformer(ModelConfig.model_validate(family | {"vocabulary_size": 64})).eval() for _ in "ab")
    for one in (model, untouched):
        initialise(one, seed=4)
    load_pretrained(model, tmp_path)
    for ours, initial in ((model.embedding, untouched.embedding), (model.head, untouched.head)):
        assert torch.equal(ours.weight[61:], initial.weight[61:])
        assert not torch.equal(ours.weight[:61], initial.weight[:61])
    with torch.no_grad():
        torch.testing.assert_close(model(batch())[..., :61], reference(batch()).logits, rtol=0, atol=1e-4)


def test_each_parameter_is_written_while_it_is_gathered(families, exported):
    model, gathered = empty(families["llama"]), []

    @contextmanager
    def gather(parameters):
        assert all((parameter == -1e6).all() for parameter in parameters)
        yield
        assert all((parameter != -1e6).all() for parameter in parameters)
        gathered.extend(parameters)

    load_pretrained(model, exported("llama"), gather)
    assert {id(parameter) for parameter in gathered} == {id(parameter) for parameter in model.parameters()}


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("llama", {"width": 96, "heads": 12}, "heads is 12, there 6; width is 96, there 48"),
        ("llama", {"rope_theta": 5e5}, "rope_theta is 500000.0, there 1000.0"),
        ("llama", {"query_key_norm": True}, "query_key_norm is True, there False"),
        ("llama", {"norm_epsilon": 1e-5}, "norm_epsilon is 1e-05, there 0.001"),
        ("llama", {"vocabulary_size": 60}, "vocabulary_size is 60, there 61"),
        ("llama", {"sequence_length": 65}, "sequence_length is 65, there 64 at most"),
        ("bloom", {"tied": False}, "tied is False, there True"),
        (
            "bloom",
            {"sliding_window": 8},
            "layer_pattern is ('sliding',), there ('full',); sliding_window is 8, there None",
        ),
        ("llama", {"head_width": 16}, "head_width is 16, there 8"),
        ("llama", {"norm_placement": "after"}, "norm_placement is after, there before"),
        (
            "llama",
            {"rope_scaling": {"kind": "linear", "factor": 2}},
            "rope_scaling is {'kind': 'linear', 'factor': 2.0}",
        ),
    ],
)
def test_every_difference_of_architecture_is_named(families, exported, name, change, words):
    folder = exported(name)
    with pytest.raises(ValueError, match="is of another model") as error:
        check_architecture(folder, ModelConfig.model_validate(families[name] | change))
    for word in words.split("; "):
        assert word in str(error.value)


def test_what_training_alone_decides_may_differ(families, exported):
    check_architecture(
        exported("llama"),
        ModelConfig.model_validate(families["llama"] | {"dropout": 0.1, "z_loss": 1e-4, "sequence_length": 32}),
    )
    longer = families["bloom"] | {"sequence_length": 4096}
    check_architecture(exported("bloom"), ModelConfig.model_validate(longer))


def test_missing_and_left_over_tensors_are_named(families, exported):
    folder = exported("llama")
    whole = load_file(folder / "model.safetensors")
    model = empty(families["llama"])
    for change, words in (
        ({"model.norm.weight": None}, "it lacks model.norm.weight"),
        ({"model.layers.2.mlp.up_proj.weight": torch.zeros(1)}, "nothing takes its model.layers.2.mlp.up_proj.weight"),
        (
            {"model.norm.weight": torch.zeros(7)},
            r"model.norm.weight of shape \(7,\) does not fit final_norm.weight of \(48,\)",
        ),
        ({"lm_head.weight": torch.zeros(60, 48)}, "lm_head.weight of shape"),
    ):
        changed = {name: tensor for name, tensor in (whole | change).items() if tensor is not None}
        save_file(changed, folder / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(ValueError, match=words):
            load_pretrained(model, folder)


def test_constants_and_a_repeated_head_are_passed_over(families, exported):
    folder = exported("llama-tied-grouped")
    whole = load_file(folder / "model.safetensors")
    further = {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4), "lm_head.weight": torch.ones(61, 48)}
    save_file(whole | further, folder / "model.safetensors", metadata={"format": "pt"})
    load_pretrained(empty(families["llama-tied-grouped"]), folder)


def test_folders_that_are_none_are_refused(families, tmp_path):
    with pytest.raises(ValueError, match=r"config.json does not exist: name a folder"):
        read_architecture(tmp_path)
    for content in ("{", "[]"):
        (tmp_path / "config.json").write_text(content)
        with pytest.raises(ValueError, match=r"config.json: "):
            read_architecture(tmp_path)
    AutoConfig.for_model("gpt2", architectures=["GPT2LMHeadModel"]).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="it is a GPT2LMHeadModel; only Bloom"):
        read_architecture(tmp_path)
