"""The shard format: token ids and a table of documents for each source of each split, under one manifest."""

import dataclasses
import datetime
import functools
import itertools
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from data.errors import DataError
from data.files import MANIFEST, atomic_write, file_digest, value_digest
from data.progress import progress
from data.shard_reader import DTYPES as DTYPES

FORMAT = 1
END_OF_TEXT_ID = 0
SOURCE_NAME = re.compile(r"[A-Za-z0-9_-]+")
RUN_AGAIN = "run `domainlm tokenize CONFIG` again"
DOCUMENT_COLUMNS = pa.schema(
    {
        "id": pa.string(),
        "source": pa.string(),
        "date": pa.date32(),
        "first_token": pa.int64(),
        "tokens": pa.int64(),
        "bytes": pa.int64(),
    }
)

Tokens = npt.NDArray[np.unsignedinteger[Any]]


@dataclass(frozen=True)
class EncodedDocument:
    id: str
    date: datetime.date | None
    tokens: Tokens  # without the end-of-text token
    bytes: int  # of the text in UTF-8


@dataclass(frozen=True)
class ShardFile:
    """One `NAME.bin` of token ids and its `NAME.documents.parquet`; digests are of the files' bytes."""

    name: str  # split/source-00000
    tokens: int
    documents: int
    bytes: int  # of the documents' texts in UTF-8
    tokens_size: int
    tokens_digest: str
    documents_size: int
    documents_digest: str

    @property
    def tokens_path(self) -> str:
        return f"{self.name}.bin"

    @property
    def documents_path(self) -> str:
        return f"{self.name}.documents.parquet"


@dataclass(frozen=True)
class SourceShards:
    """The files of one source of one split, in order; token positions count through all of them."""

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

    @functools.cached_property
    def first_tokens(self) -> list[int]:
        """Position of each file's first token, and of the end: one more than files."""
        return list(itertools.accumulate((file.tokens for file in self.files), initial=0))


@dataclass(frozen=True)
class Manifest:
    dtype: str  # "uint16" or "uint32", little-endian
    vocabulary_size: int
    tokenizer_digest: str
    corpus_digest: str
    seed: int
    tokens_per_shard: int
    splits: dict[str, dict[str, SourceShards]]
    format: int = FORMAT

    @functools.cached_property
    def digest(self) -> str:
        """Of everything above: two folders of equal digest hold the same tokens and documents."""
        return value_digest(dataclasses.asdict(self))

    def source(self, split: str, source: str) -> SourceShards:
        """Raises DataError when there is no such split or source."""
        sources = self.splits.get(split, {})
        if source not in sources:
            raise DataError(f"the shards have no source '{source}' in split '{split}': they have {sorted(sources)}")
        return sources[source]


def dtype_name(vocabulary_size: int) -> str:
    return "uint16" if vocabulary_size < 65_536 else "uint32"


def write_source(
    folder: Path, split: str, source: str, documents: Iterable[EncodedDocument], dtype: str, tokens_per_shard: int
) -> SourceShards:
    """Write all documents of one source of one split; a file ends with the document that fills it."""
    remaining = iter(documents)
    files: list[ShardFile] = []
    for document in remaining:
        name = f"{split}/{source}-{len(files):05d}"
        first_token = sum(file.tokens for file in files)
        documents_left = itertools.chain([document], remaining)
        files.append(_write_shard(folder, name, source, first_token, documents_left, dtype, tokens_per_shard))
    return SourceShards(tuple(files))


def _write_shard(
    folder: Path,
    name: str,
    source: str,
    first_token: int,
    documents: Iterator[EncodedDocument],
    dtype: str,
    tokens_per_shard: int,
) -> ShardFile:
    end_of_text = np.array([END_OF_TEXT_ID], DTYPES[dtype]).tobytes()
    tokens_path, documents_path = folder / f"{name}.bin", folder / f"{name}.documents.parquet"
    rows: list[tuple[str, str, datetime.date | None, int, int, int]] = []
    position = first_token
    with atomic_write(tokens_path) as file:
        for document in documents:
            file.write(document.tokens.astype(DTYPES[dtype]).tobytes())
            file.write(end_of_text)
            tokens = len(document.tokens) + 1
            rows.append((document.id, source, document.date, position, tokens, document.bytes))
            position += tokens
            if position - first_token >= tokens_per_shard:
                break
    with atomic_write(documents_path) as file:
        columns = [list(column) for column in zip(*rows, strict=True)]
        pq.write_table(pa.table(columns, schema=DOCUMENT_COLUMNS), file, compression="zstd")
    return ShardFile(
        name=name,
        tokens=position - first_token,
        documents=len(rows),
        bytes=sum(row[-1] for row in rows),
        tokens_size=tokens_path.stat().st_size,
        tokens_digest=file_digest(tokens_path),
        documents_size=documents_path.stat().st_size,
        documents_digest=file_digest(documents_path),
    )


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `manifest.json`, which declares the folder whole: call it last."""
    with atomic_write(folder / MANIFEST) as file:
        file.write(json.dumps(dataclasses.asdict(manifest) | {"digest": manifest.digest}, indent=1).encode())


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
    if not isinstance(content, dict) or content.get("format") != FORMAT:
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
            expected = [f"{split}/{source}-{number:05d}" for number in range(len(shards.files))]
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
    for file in _all_files(manifest):
        _check_size(folder / file.tokens_path, file.tokens_size)
        _check_size(folder / file.documents_path, file.documents_size)


def verify_digests(folder: Path, part: int = 0, parts: int = 1) -> Manifest:
    """Read every byte and compare with the manifest, or one of `parts` equal parts of the files, for ranks to share.

    Raises DataError naming the first file that differs.
    """
    manifest = read_manifest(folder)
    verify_sizes(folder, manifest)
    for file in progress(_all_files(manifest)[part::parts], "verify shards", unit="files"):
        for path, digest in ((file.tokens_path, file.tokens_digest), (file.documents_path, file.documents_digest)):
            if file_digest(folder / path) != digest:
                raise DataError(f"{folder / path} is damaged (its digest is not the manifest's): {RUN_AGAIN}")
    return manifest
