"""Damaged files of each format end as records, what is left out, quarantine or damage: no crash, no hang."""

import io
from collections.abc import Iterator

import pytest

from data.readers.rows import LeftOut, MalformedError
from data.sources.formats import DAMAGE, reader
from tests.data.readers.mutations import mutated, with_mutated_parts
from tests.data.readers.samples import SAMPLES

COUNT, SEED = 12, 7  # of each format; 2,000 were run once


def variants(name: str, count: int, seed: int) -> Iterator[bytes]:
    if name.endswith(".docx"):
        yield from with_mutated_parts(SAMPLES[name], count // 2, seed)
        count -= count // 2
    yield from mutated(SAMPLES[name], count, seed)


@pytest.mark.parametrize("name", SAMPLES)
def test_damaged_files_are_read_as_far_as_they_are_good(name: str) -> None:
    read = 0
    for content in variants(name, COUNT, SEED):
        last = 0
        try:
            for line, found in reader(name)(io.BufferedReader(io.BytesIO(content)), name, ["text"]):  # type: ignore[arg-type]
                assert isinstance(found, dict | LeftOut | MalformedError)
                assert line in (last, last + 1)
                last = line
                if isinstance(found, dict):
                    read += 1
                    found["text"].encode()
                if isinstance(found, MalformedError):
                    assert "crashes" not in str(found)
        except DAMAGE:
            pass
    assert read or name.endswith((".docx", ".pdf"))
