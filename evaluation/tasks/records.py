"""Items of a task from local files or a hub: what YAML files of tasks name as their `custom_dataset`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data.errors import DataError

SUFFIXES = (".jsonl", ".json", ".parquet")


def load(
    place: str | None = None,
    *,
    task: str | None = None,
    places: Mapping[str, str] | None = None,
    subset: str | None = None,
    **_: object,
) -> dict[str, Any]:
    """The splits of a data set, each a `datasets.Dataset`.

    Args:
        place: where the data are unless `places` says otherwise: a file (the split test), a folder whose files are
            named after their splits, JSON lines or Parquet, or a hub id.
        task: its name in `places`.
        places: the user's, by task.
        subset: of a data set on a hub.

    Raises:
        DataError: no place is known, or there is nothing that can be read.
    """
    import datasets

    chosen = (places or {}).get(task or "", place)
    if not chosen:
        raise DataError(
            f"nothing says where its data are: set evaluation.task_data to {{{task}: FILE, FOLDER or hub id}}"
        )
    path = Path(chosen)
    if path.is_file():
        return {"test": datasets.Dataset.from_list(_read(path))}
    if path.is_dir():
        files = {file.stem: file for file in sorted(path.iterdir()) if file.suffix in SUFFIXES}
        if not files:
            raise DataError(f"{path} has no files like test.jsonl or train.parquet")
        return {split: datasets.Dataset.from_list(_read(file)) for split, file in files.items()}
    if path.suffix in SUFFIXES or path.is_absolute():
        raise DataError(f"there is nothing at {path}")
    found: dict[str, Any] = datasets.load_dataset(chosen, subset)
    return found


def _read(file: Path) -> list[dict[str, Any]]:
    try:
        if file.suffix == ".parquet":
            import pyarrow.parquet as pq

            rows: list[dict[str, Any]] = pq.read_table(file).to_pylist()
            return rows
        text = file.read_text("utf-8")
        return (
            list(json.loads(text)) if text.lstrip().startswith("[") else [json.loads(row) for row in text.splitlines()]
        )
    except (OSError, ValueError) as error:
        raise DataError(f"{file} cannot be read: {error}") from None
