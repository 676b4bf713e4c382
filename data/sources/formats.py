"""Formats: which reader a file has; JSON lines, plain text and Parquet as rows in order; rows that cannot be read."""

import codecs
import functools
import io
import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from data.errors import DataError
from data.files import READ_BYTES
from data.format_config import DocxConfig, EdgarConfig, Format, HtmlConfig, JatsConfig, PdfConfig, WarcConfig
from data.readers.rows import LONGEST_RECORD, MalformedError, Rows
from data.source_config import SourceConfig
from data.sources import packed

JSON_LINES = {".jsonl", ".json", ".ndjson"}
# The formats that a file's name tells. .xml is of several, and EDGAR's submissions are .txt: the source says them.
ENDINGS: dict[str, Format] = {
    **dict.fromkeys(JSON_LINES, "jsonl"),
    ".txt": "text",
    ".nc": "edgar",
    ".html": "html",
    ".htm": "html",
    ".pdf": "pdf",
    ".docx": "docx",
    ".warc": "warc",
    ".wet": "wet",
    ".mbox": "mbox",
    ".eml": "mbox",
}
KNOWN = (
    "known are .jsonl, .json, .ndjson and .txt, .nc (EDGAR), .html, .htm, .pdf, .docx, .warc, .wet, .mbox and .eml, "
    "each also with .gz, .zst, .bz2 or .xz; .parquet; and the token files .bin, .npy and .ds"
)
ARRAY = "JSON array: a record a line is read, which `jq -c '.[]' FILE` makes of an array"
# Valid UTF-8 that no text has: NUL of wider encodings, or of a file system after a crash; escapes of ISO-2022.
OTHER_ENCODING = re.compile(rb"\x00|\x1b[$(]")
ROWS_PER_BATCH = 1_000
BATCH_BYTES = 16_000_000
# What a damaged file raises. Errors of the operating system, which have a number, and of the network are none of these.
DAMAGE = (pa.ArrowException, *packed.DAMAGE, ValueError, OverflowError, NotImplementedError)

Reader = Callable[[io.BufferedReader, str, Sequence[str]], Rows]


def reader(name: str, source: SourceConfig | None = None) -> Reader:
    """The function that reads files called `name` of a source, by its `format` or, where it has none, by the name.

    It takes the open file, its name and the fields that are wanted, the text's first, of which those with dots may lie
    within others; and raises one of DAMAGE, or an OSError without a number, where the file is damaged.

    Raises:
        DataError: the source has no format and the extension is unknown.
    """
    match format_of(name, source):
        case "jsonl":
            return _read_json_lines
        case "text":
            return _read_text
        case "parquet":
            return _read_parquet
        case other:
            read = _reader_of_publishers(other, source)
    return lambda file, name, fields: read(packed.unpacked(file, name), name)


def format_of(name: str, source: SourceConfig | None) -> Format:
    """The format of a source's file called `name`. Raises DataError where neither says it."""
    if source and source.format:
        return source.format
    path = PurePosixPath(name)
    ending = PurePosixPath(path.stem).suffix if path.suffix in packed.DECOMPRESSORS else path.suffix
    if path.suffix == ".parquet":
        return "parquet"
    if ending in ENDINGS:
        return ENDINGS[ending]
    if ending == ".xml":
        raise DataError(f"{name}: .xml is of several formats: set the source's format: jats or pubmed")
    raise DataError(
        f"{name}: unknown extension '{path.suffix}': {KNOWN}; name what to read with a glob, such as folder/**/*.jsonl"
    )


