import bz2
import functools
import gzip
import io
import json
import lzma
import random
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from data.config import DecontaminationConfig
from data.corpus.decontaminate import load_items
from data.sources.formats import reader
from data.sources.packed import DAMAGED_PACKED_BYTES, PACKED_BYTES, unpacked

PACK: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "zst": zstandard.ZstdCompressor().compress,
    "bz2": bz2.compress,
    "xz": functools.partial(lzma.compress, preset=0),
}
TEXTS = [f"text {number} " * 40 for number in range(100)]
LINES = b"".join(json.dumps({"text": text}).encode() + b"\n" for text in TEXTS)


def read(packed: bytes, kind: str) -> list[str]:
    name = f"a.jsonl.{kind}"
    rows = reader(name)(io.BufferedReader(io.BytesIO(packed)), name, ["text"])  # type: ignore[arg-type]
    return [fields["text"] for _, fields in rows if isinstance(fields, dict)]


def wide_frame(content: bytes, logarithm: int) -> bytes:
    """A frame of Zstandard with one block that is not compressed, and a window of 2 to this power (RFC 8878, 3.1.1)."""
    header = b"\x28\xb5\x2f\xfd\x00" + bytes([(logarithm - 10) << 3])
    return header + ((len(content) << 3) | 1).to_bytes(3, "little") + content


def test_the_widest_window_that_zstd_writes_is_read() -> None:
    first, second = LINES[: len(LINES) // 2], LINES[len(LINES) // 2 :]
    assert zstandard.get_frame_parameters(wide_frame(first, 31)).window_size == 1 << 31
    assert read(wide_frame(first, 31) + wide_frame(second, 27), "zst") == TEXTS


@pytest.mark.parametrize("kind", list(PACK))
@pytest.mark.parametrize("zeros", [1, 511, 100_000])
def test_zeros_after_or_between_streams_are_padding(kind: str, zeros: int) -> None:
    half = len(LINES) // 2
    packed = PACK[kind](LINES[:half]) + bytes(zeros) + PACK[kind](LINES[half:]) + bytes(zeros)
    assert read(packed, kind) == TEXTS


def test_a_frame_of_zstandard_that_is_to_be_skipped_is_skipped() -> None:
    skipped = b"\x50\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"index"  # as pzstd and seekable files have them
    assert read(skipped + PACK["zst"](LINES) + skipped, "zst") == TEXTS


@pytest.mark.parametrize("kind", list(PACK))
def test_evaluation_items_may_be_packed_in_every_way(tmp_path: Path, kind: str) -> None:
    file = tmp_path / f"items.jsonl.{kind}"
    file.write_bytes(PACK[kind](LINES) + bytes(512))
    assert len(load_items(DecontaminationConfig(paths=(str(file),))).names) == len(TEXTS)


def test_damage_takes_little_of_the_text_before_it() -> None:
    content = random.Random(0).randbytes(40_000).hex().encode()
    packed = gzip.compress(content)
    place = PACKED_BYTES + PACKED_BYTES // 2
    before = zlib.decompressobj(wbits=31).decompress(packed[: place - DAMAGED_PACKED_BYTES])
    file = io.BufferedReader(io.BytesIO(packed[:place] + bytes(range(256)) * 40))  # type: ignore[arg-type]
    read: list[bytes] = []
    with pytest.raises(zlib.error):
        read.extend(iter(functools.partial(unpacked(file, "a.gz").read1, 100), b""))
    assert len(before) > 20_000
    assert b"".join(read).startswith(before)
