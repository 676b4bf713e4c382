"""Models of transformers as evaluation asks them: losses of the whole logits in float64, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    Gemma2Config,
    GPT2Config,
    LlamaConfig,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

from data.errors import DataError
from evaluation import general_model
from evaluation.bits_per_byte import NOT_SCORED
from evaluation.general_model import load_general_model

PIECES = 300
SHAPE = {"vocab_size": PIECES, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
CONFIGS: dict[str, PreTrainedConfig] = {
    "llama": LlamaConfig(**SHAPE, intermediate_size=32, max_position_embeddings=48, tie_word_embeddings=True),
    "gpt2": GPT2Config(vocab_size=PIECES, n_embd=16, n_layer=2, n_head=2, n_positions=48),
    "bloom": BloomConfig(vocab_size=PIECES, hidden_size=16, n_layer=2, n_head=2),
    # Its logits are bounded behind the output layer.
    "gemma2": Gemma2Config(
        **SHAPE, intermediate_size=32, num_key_value_heads=2, head_dim=8, max_position_embeddings=48, sliding_window=8
    ),
}


def byte_level(normalizer: normalizers.Normalizer | None = None) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=PIECES, special_tokens=["<end>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(["the rate rose and the rate fell in the quarter"] * 20, trainer)
    return tokenizer


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[..., Path]:
    """Writes a folder of transformers with random weights, and its path."""

    def make(config: PreTrainedConfig, *, tokenizer: Tokenizer | None = None, end: str | None = "<end>") -> Path:
        folder = tmp_path / "general"
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.normal_(0, 0.3)
        model.save_pretrained(folder)
        described: dict[str, Any] = {"eos_token": end} if end else {}
        PreTrainedTokenizerFast(tokenizer_object=tokenizer or byte_level(), **described).save_pretrained(folder)
        return folder

    return make


def whole_losses(folder: Path, inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """From all logits of the class itself, in float64."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64).eval()
    with torch.no_grad():
        logits = model(input_ids=torch.from_numpy(inputs)).logits
    nats = -torch.log_softmax(logits, -1).gather(-1, torch.from_numpy(np.maximum(targets, 0))[..., None])[..., 0]
    return np.where(targets == NOT_SCORED, 0.0, nats.numpy())


