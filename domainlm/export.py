"""A checkpoint of a run → a Hugging Face folder with its model card; finished work is recognised."""

import json
from pathlib import Path
from typing import Any, Literal

import torch

from data.files import file_digest, value_digest
from data.lock import only_writer
from data.progress import say
from data.tokenizer.build import TOKENIZER
from evaluation.pages.model_card import CardFacts, model_card
from model.huggingface import hugging_face_class
from model.huggingface_folder import export_folder
from model.sizes import parameter_count
from model.weight_files import open_weights
from train.checkpoints.folders import Checkpoint, CheckpointError, damaged_files, find_checkpoint
from train.checkpoints.trained import load_trained
from train.config import RunConfig
from train.config_file import ConfigError

ExportDtype = Literal["float32", "bfloat16"]
FORMAT = 1
RECORD = "domainlm.json"
"""In the folder: what it was made from."""

OF_PRECISION: dict[str, ExportDtype] = {"fp32": "float32", "bf16": "bfloat16"}
"""The dtype of an export unless one is asked for: that of the weights that training computed with."""


def export(
    config: RunConfig,
    folder: Path | None = None,
    *,
    step: int | None = None,
    dtype: ExportDtype | None = None,
    max_file_gigabytes: float = 5.0,
) -> dict[str, Any]:
    """Write the Hugging Face folder of a checkpoint, unless it is there already.

    Args:
        folder: where to; None for export/ in the run's folder.
        step: of the checkpoint; None for the newest.
        dtype: of the weights; None for that of training.
        max_file_gigabytes: weight files grow no larger, unless one tensor alone does.

    Raises:
        ConfigError: transformers has no class for this mixture of architectural switches, or `folder` is not an export.
        CheckpointError: there is no such checkpoint, or it is damaged.
        DataError: another process writes to `folder`.
    """
    target = folder or config.run_folder / "export"
    try:
        class_name = hugging_face_class(config.model)
    except ValueError as error:
        raise ConfigError(f"this model cannot be exported: {error}") from None
    found = find_checkpoint(config, step)
    chosen = dtype or OF_PRECISION[config.training.precision]
    inputs = _inputs(config, found, chosen, max_file_gigabytes)
    result = {"folder": str(target), "step": found.step, "dtype": chosen, "class": class_name}
    if _is_finished(target, inputs):
        say(f"export: {target} is up to date (step {found.step})")
        return result
    # What leaves the run is not read again by anyone who could tell.
    if damaged := damaged_files(found):
        raise CheckpointError(
            f"{found.folder}: the content of {', '.join(damaged)} is not what was written: export another step"
        )
    weights = load_trained(config, found.step).model.state_dict()
    card = model_card(_facts(config, found, class_name, chosen))
    say(f"export: step {found.step} as {class_name} in {chosen} to {target}")
    with only_writer(target):
        try:
            export_folder(
                weights,
                config.model,
                target,
                config.tokenizer_folder,
                config.tokenizer.end_of_text,
                dtype=getattr(torch, chosen),
                max_file_bytes=int(max_file_gigabytes * 1e9),
                texts={"README.md": card, RECORD: json.dumps(inputs, indent=1)},
                progress=_say_written,
            )
        except (ValueError, FileExistsError) as error:
            raise ConfigError(f"export: {error}") from None
    return result


def _inputs(config: RunConfig, found: Checkpoint, dtype: str, max_file_gigabytes: float) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "checkpoint": value_digest(found.manifest),
        "step": found.step,
        "dtype": dtype,
        "max_file_gigabytes": max_file_gigabytes,
        **{file.name: file_digest(file) if file.exists() else None for file in _read(config)},
    }


def _read(config: RunConfig) -> list[Path]:
    """The files besides the checkpoint that the export is made from."""
    reports = [config.reports / name for name in ("data_card.json", "evaluate.json")]
    return [config.tokenizer_folder / TOKENIZER, *reports]


def _is_finished(folder: Path, inputs: dict[str, Any]) -> bool:
    """Whether the folder is whole and made from these inputs."""
    try:
        open_weights(folder)
        return bool(json.loads((folder / RECORD).read_bytes()) == inputs)
    except (OSError, ValueError):
        return False


def _facts(config: RunConfig, found: Checkpoint, class_name: str, dtype: str) -> CardFacts:
    _, data_card, evaluation = _read(config)
    journal = config.run_folder / "journal.jsonl"
    lines = journal.read_text("utf-8").splitlines() if journal.exists() else []
    return CardFacts(
        class_name=class_name,
        parameters=parameter_count(config.model),
        dtype=dtype,
        end_of_text=config.tokenizer.end_of_text,
        step=found.step,
        tokens=int(found.manifest["samples"]) * config.model.sequence_length,
        config=config.model_dump(mode="json"),
        data_digest=str(found.manifest["data_digest"]),
        environment=_json(config.run_folder / "environment.json"),
        events=[json.loads(line) for line in lines],
        data=_json(data_card),
        evaluation=_json(evaluation),
    )


def _json(file: Path) -> dict[str, Any] | None:
    return dict(json.loads(file.read_bytes())) if file.exists() else None


def _say_written(done: int, total: int) -> None:
    say(f"export: {done / 1e9:,.2f} of {total / 1e9:,.2f} GB written")
