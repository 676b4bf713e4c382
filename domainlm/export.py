"""A checkpoint of a run → a Hugging Face folder with its model card, or an adapter's; finished work is recognised."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch

from data.files import file_digest
from data.lock import only_writer
from data.progress import say
from data.source_config import END_OF_TEXT
from data.tokenizer.build import TOKENIZER, end_of_turn_id
from evaluation.pages.model_card import CardFacts, model_card
from evaluation.pages.wording import base_model
from model.huggingface import hugging_face_class
from model.huggingface_folder import (
    CARD,
    OF_ADAPTER,
    WRITTEN,
    check_replaceable,
    damaged_files,
    export_folder,
    keep_edited_card,
    read_record,
)
from model.huggingface_folder import export_adapter as write_adapter
from model.lora.folder import to_peft
from model.pretrained import read_architecture
from model.sizes import parameter_count
from train.checkpoints.compatibility import check_architecture
from train.checkpoints.folders import Checkpoint, DeletedError, find_checkpoint, still_there
from train.checkpoints.identity import BASE, check_base, read_own, tokenizer_folder
from train.checkpoints.trained import load_trained, read_trained
from train.config import RunConfig
from train.config_file import ConfigError
from train.engine.initial_weights import trained_rows
from train.records.journal import RESUME, START, read_journal
from train.records.text_read import BEGUN

ExportDtype = Literal["float32", "bfloat16"]
FORMAT = 3
"""Of the record; before 3 it did not describe the files."""

OF_PRECISION: dict[str, ExportDtype] = {"fp32": "float32", "bf16": "bfloat16"}
"""The dtype of the weights that training computed with."""

ALIBI_IN_BFLOAT16 = (
    "transformers computes ALiBi's biases in the dtype of the weights; in bfloat16 those of near tokens become equal,"
    " and the logits worse along the text: load the folder with dtype='float32', or export without --dtype"
)


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
        dtype: of the weights; None for that of training, but with ALiBi for float32 (see ALIBI_IN_BFLOAT16).
        max_file_gigabytes: weight files grow no larger, unless one tensor alone does.

    Raises:
        ConfigError: transformers has no class for this mixture of architectural switches, or `folder` holds what is
            not of an export.
        CheckpointError: there is no such checkpoint, it is damaged, or model, tokenizer or reports are of another.
        DataError: another process writes to `folder`, or the journal is damaged.
    """
    target = folder or config.run_folder / "export"
    try:
        class_name = hugging_face_class(config.model)
    except ValueError as error:
        raise ConfigError(f"this model cannot be exported: {error}") from None
    found = find_checkpoint(config, step)
    check_architecture(found, config)
    chosen = dtype or _own_dtype(config)
    inputs = _inputs(config, found, chosen, max_file_gigabytes)
    result = {"folder": str(target), "step": found.step, "dtype": chosen, "class": class_name}
    earlier = read_record(target)
    if _is_finished(target, earlier, inputs):
        say(f"export: {target} is up to date (step {found.step})")
        return result
    _check_place(target, earlier, found)  # before the weights are loaded
    tokenizer = tokenizer_folder(found, config)
    chat = end_of_turn_id(tokenizer) is not None
    card = model_card(replace(_facts(config, found, class_name, chosen), chat=chat))
    say(f"export: step {found.step} as {class_name} in {chosen} to {target}")
    if chosen == "bfloat16" and config.model.positions == "alibi":
        say(f"export: {ALIBI_IN_BFLOAT16}")
    try:
        with still_there(found.folder):
            _write(config, found, target, tokenizer, card, inputs)
    except DeletedError as error:
        if step is not None:
            raise
        say(f"export: {error}")
        return export(config, folder, dtype=dtype, max_file_gigabytes=max_file_gigabytes)
    return result


def export_adapter(config: RunConfig, folder: Path | None = None, *, step: int | None = None) -> dict[str, Any]:
    """Write the folder of an adapter as peft loads it beside its base, unless it is there already.

    Args:
        folder: where to; None for adapter/ in the run's folder.
        step: of the checkpoint; None for the newest.

    Raises:
        ConfigError: the run trains all weights, or `folder` holds what is not of an adapter's export.
        CheckpointError, DataError: as of `export`.
    """
    if config.lora is None:
        raise ConfigError("export: --adapter is for runs with a `lora` section, and this one trains all weights")
    target, found = folder or config.run_folder / "adapter", find_checkpoint(config, step)
    check_architecture(found, config)
    inputs = _identity(found) | {BASE: found.manifest[BASE], "lora": config.lora.model_dump(mode="json")}
    result = {"folder": str(target), "step": found.step, "dtype": "float32", "base": config.init_from}
    earlier = read_record(target)
    if _is_finished(target, earlier, inputs):
        say(f"export: {target} is up to date (step {found.step})")
        return result
    check_base(found, config)
    _check_place(target, earlier, found, OF_ADAPTER)
    say(f"export: step {found.step} as an adapter of {config.init_from} to {target}")
    ids = trained_rows(config)
    tensors, settings = to_peft(read_trained(found.folder), config.model, config.lora, ids)
    settings |= {"base_model_name_or_path": config.init_from}
    tokenizer = tokenizer_folder(found, config)
    card = _adapter_card(config, found.step, end_of_turn_id(tokenizer))
    window = config.model.sequence_length
    try:
        with only_writer(target):
            write_adapter(tensors, settings, target, tokenizer, _end_of_text(found), window, card, inputs)
    except (ValueError, FileExistsError) as error:
        raise ConfigError(f"export: {error}") from None
    return result


