"""Megatron's files as its own code would write them, byte by byte."""

import itertools
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

Documents = list[list[list[int]]]
"""Documents of sequences of ids."""
# The code that the index has for each type of ids, and the letter that the struct module has.
DTYPES = {
    "uint8": (1, "B"),
    "int8": (2, "b"),
    "int16": (3, "h"),
    "int32": (4, "i"),
    "int64": (5, "q"),
    "uint16": (8, "H"),
}


@pytest.fixture(scope="session")
def reference_pair() -> Callable[[Documents, str], tuple[bytes, bytes]]:
    """Makes the content of the two files, NAME.bin and NAME.idx, from documents and the type of their ids."""

    def make(documents: Documents, dtype: str) -> tuple[bytes, bytes]:
        code, letter = DTYPES[dtype]
        sequences = list(itertools.chain.from_iterable(documents))
        tokens = b"".join(struct.pack(f"<{letter}", number) for sequence in sequences for number in sequence)
        index = b"MMIDIDX\x00\x00" + struct.pack("<QBQQ", 1, code, len(sequences), len(documents) + 1)
        index += b"".join(struct.pack("<i", len(sequence)) for sequence in sequences)
        offset = 0
        for sequence in sequences:
            index += struct.pack("<q", offset)
            offset += len(sequence) * struct.calcsize(letter)
        bound = 0
        index += struct.pack("<q", bound)
        for document in documents:
            bound += len(document)
            index += struct.pack("<q", bound)
        return tokens, index

    return make


@pytest.fixture(scope="session")
def write_pair(
    reference_pair: Callable[[Documents, str], tuple[bytes, bytes]],
) -> Callable[[Path, Documents, str], Path]:
    """Writes a.bin and a.idx into a folder and returns the former."""

    def write(folder: Path, documents: Documents, dtype: str) -> Path:
        tokens, index = reference_pair(documents, dtype)
        (folder / "a.bin").write_bytes(tokens)
        (folder / "a.idx").write_bytes(index)
        return folder / "a.bin"

    return write