def _reader_of_publishers(kind: Format, source: SourceConfig | None) -> Callable[["io.BufferedReader[Any]", str], Rows]:
    """The reader of an unpacked file, with the source's settings; what only it needs is imported with it."""
    match kind:
        case "edgar":
            from data.readers.edgar import read_edgar

            return functools.partial(read_edgar, settings=(source and source.edgar) or EdgarConfig())
        case "pubmed":
            from data.readers.pubmed import read_pubmed

            return read_pubmed
        case "jats":
            from data.readers.jats import read_jats

            return functools.partial(read_jats, settings=(source and source.jats) or JatsConfig())
        case "html":
            from data.readers.html import read_html

            return functools.partial(read_html, config=(source and source.html) or HtmlConfig())
        case "pdf":
            from data.readers.pdf import read_pdf

            return functools.partial(read_pdf, config=(source and source.pdf) or PdfConfig())
        case "docx":
            from data.readers.docx import read_docx

            return functools.partial(read_docx, config=(source and source.docx) or DocxConfig())
        case "warc" | "wet":
            from data.readers.warc import read_warc

            return functools.partial(read_warc, config=(source and source.warc) or WarcConfig())
        case "mbox":
            from data.readers.mail import read_mail

            return read_mail
        case _:
            raise DataError(f"files of the format {kind} cannot be read")


def _read_json_lines(file: io.BufferedReader, name: str, fields: Sequence[str]) -> Rows:
    stream = packed.unpacked(file, name)
    for number, line in enumerate(iter(functools.partial(stream.readline, LONGEST_RECORD + 1), b""), start=1):
        if len(line) > LONGEST_RECORD:
            size = len(line) + _skip_line(stream, line)
            yield number, MalformedError(f"record too long: above {LONGEST_RECORD:,} bytes", size)
        elif not line.isspace():
            value = _parse_json(line)
            if isinstance(value, MalformedError) and not line.endswith(b"\n") and _is_cut(line):
                raise EOFError(f"it is cut off in line {number:,}: {value}")
            yield number, value


def read_json_array(file: io.BufferedReader, name: str) -> Rows | None:
    """The values of a packed or plain file that is one JSON array, numbered from 1; None where it is none.

    Raises:
        DataError: the file is too long to be held; and as readers do.
    """
    stream = packed.unpacked(file, name)
    if stream.peek(16).removeprefix(codecs.BOM_UTF8).lstrip()[:1] != b"[":
        return None
    content = stream.read(LONGEST_RECORD + 1)
    if len(content) > LONGEST_RECORD:
        raise DataError(f"{name} is a JSON array above {LONGEST_RECORD:,} bytes: write a record a line")
    values = _DECODER.decode(content.decode("utf-8-sig"))
    return iter(enumerate(values, start=1))


def _skip_line(stream: io.BufferedReader, line: bytes) -> int:
    """Read the rest of a line that begins so, and say how many bytes it has."""
    size = 0
    while line and not line.endswith(b"\n"):
        line = stream.readline(READ_BYTES)
        size += len(line)
    return size


def _is_cut(line: bytes) -> bool:
    """Whether the last line of a file, which is no JSON, begins an object that goes on where the file does not."""
    text = line.removeprefix(codecs.BOM_UTF8).decode(errors="ignore").strip()
    try:
        _DECODER.decode(text)
    except json.JSONDecodeError as error:
        goes_on = error.msg.startswith("Unterminated string") or error.pos >= len(text) or not text.endswith("}")
        return text.startswith("{") and goes_on and error.msg != "Extra data"
    except (ValueError, RecursionError):
        return False
    return False


def _parse_json(line: bytes) -> object:
    if line.removeprefix(codecs.BOM_UTF8).strip() == b"[":
        return MalformedError(ARRAY, len(line))
    try:
        value = _DECODER.decode(line.removeprefix(codecs.BOM_UTF8).decode())
        return MalformedError(ARRAY, len(line)) if isinstance(value, list) else value
    except UnicodeDecodeError as error:
        return MalformedError(f"invalid UTF-8: byte {error.start + 1} of the line", len(line))
    except json.JSONDecodeError as error:
        return MalformedError(f"broken JSON: {error.msg} at character {error.pos + 1}", len(line))
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits, thousands of brackets
        return MalformedError(f"broken JSON: {error}", len(line))


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object of JSON; a name that has two different values, of which readers would take the last, has none here."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        for name, value in pairs:
            if value != fields[name]:
                fields[name] = MalformedError(f"repeated field: '{name}' has more than one value")
    return fields


