"""Files as accidents and ill will leave them: cut, changed, torn, nested, and with another encoding declared."""

import io
import random
import zipfile
from collections.abc import Iterator

NESTED = (b"<div>", b"<table><tr><td>", b"<ul><li>", b"[", b"<w:tbl>", b"<<", b"(", b"--B\r\n")
WORDS = (
    b"Content-Length: 99999999999",
    b"charset=utf-16",
    b"Transfer-Encoding: chunked",
    b"Content-Encoding: gzip",
    b"Content-Encoding: br",
    b'<!DOCTYPE a [<!ENTITY b "c"><!ENTITY d "&b;&b;&b;">]>',
    b'<!ENTITY x SYSTEM "file:///etc/passwd">&x;',
    b"/Length 999999999",
    b"/Count -1",
    b"endobj",
    b"\r\n\r\n",
    b"\x00" * 8,
    b"\xff\xfe",
    b"From nobody Thu Jan  3 12:00:00 2002\n",
)


def mutated(content: bytes, count: int, seed: int) -> Iterator[bytes]:
    """So many variants of a file, always the same."""
    draw = random.Random(seed)
    for _ in range(count):
        made = bytearray(content)
        for _ in range(draw.randint(1, 4)):
            _change(made, draw)
        yield bytes(made)


def with_mutated_parts(archive: bytes, count: int, seed: int) -> Iterator[bytes]:
    """So many variants of a ZIP file, in each of which one part is another and all are whole."""
    with zipfile.ZipFile(io.BytesIO(archive)) as whole:
        parts = {name: whole.read(name) for name in whole.namelist()}
    for number in range(count):
        name = sorted(parts)[number % len(parts)]
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as made:
            for other, content in parts.items():
                is_it = other == name
                made.writestr(other, next(mutated(content, 1, seed * 100_000 + number)) if is_it else content)
        yield file.getvalue()


def _change(made: bytearray, draw: random.Random) -> None:
    place = draw.randrange(len(made) + 1)
    end = min(len(made), place + int(draw.expovariate(1 / 60)) + 1)
    match draw.randrange(8):
        case 0:
            del made[place:]
        case 1:
            made[place:end] = draw.randbytes(end - place)
        case 2:
            del made[place:end]
        case 3:
            made[place:place] = made[place : place + draw.randrange(2_000)] * draw.randint(1, 20)
        case 4:
            made[place:place] = draw.choice(NESTED) * draw.choice((3, 300, 3_000))
        case 5:
            made[place:place] = draw.choice(WORDS)
        case 6:
            for _ in range(20):
                if made:
                    made[draw.randrange(len(made))] = draw.randrange(256)
        case 7:
            for tag in (b"</", b">", b"endobj", b"\r\n"):
                if draw.random() < 0.3 and (found := made.find(tag, place)) >= 0:
                    del made[found : found + len(tag)]