def _adapter_card(config: RunConfig, step: int, end_of_turn: int | None) -> str:
    base_rows = read_architecture(Path(str(config.init_from)))["vocabulary_size"]
    rows = config.model.vocabulary_size
    grown = f"base.resize_token_embeddings({rows})\n" if rows > base_rows else ""
    # What the base's own folder says of generation knows no turns.
    stops = f"model.generation_config.eos_token_id = [{end_of_turn}, tokenizer.eos_token_id]\n"
    return (
        f"---\nlibrary_name: peft\n---\n\n# {config.name}\n\nAn adapter (LoRA) of `{base_model(config.model_dump())}`, "
        f"step {step}. `domainlm.json` has the digest of the weights that it was trained beside.\n\n```python\n"
        "from peft import PeftModel\nfrom transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
        f'base = AutoModelForCausalLM.from_pretrained({str(config.init_from)!r}, dtype="float32")\n{grown}'
        'model = PeftModel.from_pretrained(base, ".")\ntokenizer = AutoTokenizer.from_pretrained(".")\n'
        f"{stops if end_of_turn is not None else ''}```\n"
    )


def _write(
    config: RunConfig, found: Checkpoint, target: Path, tokenizer: Path, card: str, inputs: dict[str, Any]
) -> None:
    try:
        with only_writer(target):
            compared = export_folder(
                load_trained(config, found.step).model.state_dict(),
                config.model,
                target,
                tokenizer,
                _end_of_text(found),
                dtype=getattr(torch, inputs["dtype"]),
                max_file_bytes=int(inputs["max_file_gigabytes"] * 1e9),
                card=card,
                record=inputs,
                end_of_turn=end_of_turn_id(tokenizer),
                progress=_say_written,
            )
    except (ValueError, FileExistsError) as error:
        raise ConfigError(f"export: {error}") from None
    if not compared:
        say("export: transformers is not installed here, so it was not tried whether AutoTokenizer gives these ids")


def _own_dtype(config: RunConfig) -> ExportDtype:
    return "float32" if config.model.positions == "alibi" else OF_PRECISION[config.training.precision]


def _inputs(config: RunConfig, found: Checkpoint, dtype: str, max_file_gigabytes: float) -> dict[str, Any]:
    return _identity(found) | {
        "dtype": dtype,
        "class": hugging_face_class(config.model),
        "max_file_gigabytes": max_file_gigabytes,
        **{file.name: file_digest(file) if file.exists() else None for file in _reports(config)},
    }


def _identity(found: Checkpoint) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "run": found.manifest["config"]["name"],
        "checkpoint": found.digest,
        "step": found.step,
        "read": found.manifest.get("read"),  # older checkpoints do not say
        "cutoff": found.manifest["config"]["data"]["cutoff"],  # what goes on from these weights is held to it
        TOKENIZER: found.manifest["tokenizer_digest"],
    }


def _reports(config: RunConfig) -> list[Path]:
    """The files besides the checkpoint that the export is made from."""
    return [config.reports / name for name in ("data_card.json", "evaluate.json")]


def _is_finished(folder: Path, record: dict[str, Any], inputs: dict[str, Any]) -> bool:
    """Whether the folder is whole and made from these inputs; what is damaged in it is said."""
    if {**record, "files": None, "card": None} != {**inputs, "files": None, "card": None}:
        return False
    damaged = damaged_files(folder, record) + ([] if (folder / CARD).is_file() else [CARD])
    if damaged:
        say(f"export: {folder}: missing, or not as it was written: {', '.join(damaged)}: it is written again")
    return not damaged


def _check_place(folder: Path, earlier: dict[str, Any], found: Checkpoint, written: Sequence[str] = WRITTEN) -> None:
    """Raise ConfigError where the export would replace what is none; one of another checkpoint is said."""
    try:
        check_replaceable(folder, written)
    except FileExistsError as error:
        raise ConfigError(f"export: {error}") from None
    if earlier.get("checkpoint", found.digest) != found.digest:
        say(f"export: in {folder} that of {earlier.get('run', 'a run')}, step {earlier.get('step')}, is replaced")
    if kept := keep_edited_card(folder, earlier):
        say(f"export: {folder / CARD} was edited, and is replaced: yours is kept as {kept}")


def _facts(config: RunConfig, found: Checkpoint, class_name: str, dtype: str) -> CardFacts:
    data_card, evaluation = (read_own(file, found, config) for file in _reports(config))
    events = read_journal(config.run_folder)
    begun = [event["folder"] for event in events if event["event"] == BEGUN]
    config_of = found.manifest["config"] | ({"init_from": begun[-1]} if begun else {})  # it may name another by now
    sessions = [event for event in events if event["event"] in (START, RESUME) and "versions" in event]
    return CardFacts(
        class_name=class_name,
        parameters=parameter_count(config.model),
        dtype=dtype,
        end_of_text=_end_of_text(found),
        step=found.step,
        tokens=int(found.manifest["samples"]) * config.model.sequence_length,
        config=config_of,
        data_digest=str(found.manifest["data_digest"]),
        environment=sessions[-1] if sessions else None,
        events=events,
        data=data_card,
        evaluation=evaluation,
    )


def _end_of_text(found: Checkpoint) -> str:
    return str(found.manifest["config"]["tokenizer"].get("end_of_text", END_OF_TEXT))


def _say_written(done: int, total: int) -> None:
    say(f"export: {done / 1e9:,.2f} of {total / 1e9:,.2f} GB written")
