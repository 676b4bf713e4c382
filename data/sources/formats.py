"""Formats: JSON lines, plain text and Parquet, packed or not, as rows in order; rows that cannot be read say why."""

import bz2
import codecs
import functools
import io
import itertools
import json
import lzma
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from data.errors import DataError
from data.files import READ_BYTES
from data.sources.parts import MalformedError, Rows

JSON_LINES = {".jsonl", ".json", ".ndjson"}
# What Arrow unpacks, under its names for them. Its streams, unlike zstandard's, say when a file is cut off.
ARROW_COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
DECOMPRESSORS: dict[str, Callable[[], Any]] = {".bz2": bz2.BZ2Decompressor, ".xz": lzma.LZMADecompressor}
COMPRESSIONS = (*ARROW_COMPRESSIONS, *DECOMPRESSORS)
KNOWN = (
    "known are .jsonl, .json, .ndjson and .txt, each also with .gz, .zst, .bz2 or .xz; .parquet; and the token files "
    ".bin, .npy and .ds"
)
ARRAY = "JSON array: a record a line is read, which `jq -c '.[]' FILE` makes of an array"
UNPACKED_BYTES = 1 << 16  # taken at a time of a packed file: of a damaged one, so much before the damage may be lost
LONGEST_RECORD = 1 << 28  # bytes of a line or of a text file; longer ones are never held
ROWS_PER_BATCH = 1_000
BATCH_BYTES = 16_000_000
# What a damaged file raises. Errors of the operating system, which have a number, and of the network are none of these.
DAMAGE = (pa.ArrowException, lzma.LZMAError, EOFError, ValueError, OverflowError, NotImplementedError)

Reader = Callable[[io.BufferedReader, str, Sequence[str]], Rows]


def reader(name: str) -> Reader:
    """The function that reads files called `name`.

    It takes the open file, its name and the fields that are wanted, the text's first, of which those with dots may lie
    within others; and raises one of DAMAGE, or an OSError without a number, where the file is damaged.

    Raises:
        DataError: the extension is unknown.
    """
    path = PurePosixPath(name)
    kind = PurePosixPath(path.stem).suffix if path.suffix in COMPRESSIONS else path.suffix
    if kind in JSON_LINES:
        return _read_json_lines
    if kind == ".txt":
        return _read_text
    if path.suffix == ".parquet":
        return _read_parquet
    raise DataError(
        f"{name}: unknown extension '{path.suffix}': {KNOWN}; name what to read with a glob, such as folder/**/*.jsonl"
    )


def _unpacked(file: io.BufferedReader, name: str) -> io.BufferedReader:
    suffix = PurePosixPath(name).suffix
    if suffix not in COMPRESSIONS:
        return file
    if not file.peek(1):
        raise EOFError("it is empty, which no packed file is")
    if suffix in DECOMPRESSORS:
        return io.BufferedReader(_Streams(file, DECOMPRESSORS[suffix]), UNPACKED_BYTES)
    return io.BufferedReader(pa.input_stream(file, compression=ARROW_COMPRESSIONS[suffix]), UNPACKED_BYTES)


class _Streams(io.RawIOBase):
    """All streams of a file that is packed by bzip2 or xz; the library's readers take a damaged one for the end."""

    def __init__(self, file: io.BufferedReader, make: Callable[[], Any]) -> None:
        self._file, self._make, self._stream = file, make, make()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        content = b""
        while not content:
            packed = b""
            if self._stream.eof:
                packed = self._stream.unused_data.lstrip(b"\0")  # padding
                while not packed and (more := self._file.read(READ_BYTES)):
                    packed = more.lstrip(b"\0")
                if not packed:
                    return 0
                self._stream = self._make()
            elif self._stream.needs_input and not (packed := self._file.read(READ_BYTES)):
                raise EOFError("it is cut off")
            content = self._stream.decompress(packed, len(buffer))
        buffer[: len(content)] = content
        return len(content)


