"""Answers of a model, kept as JSON lines: what was measured once is not measured again, and a figure can be traced."""

import json
from pathlib import Path
from typing import Any

from data.files import value_digest, write_atomically
from data.progress import say
from evaluation.language_model import LanguageModel
from evaluation.tasks.harness import Answered, LoadedTask, answer

FORMAT = 1
FOLDER = "tasks"
"""In reports/: a folder of answers for each model."""


def ask(model: LanguageModel, task: LoadedTask, folder: Path) -> tuple[Answered, Path]:
    """The answers of a model, and their file, whose first line says what was measured; kept ones where they are there.

    Args:
        folder: for the answers of all models.
    """
    inputs = {
        "format": FORMAT,
        "model": model.digest,
        "window": model.window,
        "device": model.device,
        "task": task.name,
        "asked": task.digest,
    }
    file = (
        folder / f"{model.name}-{value_digest([model.digest, model.window, model.device])[:8]}" / f"{task.name}.jsonl"
    )
    if kept := _read(file, inputs):
        say(f"{task.name}, {model.name}: up to date in {file}")
        return Answered(task, kept), file
    say(f"{task.name}, {model.name}: {len(task.items):,} items")
    answered = answer(model, task)
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = [inputs, *answered.answers]
    write_atomically(file, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    return answered, file


def _read(file: Path, inputs: dict[str, Any]) -> list[dict[str, Any]]:
    """Empty where other answers are there, or none."""
    try:
        found, *answers = (json.loads(line) for line in file.read_text("utf-8").splitlines())
    except (FileNotFoundError, ValueError):
        return []
    return answers if found == inputs else []
