"""The shard format: token ids and a table of documents for each source of each split, under one manifest."""

import dataclasses
import functools
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data.date_columns import DATE_COLUMNS
from data.errors import DataError
from data.files import MANIFEST, atomic_write, file_digest, value_digest
from data.interval import Interval
from data.progress import progress
from data.shards.reader import DTYPES, RUN_AGAIN, SOURCE_NAME, Tokens, shard_name

FORMAT = 4
READ = (3, FORMAT)  # the older one's tables of documents have one day; `data.date_columns`
END_OF_TEXT_ID = 0  # of a tokenizer that was trained here
DOCUMENT_COLUMNS = pa.schema(
    {
        "id": pa.string(),
        "source": pa.string(),
        **DATE_COLUMNS,
        "first_token": pa.int64(),
        "tokens": pa.int64(),
        "bytes": pa.int64(),
    }
)
BLOCK_COLUMNS = DOCUMENT_COLUMNS.remove(DOCUMENT_COLUMNS.get_field_index("first_token"))


@dataclass(frozen=True)
class EncodedDocument:
    id: str
    date: Interval | None
    tokens: Tokens  # without the end-of-text token
    bytes: int  # of the text in UTF-8; of what counts, where not all does
    end_of_text: int = END_OF_TEXT_ID  # the token behind it
    counted: Tokens | None = None  # 1 for each token that counts in the loss, else 0; None: all count


@dataclass(frozen=True)
class ShardFile:
    """One `NAME.bin` of token ids and its `NAME.documents.parquet`; digests are of the files' bytes.

    Where not every token counts in the loss, `NAME.counted` has a byte for each, 1 or 0: those of a conversation that
    the model is to write.
    """

    name: str  # split/source-00000
    tokens: int
    documents: int
    bytes: int  # of the documents' texts in UTF-8
    tokens_size: int
    tokens_digest: str
    documents_size: int
    documents_digest: str
    counted_digest: str = ""  # empty: all count, and there is no such file

    @property
    def tokens_path(self) -> str:
        return f"{self.name}.bin"

    @property
    def documents_path(self) -> str:
        return f"{self.name}.documents.parquet"

    @property
    def counted_path(self) -> str:
        return f"{self.name}.counted"

    def contents(self) -> Iterator[tuple[str, int, str]]:
        """Path, bytes and digest of each file."""
        yield self.tokens_path, self.tokens_size, self.tokens_digest
        yield self.documents_path, self.documents_size, self.documents_digest
        if self.counted_digest:
            yield self.counted_path, self.tokens, self.counted_digest


@dataclass(frozen=True)
class SourceShards:
    """The files of one source of one split, in order."""

    files: tuple[ShardFile, ...]

    @property
    def tokens(self) -> int:
        return sum(file.tokens for file in self.files)

    @property
    def documents(self) -> int:
        return sum(file.documents for file in self.files)

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)


@dataclass(frozen=True)
class Manifest:
    dtype: str  # "uint16" or "uint32", little-endian
    vocabulary_size: int
    tokenizer_digest: str
    corpus_digest: str
    seed: int
    bytes_per_shard: int  # of text, about, at most
    splits: dict[str, dict[str, SourceShards]]
    end_of_text: int = END_OF_TEXT_ID  # behind each document
    format: int = FORMAT

    @functools.cached_property
    def digest(self) -> str:
        """Of everything above: two folders of equal digest hold the same tokens and documents."""
        return value_digest(self.content())

    def content(self) -> dict[str, Any]:
        """As JSON values. A file of which all tokens count is described as it always was."""
        content = dataclasses.asdict(self)
        for shards in (shards for sources in content["splits"].values() for shards in sources.values()):
            shards["files"] = [{key: value for key, value in file.items() if value != ""} for file in shards["files"]]
        return content

    @property
    def has_counted(self) -> bool:
        """Whether some tokens do not count in the loss."""
        return any(file.counted_digest for file in _all_files(self))

    def source(self, split: str, source: str) -> SourceShards:
        """Raises DataError when there is no such split or source."""
        sources = self.splits.get(split, {})
        if source not in sources:
            raise DataError(f"the shards have no source '{source}' in split '{split}': they have {sorted(sources)}")
        return sources[source]


