"""Datasets of the Hugging Face hub: streamed, and cut into the shards that the dataset has."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from data.errors import DataError, UnreachableError
from data.sources.formats import ROWS_PER_BATCH, rows_of
from data.sources.parts import Part, Rows

# owner/name, then optionally @revision, :configuration, /split
HUB_PATH = re.compile(r"hub://([\w.-]+/[\w.-]+)(?:@([\w./-]+?))?(?::([\w.-]+))?(?:/([\w.-]+))?")


@dataclass(frozen=True)
class HubDataset:
    """A dataset of the hub; `name` may also be a local folder of data files."""

    name: str
    revision: str | None
    configuration: str | None
    split: str


def hub_dataset(path: str) -> HubDataset:
    """Take hub://OWNER/NAME[@revision][:configuration][/split] apart; the split is `train` unless given."""
    match = HUB_PATH.fullmatch(path)
    if not match:
        raise DataError(f"{path} is no hub dataset: write hub://OWNER/NAME[@revision][:configuration][/split]")
    name, revision, configuration, split = match.groups()
    return HubDataset(name, revision, configuration, split or "train")


def hub_shards(dataset: HubDataset) -> list[Part]:
    """The shards of a dataset in order, at the commit that its revision names now.

    Raises:
        UnreachableError: the dataset cannot be found or reached.
    """
    try:
        commit = dataset.revision if Path(dataset.name).is_dir() else _commit(dataset)
        pinned = replace(dataset, revision=commit)
        count = _stream(pinned).num_shards
    except Exception as error:  # the library raises errors of many kinds, from its own to those of the network
        raise _unreadable(dataset, error) from error
    stem = f"{dataset.configuration}/{dataset.split}" if dataset.configuration else dataset.split
    return [
        Part(
            name=f"{stem}-{index:05d}-of-{count:05d}",
            location=f"{_address(pinned)}#{index}/{count}",
            stamp=[commit or "", index, count],
        )
        for index in range(count)
    ]


def hub_rows(location: str, fields: Sequence[str]) -> Rows:
    """The rows of the shard at a part's location; see `shard_rows`."""
    address, _, shard = location.rpartition("#")
    index, _, count = shard.partition("/")
    return shard_rows(hub_dataset(address), int(index), int(count), fields)


def shard_rows(dataset: HubDataset, index: int, count: int, fields: Sequence[str]) -> Rows:
    """Stream shard `index` of `count` of a dataset: rows from 1, each with those of the fields that it has.

    Raises:
        UnreachableError: the dataset cannot be found, reached or read.
    """
    wanted = {field.partition(".")[0] for field in fields} | set(fields)
    try:
        stream = _stream(dataset).shard(count, index).with_format("arrow")
        tables = (
            table.select([name for name in table.column_names if name in wanted])
            for table in stream.iter(ROWS_PER_BATCH)
        )
        yield from rows_of(batch for table in tables for batch in table.to_batches())
    except Exception as error:
        raise _unreadable(dataset, error) from error


def _stream(dataset: HubDataset) -> Any:
    from datasets import load_dataset

    return load_dataset(
        dataset.name, dataset.configuration, split=dataset.split, revision=dataset.revision, streaming=True
    )


def _commit(dataset: HubDataset) -> str | None:
    from huggingface_hub import HfApi

    return HfApi().dataset_info(dataset.name, revision=dataset.revision).sha


def _address(dataset: HubDataset) -> str:
    revision = f"@{dataset.revision}" if dataset.revision else ""
    configuration = f":{dataset.configuration}" if dataset.configuration else ""
    return f"hub://{dataset.name}{revision}{configuration}/{dataset.split}"


def _unreadable(dataset: HubDataset, error: Exception) -> UnreachableError:
    said = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return UnreachableError(
        f"hub dataset {dataset.name} cannot be read: {said}: check its name, the network and HF_TOKEN"
    )
