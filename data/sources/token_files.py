"""Corpora that others have tokenized, turned back into text: Megatron's pairs of files, and files of bare token ids."""

import functools
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from data.errors import DataError
from data.files import file_stamp
from data.readers.rows import MalformedError, Rows
from data.source_config import SourceConfig
from data.sources.megatron import Ids, index_of, mapped, read_indexed

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# The endings of token files, and of what only describes them. .npy is what OLMo and dolma call bare ids, and NumPy ids
# with a header; .ds is datatrove's name; .bin everybody's.
COMPANIONS = {".bin": (".idx",), ".npy": (".csv.gz",), ".ds": (".ds.index", ".ds.metadata")}
NUMPY_MAGIC = b"\x93NUMPY"
BLOCK_IDS = 1 << 20
LONGEST_DOCUMENT = 1 << 26  # ids; a longer one means that end_of_text is not what ends documents here
DOCUMENTS_PER_BATCH = 64


def is_token_file(name: str) -> bool:
    """Whether a file of this name holds token ids."""
    return name.endswith(tuple(COMPANIONS))


def without_companions(names: list[str]) -> list[str]:
    """The names without those that only describe a token file that is there too."""
    described = {
        name.removesuffix(extension) + companion
        for extension, companions in COMPANIONS.items()
        for name in names
        if name.endswith(extension)
        for companion in companions
    }
    return [name for name in names if name not in described]


def token_stamp(source: SourceConfig, file: Path) -> list[int | str]:
    """What else decides the text of a token file: its index, and the tokenizer.

    Raises:
        DataError: the source names no tokenizer, or it is not there.
    """
    others = [index_of(file)] if _is_indexed(file) else []
    return [number for other in [*others, _tokenizer_file(source)] for number in file_stamp(other)]


def _is_indexed(file: Path) -> bool:
    return file.suffix == ".bin" and index_of(file).exists()


def _tokenizer_file(source: SourceConfig) -> Path:
    where = f"data.sources.{source.name}.tokenizer"
    if source.tokenizer is None:
        raise DataError(f"source '{source.name}': {source.path} is tokenized: set {where} to its tokenizer.json")
    path = Path(source.tokenizer).expanduser()
    path = path / "tokenizer.json" if path.is_dir() else path
    if not path.is_file():
        raise DataError(f"source '{source.name}': {path} does not exist: correct {where}")
    return path


@functools.lru_cache(maxsize=1)  # the same for all parts of a source
def _tokenizer(path: Path) -> "Tokenizer":
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # of no kind of its own
        raise DataError(f"{path} is no tokenizer: {error}") from None


def read_token_file(source: SourceConfig, file: Path) -> Rows:
    """The documents of a token file as records with nothing but the text, numbered from 1.

    Special tokens, such as the one that ends a document, are no text.

    Raises:
        DataError: the source's tokenizer is not there or has no such end of text.
        ValueError: the file is damaged.
    """
    tokenizer = _tokenizer(_tokenizer_file(source))
    size = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1) + 1
    batches = _batches(_documents(source, file, tokenizer, size))
    records = (_decoded(source, tokenizer, size, batch) for batch in batches)
    yield from enumerate(itertools.chain.from_iterable(records), start=1)


def _documents(source: SourceConfig, file: Path, tokenizer: "Tokenizer", size: int) -> Iterator[Ids]:
    if _is_indexed(file):
        dataset = read_indexed(file)
        yield from map(dataset.document, range(dataset.documents))
        return
    end = tokenizer.token_to_id(source.end_of_text)
    if end is None:
        raise DataError(
            f"source '{source.name}': the tokenizer has no token '{source.end_of_text}': name the one that ends a "
            f"document in data.sources.{source.name}.end_of_text"
        )
    yield from _split(_mapped(source, file, size), end)


def _mapped(source: SourceConfig, file: Path, size: int) -> Ids:
    with file.open("rb") as content:
        start = content.read(len(NUMPY_MAGIC))
    if start == NUMPY_MAGIC:
        array: Ids = np.asarray(np.load(file, mmap_mode="r", allow_pickle=False))
        if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer):
            raise ValueError(f"an array of shape {array.shape} and type {array.dtype} is no list of token ids")
        return array
    dtype = np.dtype(source.token_dtype or ("uint16" if size <= 65_536 else "uint32")).newbyteorder("<")
    if file.stat().st_size % dtype.itemsize:
        raise ValueError(f"its size is no multiple of {dtype.itemsize} bytes, as ids of type {dtype.name} need")
    return mapped(file, dtype)


def _split(ids: Ids, end: int) -> Iterator[Ids]:
    """The documents, each with its end; what stands behind the last end is one too."""
    first = 0
    for start in range(0, len(ids), BLOCK_IDS):
        for position in np.flatnonzero(ids[start : start + BLOCK_IDS] == end).tolist():
            yield ids[first : start + position + 1]
            first = start + position + 1
    if first < len(ids):
        yield ids[first:]


def _batches(documents: Iterator[Ids]) -> Iterator[list[Ids]]:
    """Gather documents to be decoded together; a long one is the last of its batch."""
    batch: list[Ids] = []
    for ids in documents:
        batch.append(ids)
        if len(batch) == DOCUMENTS_PER_BATCH or len(ids) > BLOCK_IDS:
            yield batch
            batch = []
    yield batch


def _decoded(source: SourceConfig, tokenizer: "Tokenizer", size: int, batch: list[Ids]) -> list[object]:
    """Records of a batch of documents, or why one of them has none."""
    results: list[object] = [_fault(ids, size) for ids in batch]
    sound = [index for index, fault in enumerate(results) if fault is None]
    texts = tokenizer.decode_batch([batch[index].tolist() for index in sound], skip_special_tokens=True)
    for index, text in zip(sound, texts, strict=True):
        results[index] = {source.text_field: text}
    return results


def _fault(ids: Ids, size: int) -> MalformedError | None:
    if len(ids) > LONGEST_DOCUMENT:
        return MalformedError(f"record too long: {len(ids):,} tokens: is end_of_text what ends a document here?")
    # The library passes over ids that it does not know.
    if len(ids) and (low := int(ids.min()), high := int(ids.max())) and (low < 0 or high >= size):
        return MalformedError(f"unknown token: {low if low < 0 else high} in a vocabulary of {size:,}")
    return None
