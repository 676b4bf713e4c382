"""peft's format: a folder of adapter_config.json and adapter_model.safetensors, written and read.

Written is what peft has read alike in all its versions. A tied head is stored beside the embedding: with
`ensure_weight_tying`, or without the head, peft 0.21.2 trains, merges or reloads other models than were saved.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from model.config import ModelConfig
from model.huggingface import from_hugging_face, hugging_face_names, to_hugging_face
from model.huggingface_folder import ADAPTER_SETTINGS as SETTINGS
from model.huggingface_folder import ADAPTER_WEIGHTS as WEIGHTS
from model.initialise import Gather
from model.lora.config import LoraConfig
from model.lora.lora import ROWS, VOCABULARY, A, B, add_lora
from model.transformer import Transformer

PREFIX = "base_model.model."
TOKEN_ROWS = "token_adapter.trainable_tokens_delta"
"""What stands in the place of `weight` for rows that are trained one by one."""
OF_FORM = (
    *(
        "peft_type",
        "peft_version",
        "task_type",
        "auto_mapping",
        "base_model_name_or_path",
        "revision",
        "inference_mode",
    ),
    *("r", "lora_alpha", "lora_dropout", "use_rslora", "target_modules", "exclude_modules", "layers_to_transform"),
    *("layers_pattern", "modules_to_save", "modules_to_tie", "target_modules_to_tie", "trainable_token_indices"),
    *("init_lora_weights", "megatron_core", "qalora_group_size", "ensure_weight_tying", "eva_config", "lora_ga_config"),
    "runtime_config",
)
"""Settings that say what is in the folder or how it was made, or that are asked for below."""
ONLY_DRAWN = (True, False, "gaussian", "orthogonal", "eva", "lora_ga")
"""Ways of `init_lora_weights` that leave the base as it is."""


def to_peft(
    adapter: Mapping[str, Tensor], config: ModelConfig, lora: LoraConfig, ids: Sequence[int]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """An adapter's tensors by peft's names, and what adapter_config.json says of them.

    Args:
        adapter: its parameters by the names that they have in a model that `add_lora` has changed.
        ids: tokens whose rows are trained one by one.
    """
    tensors: dict[str, Tensor] = {}
    for name, tensor in adapter.items():
        module, _, kind = name.rpartition(".")
        if kind == A:
            ups = to_hugging_face(f"{module}.weight", adapter[f"{module}.{B}"], config)
            for (theirs, up), down in zip(ups.items(), torch.split(tensor, lora.rank), strict=True):
                place = PREFIX + theirs.removesuffix("weight")
                tensors |= {f"{place}lora_A.weight": down, f"{place}lora_B.weight": up}
        elif kind in (ROWS, "weight"):
            ending = TOKEN_ROWS if kind == ROWS else "weight"
            # Rows of a tied head follow the embedding's in peft, a whole tied head does not.
            both = config.tied and module == "embedding" and kind == "weight"
            for of in VOCABULARY if both else (module,):
                tensors[f"{PREFIX}{_vocabulary_name(of, config)}.{ending}"] = tensor
    return tensors, _settings(tensors, config, lora, ids)


def _settings(
    tensors: Mapping[str, Tensor], config: ModelConfig, lora: LoraConfig, ids: Sequence[int]
) -> dict[str, Any]:
    leaves = {name.rpartition(".lora_A.")[0].rpartition(".")[2] for name in tensors if ".lora_A." in name}
    vocabulary = [_vocabulary_name(module, config).rpartition(".")[2] for module in VOCABULARY]
    rows = list(ids) if config.tied else {leaf: list(ids) for leaf in vocabulary}
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": lora.rank,
        "lora_alpha": int(lora.alpha) if lora.alpha.is_integer() else lora.alpha,
        "lora_dropout": lora.dropout,
        "use_rslora": lora.rank_stabilised,
        "target_modules": sorted(leaves),
        "modules_to_save": vocabulary if lora.embeddings == "all" else None,
        "trainable_token_indices": rows if ids else None,
        "bias": "none",
        "fan_in_fan_out": False,
        "init_lora_weights": True,
        "inference_mode": True,
    }


def _vocabulary_name(module: str, config: ModelConfig) -> str:
    return hugging_face_names(f"{module}.weight", config)[0].removesuffix(".weight")


def load_adapter(
    model: Transformer, folder: Path, lora: LoraConfig, ids: Sequence[int], gather: Gather = nullcontext
) -> None:
    """Set what `add_lora` has made trainable in `model` to an adapter's folder; an update that it lacks stays nothing.

    Raises:
        ValueError: as of `read_adapter`.
    """
    fresh = fresh_adapter(model, ids)
    found = read_adapter(folder, fresh, model.config, lora, ids)
    for name in fresh:
        parameter = model.get_parameter(name)
        with gather([parameter]), torch.no_grad():
            parameter.copy_(found[name])


def check_adapter(folder: Path, config: ModelConfig, lora: LoraConfig, ids: Sequence[int]) -> None:
    """Raises ValueError, as `read_adapter` does, where a model of `config` could not begin with this adapter."""
    with torch.device("meta"):
        model = Transformer(config)
    add_lora(model, lora, ids, seed=0)
    _read_checked(folder, to_peft(fresh_adapter(model, ids), config, lora, ids)[0], config, lora, ids)


def fresh_adapter(model: Transformer, ids: Sequence[int]) -> dict[str, Tensor]:
    """What is trainable in a model: the low-rank matrices, and of what is of the vocabulary the shape alone."""
    rows = torch.empty(len(ids) or model.config.vocabulary_size, model.config.width, device="meta")
    trained = [(name, parameter.detach()) for name, parameter in model.named_parameters() if parameter.requires_grad]
    return {name: tensor if name.endswith((A, B)) else rows for name, tensor in trained}


def read_adapter(
    folder: Path, fresh: Mapping[str, Tensor], config: ModelConfig, lora: LoraConfig, ids: Sequence[int]
) -> dict[str, Tensor]:
    """The parameters of an adapter's folder, by our names.

    Args:
        fresh: what is trainable, by our names; of a matrix that the folder has no update for, this is taken.

    Raises:
        ValueError: it cannot be read, computes what this model does not, or is of other settings or another model.
    """
    theirs, _ = to_peft(fresh, config, lora, ids)
    theirs |= _read_checked(folder, theirs, config, lora, ids)
    found = {}
    for name in fresh:
        module, _, kind = name.rpartition(".")
        if kind in (A, B):
            places = [PREFIX + of.removesuffix("weight") for of in hugging_face_names(f"{module}.weight", config)]
            parts = [theirs[f"{place}lora_{'A' if kind == A else 'B'}.weight"] for place in places]
            found[name] = torch.cat(parts) if kind == A else from_hugging_face(f"{module}.weight", parts, config)
        else:
            found[name] = theirs[f"{PREFIX}{_vocabulary_name(module, config)}.{TOKEN_ROWS if kind == ROWS else kind}"]
    return found


def _read_checked(
    folder: Path, expected: Mapping[str, Tensor], config: ModelConfig, lora: LoraConfig, ids: Sequence[int]
) -> dict[str, Tensor]:
    """The tensors of a folder, all of them among those that are expected, and all of the vocabulary's there."""
    tensors = _read(folder, config, lora, ids)
    foreign = [name for name in tensors if name not in expected]
    missing = [name for name in expected if name not in tensors and ".lora_" not in name]
    missing += [pair for name in tensors if ".lora_" in name and (pair := _pair(name)) not in tensors]
    shapes = [
        f"{name.removeprefix(PREFIX)} has the shape {list(tensors[name].shape)}, here {list(expected[name].shape)}"
        for name in tensors
        if name in expected and tensors[name].shape != expected[name].shape
    ]
    for said, names in (
        ("it is of another model: ", shapes),
        ("it trains what lora.targets, lora.embeddings and lora.tokens do not name: ", foreign),
        ("it lacks ", missing),
    ):
        if names:
            listed = ", ".join(name.removeprefix(PREFIX) for name in names[:3])
            raise ValueError(f"{folder}: {said}{listed}{' and others' if len(names) > 3 else ''}")
    if config.tied and lora.embeddings == "all":
        embedding, head = (tensors[f"{PREFIX}{_vocabulary_name(of, config)}.weight"] for of in VOCABULARY)
        if not torch.equal(embedding, head):
            raise ValueError(
                f"{folder}: its embedding and its output head differ, and model.tied makes them one: merge it with "
                "peft's merge_and_unload, and begin with the merged model"
            )
    return tensors


