"""Readers: the user's files, hub datasets and demo texts as one stream of documents; what is malformed is set aside."""

import datetime
import glob
import io
import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from data import demo
from data.config import SourceConfig
from data.errors import DataError
from data.files import file_stamp

COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
ROWS_PER_BATCH = 1_000
SURROGATE = re.compile("[\ud800-\udfff]")
# owner/name, then optionally @revision, :configuration, /split
HUB_PATH = re.compile(r"hub://([\w.-]+/[\w.-]+)(?:@([\w./-]+?))?(?::([\w.-]+))?(?:/([\w.-]+))?")


@dataclass(frozen=True)
class Document:
    """One text as it was read, and where it stands."""

    id: str
    text: str
    source: str
    date: datetime.date | None
    licence: str | None
    url: str | None
    file: str  # below the source's path
    line: int  # from 1; the row, in files that have no lines


@dataclass(frozen=True)
class BadRecord:
    """A record that is no document, where it stands, and why it is none."""

    file: str
    line: int
    reason: str  # its kind, or "kind: details"


@dataclass(frozen=True)
class Part:
    """A piece of a source that is read on its own: a file, or a shard of a hub dataset."""

    name: str  # stable below the source's path; documents without an id are named by it
    location: str
    stamp: list[int | str]  # changes when the content does


@dataclass(frozen=True)
class HubDataset:
    """A dataset of the Hugging Face hub."""

    name: str
    revision: str | None
    configuration: str | None
    split: str


class _MalformedError(Exception):
    """Why a record is not a document."""


# What a reader finds: the place, and the record's fields or why there are none.
Records = Iterator[tuple[str, int, object]]


def input_parts(source: SourceConfig) -> list[Part]:
    """The parts of a source in reading order.

    Raises:
        DataError: there is nothing at the source's path, or it cannot be read as what it claims to be.
    """
    files = input_files(source)
    if "://" in source.path:
        stamps = [file_stamp(file) for file in files]
        return [Part(source.path, source.path, [number for stamp in stamps for number in stamp])]
    root = _root(Path(source.path).expanduser())
    return [Part(file.relative_to(root).as_posix(), str(file), list(file_stamp(file))) for file in files]


def read_documents(source: SourceConfig, quarantine: Callable[[BadRecord], None]) -> Iterator[Document]:
    """Read all documents of a source, always in the same order; malformed records go to `quarantine` instead.

    Raises:
        DataError: there is nothing at the source's path, or it cannot be read as what it claims to be.
    """
    for part in input_parts(source):
        yield from read_part(source, part, quarantine)


def read_part(source: SourceConfig, part: Part, quarantine: Callable[[BadRecord], None]) -> Iterator[Document]:
    """Read the documents of one part in order; malformed records go to `quarantine` instead."""
    for file, line, fields in _records(source, part):
        try:
            yield _document(source, file, line, fields)
        except _MalformedError as error:
            quarantine(BadRecord(file, line, str(error)))


def input_files(source: SourceConfig) -> list[Path]:
    """Every file that the source reads, in reading order; none for a hub dataset.

    Raises:
        DataError: there is no such file, folder or demo text, nothing fits the glob, or an extension is unknown.
    """
    if source.path.startswith("hub://"):
        hub_dataset(source.path)
        return []
    if source.path.startswith("demo://"):
        return demo.demo_files(source.path.removeprefix("demo://"))
    files = _local_files(source)
    for file in files:
        _reader(file)
        if SURROGATE.search(str(file)):
            raise DataError(f"{str(file)!a}: the name is not UTF-8: rename it")
    return files


def hub_dataset(path: str) -> HubDataset:
    """Take hub://OWNER/NAME[@revision][:configuration][/split] apart; the split is `train` unless given."""
    match = HUB_PATH.fullmatch(path)
    if not match:
        raise DataError(f"{path} is no hub dataset: write hub://OWNER/NAME[@revision][:configuration][/split]")
    name, revision, configuration, split = match.groups()
    return HubDataset(name, revision, configuration, split or "train")


def hub_rows(dataset: HubDataset) -> Iterator[Mapping[str, Any]]:
    """Stream the rows of a hub dataset; `name` may also be a local folder of data files.

    Raises:
        DataError: the dataset cannot be found, reached or read.
    """
    from datasets import load_dataset

    try:
        yield from load_dataset(
            dataset.name, dataset.configuration, split=dataset.split, revision=dataset.revision, streaming=True
        )
    except Exception as error:  # the library raises errors of many kinds, from its own to those of the network
        raise DataError(f"hub dataset {dataset.name} cannot be read: {type(error).__name__}: {error}") from error


def _records(source: SourceConfig, part: Part) -> Records:
    if source.path.startswith("hub://"):
        yield from (
            (source.path, row, fields) for row, fields in enumerate(hub_rows(hub_dataset(source.path)), start=1)
        )
    elif source.path.startswith("demo://"):
        records = demo.demo_records(source.path.removeprefix("demo://"))
        yield from ((source.path, row, fields) for row, fields in enumerate(records, start=1))
    else:
        file = Path(part.location)
        try:
            for line, fields in _reader(file)(file, source):
                yield part.name, line, fields
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"{file} cannot be read, it may be damaged or cut off: {error}") from error


