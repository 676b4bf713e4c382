"""What a checkpoint is of: its tokenizer, its shards, its cutoff; what lies in the folders now is compared with them.

A figure belongs to the text and the tokenizer that it was measured with. The folders are remade for the next run while
the checkpoints of the last one lie there, so that every stage which uses a checkpoint asks here what is still its own.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from data.errors import DataError
from data.files import MANIFEST, changed_files, file_digest, new_digest, read_object, stage_digest
from data.shards.format import Manifest, read_manifest
from data.stream.stream import TokenStream
from data.tokenizer.build import DESCRIPTIONS, REPORT, TOKENIZER
from train.checkpoints.folders import Checkpoint, CheckpointError, DamagedError
from train.config import RunConfig
from train.earlier_steps import read_skips
from train.records.journal import NAME as JOURNAL
from train.records.journal import losses_at_saves, may_be_own, read_journal
from train.records.metrics import read_metrics
from train.records.text_read import texts_read
from train.token_stream import open_stream

BASE = "base"
"""In the manifest of an adapter's checkpoint: the digest of the weights that it was trained beside."""
FOLDER = "tokenizer"
"""In a checkpoint: the tokenizer that its token ids are of."""


class Carried(NamedTuple):
    """What each checkpoint of a run takes along."""

    facts: dict[str, Any]
    """Of the manifest: digests of the tokenizer and the shards, and which text the weights have read."""
    files: dict[str, bytes]
    """The tokenizer's, by name; none where shards were given without their tokenizer."""

    def write(self, checkpoint: Path) -> None:
        """Put the tokenizer into the folder of a checkpoint that is not whole yet."""
        for name, content in self.files.items():
            file = checkpoint / FOLDER / name
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(content)


def to_carry(config: RunConfig, stream: TokenStream) -> Carried:
    """Read what the checkpoints of a run that begins now are to carry.

    Raises:
        DataError: tokenizer or shards were replaced since the stream was opened.
    """
    manifest, folder = shards_in_use(config, stream), config.tokenizer_folder
    read = texts_read(config, read_journal(config.run_folder))
    facts = {"tokenizer_digest": manifest.tokenizer_digest, "shards_digest": manifest.digest, "read": read}
    if config.lora is not None:
        from model.weight_files import weights_digest  # loads torch

        facts[BASE] = weights_digest(Path(str(config.init_from)))
    paths = [folder / name for name in (TOKENIZER, REPORT, *DESCRIPTIONS, MANIFEST)]
    if not paths[0].exists():
        return Carried(facts, {})
    if changed := changed_files(folder, (TOKENIZER, *DESCRIPTIONS)):
        raise DataError(
            f"{folder}: {', '.join(changed)} is not as it was written, and checkpoints would carry it: put back what "
            "was there, or run again what made it (`domainlm tokenize`, of a fine-tuning `domainlm finetune`)"
        )
    files = {path.name: path.read_bytes() for path in paths if path.exists()}
    if new_digest(files[TOKENIZER]).hexdigest() != manifest.tokenizer_digest:
        raise DataError(f"{paths[0]} was replaced while the run began: start again")
    return Carried(facts, files)


def shards_in_use(config: RunConfig, stream: TokenStream) -> Manifest:
    """The manifest of the shards, if they are those that the stream was opened over.

    Raises:
        DataError: others have taken their place since.
    """
    manifest, opened = read_manifest(config.shards), stream.packing.shards_digest
    if manifest.digest != opened:
        raise DataError(
            f"{config.shards} had the digest {opened} when the run began, and has {manifest.digest} now: a run is "
            "trained and measured on one text; put back what was there, and go on from the newest checkpoint"
        )
    return manifest


def tokenizer_folder(checkpoint: Checkpoint, config: RunConfig) -> Path:
    """Where the tokenizer of a checkpoint is: in it; that of an older one, which has none, with the run's data.

    Raises:
        DamagedError: it is not as it was written.
        CheckpointError: it is not there, or is another.
    """
    wanted = checkpoint.manifest["tokenizer_digest"]
    carried = checkpoint.folder / FOLDER
    folder = carried if (carried / TOKENIZER).exists() else config.tokenizer_folder
    file = folder / TOKENIZER
    found = file_digest(file) if file.exists() else None
    if found != wanted and folder == carried:
        raise DamagedError(f"{checkpoint.folder}: the content of {FOLDER}/{TOKENIZER} is not what was written")
    if found != wanted:
        there = f"{file} has the digest {found}" if found else f"{file} does not exist"
        raise CheckpointError(
            f"{checkpoint.folder} was trained with the tokenizer {wanted}, {there}: {_remake(config)}, or put the "
            "tokenizer.json of that digest there"
        )
    return folder


def check_base(checkpoint: Checkpoint, config: RunConfig) -> None:
    """Raises CheckpointError where `init_from` is not the base that a checkpoint is an adapter of; reads all of it."""
    if config.lora is None:
        return
    from model.weight_files import weights_digest  # loads torch

    try:
        found = weights_digest(Path(str(config.init_from)))
    except ValueError as error:
        raise CheckpointError(
            f"{checkpoint.folder} is an adapter, and its base is not there: init_from: {error}"
        ) from None
    if found != (wanted := checkpoint.manifest[BASE]):
        raise CheckpointError(
            f"{checkpoint.folder} is an adapter of the base {wanted}, {config.init_from} has the digest {found}: let "
            "init_from name the folder that the run began with"
        )