def dtype_name(vocabulary_size: int) -> str:
    return "uint16" if vocabulary_size < 65_536 else "uint32"


class EncodedBlock(NamedTuple):
    """Documents in a row, as they go into a shard."""

    tokens: Tokens  # of all documents, the end of text behind each
    documents: pa.Table  # BLOCK_COLUMNS, a row for each document
    counted: Tokens | None = None  # 1 for each of the tokens that counts in the loss, else 0; None: all count


def write_shard(folder: Path, name: str, blocks: Iterable[EncodedBlock], dtype: str) -> ShardFile:
    """Write `NAME.bin` and `NAME.documents.parquet` below `folder`, block by block; each appears when it is whole.

    So does `NAME.counted`, if the blocks say what counts.

    Raises DataError when an id does not fit the dtype.
    """
    tokens_path, documents_path = folder / f"{name}.bin", folder / f"{name}.documents.parquet"
    counted_path = folder / f"{name}.counted"
    tokens = documents = text_bytes = 0
    counted: list[bytes] = []
    with (
        atomic_write(tokens_path) as tokens_file,
        atomic_write(documents_path) as documents_file,
        pq.ParquetWriter(documents_file, DOCUMENT_COLUMNS, compression="zstd") as table,
    ):
        for block in blocks:
            _check_fits(name, block.tokens, dtype)
            tokens_file.write(np.ascontiguousarray(block.tokens, DTYPES[dtype]).data)
            table.write_table(_place_documents(block.documents, tokens))
            tokens += len(block.tokens)
            documents += len(block.documents)
            text_bytes += pc.sum(block.documents["bytes"], min_count=0).as_py()
            counted += [] if block.counted is None else [np.asarray(block.counted, np.uint8).tobytes()]
    if counted:
        with atomic_write(counted_path) as counted_file:
            counted_file.writelines(counted)
    return ShardFile(
        name=name,
        tokens=tokens,
        documents=documents,
        bytes=text_bytes,
        tokens_size=tokens_path.stat().st_size,
        tokens_digest=file_digest(tokens_path),
        documents_size=documents_path.stat().st_size,
        documents_digest=file_digest(documents_path),
        counted_digest=file_digest(counted_path) if counted else "",
    )


def _check_fits(name: str, tokens: Tokens, dtype: str) -> None:
    if len(tokens) and (tokens.min() < 0 or tokens.max() > np.iinfo(DTYPES[dtype]).max):
        raise DataError(f"{name}: ids {tokens.min()} to {tokens.max()} do not fit {dtype}: use another tokenizer")


def _place_documents(documents: pa.Table, first_token: int) -> pa.Table:
    """DOCUMENT_COLUMNS of documents that begin at token `first_token` of their file."""
    ends = np.cumsum(documents["tokens"].to_numpy())
    starts = pa.array(np.concatenate([[0], ends[:-1]])[: len(ends)] + first_token, pa.int64())
    place = DOCUMENT_COLUMNS.get_field_index("first_token")
    return documents.add_column(place, "first_token", starts).cast(DOCUMENT_COLUMNS)


def write_source(
    folder: Path, split: str, source: str, documents: Iterable[EncodedDocument], dtype: str, tokens_per_shard: int
) -> SourceShards:
    """Write documents that are ids already as the shards of one source of one split.

    A file ends with the document that brings it to `tokens_per_shard` or more.
    """
    files = [
        write_shard(folder, shard_name(split, source, number), [_block(source, run)], dtype)
        for number, run in enumerate(_runs(documents, tokens_per_shard))
    ]
    return SourceShards(tuple(files))


def _runs(documents: Iterable[EncodedDocument], size: int) -> Iterator[list[EncodedDocument]]:
    run: list[EncodedDocument] = []
    tokens = 0
    for document in documents:
        run.append(document)
        tokens += len(document.tokens) + 1
        if tokens >= size:
            yield run
            run, tokens = [], 0
    if run:
        yield run