def _local_files(source: SourceConfig) -> list[Path]:
    path = Path(source.path).expanduser()
    if path.is_file():
        return [path]
    root = _root(path)
    pattern = "**/*" if path.is_dir() else path.relative_to(root).as_posix()
    # Names that begin with a dot or an underscore are other programs' marks, such as .git and _SUCCESS.
    files = sorted(
        file
        for file in root.glob(pattern)
        if file.is_file() and not any(part[0] in "._" for part in file.relative_to(root).parts)
    )
    if not files:
        what = "holds no files" if path.is_dir() else "fits no file" if glob.has_magic(str(path)) else "does not exist"
        raise DataError(f"source '{source.name}': {source.path} {what}: correct data.sources.{source.name}.path")
    return files


def _root(path: Path) -> Path:
    """The folder below which a file's name is stable: the source's path itself, or what comes before its pattern."""
    if path.is_dir():
        return path
    return next(parent for parent in path.parents if not glob.has_magic(str(parent)))


def _reader(file: Path) -> Callable[[Path, SourceConfig], Iterator[tuple[int, object]]]:
    kind = Path(file.stem).suffix if file.suffix in COMPRESSIONS else file.suffix
    if kind in {".jsonl", ".json", ".ndjson"}:
        return _read_json_lines
    if kind == ".txt":
        return _read_text
    if file.suffix == ".parquet":
        return _read_parquet
    raise DataError(
        f"{file}: unknown extension '{file.suffix}': known are .jsonl, .json, .ndjson and .txt, each also with .gz or "
        ".zst, and .parquet; name what to read with a glob, such as folder/**/*.jsonl"
    )


def _open(file: Path) -> io.BufferedReader:
    # Arrow's streams, unlike zstandard's, say when a compressed file is cut off.
    return io.BufferedReader(pa.input_stream(str(file), compression=COMPRESSIONS.get(file.suffix)))


def _read_json_lines(file: Path, source: SourceConfig) -> Iterator[tuple[int, object]]:
    with _open(file) as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield number, _parse_json(line)


def _parse_json(line: bytes) -> object:
    try:
        return json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return _MalformedError(f"invalid UTF-8: byte {error.start + 1} of the line")
    except json.JSONDecodeError as error:
        return _MalformedError(f"broken JSON: {error.msg} at character {error.pos + 1}")
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits, thousands of brackets
        return _MalformedError(f"broken JSON: {error}")


def _read_text(file: Path, source: SourceConfig) -> Iterator[tuple[int, object]]:
    with _open(file) as stream:
        content = stream.read()
    try:
        yield 1, {source.text_field: content.decode("utf-8-sig")}
    except UnicodeDecodeError as error:
        yield 1, _MalformedError(f"invalid UTF-8: byte {error.start + 1}")


def _read_parquet(file: Path, source: SourceConfig) -> Iterator[tuple[int, object]]:
    wanted = {source.text_field, source.id_field, source.date_field, "licence", "license", "url"}
    with pq.ParquetFile(file) as parquet:
        columns = [name for name in parquet.schema_arrow.names if name in wanted]
        first = 1
        for batch in parquet.iter_batches(ROWS_PER_BATCH, columns=columns):
            yield from enumerate(_parquet_rows(batch), start=first)
            first += batch.num_rows


def _parquet_rows(batch: pa.RecordBatch) -> Iterator[object]:
    unreadable = (ValueError, OverflowError, pa.ArrowException)  # strings that are not UTF-8, dates beyond year 9999
    try:
        yield from batch.to_pylist()
    except unreadable:
        for row in range(batch.num_rows):
            try:
                yield batch.slice(row, 1).to_pylist()[0]
            except unreadable as error:
                yield _MalformedError(f"unreadable value: {error}")


def _document(source: SourceConfig, file: str, line: int, fields: object) -> Document:
    if isinstance(fields, _MalformedError):
        raise fields
    if not isinstance(fields, Mapping):
        raise _MalformedError(f"not an object: a value of type {type(fields).__name__}")
    text = fields.get(source.text_field)
    if text is None:
        present = ", ".join(map(str, itertools.islice(fields, 10))) or "none"
        raise _MalformedError(f"no field '{source.text_field}': the record has {present}")
    return Document(
        id=_id(fields.get(source.id_field), file, line),
        text=_string(text, source.text_field),
        source=source.name,
        date=_date(fields.get(source.date_field)),
        licence=_optional_string(fields, "licence") or _optional_string(fields, "license") or source.licence,
        url=_optional_string(fields, "url"),
        file=file,
        line=line,
    )


def _string(value: object, field: str) -> str:
    if not isinstance(value, str):
        raise _MalformedError(f"'{field}' is no string: its type is {type(value).__name__}")
    if not value.isascii() and SURROGATE.search(value):
        raise _MalformedError(f"'{field}' is no Unicode text: it holds half of a surrogate pair")
    return value


def _optional_string(fields: Mapping[str, object], field: str) -> str | None:
    value = fields.get(field)
    return None if value is None else _string(value, field)


def _id(value: object, name: str, line: int) -> str:
    if value is None or value == "":
        return f"{name}:{line}"
    return str(value) if type(value) is int else _string(value, "id")


def _date(value: object) -> datetime.date | None:
    """The day of an ISO 8601 date or time, as it is written: a time zone moves nothing."""
    if value is None or value == "":
        return None
    if isinstance(value, datetime.datetime):
        return value.date()
    if isinstance(value, datetime.date):
        return value
    try:
        return datetime.datetime.fromisoformat(_string(value, "date")).date()
    except ValueError:
        raise _MalformedError(f"unreadable date: {value!r:.40} is not in ISO 8601, such as 2018-12-31") from None
