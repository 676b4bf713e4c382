"""Documents of files, hub datasets and demo texts, read part by part; what is malformed is set aside."""

import io
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from data.errors import DataError
from data.files import READ_BYTES, file_stamp
from data.interval import DATE_KINDS, DateKind, Interval
from data.readers.rows import LeftOut, MalformedError, Rows
from data.source_config import OF_ONE_FORMAT, SourceConfig
from data.sources import demo
from data.sources.dates import interval_of
from data.sources.fields import EACH, is_plain, lacking, text_at, value_at
from data.sources.formats import DAMAGE, format_of, reader
from data.sources.hub import hub_dataset, hub_rows, hub_shards
from data.sources.local import local_files, root_of
from data.sources.parts import (
    BEGINNING,
    DAMAGED,
    PLACEHOLDER_BYTES,
    Part,
    byte_length,
    check_is_fetched,
    string_of,
)
from data.sources.remote import open_remote, remote_files
from data.sources.token_files import is_token_file, read_token_file, token_stamp

PLAIN_ROWS = {"jsonl", "parquet", "text"}  # the formats whose text is as the file has it
FIELD_SETTINGS = ("id_field", "date_field", "licence_field", "url_field", "title_field")
# Of records that programs wrote which knew: the kind of their date, and its ends where there is no date.
DATE_KIND, ENDS = "date_kind", ("first_date", "last_date")
TIMES_THE_TEXT = 3  # of another field, which then may be the text; a page's markup is about twice its text
LEAST_TEXT = 20  # characters
PLAIN_AS_HTML = "lines of a text without a tag, read as HTML"


class Document(NamedTuple):
    """One text as it was read, and where it stands."""

    id: str
    text: str
    source: str
    date: Interval | None
    licence: str | None
    url: str | None
    file: str  # the part's name
    line: int  # from 1; the row or the document, in files that have no lines
    date_kind: DateKind | None = None
    title: str | None = None


@dataclass(frozen=True)
class BadRecord:
    """A record that is no document, where it stands, and why it is none."""

    file: str
    line: int
    reason: str  # its kind, or "kind: details"
    size: int = 0  # bytes; of its strings alone where its reader does not know more


def input_parts(source: SourceConfig) -> list[Part]:
    """The parts of a source in reading order.

    Raises:
        DataError: there is nothing at the source's path, or it is none of the known formats, or settings are of others;
            UnreachableError where it is remote and could not be asked.
    """
    parts = _parts(source)
    _check_settings(source, parts)
    return parts


def _check_settings(source: SourceConfig, parts: Sequence[Part]) -> None:
    """Raise DataError for settings of a format of which there is no file, and where HTML would be read twice."""
    here = f"source '{source.name}'"
    if source.path.startswith(("hub://", "demo://")):
        kinds = {"parquet"}
    else:
        kinds = {str(format_of(part.name, source)) for part in parts if not is_token_file(part.name)}
    named = ", ".join(sorted(kinds)) or "token files"
    for setting in OF_ONE_FORMAT:
        if getattr(source, setting) is not None and not kinds & ({"warc", "wet"} if setting == "warc" else {setting}):
            raise DataError(
                f"{here}: data.sources.{source.name}.{setting} is of files of that format, and {source.path} has none, "
                f"but {named}: set format: {setting} if they are such, or leave the setting out"
            )
    if source.text_is == "html" and (read := sorted(kinds - PLAIN_ROWS)):
        raise DataError(
            f"{here}: text_is: html is of rows of jsonl, parquet or text, and what is read of {', '.join(read)} is "
            f"text already, which would lose all that looks like a tag: leave data.sources.{source.name}.text_is out"
        )


def _parts(source: SourceConfig) -> list[Part]:
    scheme, found, name = source.path.partition("://")
    if not found:
        root = root_of(Path(source.path).expanduser())
        files = local_files(source)
        return [
            Part(file.relative_to(root).as_posix(), str(file), _stamp(source, file), file.stat().st_size)
            for file in files
        ]
    if scheme == "hub":
        return hub_shards(hub_dataset(source.path))
    if scheme == "demo":
        stamps = [file_stamp(file) for file in demo.demo_files(name)]
        return [Part(source.path, source.path, list(itertools.chain.from_iterable(stamps)))]
    return remote_files(source)


def _stamp(source: SourceConfig, file: Path) -> list[int | str]:
    return [*file_stamp(file), *(token_stamp(source, file) if is_token_file(file.name) else ())]


