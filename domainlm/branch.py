"""Begins a new run from a checkpoint of another, with other settings, and records where it comes from.

The new run's folder is whole in itself: its configuration, the checkpoint (hard-linked where it can be), the metrics up
to it, and a journal that begins with its lineage and the skips that it inherits.
"""

import json
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from data.files import remove, write_atomically
from data.progress import say
from train.checkpoints.compatibility import check_journal, check_stream, optimizer_of
from train.checkpoints.folders import Checkpoint, find_checkpoint, step_folder, still_there
from train.checkpoints.identity import check_metrics
from train.config import NAME, RunConfig, to_yaml
from train.config_file import ConfigError, differences, load_config, parse_yaml
from train.earlier_steps import read_skips
from train.records.journal import BRANCH, Journal, read_journal
from train.records.metrics import drop_lines_after, read_metrics
from train.records.text_read import BEGUN
from train.token_stream import open_stream

DECIDE_BATCHES = ("data.", "seed", "training.batch_size")
"""Beginnings of the keys that decide which batch a step has."""

BEGINS_ANEW = {
    "muon": "begins anew: Muon's momentum of the blocks' matrices, at zero; AdamW's moments of them are left behind",
    "adamw": "begins anew: AdamW's moments of the blocks' matrices, at zero; Muon's momentum of them is left behind",
}
"""What a branch says that changes the optimizer, by the new one."""


@dataclass(frozen=True)
class Edit:
    """What a branch changes: the step that it begins after, and `section.key=value` settings."""

    step: int
    settings: tuple[str, ...]


def read_edit(file: Path, name: str) -> Edit:
    """The edit called `name` in a YAML file of {name: {from: step, set: {section.key: value}}}.

    Raises:
        ConfigError: there is none, or the file is not of this form.
    """
    try:
        edits = parse_yaml(file.read_text("utf-8"))
        found = {
            key: Edit(int(edit["from"]), tuple(f"{setting}={_inline(value)}" for setting, value in edit["set"].items()))
            for key, edit in edits.items()
        }
    except (ConfigError, OSError, yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"{file}: not a file of {{name: {{from: step, set: {{section.key: value}}}}}}: {error}"
        ) from None
    if name not in found:
        raise ConfigError(f"{file}: no edit is called {name}: there are {', '.join(found)}")
    return found[name]


def _inline(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True).removesuffix("...\n").strip()


def branch(parent: RunConfig, name: str, edit: Edit) -> RunConfig:
    """Make the folder of run `name`, which goes on from a step of `parent` with other settings.

    The settings are changes to the configuration that the checkpoint was made with. `seed` means the order of what is
    still unread: what was read is as it was. Making the same branch again changes nothing.

    Raises:
        CheckpointError: there is no such checkpoint, or it cannot be continued with these settings, or the parent's
            metrics.jsonl is of another run or its journal lost.
        ConfigError: the settings contradict each other, or the folder holds another run.
    """
    if not re.match(NAME, name):
        raise ConfigError(f"--name {name}: a run's name has letters, digits, dots, dashes and underscores, no folders")
    found = find_checkpoint(parent, edit.step)
    check_journal(found, parent)
    if lacking := check_metrics(parent):
        say(f"WARNING: {lacking}")
    settings = [_unread(setting, edit.step, found.manifest["config"]) for setting in edit.settings]
    inherited = _inherit(parent, found.manifest["config"], name)
    folder = Path(inherited["folder"] or f"runs/{name}")
    partial = folder.with_name(f".{folder.name}.partial")
    remove(partial)
    write_atomically(partial / "config.yaml", yaml.safe_dump(inherited, sort_keys=False))
    try:
        config = _load(partial / "config.yaml", name, settings)
        check_stream(found, config, open_stream(config))
        changed = differences(inherited, config.model_dump(mode="json"))
        lineage = {
            "parent": parent.name,
            "parent_folder": str(parent.run_folder),
            "step": found.step,
            "digest": found.digest,
            "changes": {key: {"was": was, "now": now} for key, (was, now) in changed.items()},
        }
        if _is_there(folder, lineage):
            say(f"branch: {folder} is up to date")
            return config
        _fill(partial, parent, found, config, lineage)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    say(f"branch: {config.run_folder} goes on from step {found.step} of {parent.run_folder}")
    for key, (was, now) in changed.items():
        say(f"  {key}: was {was}, now {now}")
    if optimizer_of(found.manifest["config"]) != config.training.optimizer:
        say(f"  {BEGINS_ANEW[config.training.optimizer]}; all else goes on as it was")
    return config


