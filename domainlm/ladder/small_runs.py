"""Small runs of a planned one on its own shards, for whoever learns from several: made, kept, trained and scored."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from data.errors import DataError
from data.files import value_digest, write_atomically
from data.shards.format import read_manifest
from domainlm import stages
from domainlm.configuration import load_derived
from domainlm.ladder.prediction import identity
from evaluation.bits_per_byte import DocumentScore
from evaluation.scores import SCORES, score_model
from train.checkpoints.folders import describe_finished
from train.config import RunConfig, to_yaml

DIGITS = 8
"""Of the digest in a run's folder: a run that would have other weights has another folder."""


def check_held_out(config: RunConfig, command: str) -> None:
    """Raises DataError: the shards are missing, or hold no text out to measure on."""
    if not any(read_manifest(config.shards).splits.get(split) for split in ("past", "future")):
        raise DataError(
            f"{command}: {config.shards} holds no text out to measure: set data.cutoff or data.past_fraction"
        )


def without_the_rest(
    config: RunConfig, command: str, training: Mapping[str, Any], data: Mapping[str, Any]
) -> dict[str, Any]:
    """The planned run as JSON values, on its own shards, with nothing done but training.

    Args:
        command: by whose name its runs are grouped in W&B.
        training, data: settings that are other than the planned run's.
    """
    given = config.model_dump(mode="json")
    own = given["data"] | {"folder": str(config.data_folder), "reshuffles": {}} | data
    if config.shards_are_remote:
        own["cache"] = own["cache"] or str(config.run_folder / "shard-cache")
    return given | {
        "finetune": None,
        "data": own,
        "training": given["training"] | {"keep_best": None} | training,
        "evaluation": given["evaluation"]
        | {"every": training["steps"], "tasks": [], "tasks_every": None}
        | {"baselines": [], "compare": [], "prompts": []},
        "monitoring": given["monitoring"] | {"group": config.monitoring.group or f"{config.name}-{command}"},
    }


def small_run(
    derived: Mapping[str, Any], parent: Path, name: str, command: str, settings: Sequence[str] = ()
) -> RunConfig:
    """A run in a folder of its own below `parent`, its configuration written.

    Args:
        derived: its configuration as JSON values.
        name: of the folder, in front of the digest of the text and of all that decides its weights.
        settings: changes to the values, as of the command line.

    Raises:
        ConfigError: the settings contradict each other.
    """
    run = load_derived(derived, parent, command, settings)
    digest = value_digest([read_manifest(run.shards).digest, identity(run)])
    run = run.model_copy(update={"folder": str(parent / f"{name}-{digest[:DIGITS]}")})
    if not describe_finished(run):
        write_atomically(config_file(run), to_yaml(run))
    return run


def config_file(run: RunConfig) -> Path:
    """What `domainlm train` and `submit` take."""
    return run.run_folder / "config.yaml"


def train(run: RunConfig, prepare: bool) -> bool:
    """Train what is not trained yet, unless it is only to be prepared; whether the run is trained now."""
    if prepare or describe_finished(run):
        return describe_finished(run) is not None
    return bool(stages.train(run, config_file(run), [])["finished"])


def scores(config: RunConfig, run: RunConfig, folder: Path) -> tuple[list[DocumentScore], str]:
    """What the run's model needs for the planned run's held-out documents, and the digest of its checkpoint.

    Args:
        folder: where scores are kept, those of all small runs.
    """
    from domainlm.measure.compare import held_out_text  # these load torch
    from domainlm.measure.named_model import own_model

    model, trained = own_model(run)
    text = held_out_text(run, trained.checkpoint, config.evaluation.tokens)
    scored = score_model(replace(model, name=run.run_folder.name), text, folder / SCORES)
    if scored is None:
        raise AssertionError("all groups were to be scored")
    return scored.documents, trained.checkpoint.digest