_DECODER = json.JSONDecoder(object_pairs_hook=_object)


def _is_json_lines(content: bytes) -> bool:
    """Whether a text is two lines or more, each of them an object of JSON."""
    content = content.removeprefix(codecs.BOM_UTF8)
    if not content.startswith(b"{"):
        return False
    lines = [line for line in content.split(b"\n") if not line.isspace() and line]
    try:
        return len(lines) > 1 and all(isinstance(json.loads(line), dict) for line in lines)
    except (ValueError, RecursionError):
        return False


def _read_text(file: io.BufferedReader, name: str, fields: Sequence[str]) -> Rows:
    content = packed.unpacked(file, name).read(LONGEST_RECORD + 1)
    if len(content) > LONGEST_RECORD:
        yield 1, MalformedError(f"record too long: above {LONGEST_RECORD:,} bytes")
        return
    if other := OTHER_ENCODING.search(content):
        yield 1, MalformedError(f"no UTF-8 text: byte {other.start() + 1} is of UTF-16, UTF-32, ISO-2022 or a hole")
        return
    if _is_json_lines(content):
        raise DataError(f"{name}: each of its lines is a JSON object: rename it .jsonl, or take the text out of them")
    try:
        yield 1, {fields[0]: content.decode("utf-8-sig")}
    except UnicodeDecodeError as error:
        yield 1, MalformedError(f"invalid UTF-8: byte {error.start + 1}")


def _read_parquet(file: io.BufferedReader, name: str, fields: Sequence[str]) -> Rows:
    with _opened(file, page_checksum_verification=True) as parquet:
        check_columns(parquet.schema_arrow, name, fields)
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


def _opened(file: io.BufferedReader, **options: bool) -> pq.ParquetFile:
    """A Parquet file; times of INT96, as Spark writes them, are of years to 9999, where nanoseconds end in 2262.

    In nanoseconds, which are Arrow's choice, an open end of 9999-12-31 would wrap round to 1816.
    """
    return pq.ParquetFile(file, pre_buffer=False, coerce_int96_timestamp_unit="us", **options)


def _size(metadata: pq.FileMetaData) -> int:
    """Bytes of all columns before packing, 1 or more."""
    # What Arrow says of a row group's single columns would be closer, but asking aborts the process on damaged files.
    sizes: list[int] = [metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups)]
    return max(1, sum(sizes))


def int96_column(file: io.BufferedReader, fields: Sequence[str]) -> str | None:
    """The wanted column of a Parquet file that is of INT96, if one is."""
    with _opened(file) as parquet:
        columns = (parquet.schema.column(index) for index in range(len(parquet.schema)))
        return next((it.path for it in columns if it.physical_type == "INT96" and it.path in fields), None)


def check_columns(schema: pa.Schema, where: str, fields: Sequence[str]) -> None:
    """Refuse a table in which a wanted field, or one that it lies within, is not one column, or holds JSON.

    Raises:
        DataError: the name stands twice, or its values are JSON (with quotes and escapes) and not what JSON spells.
    """
    for field in fields:
        # A column may be called a.b; else b lies within the column a.
        names = [field] if field in schema.names else field.split(".")
        within: pa.Schema | pa.DataType = schema
        for depth, name in enumerate(names, start=1):
            found = within.get_all_field_indices(name)
            column = ".".join(names[:depth])
            if len(found) > 1:
                raise DataError(f"{where}: {len(found)} columns are called '{column}': rename or remove all but one")
            if not found:
                break
            within = within.field(found[0]).type
            # What datasets makes of a column of JSON lines as soon as one of its values is of another type.
            if isinstance(within, pa.BaseExtensionType) and within.extension_name == "arrow.json":
                raise DataError(
                    f"{where}: the column '{column}' holds JSON, in quotes and with escapes, and not what it spells: "
                    "write it anew with one type of value, or name another field"
                )
            if not pa.types.is_struct(within):
                break


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
