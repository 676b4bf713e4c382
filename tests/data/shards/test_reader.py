"""Reads by position, many files with few descriptors, and errors that name the file."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import DataError
from data.shards.reader import DTYPES, OPEN_FILES, OpenFiles


def descriptors() -> set[Path]:
    return set(Path("/proc/self/fd").iterdir())


@given(data=st.data(), dtype=st.sampled_from(list(DTYPES.values())))
def test_tokens_are_those_of_the_file(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, dtype: np.dtype[np.uint16]
) -> None:
    folder = tmp_path_factory.getbasetemp()
    whole = np.arange(1000, dtype=dtype) * 60
    whole.tofile(folder / "tokens.bin")
    first = data.draw(st.integers(0, 1000))
    count = data.draw(st.integers(0, 1000 - first))
    tokens = OpenFiles(lambda name: f"{folder}/{name}").read_tokens("tokens.bin", dtype, first, count)
    assert tokens.dtype == dtype
    assert np.array_equal(tokens, whole[first : first + count])


def test_only_the_files_used_last_stay_open(tmp_path: Path) -> None:
    names = [f"{number}.bin" for number in range(OPEN_FILES + 50)]
    for name in names:
        (tmp_path / name).write_text(name)
    before = descriptors()
    files = OpenFiles(lambda name: f"{tmp_path}/{name}")
    for name in [*names, *names]:
        assert files.read(name, 0, len(name)).decode() == name
    assert len(descriptors() - before) <= OPEN_FILES
    del files
    assert not descriptors() - before


def test_a_file_is_looked_for_only_when_it_is_opened(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"123456")
    asked: list[str] = []

    def find(name: str) -> str:
        asked.append(name)
        return f"{tmp_path}/{name}"

    files = OpenFiles(find)
    assert (files.read("a", 0, 3), files.read("a", 3, 3), files.read("a", 6, 0)) == (b"123", b"456", b"")
    assert asked == ["a"]


def test_a_missing_or_short_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "short.bin").write_bytes(b"123")
    files = OpenFiles(lambda name: f"{tmp_path}/{name}")
    with pytest.raises(DataError, match=r"short.bin ends before byte 4: restore it"):
        files.read("short.bin", 2, 2)
    with pytest.raises(DataError, match=r"gone.bin is missing: restore it"):
        files.read("gone.bin", 0, 1)
