"""Adapters to and from the real peft: the same logits, merged or not, and what it makes is begun with or refused."""

import json
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from model.config import ModelConfig
from model.huggingface_folder import export_folder
from model.lora.config import LoraConfig
from model.lora.folder import SETTINGS, WEIGHTS, check_adapter, load_adapter, to_peft
from model.lora.lora import add_lora
from model.transformer import Transformer
from tests.model.lora.test_lora import TOKENS, adapt

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import peft

OURS = {
    "rows": LoraConfig(rank=3, alpha=5, rank_stabilised=True, tokens=(3, 60)),
    "vocabulary": LoraConfig(rank=2, embeddings="all"),
}
COMPARED = [
    *((name, "rows") for name in ("bloom", "bloom-untied-5-heads", "llama-tied-grouped", "qwen3")),
    *((name, "vocabulary") for name in ("bloom", "llama", "qwen3-tied-shared")),
]


def put_base(model: Transformer, folder: Path) -> Path:
    export_folder(model.state_dict(), model.config, folder / "base", None, "<|endoftext|>")
    return folder / "base"


def write(folder: Path, tensors: dict[str, torch.Tensor], settings: dict[str, Any]) -> Path:
    folder.mkdir()
    save_file({name: tensor.clone().contiguous() for name, tensor in tensors.items()}, folder / WEIGHTS)
    (folder / SETTINGS).write_text(json.dumps(settings))
    return folder


