"""Datasets of the Hugging Face hub, cut into the shards that they have: streamed, but for JSON, which is read as files.

The library (datasets 5.2) infers what is in JSON and changes it: one number in a column of strings makes JSON of every
string in it, in quotes and with escapes, without a sign of it in the column's type from the second 10 MB of a file on.
"""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from data.errors import DataError, UnreachableError
from data.files import READ_BYTES
from data.readers.rows import Rows
from data.sources.formats import ROWS_PER_BATCH, check_columns, read_json_array, reader, rows_of
from data.sources.parts import Part
from data.sources.remote import open_remote

# owner/name, then optionally @revision, :configuration, /split
HUB_PATH = re.compile(r"hub://([\w.-]+/[\w.-]+)(?:@([\w./-]+?))?(?::([\w.-]+))?(?:/([\w.-]+))?")
KNOWN_JSON = re.compile(r"\.(?:jsonl|json|ndjson)(?:\.gz|\.zst|\.bz2|\.xz)?$")


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
        DataError: it is kept as JSON in files that cannot be read as they are written.
    """
    try:
        commit = dataset.revision if Path(dataset.name).is_dir() else _commit(dataset)
        pinned = replace(dataset, revision=commit)
        files = _json_files(pinned)
        count = _stream(pinned, ()).num_shards if files is None else len(files)
    except DataError:
        raise
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
    """Stream shard `index` of `count` of a dataset: rows from 1, each with the fields that it has of these, or all.

    Raises:
        UnreachableError: the dataset cannot be found, reached or read.
        DataError: a field is no text as it was written; see `check_columns`.
    """
    try:
        files = _json_files(dataset)
        yield from _streamed(dataset, index, count, fields) if files is None else _json_rows(files[index], fields)
    except DataError:
        raise
    except Exception as error:
        raise _unreadable(dataset, error) from error


def _streamed(dataset: HubDataset, index: int, count: int, fields: Sequence[str]) -> Rows:
    stream = _stream(dataset, fields).shard(count, index).with_format("arrow")
    tables = (_chosen(table, dataset, fields) for table in stream.iter(ROWS_PER_BATCH))
    yield from rows_of(batch for table in tables for batch in table.to_batches())


def _chosen(table: Any, dataset: HubDataset, fields: Sequence[str]) -> Any:
    check_columns(table.schema, f"hub dataset {dataset.name}", fields)
    wanted = {field.partition(".")[0] for field in fields} | set(fields)
    return table.select([name for name in table.column_names if name in wanted])


def _json_rows(file: str, fields: Sequence[str]) -> Rows:
    """The rows of a file of JSON lines, or of one JSON array, here or in the hub, as it is written."""
    read_lines = reader(file)
    with _opened(file) as content:
        if (rows := read_json_array(content, file)) is not None:
            yield from rows
            return
    with _opened(file) as content:
        yield from read_lines(content, file, fields)


def _opened(file: str) -> io.BufferedReader:
    return io.BufferedReader(open_remote(file, file), READ_BYTES)


def _builder(dataset: HubDataset) -> Any:
    from datasets import load_dataset_builder

    return load_dataset_builder(dataset.name, dataset.configuration, revision=dataset.revision)


def _kind(builder: Any) -> str:
    """What the library reads the dataset by: json, csv, parquet and so on."""
    return type(builder).__module__.rpartition(".")[2]


def _json_files(dataset: HubDataset) -> list[str] | None:
    """The files of the split, each a shard, of a dataset that is kept as JSON; None for others.

    Raises:
        DataError: they are no files that can be read without the library.
    """
    builder = _builder(dataset)
    files = (builder.config.data_files or {}).get(dataset.split)
    if _kind(builder) != "json" or files is None:
        return None
    unknown = [file for file in files if not KNOWN_JSON.search(file)]
    if unknown or builder.config.field:
        raise DataError(
            f"hub dataset {dataset.name}: {(unknown or files)[0]} is not JSON with a record a line, nor one array of "
            "records: take the revision that the hub makes of it, by @refs/convert/parquet, or the files themselves"
        )
    return list(files)


def _stream(dataset: HubDataset, fields: Sequence[str]) -> Any:
    from datasets import load_dataset

    # Of CSV, the library would make numbers of texts, and nothing of the text "null".
    as_text = {"converters": dict.fromkeys(fields, str), "keep_default_na": False}
    options = as_text if _kind(_builder(dataset)) == "csv" else {}
    return load_dataset(
        dataset.name, dataset.configuration, split=dataset.split, revision=dataset.revision, streaming=True, **options
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
