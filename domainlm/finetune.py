"""Fine-tunes a trained model on examples of conversations: a run of its own, begun with the weights of this one.

What is made lies in one folder: examples/ (what is taken, a report, a quarantine), tokenizer/ (with the marks of the
chat template), shards/, start/NAME (the weights to begin with, by their name), and config.yaml, by which the folder is
a run as any other.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from tokenizers import Tokenizer

from data.examples.build import Limits, build_examples, examples_inputs
from data.examples.marks import ChatTokenizer, build_chat_tokenizer, chat_inputs
from data.files import MANIFEST, file_digest, finished_inputs, write_atomically
from data.lock import only_writer
from data.progress import say
from data.shards.format import read_manifest
from data.shards.packing import pack_shards
from data.tokenizer.build import TOKENIZER
from domainlm.configuration import load_derived
from model.huggingface_folder import (
    check_replaceable,
    check_weights_as_written,
    damaged_files,
    export_folder,
    read_record,
)
from model.initialise import mean_row
from model.pretrained import load_pretrained
from model.transformer import Transformer
from train.checkpoints.folders import Checkpoint, describe_finished, find_checkpoint, saved_steps
from train.checkpoints.identity import tokenizer_folder
from train.checkpoints.trained import load_trained
from train.config import FinetuneConfig, RunConfig, to_yaml
from train.config_file import ConfigError
from train.records.journal import read_journal
from train.records.text_read import BEGUN

FORMAT = 1
CANNOT_BE_RUN = "the `finetune` section cannot be run"
VOCABULARY = ("embedding.weight", "head.weight")


@dataclass(frozen=True)
class Base:
    """What the weights are of."""

    checkpoint: Checkpoint | None
    folder: Path
    """Of Hugging Face, where there is no checkpoint."""
    tokenizer: Path
    end_of_text: str
    name: str
    """By which its users know it, in cards and notes."""
    record: dict[str, Any]
    """What identifies the weights, and says which text they have read."""


def make_finetuning(config: RunConfig) -> tuple[RunConfig, dict[str, Any]]:
    """Make all that the fine-tuning's run needs, but for what is there already.

    Returns:
        Its configuration, and the report on the examples.

    Raises:
        ConfigError: there is no `finetune` section, or its settings contradict each other or the model.
        CheckpointError: there is no such checkpoint.
        DataError: the examples cannot be used.
    """
    wanted = config.finetune
    if wanted is None:
        raise ConfigError("there is no `finetune` section: docs/finetune.md says what it holds")
    folder = Path(wanted.folder) if wanted.folder else config.run_folder / "finetune" / wanted.name
    base = _base(config, wanted)
    _check_began_so(folder, base)
    template = Path(wanted.template) if wanted.template else None
    if template and not template.is_file():
        raise ConfigError(f"finetune.template: no such file: {template}")
    has_begun = bool(saved_steps(folder / "checkpoints"))
    if has_begun:
        asked = chat_inputs(base.tokenizer, base.end_of_text, template, wanted.marks)
        if finished_inputs(folder / "tokenizer") not in ({}, asked):
            raise _other(folder, "another chat template, marks or tokenizer")
    chat = build_chat_tokenizer(base.tokenizer, base.end_of_text, folder / "tokenizer", template, wanted.marks)
    own_pieces = min(chat.added, default=chat.pieces)
    if own_pieces > config.model.vocabulary_size:
        raise ConfigError(
            f"finetune: {base.tokenizer / TOKENIZER} has ids up to {own_pieces - 1}, the model only "
            f"{config.model.vocabulary_size} rows: it is the tokenizer of another model"
        )
    length = wanted.sequence_length or config.model.sequence_length
    data = config.data
    limits = Limits(length, data.cutoff, wanted.held_out_share, data.maximum_bad_fraction, config.seed)
    if has_begun:
        _check_same_examples(wanted, folder, limits)
    report = build_examples(wanted.examples, folder / "tokenizer", folder, limits)
    packing = pack_shards(folder / "shards", "best_fit", length, data.workers)
    rows = sum(sum(source.rows) for source in packing.sources.values())
    derived = _derive(config, wanted, folder, base, chat, rows)
    if saved_steps(derived.checkpoints):
        say(f"finetune: {folder} has begun, its weights are those of its own checkpoints")
    else:
        _write_start(config, derived, base, chat, Path(str(derived.init_from)))
    if not describe_finished(derived):  # else it stays what it was trained with
        write_atomically(folder / "config.yaml", to_yaml(derived))
    return derived, report


def _base(config: RunConfig, wanted: FinetuneConfig) -> Base:
    if wanted.init_from:
        folder = Path(wanted.init_from)
        if not (folder / TOKENIZER).is_file():
            raise ConfigError(f"finetune.init_from: {folder} has no {TOKENIZER}: name a folder with its tokenizer")
        try:
            check_weights_as_written(folder)
        except ValueError as error:
            raise ConfigError(f"finetune.init_from: {error}") from None
        weights = {file.name: file_digest(file) for file in sorted(folder.glob("*.safetensors"))}
        known = {key: value for key, value in read_record(folder).items() if key in ("read", "cutoff")}
        return Base(
            None, folder, folder, config.tokenizer.end_of_text, folder.absolute().name, {"weights": weights, **known}
        )
    found = find_checkpoint(config, wanted.checkpoint)
    saved = found.manifest["config"]
    record = {
        "run": saved["name"],
        "checkpoint": found.digest,
        "step": found.step,
        "read": found.manifest.get("read"),
        "cutoff": saved["data"]["cutoff"],
    }
    return Base(
        found, found.folder, tokenizer_folder(found, config), config.tokenizer.end_of_text, saved["name"], record
    )


def _check_began_so(folder: Path, base: Base) -> None:
    """Raise ConfigError where the fine-tuning has begun, with other weights than are asked for now."""
    begun = [event for event in read_journal(folder) if event["event"] == BEGUN]
    record = read_record(folder / "start" / Path(begun[-1]["folder"]).name) if begun else {}
    asked = json.loads(json.dumps(base.record))
    if record and {key: record.get(key) for key in asked} != asked:
        was, now = (_said(one) for one in (record, asked))
        raise ConfigError(
            f"finetune: {folder} began with {was}, and {now} is asked for now: `domainlm train {folder}` goes on with "
            "what it began with; for the other give finetune.name another"
        )


def _check_same_examples(wanted: FinetuneConfig, folder: Path, limits: Limits) -> None:
    """Raise ConfigError where a fine-tuning that has checkpoints would be given other examples than it is trained on.

    Files whose time alone is another give the same: what they give is made beside and compared.
    """
    tokenizer = folder / "tokenizer"
    asked = json.loads(json.dumps(examples_inputs(wanted.examples, tokenizer, limits)))
    if finished_inputs(folder / "examples") == asked or not (folder / "shards" / MANIFEST).exists():
        return
    with TemporaryDirectory(prefix="compared.", dir=folder) as beside:
        build_examples(wanted.examples, tokenizer, Path(beside), limits)
        if read_manifest(Path(beside) / "shards").digest != read_manifest(folder / "shards").digest:
            raise _other(folder, "other examples, or other limits for them,")


def _other(folder: Path, what: str) -> ConfigError:
    return ConfigError(
        f"finetune: {folder} has begun, and {what} would take the place of what it is trained with: `domainlm train "
        f"{folder}` goes on as it began; to train on the other give finetune.name another, or move {folder} away"
    )


def _said(record: Mapping[str, Any]) -> str:
    if "checkpoint" in record:
        return f"step {record['step']} of {record['run']} (checkpoint {record['checkpoint']})"
    return f"weights of the digests {', '.join(record.get('weights', {}).values())}"


def _derive(
    config: RunConfig, wanted: FinetuneConfig, folder: Path, base: Base, chat: ChatTokenizer, rows: int
) -> RunConfig:
    """The run's own configuration, but for what is read, where it begins, and how long and fast it learns."""
    given = config.model_dump(mode="json")
    steps = wanted.steps or math.ceil(wanted.epochs * rows / wanted.batch_size)
    sources = [one.source().model_dump(mode="json") for one in wanted.examples if not one.held_out]
    of_documents: dict[str, Any] = {
        "alpha": 1.0,
        "stages": [],
        "reshuffles": {},
        "canaries": None,
        "decontamination": None,
        "cache": None,
    }
    content = given | {
        "name": f"{config.name}-{wanted.name}",
        "folder": str(folder),
        "init_from": str(folder / "start" / base.name),
        "finetune": None,
        "data": given["data"]
        | of_documents
        | {"sources": sources, "folder": None, "shards": str(folder / "shards"), "packing": "best_fit"},
        "tokenizer": {
            "path": str(folder / "tokenizer"),
            "vocabulary_size": chat.pieces,
            "end_of_text": base.end_of_text,
        },
        "model": given["model"]
        | {
            "vocabulary_size": max(config.model.vocabulary_size, chat.pieces),
            "sequence_length": wanted.sequence_length or config.model.sequence_length,
            "document_masking": True,
        },
        "training": given["training"]
        | {
            "steps": steps,
            "batch_size": wanted.batch_size,
            "micro_batch": wanted.micro_batch or config.training.micro_batch,
            "optimizer": "adamw",  # of Muon's rates for fine-tuning nothing is known here
            "tuned_at": None,  # the rate below is this model's own
            "learning_rate": wanted.learning_rate,
            "minimum_learning_rate": 0.0,
            "schedule": "cosine",
            "warmup_steps": min(steps - 1, round(wanted.warmup_fraction * steps)),
            "keep_best": None,
        },
        "evaluation": given["evaluation"]
        | {"every": max(1, steps // 8), "tasks_every": None, "tokens": None, "baselines": [], "compare": []},
        "monitoring": given["monitoring"] | {"job_type": "finetune"},
    }
    settings = [f"{key}={json.dumps(value)}" for key, value in wanted.settings.items()]
    return _with_trained_marks(load_derived(content, folder, CANNOT_BE_RUN, settings), chat.added)


def _with_trained_marks(derived: RunConfig, added: tuple[int, ...]) -> RunConfig:
    """An adapter trains the rows of marks that are new: the weights that it begins with have them already."""
    lora = derived.lora
    if lora is None or lora.embeddings == "all" or set(added) <= set(lora.tokens):
        return derived
    if lora.embeddings == "none":
        raise ConfigError(
            f"{CANNOT_BE_RUN}: the chat template's marks are {len(added)} new pieces, which the adapter would not "
            "train: set lora.embeddings to new in `finetune.settings`, or take a template whose marks the tokenizer has"
        )
    tokens = tuple(sorted({*lora.tokens, *added}))
    return derived.model_copy(update={"lora": lora.model_copy(update={"embeddings": "none", "tokens": tokens})})


def _write_start(config: RunConfig, derived: RunConfig, base: Base, chat: ChatTokenizer, folder: Path) -> None:
    """The weights to begin with as a Hugging Face folder, with rows for the marks that were added to the tokenizer."""
    record = {"format": FORMAT, **base.record, "added": list(chat.added), "pieces": derived.model.vocabulary_size}
    earlier = read_record(folder)
    if {**earlier, "files": None} == {**json.loads(json.dumps(record)), "files": None} and not damaged_files(
        folder, earlier
    ):
        say(f"finetune: {folder} is up to date")
        return
    try:
        check_replaceable(folder)
        weights = _weights(config, base)
        known = sorted(Tokenizer.from_file(str(base.tokenizer / TOKENIZER)).get_vocab().values())
        for name in set(VOCABULARY) & weights.keys():
            weights[name] = _with_rows(weights[name], derived.model.vocabulary_size, known, chat.added)
        with only_writer(folder):
            export_folder(weights, derived.model, folder, None, base.end_of_text, record=record)
    except (ValueError, FileExistsError) as error:
        raise ConfigError(f"finetune: {error}") from None
    if chat.added:
        say(f"finetune: {len(chat.added)} marks are new pieces, whose rows begin as the mean of the others")


def _weights(config: RunConfig, base: Base) -> dict[str, torch.Tensor]:
    if base.checkpoint is not None:
        return dict(load_trained(config, base.checkpoint.step).model.state_dict())
    model = Transformer(config.model)
    load_pretrained(model, base.folder)
    return dict(model.state_dict())


def _with_rows(weight: torch.Tensor, rows: int, known: list[int], added: tuple[int, ...]) -> torch.Tensor:
    """A matrix of `rows` rows, of which those that are new or are `added` pieces' are the mean of the known pieces'."""
    mean = mean_row(weight, [number for number in known if number < len(weight)])
    grown = mean.repeat(rows, 1)
    grown[: len(weight)] = weight
    grown[list(added)] = mean
    return grown


def describe(report: dict[str, Any], config: RunConfig) -> str:
    """What is learnt from, and one example as the model reads it."""
    shown = report["shown"] if len(report["shown"]) <= 1_000 else report["shown"][:1_000] + " …"
    manifest = read_manifest(config.shards)
    held_out = sum(source.documents for source in manifest.splits.get("past", {}).values())
    trained = sum(source.documents for source in manifest.splits["train"].values())
    return (
        f"{trained:,} examples to train on in {config.training.steps:,} steps, {held_out:,} held out; of the first, "
        f"⟦what counts⟧:\n{shown}"
    )