def _block(source: str, documents: Sequence[EncodedDocument]) -> EncodedBlock:
    tokens = np.concatenate([part for document in documents for part in (document.tokens, [document.end_of_text])])
    rows = [(one.id, source, *(one.date or (None, None)), None, len(one.tokens) + 1, one.bytes) for one in documents]
    table = pa.table([list(column) for column in zip(*rows, strict=True)], schema=BLOCK_COLUMNS)
    parts = [np.append(document.counted, 0) for document in documents if document.counted is not None]
    return EncodedBlock(tokens, table, np.concatenate(parts) if parts else None)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `manifest.json`, which declares the folder whole: call it last."""
    with atomic_write(folder / MANIFEST) as file:
        file.write(json.dumps(manifest.content() | {"digest": manifest.digest}, indent=1).encode())


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest; the files that it names are not touched (`verify_digests` does that).

    Raises DataError when the folder is unfinished, of another format, or its manifest is damaged.
    """
    path = folder / MANIFEST
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise DataError(f"{path} does not exist: run `domainlm tokenize CONFIG` first") from None
    except ValueError as error:
        raise DataError(f"{path} is not JSON ({error}): {RUN_AGAIN}") from None
    if not isinstance(content, dict) or content.get("format") not in READ:
        written = content.get("format") if isinstance(content, dict) else None
        raise DataError(f"{path} has shard format {written}, this program reads {FORMAT}: {RUN_AGAIN}")
    digest = content.pop("digest", None)
    if value_digest(content) != digest:
        raise DataError(f"{path} does not match its own digest, it was edited or damaged: {RUN_AGAIN}")
    return _parse_manifest(path, content)


def _parse_manifest(path: Path, content: dict[str, Any]) -> Manifest:
    splits = {
        split: {
            source: SourceShards(tuple(ShardFile(**file) for file in shards["files"]))
            for source, shards in sources.items()
        }
        for split, sources in content["splits"].items()
    }
    for split, sources in splits.items():
        for source, shards in sources.items():
            # names are data: one must not lead out of the folder
            expected = [shard_name(split, source, number) for number in range(len(shards.files))]
            well_named = SOURCE_NAME.fullmatch(split) and SOURCE_NAME.fullmatch(source)
            if not well_named or [file.name for file in shards.files] != expected:
                raise DataError(f"{path} names files of '{split}/{source}' that do not belong there: {RUN_AGAIN}")
    return Manifest(**(content | {"splits": splits}))


def _all_files(manifest: Manifest) -> list[ShardFile]:
    return [file for sources in manifest.splits.values() for shards in sources.values() for file in shards.files]


def _check_size(path: Path, expected: int) -> None:
    found = path.stat().st_size if path.exists() else None
    if found != expected:
        said = "is missing" if found is None else f"has {found:,} bytes"
        raise DataError(f"{path} {said}, the manifest says {expected:,} bytes: {RUN_AGAIN}")


def verify_sizes(folder: Path, manifest: Manifest) -> None:
    """Raises DataError naming the first file that is missing or has another size than the manifest says."""
    _check_sizes(folder, _all_files(manifest))


def _check_sizes(folder: Path, files: Iterable[ShardFile]) -> None:
    for file in files:
        for path, size, _ in file.contents():
            _check_size(folder / path, size)


def verify_held_out(folder: Path) -> None:
    """Compare every byte of the documents that are not for training. Raises DataError as `verify_digests` does."""
    files = [file for file in _all_files(read_manifest(folder)) if not file.name.startswith("train/")]
    _check_sizes(folder, files)
    _verify_files(folder, files)


def verify_digests(folder: Path, part: int = 0, parts: int = 1) -> Manifest:
    """Read every byte and compare with the manifest, or one of `parts` equal parts of the files, for ranks to share.

    Raises DataError naming the first file that differs.
    """
    manifest = read_manifest(folder)
    verify_sizes(folder, manifest)
    _verify_files(folder, _all_files(manifest)[part::parts])
    return manifest


def _verify_files(folder: Path, files: Sequence[ShardFile]) -> None:
    for file in progress(files, "verify shards", unit="files"):
        for path, _, digest in file.contents():
            if file_digest(folder / path) != digest:
                raise DataError(f"{folder / path} is damaged (its digest is not the manifest's): {RUN_AGAIN}")
