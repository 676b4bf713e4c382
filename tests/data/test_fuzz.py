"""10,000 generated files of every format and damage: each record is a clean document or set aside with its reason."""

import bz2
import functools
import gzip
import io
import json
import lzma
import re
from collections.abc import Callable
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from data.source_config import SourceConfig
from data.sources.documents import BadRecord, Document, input_parts, read_part

FILES = 10_000
FILES_PER_SOURCE = 100
KINDS = (
    "not an object",
    "JSON array",
    "broken JSON",
    "invalid UTF-8",
    "no UTF-8 text",
    "damaged file",
    "no field",
    "unreadable date",
    "implausible date",
    "repeated field",
    "unreadable value",
    "record too long",
    "'[a-z.]+' is (null|no string|no Unicode text)",
)
PACK: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": functools.partial(gzip.compress, compresslevel=1),
    ".zst": zstandard.ZstdCompressor().compress,
    ".bz2": functools.partial(bz2.compress, compresslevel=1),
    ".xz": functools.partial(lzma.compress, preset=0),
}
CHARACTERS = list('aé\u4e2d\U0001f600\x00\u2028\ufeff\r\n\\" \x7f')
SURROGATES = ["\ud800", "\udfff"]
VALUES: list[object] = [None, True, 0, -1, 10**30, 1e308, float("nan"), "", [], {}, ["a"], {"text": "a"}, [[[[]]]], "x"]


def text(random: Random) -> str:
    characters = CHARACTERS + SURROGATES if random.random() < 0.1 else CHARACTERS
    return "".join(random.choices(characters, k=random.choice([0, 1, 5, 40, 400])))


def value(random: Random) -> object:
    return text(random) if random.random() < 0.9 else random.choice(VALUES)


def record(random: Random) -> dict[str, object]:
    made: dict[str, object] = {"text": text(random)} if random.random() < 0.9 else {}
    for field in random.sample(["id", "licence", "url", "meta", "text"], random.randrange(4)):
        made[field] = value(random)
    if random.random() < 0.4:
        dates = ["2001-02-03", "20010203", "0001-01-01", "9999-12-31T23:59:59Z", "", None]
        made["date"] = random.choice(dates) if random.random() < 0.8 else value(random)
    return made


def line(random: Random) -> bytes:
    shape = random.random()
    if shape < 0.7:
        made = json.dumps(record(random), ensure_ascii=random.random() < 0.5).encode("utf-8", "surrogatepass")
    elif shape < 0.8:
        made = json.dumps(value(random)).encode()
    else:
        made = random.choice(
            [
                random.randbytes(random.randrange(60)).replace(b"\n", b""),
                b"[" * random.choice([10, 100_000]),
                b'{"text": ' + b"9" * random.choice([20, 5_000]) + b"}",
                b'{"a":' * 500 + b"1" + b"}" * 500,
                b'{"text": "a", "text": "b"}',
                b'{"text": "a"} {"text": "b"}',
                b'{"text": "\\ud800"}',
                '{"text": "utf-16"}'.encode("utf-16").replace(b"\n", b""),
                b"",
                b" \t\r",
            ]
        )
    return damage(random, made).replace(b"\n", b" ") if random.random() < 0.2 else made


def damage(random: Random, content: bytes) -> bytes:
    """Some bytes changed, cut out, doubled or put in; often the end is missing."""
    damaged = bytearray(content)
    for _ in range(random.choice([1, 1, 2, 8])):
        at = random.randrange(len(damaged) + 1)
        kind = random.randrange(4)
        if kind == 0:
            damaged[at : at + 1] = random.randbytes(1)
        elif kind == 1:
            del damaged[at : at + random.choice([1, 4, 64])]
        elif kind == 2:
            damaged[at:at] = damaged[at : at + 16]
        else:
            del damaged[at if random.random() < 0.5 else len(damaged) :]
    return bytes(damaged)


def json_lines(random: Random) -> tuple[bytes, int]:
    """A file of lines, and how many records it has: the lines that are not blank."""
    end = random.choice([b"\n", b"\r\n"])
    made = [line(random) for _ in range(random.choice([0, 1, 3, 10]))]
    content = random.choice([b"", b"", b"\xef\xbb\xbf"]) + end.join(made) + random.choice([b"", end])
    return content, sum(bool(piece.strip()) for piece in content.split(b"\n"))


