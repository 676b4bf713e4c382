"""Relative paths of a configuration start in the current folder: which they are, and the folder that is meant."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from train.config import RunConfig


def relative_paths(config: RunConfig) -> list[Path]:
    """All local paths of a run that depend on the current folder, its own folder first; of a glob what precedes it."""
    fixed = (re.split(r"[^/]*[*?[]", path, maxsplit=1)[0] for path in _paths(config) if path and "://" not in path)
    return [path for path in dict.fromkeys(map(Path, fixed)) if path.parts and not path.is_absolute()]


def _paths(config: RunConfig) -> Iterator[str | None]:
    data = config.data
    adapter = config.lora.adapter if config.lora else None
    yield from (str(config.run_folder), data.folder, data.shards, data.cache, config.init_from, adapter)
    yield config.retrieval.embedding
    if wanted := config.finetune:
        yield from (wanted.folder, wanted.template, wanted.init_from, *(one.path for one in wanted.examples))
    for source in data.sources:
        yield from (source.path, source.tokenizer)
    yield from data.decontamination.paths if data.decontamination else ()
    yield from (config.tokenizer.path, *config.tokenizer.compare.values())


def found_elsewhere(config: RunConfig, file: Path) -> str | None:
    """A line for who stands in the wrong folder: paths that are not here, but beside or above the configuration."""
    here = Path.cwd()
    missing = [path for path in relative_paths(config) if not path.exists()]
    for folder in file.resolve().parents:
        if found := [str(path) for path in missing if (folder / path).exists()]:
            return (
                f"note: relative paths start in the current folder, {here}, which has no {', '.join(found)}; {folder} "
                f"has: `cd {folder}` first, if that is what you mean"
            )
    return None


def begun_in(recorded: Path, folder: Path) -> Path | None:
    """The folder in which a run was begun whose configuration calls its folder `recorded`, and which lies in `folder`.

    None: it was called by an absolute path, or has been moved or renamed.
    """
    absolute = Path(os.path.normpath(folder.absolute()))  # not where a link leads
    if recorded.is_absolute() or absolute.parts[-len(recorded.parts) :] != recorded.parts:
        return None
    return absolute.parents[len(recorded.parts) - 1]
