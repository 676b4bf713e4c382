"""The exported folder, loaded by transformers, computes what the model computes."""

import json
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models
from torch.overrides import TorchFunctionMode
from transformers import AutoModelForCausalLM, AutoTokenizer

from model.config import ModelConfig
from model.generate import generate
from model.huggingface import export_folder, hugging_face_class, hugging_face_state
from model.initialise import initialise
from model.transformer import Transformer

END = "<|endoftext|>"
SHAPE = {"layers": 2, "width": 48, "heads": 6, "vocabulary_size": 61, "sequence_length": 64, "norm_epsilon": 1e-3}
BLOOM = SHAPE | {
    "positions": "alibi",
    "norm": "layernorm",
    "activation": "gelu",
    "embedding_norm": True,
    "bias": True,
    "tied": True,
    "query_key_norm": False,
}
LLAMA = SHAPE | {
    "feed_forward_width": 88,
    "positions": "rope",
    "rope_theta": 1000.0,
    "norm": "rmsnorm",
    "activation": "swiglu",
    "embedding_norm": False,
    "bias": False,
    "tied": False,
    "query_key_norm": False,
}
MODELS = {
    "bloom": BLOOM,
    "bloom-untied-5-heads": BLOOM | {"tied": False, "heads": 5, "width": 40, "layers": 3},
    "llama": LLAMA,
    "llama-tied-grouped": LLAMA | {"tied": True, "key_value_heads": 2},
    "qwen3": LLAMA | {"query_key_norm": True, "key_value_heads": 3},
    "qwen3-tied-shared": LLAMA | {"query_key_norm": True, "key_value_heads": 1, "tied": True, "layers": 1},
}
ALL = pytest.mark.parametrize("settings", MODELS.values(), ids=MODELS.keys())


class InFloat64(TorchFunctionMode):
    """Lifts the places where transformers computes in float32 whatever the weights are: norms, softmax, positions."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        def wide(value):
            return torch.float64 if value is torch.float32 else value

        if function is torch.Tensor.float:
            function = torch.Tensor.double
        return function(*map(wide, args), **{key: wide(value) for key, value in (kwargs or {}).items()})


def build(settings):
    """A model whose every parameter matters: also gains and biases are random."""
    model = Transformer(ModelConfig.model_validate(settings))
    initialise(model, seed=0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn(parameter.shape, generator=generator)
    return model.eval()


def write_tokenizer(folder, pieces=61):
    vocabulary = {END: 0} | {f"p{i}": i for i in range(1, pieces)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=END))
    tokenizer.add_special_tokens([END])
    tokenizer.save(str(folder / "source_tokenizer.json"))
    return folder / "source_tokenizer.json"


def export(model, folder, **changes):
    arguments = {"tokenizer_json": None, "end_of_text": END} | changes
    export_folder(model.state_dict(), model.config, folder, **arguments)
    return folder


def batch(time=13):
    return torch.randint(61, (3, time), generator=torch.Generator().manual_seed(time))


def exact_gelu(theirs):
    """transformers' BLOOM writes the square root of 2 / pi with eight digits; put the rest back."""
    for module in theirs.modules():
        if hasattr(module, "gelu_impl"):
            module.gelu_impl = torch.nn.GELU(approximate="tanh")


@ALL
def test_logits_in_float32(settings, tmp_path):
    model = build(settings)
    theirs = AutoModelForCausalLM.from_pretrained(export(model, tmp_path / "export"))
    assert type(theirs).__name__ == hugging_face_class(model.config)
    assert theirs.dtype == torch.float32
    logits = theirs(batch()).logits
    assert logits.std() > 0.5
    torch.testing.assert_close(model(batch()), logits, rtol=0, atol=1e-4)


@ALL
def test_logits_and_gradients_in_float64(settings, tmp_path):
    model = build(settings)
    with InFloat64():
        folder = export(model.double(), tmp_path / "export")
        theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64)
        exact_gelu(theirs)
        tokens = batch(29)
        logits = theirs(tokens).logits
        assert logits.dtype == torch.float64
        torch.testing.assert_close(model(tokens), logits, rtol=0, atol=1e-10)
        torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten()).backward()
        model(tokens[:, :-1], tokens[:, 1:]).backward()
    # Gradients take the same way as weights, so one map serves both.
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    for name, gradient in hugging_face_state(gradients, model.config).items():
        torch.testing.assert_close(gradient, theirs.get_parameter(name).grad, rtol=0, atol=1e-10, msg=name)


@ALL
def test_settings_are_those_of_the_model(settings, tmp_path):
    config = build(settings).config
    folder = export(build(settings), tmp_path / "export")
    written = json.loads((folder / "config.json").read_text())
    theirs = AutoModelForCausalLM.from_pretrained(folder).config
    assert theirs.tie_word_embeddings == config.tied
    assert theirs.vocab_size == config.vocabulary_size
    if config.positions == "rope":
        assert theirs.max_position_embeddings == config.sequence_length
        assert theirs.rope_parameters == written["rope_parameters"]
        # The first is what transformers 5 reads, the second what earlier ones and other programs do.
        assert written["rope_parameters"]["rope_theta"] == written["rope_theta"] == 1000.0