@pytest.mark.parametrize("family", CONFIGS)
def test_losses_are_those_of_the_whole_logits(
    family: str, make_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(general_model, "LOGITS", 7 * PIECES)  # a batch takes several pieces
    monkeypatch.setattr(general_model, "FEWEST_ROWS", 1)
    folder = make_folder(CONFIGS[family])
    model = load_general_model(folder, window=40)
    random = np.random.default_rng(0)
    inputs, targets = random.integers(0, PIECES, (3, 40)), random.integers(0, PIECES, (3, 40))
    targets[0, :20] = targets[2, 25:] = NOT_SCORED
    found = model.token_losses(inputs, targets)
    assert found == pytest.approx(whole_losses(folder, inputs, targets), rel=2e-5, abs=2e-5)
    assert model.token_losses(inputs[:1], np.full((1, 40), NOT_SCORED)).tolist() == [[0.0] * 40]
    assert model.parameters == sum(each.numel() for each in AutoModelForCausalLM.from_pretrained(folder).parameters())


def test_a_model_is_described_by_its_folder(make_folder: Callable[..., Path]) -> None:
    folder = make_folder(CONFIGS["llama"])
    model = load_general_model(folder)
    assert (model.name, model.window, model.device) == ("general", 48, "cpu, float32")
    text = " Zu\u0308rich, 1,024 \U0001f600"
    begin, *ids = model.encode(text)
    assert begin == 0, "the end of text stands in front"
    assert model.decode(ids) == text
    (folder / "config.json").write_text((folder / "config.json").read_text().replace("0.02", "0.03"))
    assert load_general_model(folder).digest != model.digest
    assert load_general_model(folder, dtype="bfloat16").device == "cpu, bfloat16"


def test_windows_are_those_that_a_model_was_made_for(make_folder: Callable[..., Path]) -> None:
    with pytest.raises(DataError, match="was made for 48 tokens at once, not for 64"):
        load_general_model(make_folder(CONFIGS["gpt2"]), window=64)
    with pytest.raises(DataError, match="does not say how many tokens it was made for: say so with --window"):
        load_general_model(make_folder(CONFIGS["bloom"]))
    assert load_general_model(make_folder(CONFIGS["bloom"]), window=64).window == 64


def test_weights_that_are_missing_are_no_random_numbers(make_folder: Callable[..., Path]) -> None:
    from safetensors.torch import load_file, save_file

    folder = make_folder(CONFIGS["llama"])
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    model = load_general_model(folder)
    with pytest.raises(DataError, match=r"1 weights are missing .*model\.layers\.1\.mlp\.up_proj\.weight first"):
        model.token_losses(np.zeros((1, 4), np.int64), np.zeros((1, 4), np.int64))


def write_gguf(folder: Path, file: Path) -> None:
    """A Llama's folder as one file, as llama.cpp's convert_hf_to_gguf.py writes it: float32, its own names."""
    import gguf
    from safetensors.torch import load_file

    config, tokenizer = (json.loads((folder / name).read_text()) for name in ("config.json", "tokenizer.json"))
    heads, pieces = config["num_attention_heads"], tokenizer["model"]["vocab"]
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_rope_dimension_count(config["hidden_size"] // heads)
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("llama-bpe")
    writer.add_token_list(sorted(pieces, key=pieces.get))
    writer.add_token_types([gguf.TokenType.CONTROL] + [gguf.TokenType.NORMAL] * (len(pieces) - 1))
    writer.add_token_merges([" ".join(merge) for merge in tokenizer["model"]["merges"]])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config["num_hidden_layers"])
    for name, tensor in load_file(folder / "model.safetensors").items():
        if name.endswith(("q_proj.weight", "k_proj.weight")):  # llama.cpp turns neighbours, not halves
            tensor = tensor.view(heads, 2, -1, tensor.shape[1]).transpose(1, 2).reshape(tensor.shape)
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight",)), tensor.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_a_gguf_file_is_the_folder_that_it_was_made_of(make_folder: Callable[..., Path], tmp_path: Path) -> None:
    """By ids and losses; its digest is its own."""
    folder = make_folder(CONFIGS["llama"])
    write_gguf(folder, tmp_path / "small.gguf")
    of_folder, of_file = (load_general_model(path) for path in (folder, tmp_path / "small.gguf"))
    assert (of_file.name, of_file.window, of_file.parameters) == ("small", of_folder.window, of_folder.parameters)
    text = "the rate rose, and Z\u00fcrich's rate fell by 1,024 in\n\nthe quarter"
    ids = of_folder.encode(text)
    assert of_file.encode(text) == ids
    assert of_file.decode(ids[1:]) == text
    row = np.array([ids])[:, :48]
    found, expected = (model.token_losses(row[:, :-1], row[:, 1:]) for model in (of_file, of_folder))
    assert found == pytest.approx(expected, abs=1e-5)
    assert expected.std() > 0.1
    assert of_file.digest != of_folder.digest


def test_what_cannot_be_measured_is_refused(make_folder: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_folder(CONFIGS["gpt2"], end=None)
    with pytest.raises(DataError, match="names neither bos_token nor eos_token"):
        load_general_model(folder)
    with pytest.raises(DataError, match="how many bytes of a text its tokens stand for cannot be known"):
        load_general_model(make_folder(CONFIGS["gpt2"], tokenizer=byte_level(normalizers.Lowercase())))
    load_general_model(make_folder(CONFIGS["gpt2"], tokenizer=byte_level(normalizers.NFC())))
    (folder / "config.json").write_text(json.dumps({"model_type": "never-heard-of"}))
    with pytest.raises(DataError, match=r"transformers does not read it as a model: .*never-heard-of"):
        load_general_model(folder)
    small = T5Config(vocab_size=PIECES, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)
    T5ForConditionalGeneration(small).save_pretrained(folder)
    with pytest.raises(DataError, match="transformers has no causal model of it"):
        load_general_model(folder)
    with pytest.raises(DataError, match="transformers does not read it as a model"):
        load_general_model(tmp_path / "none.gguf")
