"""What a command gives back: shown to a person, or as one JSON object to a program."""

import argparse
from typing import Any

Result = dict[str, Any]


def show(arguments: argparse.Namespace, text: str) -> None:
    """Print it, but where a program reads the result."""
    if not arguments.json:
        print(text)
