"""Taking weights from a Hugging Face folder as the start of training."""

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from model.config import ModelConfig
from model.huggingface import from_hugging_face, hugging_face_names
from model.huggingface_config import architecture
from model.initialise import Gather, Spelled, mean_rows
from model.transformer import Transformer
from model.weight_files import WeightFiles, open_weights

OF_TRAINING = ("dropout", "z_loss", "exported_class")
"""Settings of `ModelConfig` that no weight depends on."""

OF_VOCABULARY = ("embedding.weight", "head.weight")
"""Parameters with a row for each token."""

BASE_PREFIXES = ("transformer.", "model.")
"""What a model saved without its output head leaves out in front of its names."""


def read_architecture(folder: Path) -> dict[str, Any]:
    """The settings of `ModelConfig` that the config.json of `folder` stands for.

    Raises:
        ValueError: there is no config.json, or `Transformer` cannot compute what it describes.
    """
    file = folder / "config.json"
    if (folder / "adapter_config.json").exists():
        raise ValueError(
            f"{folder} holds an adapter: name its base here and the adapter as `lora.adapter`, or a folder of both as "
            "one, as `domainlm export CONFIG` makes it"
        )
    try:
        return architecture(json.loads(file.read_bytes()))
    except FileNotFoundError:
        raise ValueError(
            f"{file} does not exist: name a folder that `save_pretrained` or `domainlm export` made"
        ) from None
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{file}: {error}") from None


def check_architecture(folder: Path, config: ModelConfig) -> None:
    """Refuse weights that a model of `config` would compute something else with.

    More rows of vocabulary than the folder has are allowed, and a shorter context; a longer one with ALiBi only.

    Raises:
        ValueError: the architectures differ; each difference is named.
    """
    theirs, ours = read_architecture(folder), config.model_dump()
    changes = [
        f"{key} is {ours[key]}, there {value}"
        for key, value in theirs.items()
        if ours[key] != value and key not in ("vocabulary_size", "sequence_length", *OF_TRAINING)
    ]
    if config.vocabulary_size < theirs["vocabulary_size"]:
        changes.append(f"vocabulary_size is {config.vocabulary_size}, there {theirs['vocabulary_size']}")
    if config.positions == "rope" and config.sequence_length > theirs["sequence_length"]:
        changes.append(f"sequence_length is {config.sequence_length}, there {theirs['sequence_length']} at most")
    if changes:
        raise ValueError(f"{folder} is of another model: {'; '.join(changes)}")


def load_pretrained(
    model: Transformer, folder: Path, gather: Gather = nullcontext, spelled: Spelled | None = None
) -> None:
    """Copy the weights of a Hugging Face folder into `model`, in its dtype; every tensor is accounted for.

    Rows of vocabulary beyond those of the folder keep their values.

    Args:
        spelled: new pieces, whose rows become the mean of those of the pieces that spelled them in the folder's
            vocabulary; also where the folder has rows of their ids, as room that no piece had used.

    Raises:
        ValueError: the folder is of another model, or tensors are missing, of another shape, or left over; or a new
            piece was spelled with one that the folder has no row of.
    """
    check_architecture(folder, model.config)
    vocabulary = read_architecture(folder)["vocabulary_size"]
    weights = open_weights(folder)
    wanted = {name: hugging_face_names(name, model.config) for name, _ in model.named_parameters()}
    found = _find(weights, [theirs for names in wanted.values() for theirs in names], model.config.tied)
    for name, parameter in model.named_parameters():
        parts = [weights.read(found[theirs]) for theirs in wanted[name]]
        with gather([parameter]), torch.no_grad():
            target = parameter.data
            if name in OF_VOCABULARY:
                target = target[:vocabulary]
            tensor = from_hugging_face(name, parts, model.config)
            if target.shape != tensor.shape:
                raise ValueError(
                    f"{folder}: {' and '.join(wanted[name])} of shape {tuple(tensor.shape)} does not fit {name} of"
                    f" {tuple(parameter.shape)}"
                )
            target.copy_(tensor)
            if spelled and name in OF_VOCABULARY:
                new = torch.tensor(list(spelled), device=parameter.device)
                parameter.data[new] = mean_rows(tensor, spelled).to(parameter)


def _find(weights: WeightFiles, wanted: list[str], tied: bool) -> dict[str, str]:
    """The name in the files of each tensor that is wanted; raises ValueError naming what is missing or left over."""
    found = {}
    for name in wanted:
        shorter = next((name.removeprefix(prefix) for prefix in BASE_PREFIXES if name.startswith(prefix)), name)
        found[name] = name if name in weights.files else shorter
    missing = [name for name, in_files in found.items() if in_files not in weights.files]
    # Older Llama folders hold the constants of their rotation; a tied head is the embedding again.
    ignored = (".rotary_emb.inv_freq", *(["lm_head.weight"] if tied else []))
    left_over = [name for name in weights.files.keys() - set(found.values()) if not name.endswith(ignored)]
    problems = [
        f"{said} {', '.join(sorted(names)[:5])}{' and others' if len(names) > 5 else ''}"
        for said, names in (("it lacks", missing), ("nothing takes its", left_over))
        if names
    ]
    if problems:
        raise ValueError(f"{weights.folder} does not hold what its config.json describes: {'; '.join(problems)}")
    return found
