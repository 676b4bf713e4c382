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