def _pair(name: str) -> str:
    return name.replace(".lora_A.", ".lora_B.") if ".lora_A." in name else name.replace(".lora_B.", ".lora_A.")


def _read(folder: Path, config: ModelConfig, lora: LoraConfig, ids: Sequence[int]) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        theirs = dict(json.loads((folder / SETTINGS).read_bytes()))
        check_settings(theirs, config, lora, ids)
        return dict(load_file(folder / WEIGHTS))
    except FileNotFoundError as error:
        raise ValueError(f"{error.filename} does not exist: name a folder that peft's save_pretrained made") from None
    except (OSError, SafetensorError, TypeError) as error:
        raise ValueError(f"{folder} cannot be read ({error}): fetch it again") from None
    except ValueError as error:
        raise ValueError(f"{folder / SETTINGS}: {error}") from None


def check_settings(theirs: Mapping[str, Any], config: ModelConfig, lora: LoraConfig, ids: Sequence[int]) -> None:
    """Raises ValueError where adapter_config.json asks for what is not computed here, or differs from the run's."""
    if theirs.get("peft_type") != "LORA":
        raise ValueError(f"its peft_type is {theirs.get('peft_type')}, and only LORA can be taken")
    asked = [key for key in theirs if key not in OF_FORM and theirs[key] not in (None, False, {}, [], "none")]
    if asked:
        raise ValueError(
            f"it asks for {', '.join(f'{key}={theirs[key]}' for key in asked)}, which is not computed here"
        )
    if (drawn := theirs.get("init_lora_weights", True)) not in ONLY_DRAWN:
        raise ValueError(
            f"init_lora_weights={drawn} has changed the base: merge the adapter with peft, and begin with that"
        )
    wanted = _settings({}, config, lora, ids)
    differing = [
        f"lora.{ours} is {getattr(lora, ours)}, there {theirs.get(key, default)}"
        for ours, key, default in (
            ("rank", "r", 8),
            ("alpha", "lora_alpha", 8),
            ("rank_stabilised", "use_rslora", False),
        )
        if theirs.get(key, default) != wanted[key]
    ]
    rows = theirs.get("trainable_token_indices") or []
    differing += [
        f"the rows that are trained one by one are {_few(ids)}, there {_few(of_module)}"
        for of_module in (rows.values() if isinstance(rows, dict) else [rows])
        if list(of_module) != list(ids)
    ]
    if differing:
        raise ValueError(f"it differs from the run: {'; '.join(dict.fromkeys(differing))}")


def _few(ids: Sequence[int]) -> str:
    return f"{', '.join(map(str, ids[:3]))}{', ...' if len(ids) > 3 else ''} ({len(ids)})"
