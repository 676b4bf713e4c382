"""What a command gives back: shown to a person, or as one JSON object to a program."""

import argparse
from collections.abc import Iterable, Mapping
from typing import Any

Result = dict[str, Any]


def show(arguments: argparse.Namespace, text: str) -> None:
    """Print it, but where a program reads the result."""
    if not arguments.json:
        print(text)


def still_to_train(runs: Iterable[Mapping[str, Any]]) -> str:
    """What a person reads of a command's runs, {"config", "trained"} each, while some are not trained."""
    waiting = [run["config"] for run in runs if not run["trained"]]
    return "\n".join(
        ["to be trained, by `domainlm train` or `domainlm submit`; then the same command again:", *waiting]
    )
