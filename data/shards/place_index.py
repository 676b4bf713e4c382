"""Where strings of the training text stand: sorted hashes of a shard file's places, a file for each, made on demand.

A place is hashed with the GRAM bytes that follow it, whatever tokens they are in. Places of a document lie at most
SPACING bytes apart, the first at its beginning, so that each passage of LEAST bytes that a document has begins at most
SPACING - 1 bytes before one whose bytes are all in the passage.
"""

import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from data.errors import DataError
from data.files import atomic_write, begin_stage, finish_stage, is_finished, value_digest
from data.hashing import FNV_OFFSET, FNV_PRIME, mix
from data.lock import only_writer
from data.parallel import available_cpus
from data.progress import progress, say
from data.shards.format import Manifest, ShardFile, read_manifest
from data.shards.packing import SPLIT
from data.shards.reader import DTYPES, OpenFiles, Tokens
from data.tokenizer.build import load_tokenizer
from data.tokenizer.piece_bytes import piece_bytes
from data.tokenizer.strings import Bytes, Int64s

FORMAT = 1
GRAM = 20  # bytes
SPACING = 12
LEAST = GRAM + SPACING - 1
ENTRY = np.dtype("<u8")  # 32 bits of the hash, 32 bits of the token's position in its file
TOKEN_BITS = 32

Entries = npt.NDArray[np.uint64]
_OFFSET, _PRIME = np.uint64(FNV_OFFSET), np.uint64(FNV_PRIME)
_HASH_BITS = np.uint64(0xFFFFFFFF00000000)
_mix = numba.njit(nogil=True, inline="always")(mix)


class Pieces(NamedTuple):
    """What compiled code wants to know of a tokenizer."""

    text: Bytes  # of all pieces, one behind the other
    offsets: Int64s  # (pieces + 1,): piece i is text[offsets[i] : offsets[i + 1]]
    end_of_text: int  # what stands between documents


@dataclass(frozen=True)
class IndexedFile:
    """A shard file of the training split and its index."""

    source: str
    number: int  # among the source's files
    shard: ShardFile
    name: str  # of the index file


@dataclass(frozen=True)
class PlaceIndex:
    """The index of all shard files, whole."""

    folder: Path
    pieces: Pieces
    files: tuple[IndexedFile, ...]
    _dtype: np.dtype[Any]
    _shards: OpenFiles
    _entries: OpenFiles

    def tokens(self, file: IndexedFile) -> Tokens:
        """All of the file's tokens, mapped."""
        content = self._shards.content(file.shard.tokens_path, file.shard.tokens * self._dtype.itemsize)
        return np.frombuffer(content, self._dtype, file.shard.tokens)

    def entries(self, file: IndexedFile) -> Entries:
        """The file's entries, ascending, mapped; none for a file whose documents are all shorter than GRAM."""
        size = (self.folder / file.name).stat().st_size
        return np.frombuffer(self._entries.content(file.name, size), ENTRY) if size else np.empty(0, ENTRY)


def open_index(
    shards: Path, folder: Path, tokenizer: Path, find: Callable[[str], str], workers: int | None = None
) -> PlaceIndex:
    """The index in `folder` of the training split of `shards`, made first where there is none or of other shards.

    Files that are finished are kept when it is interrupted, and where only some of the shards have changed.

    Args:
        tokenizer: the folder of the shards' tokenizer.
        find: where a file of the shards lies, by its name; it may have to fetch it first.
        workers: files that are indexed at a time, in threads, each with up to 0.6 GB; None: one for each CPU.

    Raises:
        DataError: shards or tokenizer are missing or damaged, the pieces of its tokenizer do not give their text, or
            the index has no room.
    """
    manifest = read_manifest(shards)
    strings = piece_bytes(load_tokenizer(tokenizer))
    pieces = Pieces(
        np.frombuffer(b"".join(strings), np.uint8),
        np.cumsum([0, *map(len, strings)]),
        manifest.end_of_text,
    )
    index = PlaceIndex(
        folder,
        pieces,
        _indexed_files(manifest),
        DTYPES[manifest.dtype],
        OpenFiles(find),
        OpenFiles(lambda name: f"{folder}/{name}"),
    )
    inputs = {"format": FORMAT, "gram": GRAM, "spacing": SPACING, "shards": manifest.digest}
    if not is_finished("index", folder, inputs):
        with only_writer(folder):
            _make(index, workers or available_cpus())
            finish_stage(folder, inputs, {folder / file.name for file in index.files})
    return index


def _indexed_files(manifest: Manifest) -> tuple[IndexedFile, ...]:
    """Index files are named by all that decides what is in them."""
    common = [FORMAT, GRAM, SPACING, manifest.tokenizer_digest, manifest.end_of_text, manifest.dtype]
    return tuple(
        IndexedFile(source, number, shard, f"{value_digest([*common, shard.tokens_digest])}.places")
        for source, shards in sorted(manifest.splits.get(SPLIT, {}).items())
        for number, shard in enumerate(shards.files)
        if shard.tokens
    )


