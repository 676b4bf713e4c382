import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.sources.megatron import read_indexed

WritePair = Callable[[Path, list[list[list[int]]], str], Path]
DTYPES = ["uint8", "int8", "int16", "int32", "int64", "uint16"]


@given(st.lists(st.lists(st.lists(st.integers(0, 127), max_size=5), max_size=3), max_size=5), st.sampled_from(DTYPES))
def test_every_document_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, write_pair: WritePair, documents: list[list[list[int]]], dtype: str
) -> None:
    dataset = read_indexed(write_pair(tmp_path_factory.mktemp("pair"), documents, dtype))
    assert dataset.documents == len(documents)
    assert dataset.ids.dtype == dtype
    found = [dataset.document(number).tolist() for number in range(len(documents))]
    assert found == [list(itertools.chain.from_iterable(document)) for document in documents]


def test_modes_of_multimodal_sequences_are_passed_over(tmp_path: Path, write_pair: WritePair) -> None:
    tokens = write_pair(tmp_path, [[[1, 2]], [[3]]], "int32")
    index = tokens.with_suffix(".idx")
    index.write_bytes(index.read_bytes() + b"\x00\x01")
    assert read_indexed(tokens).document(1).tolist() == [3]


@pytest.mark.parametrize(
    ("place", "content", "message"),
    [
        (0, b"X", r"a\.idx is no index of version 1"),
        (9, b"\x02", r"a\.idx is no index of version 1"),
        (17, b"\x06", r"a\.idx is no index of version 1 of whole numbers"),
        (18, b"\xff", r"a\.idx is cut off"),
        (18, b"\xff\xff\xff\xff\xff\xff\xff\xff", r"a\.idx is cut off"),
        (34, b"\xff\xff\xff\xff", r"a\.bin is shorter than its index says"),
        (34, b"\x00\x00\x00\x7f", r"a\.bin is shorter than its index says"),
        (42, b"\x01", r"begin within an id"),
        (42, b"\xfc\xff\xff\xff\xff\xff\xff\xff", r"a\.bin is shorter than its index says"),
        (58, b"\x01", r"documents that are not all of its sequences in order"),
        (66, b"\x07", r"documents that are not all of its sequences in order"),
        (74, b"\x01", r"documents that are not all of its sequences in order"),
    ],
)
def test_a_damaged_index_is_refused(
    tmp_path: Path, write_pair: WritePair, place: int, content: bytes, message: str
) -> None:
    tokens = write_pair(tmp_path, [[[1, 2]], [[3]]], "int32")
    index = bytearray(tokens.with_suffix(".idx").read_bytes())
    index[place : place + len(content)] = content
    tokens.with_suffix(".idx").write_bytes(index)
    with pytest.raises(ValueError, match=message):
        read_indexed(tokens)


@pytest.mark.parametrize("length", [0, 20, 34, 60])
def test_an_index_that_is_cut_off_is_refused(tmp_path: Path, write_pair: WritePair, length: int) -> None:
    tokens = write_pair(tmp_path, [[[1, 2]], [[3]]], "int32")
    index = tokens.with_suffix(".idx")
    index.write_bytes(index.read_bytes()[:length])
    with pytest.raises(ValueError, match=r"a\.idx is cut off"):
        read_indexed(tokens)


def test_tokens_that_are_cut_off_are_refused(tmp_path: Path, write_pair: WritePair) -> None:
    tokens = write_pair(tmp_path, [[[1, 2]], [[3]]], "int32")
    for length in (11, 8, 0):
        tokens.write_bytes(tokens.read_bytes()[:length])
        with pytest.raises(ValueError, match=r"a\.bin is (shorter than its index says|cut off)"):
            read_indexed(tokens)