def _read_json_lines(file: io.BufferedReader, name: str, fields: Sequence[str]) -> Rows:
    stream = _unpacked(file, name)
    for number, line in enumerate(iter(functools.partial(stream.readline, LONGEST_RECORD + 1), b""), start=1):
        if len(line) > LONGEST_RECORD:
            _skip_line(stream, line)
            yield number, MalformedError(f"record too long: above {LONGEST_RECORD:,} bytes")
        elif not line.isspace():
            yield number, _parse_json(line)


def _skip_line(stream: io.BufferedReader, line: bytes) -> None:
    while line and not line.endswith(b"\n"):
        line = stream.readline(READ_BYTES)


def _parse_json(line: bytes) -> object:
    if line.removeprefix(codecs.BOM_UTF8).strip() == b"[":
        return MalformedError(ARRAY)
    try:
        value = json.loads(line.removeprefix(codecs.BOM_UTF8).decode())
        return MalformedError(ARRAY) if isinstance(value, list) else value
    except UnicodeDecodeError as error:
        return MalformedError(f"invalid UTF-8: byte {error.start + 1} of the line")
    except json.JSONDecodeError as error:
        return MalformedError(f"broken JSON: {error.msg} at character {error.pos + 1}")
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits, thousands of brackets
        return MalformedError(f"broken JSON: {error}")


def _read_text(file: io.BufferedReader, name: str, fields: Sequence[str]) -> Rows:
    content = _unpacked(file, name).read(LONGEST_RECORD + 1)
    if len(content) > LONGEST_RECORD:
        yield 1, MalformedError(f"record too long: above {LONGEST_RECORD:,} bytes")
        return
    try:
        yield 1, {fields[0]: content.decode("utf-8-sig")}
    except UnicodeDecodeError as error:
        yield 1, MalformedError(f"invalid UTF-8: byte {error.start + 1}")


def _read_parquet(file: io.BufferedReader, name: str, fields: Sequence[str]) -> Rows:
    with pq.ParquetFile(file, pre_buffer=False, page_checksum_verification=True) as parquet:
        columns = [
            path
            for path in (parquet.schema.column(index).path for index in range(len(parquet.schema)))
            if any(path == field or path.startswith(f"{field}.") for field in fields)
        ]
        if not any(path.split(".")[0] == fields[0].split(".")[0] for path in columns):
            # No row has a text: what it has instead is named, and not read.
            yield from (
                (row, dict.fromkeys(parquet.schema_arrow.names)) for row in range(1, parquet.metadata.num_rows + 1)
            )
            return
        batch_rows = max(1, min(ROWS_PER_BATCH, BATCH_BYTES * parquet.metadata.num_rows // _size(parquet.metadata)))
        yield from rows_of(parquet.iter_batches(batch_rows, columns=columns))


def _size(metadata: pq.FileMetaData) -> int:
    """Bytes of all columns before packing, 1 or more."""
    # What Arrow says of a row group's single columns would be closer, but asking aborts the process on damaged files.
    sizes: list[int] = [metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups)]
    return max(1, sum(sizes))


def rows_of(batches: Iterable[pa.RecordBatch]) -> Rows:
    """The rows of batches that follow one another; see `batch_rows_of`."""
    return enumerate(itertools.chain.from_iterable(map(batch_rows_of, batches)), start=1)


def batch_rows_of(batch: pa.RecordBatch) -> Iterator[object]:
    """The rows of a batch as objects; a row of which a value has no form in Python is a MalformedError."""
    unreadable = (ValueError, OverflowError, pa.ArrowException)  # strings that are not UTF-8, dates beyond year 9999
    try:
        yield from batch.to_pylist()
    except unreadable:
        for row in range(batch.num_rows):
            try:
                yield batch.slice(row, 1).to_pylist()[0]
            except unreadable as error:
                yield MalformedError(f"unreadable value: {error}")