@ALL
def test_greedy_tokens_are_those_of_transformers(settings, tmp_path):
    model = build(settings)
    folder = export(model, tmp_path / "export", tokenizer_json=write_tokenizer(tmp_path))
    theirs = AutoModelForCausalLM.from_pretrained(folder)
    expected = theirs.generate(batch(5), attention_mask=torch.ones(3, 5), max_new_tokens=20, do_sample=False)[:, 5:]
    ours = generate(model, batch(5).tolist(), 20, stop_token=0)
    assert [row + [0] * (expected.shape[1] - len(row)) for row in ours] == expected.tolist()


def test_bfloat16_weights_stay_bfloat16(tmp_path):
    model = build(LLAMA).to(torch.bfloat16)
    theirs = AutoModelForCausalLM.from_pretrained(export(model, tmp_path / "export"))
    assert theirs.dtype == torch.bfloat16
    for name, tensor in hugging_face_state(model.state_dict(), model.config).items():
        assert torch.equal(theirs.get_parameter(name), tensor)


def test_the_tokenizer_comes_along(tmp_path):
    folder = export(build(BLOOM), tmp_path / "export", tokenizer_json=write_tokenizer(tmp_path))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.encode(f"p7{END}") == [7, 0]
    assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token) == (END, END, END)
    assert tokenizer.model_max_length == 64
    config = json.loads((folder / "config.json").read_text())
    assert (config["bos_token_id"], config["eos_token_id"], config["pad_token_id"]) == (0, 0, None)


@ALL
def test_shards_hold_everything_and_stay_below_their_limit(settings, tmp_path):
    model = build(settings)
    folder = export(model, tmp_path / "export", max_shard_bytes=40_000)
    shards = sorted(folder.glob("*.safetensors"))
    assert shards[0].name == f"model-00001-of-{len(shards):05d}.safetensors"
    assert len(shards) > 2
    # The header takes some bytes of its own.
    assert all(shard.stat().st_size < 40_000 + 4096 for shard in shards)
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == 4 * sum(parameter.numel() for parameter in model.parameters())
    theirs = AutoModelForCausalLM.from_pretrained(folder)
    torch.testing.assert_close(model(batch()), theirs(batch()).logits, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (BLOOM | {"activation": "swiglu", "bias": False}, "BloomForCausalLM.*activation=swiglu.*bias=False"),
        (BLOOM | {"key_value_heads": 3}, r"key_value_heads=3 \(must be 6\)"),
        (BLOOM | {"feed_forward_width": 100}, r"feed_forward_width=100 \(must be 192\)"),
        (BLOOM | {"positions": "rope"}, "LlamaForCausalLM.*norm=layernorm.*activation=gelu.*embedding_norm=True"),
        (BLOOM | {"query_key_norm": True}, "query_key_norm=True"),
        (LLAMA | {"query_key_norm": True, "bias": True}, "Qwen3ForCausalLM.*bias=True"),
        (LLAMA | {"positions": "alibi"}, "BloomForCausalLM.*norm=rmsnorm"),
    ],
)
def test_an_architecture_without_counterpart_is_refused_by_its_switches(settings, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        export(build(settings), tmp_path / "export")
    assert list(tmp_path.iterdir()) == []


def test_weights_of_another_model_are_refused(tmp_path):
    bloom, llama = build(BLOOM), build(LLAMA)
    with pytest.raises(ValueError, match="embedding_norm"):
        hugging_face_state(bloom.state_dict(), llama.config)
    with pytest.raises(ValueError, match="parameters"):
        hugging_face_state(llama.state_dict(), build(LLAMA | {"layers": 3}).config)
    mixed = llama.state_dict() | {"head.weight": llama.head.weight.bfloat16()}
    with pytest.raises(ValueError, match="bfloat16, float32"):
        export_folder(mixed, llama.config, tmp_path / "export", None, END)


def test_a_tokenizer_of_another_model_is_refused(tmp_path):
    with pytest.raises(ValueError, match="has no piece '<end>'"):
        export(build(BLOOM), tmp_path / "a", tokenizer_json=write_tokenizer(tmp_path), end_of_text="<end>")
    with pytest.raises(ValueError, match="62 pieces, the model only 61"):
        export(build(BLOOM), tmp_path / "b", tokenizer_json=write_tokenizer(tmp_path, pieces=62))


def test_an_earlier_export_is_replaced_and_nothing_else(tmp_path):
    export(build(BLOOM), tmp_path / "export", max_shard_bytes=10_000)
    export(build(LLAMA), tmp_path / "export")
    assert sorted(path.name for path in (tmp_path / "export").iterdir()) == [
        "config.json",
        "generation_config.json",
        "model.safetensors",
    ]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match="mine is not empty and is no earlier export"):
        export(build(BLOOM), tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


def test_a_failed_export_leaves_the_earlier_one_and_the_next_succeeds(tmp_path, monkeypatch):
    folder = export(build(BLOOM), tmp_path / "export")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full(*_):
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("model.huggingface.os.fsync", full)
        with pytest.raises(OSError, match="no space"):
            export(build(LLAMA), folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    export(build(LLAMA), folder)
    assert Path(tmp_path / ".export.partial").exists() is False
    assert json.loads((folder / "config.json").read_text())["model_type"] == "llama"
