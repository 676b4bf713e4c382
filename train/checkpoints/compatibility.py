"""What may differ between a checkpoint and the run that takes it up, and what is refused."""

from typing import Any

from data.shards.format import read_manifest
from data.stream.stream import TokenStream
from model.config import ModelConfig
from train.checkpoints.folders import Checkpoint, CheckpointError
from train.config import RunConfig
from train.config_file import differences
from train.records.journal import BRANCH, LOST, NAME, RESUME, START, read_journal
from train.schedule import consumed_samples

CHANGEABLE_MODEL_KEYS = {"document_masking", "dropout", "z_loss", "exported_class"}
"""Keys of `model` that may change during a run: they belong to the training, not to the weights."""
OPTIMIZER = "training.optimizer"


def check_continues(
    checkpoint: Checkpoint, config: RunConfig, data_digest: str, tokenizer_digest: str
) -> dict[str, Any]:
    """Refuse a checkpoint that this run cannot continue exactly; returns the harmless differences of configuration.

    The number of ranks and the ZeRO stage may change freely: the global batches do not depend on them.

    Raises:
        CheckpointError: another architecture, tokenizer or cutoff, other data or batch sizes up to its step; each
            difference is named; or the run would have ended before its step.
    """
    if checkpoint.step > config.training.steps:
        raise CheckpointError(
            f"{checkpoint.folder} is of a later step than the run's last, training.steps is {config.training.steps}: "
            f"set it to {checkpoint.step} or more, or branch from an earlier step"
        )
    manifest = checkpoint.manifest
    changed = differences(manifest["config"], config.model_dump(mode="json"))
    refused = _changes_of_architecture(checkpoint, config)
    begun, begins = (one.get("init_from") for one in (manifest["config"], config.model_dump()))
    if (begun is None) != (begins is None):  # where both name a folder, it may be the same at another place
        refused.append(f"init_from was {begun}, now {begins}, though no weights are read any more")
    was, now = (one["training"].get("tuned_at") for one in (manifest["config"], config.model_dump(mode="json")))
    if was != now:
        refused.append(f"training.tuned_at was {was}, now {now}, though the initial values were drawn by it")
    for what, old, new in (
        ("the tokenizer", manifest["tokenizer_digest"], tokenizer_digest),
        ("data.cutoff", manifest["config"]["data"]["cutoff"], config.model_dump(mode="json")["data"]["cutoff"]),
        ("the data (shards, mixture, sequence length or seed)", manifest["data_digest"], data_digest),
        ("samples read by then", manifest["samples"], consumed_samples(config.training, checkpoint.step)),
    ):
        if old != new:
            refused.append(f"{what} was {old}, now {new}")
    if refused:
        raise CheckpointError(
            f"{checkpoint.folder} belongs to another run: {'; '.join(refused)}. "
            "Undo the change, or give the new run another name or folder"
        )
    return {key: {"was": old, "now": new} for key, (old, new) in changed.items()}


def check_stream(checkpoint: Checkpoint, config: RunConfig, stream: TokenStream) -> dict[str, Any]:
    """`check_continues` with the data of a stream that is open over the run's shards."""
    tokenizer = read_manifest(config.shards).tokenizer_digest
    return check_continues(checkpoint, config, stream.digest(checkpoint.manifest["samples"]), tokenizer)


def check_journal(checkpoint: Checkpoint, config: RunConfig) -> None:
    """Refuse to go on from a checkpoint of a run whose journal is lost: what was to be skipped would be trained.

    Raises:
        CheckpointError: the journal does not say how the run began.
        DataError: it is damaged.
    """
    known = {event["event"] for event in read_journal(config.run_folder)} & {BRANCH, START, RESUME, LOST}
    if not known:
        file = config.run_folder / NAME
        raise CheckpointError(
            f"{checkpoint.folder} is there, but {file} does not say how the run began: it is lost, and with it which "
            "batches are to be skipped. Put it back; or, if none was skipped, say so, and the run goes on: "
            f"""echo '{{"event": "{LOST}"}}' >> {file}"""
        )


def check_optimizer(checkpoint: Checkpoint, config: RunConfig) -> None:
    """Refuse to go on with another optimizer in place; a branch may change it, and has said what begins anew.

    Raises:
        CheckpointError: the checkpoint is of another optimizer, and the run no branch that changes it there.
        DataError: the journal is damaged.
    """
    was, now = optimizer_of(checkpoint.manifest["config"]), config.training.optimizer
    branches = [event for event in read_journal(config.run_folder) if event["event"] == BRANCH]
    changed_here = any(
        event["digest"] == checkpoint.digest and event["changes"].get(OPTIMIZER, {}).get("now") == now
        for event in branches
    )
    if was != now and not changed_here:
        raise CheckpointError(
            f"{checkpoint.folder} was trained by {was}, {OPTIMIZER} is {now}: set it to {was}, or begin a run with the "
            f"other one by `domainlm branch CONFIG --from {checkpoint.step} --name NAME --set {OPTIMIZER}={now}`"
        )


def optimizer_of(saved: dict[str, Any]) -> str:
    """What a checkpoint's configuration was trained by; those of before there was a choice by AdamW."""
    return str(saved["training"].get("optimizer", "adamw"))


def check_architecture(checkpoint: Checkpoint, config: RunConfig) -> None:
    """Refuse to put a checkpoint's weights into a model that would compute something else with them.

    Raises:
        CheckpointError: the architectures differ; each difference is named.
    """
    changes = _changes_of_architecture(checkpoint, config)
    if changes:
        raise CheckpointError(f"{checkpoint.folder} is of another model: {'; '.join(changes)}. Undo the change")


def _changes_of_architecture(checkpoint: Checkpoint, config: RunConfig) -> list[str]:
    # Switches that came after the checkpoint stood, and stand in it, at their defaults.
    saved = ModelConfig.model_validate(checkpoint.manifest["config"]["model"]).model_dump(mode="json")
    wanted = config.model.model_dump(mode="json")
    adapters = (_computed(checkpoint.manifest["config"].get("lora")), _computed(config.model_dump(mode="json")["lora"]))
    return [f"lora.{key} was {old}, now {new}" for key, (old, new) in differences(*adapters).items()] + [
        f"model.{key} was {old}, now {new}"
        for key, (old, new) in differences(saved, wanted).items()
        if key not in CHANGEABLE_MODEL_KEYS
    ]


def _computed(lora: dict[str, Any] | None) -> dict[str, Any]:
    """What an adapter's weights are, and what is made of them; nothing where all weights are trained."""
    return {key: value for key, value in (lora or {}).items() if key not in ("dropout", "adapter")}