def read_part(
    source: SourceConfig,
    part: Part,
    quarantine: Callable[[BadRecord], None],
    met: set[str] | None = None,
    left_out: Counter[str] | None = None,
) -> Iterator[Document]:
    """Read the documents of one part, always in the same order; malformed records go to `quarantine` instead.

    To `met` are added those of `named_fields` whose field has a value in one of the documents; to `left_out` the parts
    of files that are no records by the format's settings, by kind.

    Of a damaged file, what stands before the place where the damage shows is read, and the rest is one malformed record
    of the kind DAMAGED. A checksum shows damage only behind what it is of.

    Raises:
        DataError: the part is not there any more or cannot be reached, or token files come without their tokenizer.
    """
    unmet = named_fields(source) if met is not None else {}
    for line, fields in read_rows(source, part, _wanted(source)):
        if isinstance(fields, LeftOut):
            if left_out is not None:
                left_out[fields.kind] += fields.amount
            continue
        try:
            document = _document(source, part.name, line, fields)
            found = [setting for setting, name in unmet.items() if _has_value(fields, name)]
        except MalformedError as error:
            quarantine(BadRecord(part.name, line, str(error), error.size or _size(fields)))
        else:
            if met is not None and found:
                met.update(found)
                unmet = {setting: name for setting, name in unmet.items() if setting not in met}
            if left_out is not None and isinstance(fields, Mapping):
                left_out.update(_left_out(source, fields, document.text))
            yield document


def _left_out(source: SourceConfig, fields: Mapping[str, object], text: str) -> dict[str, int]:
    """What of a record is not in its text, by kind."""
    found = {}
    if number := lacking(fields, source.text_field):
        found[f"item without {source.text_field}"] = number
    if name := _longer(fields, text):
        found[f"longer text in the field '{name}'"] = 1
    if source.text_is == "html" and is_plain(text_at(fields, source.text_field, is_html=False) or ""):
        found[PLAIN_AS_HTML] = 1
    return found


def _longer(fields: Mapping[str, object], text: str) -> object:
    """The field of a record with far more text than the one that is taken, such as the text beside its summary."""
    least = TIMES_THE_TEXT * len(text)
    if len(text) < LEAST_TEXT or text.isspace():
        return None  # is counted as empty or too short
    return next((name for name, value in fields.items() if isinstance(value, str) and len(value) > least), None)


def read_rows(source: SourceConfig, part: Part, fields: Sequence[str]) -> Rows:
    """The rows of one part with these of their fields, the one that must be there first, and more where that is free.

    What is no row is a MalformedError in its place, as is what a damaged file does not give. Raises as `read_part`.
    """
    return _undamaged(part, _rows(source, part, fields))


def named_fields(source: SourceConfig) -> dict[str, str]:
    """The settings by which a configuration says where something stands in the records, and what they say."""
    usual = SourceConfig.model_fields
    named = {setting: getattr(source, setting) for setting in FIELD_SETTINGS}
    return {
        setting: name
        for setting, name in named.items()
        if name and (name != usual[setting].default or (setting == "date_field" and source.date_format))
    }


def _size(fields: object) -> int:
    """Bytes of the strings of a record that is none, also of those in lists and objects in it."""
    size, left = 0, [fields]
    while left:
        value = left.pop()
        if isinstance(value, str):
            size += byte_length(value)
        elif isinstance(value, bytes):
            size += len(value)
        elif isinstance(value, Mapping):
            left += value.values()
        elif isinstance(value, list):
            left += value
    return size


def _has_value(fields: object, name: str) -> bool:
    return isinstance(fields, Mapping) and value_at(fields, name) not in (None, "")


def _undamaged(part: Part, rows: Rows) -> Rows:
    """The rows up to where the file is damaged, and the damage as a row of its own."""
    line = 0
    try:
        for line, fields in rows:
            yield line, fields
    except (OSError, *DAMAGE) as error:
        said = " ".join(str(error).split()) or type(error).__name__
        # Arrow's decoders raise OSErrors without a number; the others are the operating system's.
        if isinstance(error, OSError) and error.errno is not None:
            raise DataError(f"{part.location} cannot be read: {said}; finished parts are kept, try again") from error
        yield line + 1, MalformedError(f"{DAMAGED}: {said}")


