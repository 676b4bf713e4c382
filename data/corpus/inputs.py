"""What of a configuration decides its corpus, and whether a corpus that is there was made with it."""

import json
from pathlib import Path
from typing import Any

from data.config import DataConfig
from data.errors import DataError
from data.files import finished_inputs

# What is decided later, or changes nothing: it may change without making the corpus anew.
NOT_OF_THE_CORPUS = {"sources", "folder", "workers", "packing", "alpha", "stages", "reshuffles", "period", "leaks"}
NOT_OF_THE_CORPUS |= {"shards", "cache", "cache_gigabytes"}
NOT_OF_A_SOURCE = {"name", "weight", "domain", "maximum_epochs", "origin", "description"}


def corpus_settings(config: DataConfig) -> dict[str, Any]:
    """The settings that decide the corpus, as JSON values under the names of the configuration."""
    settings: dict[str, Any] = {"sources": [source.name for source in config.sources]}
    settings |= config.model_dump(
        mode="json", exclude=dict.fromkeys(NOT_OF_THE_CORPUS, True) | {"canaries": {"weight"}}
    )
    for source in config.sources:
        own = source.model_dump(mode="json", exclude=NOT_OF_A_SOURCE)
        settings |= {f"sources.{source.name}.{key}": value for key, value in own.items()}
    return settings


def check_made_with(config: DataConfig, corpus: Path) -> None:
    """Raise DataError where a finished corpus was made with other settings; each that differs is named."""
    made, wanted = finished_inputs(corpus), corpus_settings(config)
    if made:
        made = {"canaries": None} | made  # an older corpus has none
    changes = [
        f"data.{key} {json.dumps(made[key], ensure_ascii=False)}, which is {json.dumps(value, ensure_ascii=False)} now"
        for key, value in wanted.items()
        if key in made and made[key] != value  # a setting that came after the corpus was made has its default there
    ]
    if changes:
        raise DataError(
            f"{corpus} was made with {'; '.join(changes)}: run `domainlm prepare CONFIG` and `domainlm tokenize "
            "CONFIG`, or undo the change"
        )