def check_data(checkpoint: Checkpoint, config: RunConfig) -> Manifest:
    """The manifest of the shards, if they, the corpus and the cutoff are those that the checkpoint was trained with.

    What is held out of other shards may have been trained on.

    Raises:
        CheckpointError: something is not; each difference is named, and what to do.
        DataError: shards or corpus are missing or unfinished.
    """
    manifest, saved = read_manifest(config.shards), checkpoint.manifest
    shards = shards_of(checkpoint, config)
    cutoff, corpus = config.model_dump(mode="json")["data"]["cutoff"], manifest.corpus_digest
    changes = [
        f"{what} was {old}, now {new}"
        for what, old, new in (
            ("the tokenizer", saved["tokenizer_digest"], manifest.tokenizer_digest),
            ("data.cutoff", saved["config"]["data"]["cutoff"], cutoff),
            ("the text (shards, held-out documents included)", shards or "another", manifest.digest),
            ("the corpus", corpus, stage_digest(config.corpus) if config.corpus.exists() else corpus),
        )
        if old != new
    ]
    if changes:
        raise CheckpointError(
            f"{checkpoint.folder} was not trained on what lies in {config.data_folder} now: {'; '.join(changes)}. "
            f"Text that is held out there may have been trained on: {_remake(config)}, or train a new run on it"
        )
    return manifest


def shards_of(checkpoint: Checkpoint, config: RunConfig) -> str | None:
    """Digest of the shards that a checkpoint was trained on; None where an older one's are not there to be known."""
    saved = checkpoint.manifest
    if "shards_digest" in saved:
        return str(saved["shards_digest"])
    try:
        stream = open_stream(config)
    except DataError:
        return None
    return stream.packing.shards_digest if stream.digest(saved["samples"]) == saved["data_digest"] else None


def check_metrics(config: RunConfig, lines: Iterable[Mapping[str, Any]] | None = None) -> str:
    """One line about steps that metrics.jsonl lacks, up to the last that is known; empty where it lacks none.

    Args:
        lines: of the file, where they have been read already.

    Raises:
        CheckpointError: it is of another run: its loss at a step is not the one that the journal has of the save.
        DataError: the journal is damaged.
    """
    events = read_journal(config.run_folder)
    known = losses_at_saves(events)
    found = {line["step"]: line["loss"] for line in lines or read_metrics(config.metrics) if "loss" in line}
    for step, loss in known.items():
        if step in found and found[step] != loss:
            raise CheckpointError(
                f"{config.metrics} is of another run: its loss at step {step} is {found[step]}, and this run had "
                f"{loss} when it saved that step ({config.run_folder / JOURNAL}): put this run's file back, or move "
                "that one away"
            )
    passed_over = {step for skip in read_skips(events) for step in range(skip.first, skip.last + 1)}
    lacking = [step for step in range(1, max([*found, *known, 0]) + 1) if step not in found and step not in passed_over]
    if not lacking:
        return ""
    return (
        f"{config.metrics} lacks {len(lacking):,} steps that were trained, from {lacking[0]} to {lacking[-1]}: it is "
        "an older copy, or lines of it are lost; no curve has them, and spikes are judged without them"
    )


def read_own(file: Path, checkpoint: Checkpoint, config: RunConfig) -> dict[str, Any] | None:
    """The content of reports/evaluate.json or data_card.json; None where there is no such file.

    Raises:
        CheckpointError: it is of other shards than the checkpoint, of another checkpoint of the same step, or of one
            that the run's journal does not know.
        DataError: it is damaged.
    """
    if not file.exists():
        return None
    content = read_object(file)
    events = read_journal(config.run_folder)
    inputs, shards = content.get("inputs", {}), shards_of(checkpoint, config)
    found = inputs.get("shards") or content.get("digests", {}).get("shards")
    changes = [] if found == shards else [f"of the shards {found}, not of {shards or 'those that it was trained on'}"]
    if content.get("step") == checkpoint.step and inputs.get("checkpoint") != checkpoint.digest:
        changes.append(f"of another checkpoint of step {checkpoint.step}")
    elif "checkpoint" in inputs and not may_be_own(events, content["step"], inputs["checkpoint"]):
        changes.append(f"of a checkpoint of step {content['step']} that this run has not saved")
    if changes:
        raise CheckpointError(
            f"{file} is not of {checkpoint.folder}, but {' and '.join(changes)}: {_remake(config)} and `domainlm "
            f"evaluate {config.run_folder}`, or move the file away, and nothing is said of what it has"
        )
    return content


def _remake(config: RunConfig) -> str:
    if config.data.shards is not None:
        return "let data.shards and data.folder name what the run was trained on"
    return f"run `domainlm prepare {config.run_folder}` and `domainlm tokenize {config.run_folder}`"