def _rows(source: SourceConfig, part: Part, fields: Sequence[str]) -> Rows:
    scheme, found, name = source.path.partition("://")
    if scheme == "hub" and found:
        yield from hub_rows(part.location, fields)
    elif scheme == "demo" and found:
        yield from enumerate(demo.demo_records(name), start=1)
    elif is_token_file(part.name):
        with Path(part.location).open("rb") as content:
            check_is_fetched(content.read(BEGINNING))
        yield from read_token_file(source, Path(part.location))
    else:
        raw: io.RawIOBase = open_remote(source.path, part.location) if found else io.FileIO(part.location)
        file: io.BufferedReader = io.BufferedReader(raw, READ_BYTES)
        with file:
            # The end of a Parquet file is read first: its beginning, which may be far away, only where it could tell.
            is_parquet = format_of(part.name, source) == "parquet"
            if not is_parquet or (part.size or 0) <= PLACEHOLDER_BYTES:
                check_is_fetched(file.peek(BEGINNING)[:BEGINNING], format_of(part.name, source) == "html")
            yield from reader(part.name, source)(file, part.name, fields)


def _wanted(source: SourceConfig) -> list[str]:
    """The fields that a document is made of, the text's first."""
    named = [
        source.text_field.partition(EACH)[0],
        source.id_field,
        source.date_field,
        source.url_field,
        source.title_field,
    ]
    return [*named, *_licence_fields(source), DATE_KIND, *ENDS]


def _licence_fields(source: SourceConfig) -> tuple[str, ...]:
    return (source.licence_field,) if source.licence_field else ("licence", "license")


def _document(source: SourceConfig, file: str, line: int, fields: object) -> Document:
    if isinstance(fields, MalformedError):
        raise fields
    if not isinstance(fields, Mapping):
        raise MalformedError(f"not an object: a value of type {type(fields).__name__}")
    text = text_at(fields, source.text_field, source.text_is == "html")
    if text is None:
        if source.text_field in fields:
            raise MalformedError(f"'{source.text_field}' is null")
        present = ", ".join(map(str, itertools.islice(fields, 10))) or "none"
        raise MalformedError(f"no field '{source.text_field}': the record has {present}")
    kind = date_kind_of(source, fields)
    date = interval_of(source, date_of(source, fields), kind)
    return Document(
        id=id_of(source, value_at(fields, source.id_field), file, line),
        text=text,
        source=source.name,
        date=date,
        licence=_licence(source, fields),
        url=_optional_string(fields, source.url_field),
        file=file,
        line=line,
        date_kind=kind if date else None,
        title=_title(source, fields),
    )


def date_of(source: SourceConfig, fields: Mapping[str, object]) -> object:
    """A record's date as it is written; of a record of a corpus, which has the first and the last day instead, both."""
    value = value_at(fields, source.date_field)
    if (
        value is not None
        or fields.get(ENDS[1]) is None
        or ENDS[0] not in fields  # a column of another's, such as the last day of a membership
        or source.date_field != SourceConfig.model_fields["date_field"].default
    ):
        return value
    first, last = (interval_of(source.model_copy(update={"date_format": None}), fields.get(name)) for name in ENDS)
    if last is None or (first and first.last > last.last):
        raise MalformedError(f"unreadable date: {ENDS[0]} {fields.get(ENDS[0])} is after {ENDS[1]} {fields[ENDS[1]]}")
    return Interval(first.first if first else None, last.last)


def date_kind_of(source: SourceConfig, fields: Mapping[str, object]) -> DateKind | None:
    """What a record's date says. Raises MalformedError where the record says something else than a kind."""
    kind = fields.get(DATE_KIND)
    if kind is None or kind == "":
        return source.date_kind
    for known in DATE_KINDS:
        if kind == known:
            return known
    raise MalformedError(f"unknown {DATE_KIND}: {kind!r:.40} is none of {', '.join(DATE_KINDS)}")


def _optional_string(fields: Mapping[str, object], field: str) -> str | None:
    """A field that is a string, or a list of strings, as of several licences, which is one with commas."""
    value = value_at(fields, field)
    if isinstance(value, list):
        return ", ".join(string_of(item, field) for item in value)
    return None if value is None else string_of(value, field)


def _title(source: SourceConfig, fields: Mapping[str, object]) -> str | None:
    """The title. One that nobody has asked for need not be a text: no record is lost for it."""
    try:
        return _optional_string(fields, source.title_field)
    except MalformedError:
        if source.title_field != SourceConfig.model_fields["title_field"].default:
            raise
        return None


def _licence(source: SourceConfig, fields: Mapping[str, object]) -> str | None:
    for name in _licence_fields(source):
        if licence := _optional_string(fields, name):
            return licence
    return source.licence


def id_of(source: SourceConfig, value: object, name: str, line: int) -> str:
    if value is None or value == "":
        return f"{name}:{line}"
    return str(value) if type(value) is int else string_of(value, source.id_field)