def _make(index: PlaceIndex, workers: int) -> None:
    """Write the files that are missing, and remove what belongs to other shards."""
    wanted = {file.name: file for file in index.files}  # files of equal tokens have one index
    index.folder.mkdir(parents=True, exist_ok=True)
    begin_stage(index.folder, [path.name for path in index.folder.glob("*.places") if path.name not in wanted])
    missing = [file for name, file in wanted.items() if not (index.folder / name).exists()]
    _check_room(index.folder, [file.shard for file in missing])
    with ThreadPoolExecutor(min(workers, len(missing)) or 1) as pool:
        for _ in progress(pool.map(lambda file: _write(index, file), missing), "index", len(missing), "files"):
            pass


def most_bytes(shards: Sequence[ShardFile]) -> int:
    """The most that the index of these files takes on disk: of three places in a row the ends are over SPACING apart.

    It is about two thirds of it for tokens of 4 to 5 bytes.
    """
    return sum((2 * shard.bytes // SPACING + 2 * shard.documents) * ENTRY.itemsize for shard in shards)


def _check_room(folder: Path, shards: Sequence[ShardFile]) -> None:
    needed, free = most_bytes(shards), shutil.disk_usage(folder).free
    text = sum(shard.bytes for shard in shards)
    say(f"index: of {text / 1e9:,.3f} GB of training text, into {folder}, {needed / 1e9:,.3f} GB at the most")
    if needed > free:
        raise DataError(f"{folder}: its index may take {needed / 1e9:,.2f} GB, {free / 1e9:,.2f} are free: make room")


def _write(index: PlaceIndex, file: IndexedFile) -> None:
    entries = np.empty(most_bytes([file.shard]) // ENTRY.itemsize, ENTRY)
    count, size = _sample(index.tokens(file), *index.pieces, entries)
    # A tokenizer may put a space before each text, and one that composes characters has fewer bytes than it was given.
    if count < 0 or abs(size - file.shard.bytes) > file.shard.documents + file.shard.bytes // 100:
        raise DataError(
            f"{file.shard.tokens_path}: its pieces have {size:,} bytes, its documents {file.shard.bytes:,}: the "
            "tokenizer's pieces cannot be joined to text, so that none can be found in it"
        )
    entries = entries[:count]
    entries.sort()
    with atomic_write(index.folder / file.name) as out:
        out.write(entries.data)


@numba.njit(cache=True, nogil=True)
def _sample(tokens: Tokens, text: Bytes, offsets: Int64s, end_of_text: int, entries: Entries) -> tuple[int, int]:
    """Fill `entries` with the places of a file in their order; their number, -1 where they do not fit, and bytes read.

    A place is where the last token begins that does so within SPACING bytes of the place before; longer tokens have
    several.
    """
    count, total, distance, is_first = 0, 0, 0, True
    for place in range(len(tokens)):
        token = np.int64(tokens[place])
        if token == end_of_text or token + 1 >= len(offsets):
            is_first = True
            continue
        size = offsets[token + 1] - offsets[token]
        total += size
        if size > 0 and (is_first or distance + size > SPACING):
            for begin in range(0, size, SPACING):
                is_whole, key = _gram_at(tokens, place, begin, text, offsets, end_of_text)
                if not is_whole:
                    break
                if count == len(entries):
                    return -1, total
                entries[count] = (key & _HASH_BITS) | np.uint64(place)
                count += 1
            is_first, distance = False, 0
            size -= (size - 1) // SPACING * SPACING
        distance += size
    return count, total


@numba.njit(cache=True, nogil=True)
def _gram_at(
    tokens: Tokens, place: int, begin: int, text: Bytes, offsets: Int64s, end_of_text: int
) -> tuple[bool, np.uint64]:
    """The hash of the GRAM bytes from byte `begin` of a token on; false where the document has fewer."""
    key, left = _OFFSET, GRAM
    while place < len(tokens):
        token = np.int64(tokens[place])
        if token == end_of_text or token + 1 >= len(offsets):
            break
        for at in range(offsets[token] + begin, offsets[token + 1]):
            key = (key ^ np.uint64(text[at])) * _PRIME
            left -= 1
            if left == 0:
                return True, _mix(key)
        place, begin = place + 1, 0
    return False, key


@numba.njit(cache=True, nogil=True)
def gram_keys(query: Bytes) -> Entries:
    """The entries, without a token, that the GRAM bytes from each byte of a text on would have."""
    keys = np.empty(max(len(query) - GRAM + 1, 0), np.uint64)
    for first in range(len(keys)):
        key = _OFFSET
        for at in range(first, first + GRAM):
            key = (key ^ np.uint64(query[at])) * _PRIME
        keys[first] = _mix(key) & _HASH_BITS
    return keys