def plain_text(random: Random) -> tuple[bytes, int]:
    return random.choice([text(random).encode("utf-8", "surrogatepass"), random.randbytes(50), b""]), 1


def column(random: Random, rows: int) -> pa.Array:
    arrays: list[Callable[[], pa.Array]] = [
        lambda: pa.array([f"text {row}" if random.random() < 0.9 else None for row in range(rows)]),
        lambda: pa.array([random.randbytes(4) for _ in range(rows)], pa.binary()).view(pa.string()),
        lambda: pa.array([random.randbytes(4) for _ in range(rows)]),
        lambda: pa.array([random.randrange(-(2**62), 2**62) for _ in range(rows)]),
        lambda: pa.array([random.randrange(2**62) for _ in range(rows)], pa.int64()).cast(pa.timestamp("us")),
        lambda: pa.array([random.randrange(-(2**31), 2**31) for _ in range(rows)], pa.int32()).cast(pa.date32()),
        lambda: pa.array([{"text": "a", "b": [1]}] * rows),
        lambda: pa.array([["a", None]] * rows),
        lambda: pa.array([1.5] * rows),
        lambda: pa.nulls(rows),
        lambda: pa.array(["a"] * rows).dictionary_encode(),
        lambda: pa.array([f"large {row}" for row in range(rows)], pa.large_string()),
    ]
    return arrays[0]() if random.random() < 0.7 else random.choice(arrays)()


def parquet(random: Random) -> tuple[bytes, int]:
    rows = random.choice([0, 1, 3, 50])
    names = random.sample(["id", "licence", "url", "date", "other", "a.b"], random.randrange(4))
    names = ["text", *names] if random.random() < 0.9 or not names else names
    file = io.BytesIO()
    table = pa.table({name: column(random, rows) for name in names})
    pq.write_table(
        table,
        file,
        row_group_size=random.choice([2, 1_000]),
        compression=random.choice(["none", "zstd", "snappy"]),
        write_page_checksum=random.random() < 0.5,
    )
    return file.getvalue(), rows


def write_file(random: Random, folder: Path, number: int) -> int | None:
    """Write one file and return how many records it has; None if it was damaged as a whole, so that nobody knows."""
    if random.random() < 0.3:
        content, records = parquet(random)
        name = f"{number}.parquet"
    else:
        make, kind = random.choice([(json_lines, "jsonl"), (json_lines, "json"), (plain_text, "txt")])
        content, records = make(random)
        packing = random.choice(["", "", *PACK])
        content = PACK[packing](content)
        name = f"{number}.{kind}{packing}"
    broken = not name.endswith((".jsonl", ".json", ".txt")) and random.random() < 0.4
    (folder / name).write_bytes(damage(random, content) if broken else content)
    return None if broken else records


def check_document(document: Document) -> None:
    document.text.encode()
    document.id.encode()
    assert document.id
    assert document.source == "fuzz"


def test_every_record_of_every_file_is_read_or_set_aside(tmp_path: Path) -> None:
    totals = [0, 0]
    for first in range(0, FILES, FILES_PER_SOURCE):
        random, folder = Random(first), tmp_path / str(first)
        folder.mkdir()
        records = {str(number): write_file(random, folder, number) for number in range(FILES_PER_SOURCE)}
        source = SourceConfig(name="fuzz", path=str(folder))
        for part in input_parts(source):
            bad: list[BadRecord] = []
            documents = list(read_part(source, part, bad.append))
            expected = records.pop(part.name.partition(".")[0])
            if expected is not None:
                assert len(documents) + len(bad) == expected, part
            for record in bad:
                assert record.file == part.name
                assert re.match("|".join(KINDS), record.reason), record
                assert record.line >= 1
                json.dumps(record.reason)
            for document in documents:
                check_document(document)
            places = [document.line for document in documents] + [record.line for record in bad]
            assert len(set(places)) == len(places), "one line, one fate"
            totals[0] += len(documents)
            totals[1] += len(bad)
        assert not records, "files that no part reads"
        for file in folder.iterdir():
            file.unlink()
    assert min(totals) > FILES, "both fates are tried"
