"""The configuration that the words name: a YAML file, or the folder of a run that has begun."""

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from data.files import write_atomically
from data.progress import say
from domainlm.paths import begun_in, found_elsewhere
from train.config import RunConfig
from train.config_file import ConfigError, asks_for_auto, load_config, recorded_folder


def load(arguments: argparse.Namespace) -> RunConfig | None:
    """The configuration; of a run's folder the one that it was trained with; none for a command that does without.

    For a run's folder the relative paths start where they did when the run was begun.
    """
    if arguments.config is None:
        return None
    if Path(arguments.config).is_dir():
        _name_run(arguments)
    if asks_for_auto(arguments.config, arguments.overrides):
        from domainlm.plan.micro_batch import settle  # with all of the plan, which no other run needs

        if settled := settle(arguments):
            say(settled)
    config = load_config(arguments.config, arguments.overrides)
    if note := found_elsewhere(config, Path(arguments.config)):
        say(note)
    return config


def is_made_of_examples(config: RunConfig) -> bool:
    """Whether the run is a fine-tuning, for which `domainlm finetune` has prepared examples, and not documents."""
    return (config.data_folder / "examples").exists()


def check_made_of_documents(config: RunConfig, command: str) -> None:
    """Raises ConfigError where a command that works with a corpus is given a fine-tuning."""
    if is_made_of_examples(config):
        raise ConfigError(
            f"{command}: {config.run_folder} is a fine-tuning, which has examples ({config.data_folder / 'examples'}) "
            "and no corpus: name the run that it came from"
        )


def _name_run(arguments: argparse.Namespace) -> None:
    """Put the configuration of a run's folder in its place, and have its folder be the one that was named."""
    folder = Path(arguments.config).absolute()
    file = folder / "config.yaml"
    if not file.exists():
        what = "an adapter, and no run" if (folder / "adapter_config.json").exists() else "no run that has begun"
        raise ConfigError(f"{arguments.config} is {what}, it has no config.yaml: name the run's YAML file")
    arguments.config = str(file)
    start = begun_in(recorded_folder(file), folder)
    if start is None:
        arguments.overrides = [f"folder={json.dumps(str(folder))}", *arguments.overrides]  # the ranks are told too
    elif start != Path.cwd():
        say(f"relative paths start in {start}, where the run was begun")
        os.chdir(start)


def load_derived(content: Mapping[str, Any], folder: Path, of: str, settings: Sequence[str] = ()) -> RunConfig:
    """The configuration of a run that a command makes of another, checked as a file of a person is.

    Args:
        content: as JSON values.
        folder: the run's.
        of: what an error is of, as the person knows it; the file that is read is gone by then.
        settings: changes to its values, as of the command line.

    Raises:
        ConfigError: the settings contradict each other.
    """
    file = folder / "derived.yaml"
    write_atomically(file, yaml.safe_dump(dict(content), sort_keys=False))
    try:
        return load_config(file, settings)
    except ConfigError as error:
        raise ConfigError(f"{of}: {str(error).replace(f'{file}: ', '')}") from None
    finally:
        file.unlink()