def _load(file: Path, name: str, settings: Sequence[str]) -> RunConfig:
    """What is wrong is said of the branch, not of a file that is gone by then."""
    try:
        return load_config(file, settings)
    except ConfigError as error:
        raise ConfigError(str(error).replace(f"{file}: ", f"branch {name}: ")) from None


def _unread(setting: str, step: int, config: dict[str, Any]) -> str:
    """A setting of the seed as one of the order of what is unread; any other as it is."""
    key, equals, value = setting.partition("=")
    if key != "seed" or not equals:
        return setting
    reshuffles = config["data"]["reshuffles"] | {step + 1: yaml.safe_load(value)}
    say(f"branch: {setting} puts what is unread after step {step} in another order (data.reshuffles)")
    return f"data.reshuffles={ {int(first): seed for first, seed in reshuffles.items()} }"


def _inherit(parent: RunConfig, saved: dict[str, Any], name: str) -> dict[str, Any]:
    """The checkpoint's configuration under the new name, beside the parent and on the parent's data."""
    folder = str(parent.run_folder.with_name(name)) if parent.folder else None
    return saved | {"name": name, "folder": folder, "data": saved["data"] | {"folder": str(parent.data_folder)}}


def _is_there(folder: Path, lineage: dict[str, Any]) -> bool:
    """Whether the folder holds this very branch."""
    if not folder.exists():
        return False
    events = read_journal(folder)
    if events and events[0] == events[0] | json.loads(json.dumps({"event": "branch", **lineage})):
        return True
    raise ConfigError(f"{folder} holds another run: give the branch another --name, or remove it")


def _fill(partial: Path, parent: RunConfig, found: Checkpoint, config: RunConfig, lineage: dict[str, Any]) -> None:
    write_atomically(partial / "config.yaml", to_yaml(config))
    target = step_folder(partial / "checkpoints", found.step)
    with still_there(found.folder):
        shutil.copytree(found.folder, target, copy_function=link_or_copy)
    write_atomically(partial / "checkpoints" / "latest", target.name)
    for file in ("metrics.jsonl", "diagnostics.jsonl"):
        if (parent.run_folder / file).exists():
            shutil.copyfile(parent.run_folder / file, partial / file)
            drop_lines_after(partial / file, found.step)
    losses = {line["step"]: line["loss"] for line in read_metrics(partial / "metrics.jsonl") if "loss" in line}
    same_batches = not any(key.startswith(DECIDE_BATCHES) for key in lineage["changes"])
    events = read_journal(parent.run_folder)
    with Journal(partial) as journal:
        journal.event(BRANCH, **lineage, loss=losses.get(found.step))
        for event in events:
            if event["event"] == BEGUN:
                journal.event(BEGUN, **{key: value for key, value in event.items() if key not in ("event", "time")})
        for skip in read_skips(events):
            if same_batches or skip.first <= found.step:
                last = skip.last if same_batches else min(skip.last, found.step)
                journal.event("skip", first=skip.first, last=last, reason=f"of {parent.name}")


def link_or_copy(source: str, target: str) -> None:
    """Checkpoints are never written to once they are whole, so that two runs may share one's bytes."""
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copy2(source, target)