def theirs(base: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(base, dtype=torch.float64).eval()


@pytest.mark.filterwarnings("ignore")  # transformers' own names, and peft's general words on tied layers
@pytest.mark.parametrize(("name", "kind"), COMPARED)
def test_peft_computes_and_merges_what_we_do(
    name: str, kind: str, families: dict[str, dict[str, Any]], random_model: Callable[..., Transformer], tmp_path: Path
) -> None:
    """Also what peft has merged, saved and read again: a tied head's training is neither lost nor counted twice."""
    family, lora = families[name], OURS[kind]
    model, ids = random_model(family).double(), lora.trained_rows(61, 61)
    base = put_base(model, tmp_path)
    trained = adapt(model, lora)
    adapter = write(tmp_path / "adapter", *to_peft(trained, model.config, lora, ids))
    with torch.no_grad():
        expected = model(TOKENS)
        # In float32 the folders are written, so that float64 shows their rounding and nothing else.
        loaded = peft.PeftModel.from_pretrained(theirs(base), adapter)
        assert torch.allclose(loaded(TOKENS).logits.to(expected), expected, rtol=0, atol=1e-5)
        merged = loaded.merge_and_unload()
        assert torch.allclose(merged(TOKENS).logits.to(expected), expected, rtol=0, atol=1e-5)
        merged.save_pretrained(tmp_path / "merged")
        assert torch.allclose(theirs(tmp_path / "merged")(TOKENS).logits.to(expected), expected, rtol=0, atol=1e-5)
        again = random_model(family).double()
        add_lora(again, lora, ids, seed=2)
        load_adapter(again, adapter, lora, ids)
        assert torch.allclose(again(TOKENS), expected, rtol=0, atol=1e-5)


def made_by_peft(base: Path, folder: Path, **settings: Any) -> tuple[Path, torch.Tensor]:
    """An adapter that peft has made and saved, every matrix of it random; and its logits."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = peft.get_peft_model(theirs(base), peft.LoraConfig(**{"r": 3, "lora_alpha": 6} | settings)).eval()
        generator = torch.Generator().manual_seed(3)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter += 0.1 * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
            logits = model(TOKENS).logits
        model.save_pretrained(folder)
    return folder, logits


MADE = {
    "some matrices": ("llama-tied-grouped", {"target_modules": ["q_proj", "v_proj"]}, {}),
    "one layer": ("qwen3", {"target_modules": ["o_proj", "up_proj"], "layers_to_transform": [1]}, {}),
    "fused": ("bloom-untied-5-heads", {"target_modules": ["query_key_value", "dense"], "use_rslora": True}, {}),
    "rows": ("llama-tied-grouped", {"target_modules": ["gate_proj"], "trainable_token_indices": [3, 60]}, {}),
    "vocabulary": ("llama", {"target_modules": ["k_proj"], "modules_to_save": ["embed_tokens", "lm_head"]}, {}),
}


@pytest.mark.parametrize("name", MADE)
def test_training_begins_with_what_peft_made(
    name: str, families: dict[str, dict[str, Any]], random_model: Callable[..., Transformer], tmp_path: Path
) -> None:
    family, settings, _ = MADE[name]
    model = random_model(families[family]).double()
    folder, expected = made_by_peft(put_base(model, tmp_path), tmp_path / "adapter", **settings)
    lora = LoraConfig(
        rank=3,
        alpha=6,
        rank_stabilised="use_rslora" in settings,
        embeddings="all" if "modules_to_save" in settings else "none",
        tokens=settings.get("trainable_token_indices", ()),
    )
    ids = lora.trained_rows(61, 61)
    check_adapter(folder, model.config, lora, ids)
    add_lora(model, lora, ids, seed=2)
    load_adapter(model, folder, lora, ids)
    with torch.no_grad():
        assert torch.allclose(model(TOKENS), expected.double(), rtol=0, atol=1e-5)


REFUSED = {
    "dora": ({"use_dora": True}, {}, "it asks for use_dora=True, which is not computed here"),
    "bias": ({"bias": "lora_only"}, {}, "it asks for bias=lora_only"),
    "ranks": ({"rank_pattern": {"q_proj": 2}}, {}, "it asks for rank_pattern={'q_proj': 2}"),
    "another rank": ({"r": 4}, {}, "it differs from the run: lora.rank is 3, there 4"),
    "another alpha": ({"lora_alpha": 8, "use_rslora": True}, {}, "lora.alpha is 6.0, there 8; lora.rank_stabilised is"),
    "other matrices": ({}, {"targets": ("feed_forward",)}, "it trains what lora.targets, lora.embeddings and lora.tok"),
    "a norm": ({"modules_to_save": ["norm"]}, {}, "do not name: model.layers.0.input_layernorm.weight"),
    "rows": ({"trainable_token_indices": [3]}, {}, "the rows that are trained one by one are  (0), there 3 (1)"),
    "half of a tied vocabulary": (
        {"modules_to_save": ["embed_tokens"]},
        {"embeddings": "all"},
        "it lacks lm_head.weight",
    ),
    "another vocabulary": (
        {"modules_to_save": ["embed_tokens", "lm_head"]},
        {"embeddings": "all"},
        "its embedding and its output head differ, and model.tied makes them one",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_computed_here_or_is_of_another_run_is_refused_by_name(
    name: str, families: dict[str, dict[str, Any]], random_model: Callable[..., Transformer], tmp_path: Path
) -> None:
    settings, changes, says = REFUSED[name]
    model = random_model(families["llama-tied-grouped"])
    base = put_base(model, tmp_path)
    folder, _ = made_by_peft(base, tmp_path / "adapter", target_modules=["q_proj"], **settings)
    lora = LoraConfig.model_validate({"rank": 3, "alpha": 6} | changes)
    with pytest.raises(ValueError, match=re.escape(says)):
        check_adapter(folder, model.config, lora, lora.trained_rows(61, 61))


def test_a_folder_that_is_no_adapter_of_this_model_is_refused(
    families: dict[str, dict[str, Any]], random_model: Callable[..., Transformer], tmp_path: Path
) -> None:
    model, lora = random_model(families["llama"]), LoraConfig(rank=3)
    wider = ModelConfig.model_validate(families["llama"] | {"feed_forward_width": 96})
    tensors, settings = to_peft(adapt(model, lora), model.config, lora, ())
    adapter = write(tmp_path / "adapter", tensors, settings)
    with pytest.raises(ValueError, match=r"it is of another model: model.layers.0.mlp.down_proj.lora_A.weight has the"):
        check_adapter(adapter, wider, lora, ())
    with pytest.raises(ValueError, match=r"none/adapter_config.json does not exist: name a folder that peft's"):
        check_adapter(tmp_path / "none", model.config, lora, ())
    newer = write(tmp_path / "newer", tensors, settings | {"use_wonder": {"depth": 2}})
    with pytest.raises(ValueError, match=r"it asks for use_wonder={'depth': 2}, which is not computed here"):
        check_adapter(newer, model.config, lora, ())
    one = next(iter(tensors))
    half = write(tmp_path / "half", {name: value for name, value in tensors.items() if name != one}, settings)
    with pytest.raises(ValueError, match=r"it lacks model.layers.0.self_attn.q_proj.lora_A.weight"):
        check_adapter(half, model.config, lora, ())
    (half / WEIGHTS).write_bytes((adapter / WEIGHTS).read_bytes()[:99])
    with pytest.raises(ValueError, match=r"half cannot be read"):
        check_adapter(half, model.config, lora, ())
    changed = write(tmp_path / "changed", tensors, settings | {"init_lora_weights": "pissa"})
    with pytest.raises(ValueError, match=r"init_lora_weights=pissa has changed the base: merge the adapter with peft"):
        check_adapter(changed, model.config, lora, ())
    assert load_file(adapter / WEIGHTS).keys() == tensors.keys()
